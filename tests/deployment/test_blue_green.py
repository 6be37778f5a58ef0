"""Without keys the champion is served to this machine alone."""

from __future__ import annotations

import shutil

import psutil
import pytest

from components.deployment.blue_green import HAProxy, default_host
from components.deployment.service_process import free_port


@pytest.mark.parametrize(
    ("environment", "host"),
    [({"AUTH": "off"}, "127.0.0.1"), ({"AUTH": "optional"}, "0.0.0.0"), ({}, "0.0.0.0")],
)
def test_without_keys_it_listens_on_this_machine_alone(environment: dict[str, str], host: str) -> None:
    assert default_host(environment) == host


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="needs haproxy: ./setup.sh packages haproxy")
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_proxy_listens_where_it_is_told(host: str) -> None:
    port = free_port()
    with HAProxy(port, host) as proxy:
        listening = [
            c.laddr.ip
            for c in psutil.Process(proxy._process.pid).net_connections("tcp")
            if c.laddr.port == port and c.status == psutil.CONN_LISTEN
        ]
    assert listening == [host]
