"""Schemathesis over the whole OpenAPI description: whatever is sent, the service never fails."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.integration.conftest import Serve

pytestmark = pytest.mark.slow

# What the description promises of answers, and that none is a 5xx.
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.parametrize("examples", [12, pytest.param(60, marks=pytest.mark.nightly)])
def test_no_request_that_the_description_allows_makes_it_fail(serve: Serve, examples: int) -> None:
    service = serve(max_queue=1000)
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "run", f"{service.address}/docs.json",
            "--checks", CHECKS, "--max-examples", str(examples), "--seed", "1", "--no-color",
        ],
        capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert '"outcome": "internal"' not in service.log
