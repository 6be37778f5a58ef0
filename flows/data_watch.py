"""The flow `watching`: sees that new ink has come, and says so as an event that retraining is triggered by.

Anything else may say the same: an upload hook, a cron job on another machine (`prefect event emit`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed

from components.config import DataParams, load_params
from components.files import atomic_write

ARRIVED, DRIFT = "handwriting.ink.arrived", "handwriting.drift.found"
RESOURCE = {"prefect.resource.id": "handwriting.recogniser"}

_SEEN = Path(".dvc/tmp/ink.json")


@flow(name="watching", description="Looks for new InkML and corrections.")
def watching() -> State[str]:
    """Compares the names, sizes and times of the files with those seen last; tells once they are quiet."""
    params = load_params()
    folders = list(watched(params.data, params.retraining.feedback))
    if not news(fingerprint(folders)):
        return Completed(message="no new ink")
    emit_event(ARRIVED, RESOURCE)
    return Completed(message=f"new ink in {', '.join(map(str, folders))}")


def watched(data: DataParams, feedback: Path) -> Iterator[Path]:
    """The folders that ink and corrections come into."""
    yield feedback
    if data.source == "folder":
        yield from (data.folder.train, data.folder.valid, data.folder.test)


def fingerprint(folders: Iterable[Path]) -> str:
    """Of all files in the folders: it changes when one comes, goes or is written anew."""
    total = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                stat = path.stat()
                total.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return total.hexdigest()


def news(now: str) -> bool:
    """Whether there is something new that two looks in a row found the same: nobody is writing any more.

    The very first look finds nothing new: there is nothing to compare it with.
    """
    before = json.loads(_SEEN.read_text(encoding="utf-8")) if _SEEN.exists() else {"told": now, "last": now}
    quiet, told = now == before["last"], before["told"]
    with atomic_write(_SEEN) as beside:
        beside.write_text(json.dumps({"told": now if quiet else told, "last": now}), encoding="utf-8")
    return quiet and now != told
