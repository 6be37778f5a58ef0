"""Files that grow: feedback, predictions for monitoring, logs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from fsspec.core import url_to_fs

from components.addresses import modified, os_errors
from components.retention.removal import Removal

FEEDBACK, MONITORING, LOGS = "retention.feedback_days", "retention.monitoring_days", "retention.log_megabytes"


def old_records(setting: str, address: Path | str, days: float) -> Iterator[Removal]:
    """Yield the files in a folder or at an address that were last written more than `days` ago; 0: none.

    Raises OSError.
    """
    if not days:
        return
    before = datetime.now(UTC) - timedelta(days=days)
    with os_errors(str(address)):
        files, root = url_to_fs(str(address))
        found = files.find(root, detail=True)
        old = {path: info for path, info in found.items() if modified(info) < before}
    for path, info in sorted(old.items()):
        name = f"{address}{path.removeprefix(root)}"
        yield Removal(setting, name, int(info["size"]), partial(files.rm, path))


def large_logs(folder: Path, megabytes: float) -> Iterator[Removal]:
    """Yield the logs in a folder that are larger; 0: none.

    They are emptied and not removed: a server may have them open.
    """
    for path in sorted(folder.rglob("*.log")) if megabytes else ():
        size = path.stat().st_size
        if size > megabytes * 1e6:
            yield Removal(LOGS, f"what {path} says", size, partial(os.truncate, path, 0))
