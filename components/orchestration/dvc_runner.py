"""The stages of dvc.yaml, as DVC sees them: their order, which of them have changed, and one of them run.

DVC holds a lock over the whole pipeline, so stages run one at a time, in processes of their own.
"""

from __future__ import annotations

import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import psutil
import yaml

from components.files import atomic_write

LOCK = Path("dvc.lock")
_WHOLE = Path(".dvc/tmp/dvc.lock.whole")  # a copy of LOCK from when it was
_GROUP = Path(".dvc/tmp/stage.group")  # the process group of the stage that runs
_LAST_LINES = 12
_GRACE = 10.0  # seconds from being told to end to being killed

# What DVC says round a stage's own lines.
_CHATTER = re.compile(
    r"^(Running stage '|> |Stage '.*' didn't change|Data and pipelines are up to date|Updating lock file|"
    r"Generating lock file|To track the changes with git|Use `dvc push`|To enable auto staging|"
    r"\s*git add |\s*dvc config core|ERROR: failed to reproduce|Verifying data sources|\s*$)"
)


class StageError(RuntimeError):
    """A stage failed; the message has its own last lines."""


@dataclass(frozen=True)
class StageRun:
    """What became of a stage."""

    stage: str
    outcome: Literal["ran", "cached"]
    seconds: float


@dataclass(frozen=True)
class Plan:
    """All stages in an order in which they can run, and those that DVC finds changed at this moment.

    A stage that is not in `changed` may yet have to run, when one that it needs has run.
    """

    order: tuple[str, ...]
    needs: Mapping[str, frozenset[str]]  # of a stage: those whose outputs it reads
    changed: frozenset[str]


def plan() -> Plan:
    """Reads dvc.yaml and what lies in the working folder, through DVC. Raises StageError."""
    from dvc.exceptions import DvcException  # imports take half a second
    from dvc.repo import Repo
    from dvc.repo.reproduce import plan_repro

    mend_lock()
    try:
        with Repo(".") as repo:
            graph = repo.index.graph
            order = tuple(stage.addressing for stage in plan_repro(graph))
            needs = {s.addressing: frozenset(n.addressing for n in graph.successors(s)) for s in graph}
            changed = frozenset(repo.status())
    except DvcException as error:
        raise StageError(f"dvc.yaml: {error}") from None
    return Plan(order, needs, changed)


def run_stage(stage: str, tell: Callable[[str], None], limit: float) -> StageRun:
    """Lets DVC run a stage if it has changed; `tell` gets its lines as they come.

    After `limit` seconds the stage and all that it started are killed. Raises StageError.
    """
    end_leftovers()
    start = time.perf_counter()
    # In a session of its own: all of it can be killed together.
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "--single-item", stage],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    _GROUP.parent.mkdir(parents=True, exist_ok=True)
    _GROUP.write_text(str(process.pid), encoding="ascii")
    ran, own = False, deque[str](maxlen=_LAST_LINES)
    try:
        assert process.stdout is not None
        for line in _lines(process.stdout, start + limit):
            ran = ran or line.startswith("Running stage '")
            if not _CHATTER.match(line):
                own.append(line)
                tell(line)
        status = process.wait()
    except TimeoutError:
        lately = "\n".join(own) or "(it said nothing)"
        raise StageError(
            f"stage {stage} was killed: it took longer than its limit of {limit / 60:g} min "
            f"(pipeline.time_limits in params.yaml). Its last lines:\n{lately}"
        ) from None
    finally:
        _end(process)
    if status:
        raise StageError(f"stage {stage} failed. Its last lines:\n" + "\n".join(own))
    keep_lock()
    return StageRun(stage, "ran" if ran else "cached", time.perf_counter() - start)


def mend_lock() -> None:
    """Puts the last whole dvc.lock back where DVC was killed while it wrote it, and left it half."""
    if LOCK.exists() and not _whole(LOCK) and _WHOLE.exists():
        shutil.copy(_WHOLE, LOCK)


def keep_lock() -> None:
    """Keeps a copy of dvc.lock, if it is whole."""
    if LOCK.exists() and _whole(LOCK):
        with atomic_write(_WHOLE) as beside:
            shutil.copy(LOCK, beside)


def end_leftovers() -> None:
    """Kills what is left of a stage whose flow was killed: it would go on writing under the next one."""
    try:
        group = int(_GROUP.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return
    left = [process for process in psutil.process_iter() if _of_stage(process, group)]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=_GRACE)
    _GROUP.unlink(missing_ok=True)


def _of_stage(process: psutil.Process, group: int) -> bool:
    """Whether a process is in this group and works in this folder: the system gives numbers again."""
    try:
        return os.getpgid(process.pid) == group and process.cwd() == str(Path.cwd())
    except (psutil.Error, ProcessLookupError):
        return False


def _whole(lock: Path) -> bool:
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        text = lock.read_text(encoding="utf-8")
        COMPILED_LOCKFILE_SCHEMA(yaml.safe_load(text))
    except (yaml.YAMLError, UnicodeDecodeError, Invalid):
        return False
    return text.endswith("\n")  # half a file may be good YAML


def _lines(stream: IO[bytes], until: float) -> Iterator[str]:
    """Lines as they come, progress bars by their last state; raises TimeoutError at `until`."""
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, until - time.perf_counter())):
                raise TimeoutError
            piece = os.read(stream.fileno(), 1 << 16)
            *lines, rest = (rest + piece).split(b"\n") if piece else [rest, b""]
            yield from (line.decode(errors="replace").rstrip().rpartition("\r")[2] for line in lines if line)
            if not piece:
                return


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and all of its session: first told, then killed."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _GROUP.unlink(missing_ok=True)
    if process.stdout is not None:
        process.stdout.close()
