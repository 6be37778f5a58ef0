import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from components.deployment.service_process import NotReadyError, ServiceProcess

SERVE = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "{port}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "readyz").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def failing(words: str) -> Sequence[str]:
    """A command that notes that it was started, and ends with some words."""
    program = f"open('starts', 'a').write('x'); raise SystemExit({words!r})"
    return (sys.executable, "-c", program)


def test_it_serves_for_the_length_of_the_block(folder: Path) -> None:
    with ServiceProcess(SERVE, {}) as service:
        assert httpx.get(f"{service.address}/readyz").status_code == 200
        assert service.seconds > 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{service.address}/readyz")


def test_where_its_port_is_taken_meanwhile_it_takes_another(folder: Path) -> None:
    service = ServiceProcess(SERVE, {})
    first = service.port
    with socket.socket() as other:
        other.bind(("127.0.0.1", first))
        with service:
            assert service.port != first
            assert httpx.get(f"{service.address}/readyz").status_code == 200


def test_a_port_is_not_tried_for_ever(folder: Path) -> None:
    with (
        pytest.raises(NotReadyError, match="Address already in use"),
        ServiceProcess(failing("Address already in use"), {}),
    ):
        pass
    assert (folder / "starts").read_text() == "xxx"


def test_what_fails_for_another_reason_is_not_started_again(folder: Path) -> None:
    with (
        pytest.raises(NotReadyError, match="no such model"),
        ServiceProcess(failing("no such model"), {}),
    ):
        pass
    assert (folder / "starts").read_text() == "x"
