"""Prefect flows, their tasks and deployments. The work itself is done by libraries under `components`.

Settings that Prefect reads at import are made here, before any module of `flows` imports it: its database is
kept in `.prefect` in the working folder unless PREFECT_HOME says otherwise, and telemetry is off.
"""

import os
from pathlib import Path

# The server does not heed DO_NOT_TRACK, only its client does.
START_SERVER = "DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false prefect server start"

for _name, _value in {
    "PREFECT_HOME": str(Path(".prefect").absolute()),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # The server that Prefect starts by itself takes 10 to 30 s; the default timeout is 20.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    "DO_NOT_TRACK": "1",  # Prefect's client
}.items():
    os.environ.setdefault(_name, _value)
