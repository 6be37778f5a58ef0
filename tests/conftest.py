"""What all tests share: markers, parameters, and folders of a model too small to read anything.

PyTorch is imported by the fixtures that need it: it takes seconds, and most tests do without.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.shared import copy_of, made_once

if TYPE_CHECKING:
    from components.config import Params

ROOT = Path(__file__).parents[1]
SLOW = {"exported", "job"}  # fixtures for which a model is exported or trained

# The same examples at each run: what breaks a test is a change. HYPOTHESIS_PROFILE=default tries others.
settings.register_profile("steady", derandomize=True, deadline=None)  # machines are busy
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Marks tests by their folder, and as slow those that start a server, train or export."""
    for item in items:
        integration = Path(__file__).parent / "integration" in item.path.parents
        item.add_marker("integration" if integration else "unit")
        asked = set(getattr(item, "fixturenames", ()))
        if integration or item.get_closest_marker("nightly") or asked & SLOW:
            item.add_marker("slow")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def params() -> Params:
    from components.config import load_params

    return load_params(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Path:
    """A folder after `evaluate`: model, test split of 12 inks of several sizes, figures."""
    from tests.tiny import write_evaluated

    folder = tmp_path_factory.mktemp("project")
    write_evaluated(folder, params)
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Path:
    """A folder after `export`."""

    def make(folder: Path) -> None:
        from tests.tiny import write_exported

        write_exported(folder, params)

    return copy_of(
        made_once(tmp_path_factory, "exported", make), tmp_path_factory.mktemp("exported") / "project"
    )
