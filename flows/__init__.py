"""Prefect decides when, DVC what, MLflow remembers, and a gate decides what goes live.

What Prefect reads when it is imported is set here, before anything of `flows` imports it: it keeps its own
tables in `.prefect` in the working folder unless told otherwise, and reports to nobody.
"""

import os
from pathlib import Path

for _name, _value in {
    "PREFECT_HOME": str(Path(".prefect").absolute()),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # The server that it starts for itself takes 10 to 30 s; it would give up after 20.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    "DO_NOT_TRACK": "1",  # Prefect, Evidently and BentoML
}.items():
    os.environ.setdefault(_name, _value)
