"""Dask's processes: what they take, and what they leave behind."""

from __future__ import annotations

import os

import pytest

from components.config import Params
from components.data.dask_client import connect


@pytest.mark.slow
def test_processes_leave_the_environment_as_it_was(params: Params) -> None:
    """Dask sets OMP_NUM_THREADS=1 for them; a training that is started later must not inherit it."""
    before = dict(os.environ)
    with connect(params.compute.model_copy(update={"workers": 2}), tasks=2) as client:
        assert client.submit(os.getpid).result() != os.getpid()
        assert dict(os.environ) == before
