"""The stages of dvc.yaml through DVC: their order, which of them have changed, and running one of them.

DVC locks the whole pipeline, so stages run one at a time, each in its own process.
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
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import psutil
import yaml

from components.files import atomic_write

LOCK = Path("dvc.lock")
_BACKUP = Path(".dvc/tmp/dvc.lock.backup")
_GROUP = Path(".dvc/tmp/stage.group")  # process group of the running stage
_RESTORED = re.compile(r"Stage '.*' is cached - skipping run, checking out outputs")
_TAIL_LINES = 12
_GRACE = 10.0  # seconds between SIGTERM and SIGKILL

# DVC's own output around that of a stage.
_DVC_OUTPUT = re.compile(
    r"^(Running stage '|> |Stage '.*' (didn't change|is cached)|Data and pipelines are up to date|"
    r"Updating lock file|Generating lock file|To track the changes with git|Use `dvc push`|"
    r"To enable auto staging|\s*git add |\s*dvc config core|ERROR: failed to reproduce|"
    r"Verifying data sources|\s*$)"
)


class StageError(RuntimeError):
    """A stage failed; the message has the last lines of its output."""


@dataclass(frozen=True)
class StageRun:
    """The outcome of a stage: it ran, DVC restored outputs of an earlier run, or nothing changed."""

    stage: str
    outcome: Literal["ran", "restored", "cached"]
    seconds: float


@dataclass(frozen=True)
class PipelineRun:
    """The outcomes of all stages, in execution order."""

    stages: tuple[StageRun, ...]

    @property
    def changed(self) -> tuple[str, ...]:
        """The stages whose outputs may have changed: those that ran or were restored."""
        return tuple(run.stage for run in self.stages if run.outcome != "cached")

    def __str__(self) -> str:
        if not self.changed:
            return "up to date: all stages cached"
        by_outcome = {
            outcome: ", ".join(run.stage for run in self.stages if run.outcome == outcome)
            for outcome in ("ran", "restored")
        }
        parts = [f"{outcome} {stages}" for outcome, stages in by_outcome.items() if stages]
        cached, seconds = len(self.stages) - len(self.changed), sum(run.seconds for run in self.stages)
        return "; ".join([*parts, f"{cached} cached", f"{seconds:.0f} s"])


@dataclass(frozen=True)
class Plan:
    """All stages in topological order, and those that DVC reports as changed now."""

    order: tuple[str, ...]
    dependencies: Mapping[str, frozenset[str]]  # of a stage: the stages whose outputs it reads
    changed: frozenset[str]

    def is_due(self, stage: str, updated: Collection[str]) -> bool:
        """Return whether a stage has changed itself, or depends on one whose outputs have been updated."""
        return stage in self.changed or not self.dependencies[stage].isdisjoint(updated)


def plan() -> Plan:
    """Read dvc.yaml and the state of the working folder through DVC. Raises StageError."""
    from dvc.exceptions import DvcException  # the import takes half a second
    from dvc.repo import Repo
    from dvc.repo.reproduce import plan_repro

    kill_orphans()  # one would hold DVC's locks
    restore_lock()
    try:
        with Repo(".") as repo:
            graph = repo.index.graph
            order = tuple(stage.addressing for stage in plan_repro(graph))
            dependencies = {s.addressing: frozenset(d.addressing for d in graph.successors(s)) for s in graph}
            changed = frozenset(repo.status())
    except DvcException as error:
        raise StageError(f"dvc.yaml: {error}") from None
    return Plan(order, dependencies, changed)


def run_stage(stage: str, log: Callable[[str], None], limit: float, force: bool = False) -> StageRun:
    """Run `dvc repro` on a stage, which skips it if it is unchanged; `log` receives its output line by line.

    With `force` the stage runs in any case: what it changed outside this folder may be gone.
    After `limit` seconds the stage and all its child processes are killed. Raises StageError.
    """
    kill_orphans()
    start = time.perf_counter()
    # In a session of its own, so that all of its processes can be killed together.
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "--single-item", *(["--force"] if force else []), stage],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    _GROUP.parent.mkdir(parents=True, exist_ok=True)
    _GROUP.write_text(str(process.pid), encoding="ascii")
    outcome: Literal["ran", "restored", "cached"] = "cached"
    tail = deque[str](maxlen=_TAIL_LINES)
    try:
        assert process.stdout is not None
        for line in _lines(process.stdout, start + limit):
            if line.startswith("Running stage '"):
                outcome = "ran"
            elif _RESTORED.match(line):
                outcome = "restored"
            if not _DVC_OUTPUT.match(line):
                tail.append(line)
                log(line)
        status = process.wait()
    except TimeoutError:
        raise StageError(
            f"stage {stage} was killed after its limit of {limit / 60:g} min (pipeline.time_limits in "
            f"params.yaml). Last lines of its output:\n" + ("\n".join(tail) or "(none)")
        ) from None
    finally:
        _terminate(process)
    if status:
        raise StageError(f"stage {stage} failed. Last lines of its output:\n" + "\n".join(tail))
    back_up_lock()
    return StageRun(stage, outcome, time.perf_counter() - start)


def restore_lock() -> None:
    """Restore dvc.lock from its backup if DVC was killed while writing it: DVC does not write atomically."""
    if LOCK.exists() and not _is_complete(LOCK) and _BACKUP.exists():
        shutil.copy(_BACKUP, LOCK)


def back_up_lock() -> None:
    """Back up dvc.lock if it is complete."""
    if LOCK.exists() and _is_complete(LOCK):
        with atomic_write(_BACKUP) as temporary:
            shutil.copy(LOCK, temporary)


def kill_orphans() -> None:
    """Kill what is left of a stage whose flow was killed: it would write into the outputs of the next run."""
    try:
        group = int(_GROUP.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return
    orphans = [process for process in psutil.process_iter() if _is_of_stage(process, group)]
    for process in orphans:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(orphans, timeout=_GRACE)
    _GROUP.unlink(missing_ok=True)


def _is_of_stage(process: psutil.Process, group: int) -> bool:
    """Check the working folder besides the group: the system reuses process numbers."""
    try:
        return os.getpgid(process.pid) == group and process.cwd() == str(Path.cwd())
    except (psutil.Error, ProcessLookupError):
        return False


def _is_complete(lock: Path) -> bool:
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        text = lock.read_text(encoding="utf-8")
        COMPILED_LOCKFILE_SCHEMA(yaml.safe_load(text))
    except (yaml.YAMLError, UnicodeDecodeError, Invalid):
        return False
    return text.endswith("\n")  # a truncated file may be valid YAML


def _lines(stream: IO[bytes], deadline: float) -> Iterator[str]:
    """Yield lines as they come, of a progress bar its last state. Raises TimeoutError at the deadline."""
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, deadline - time.perf_counter())):
                raise TimeoutError
            piece = os.read(stream.fileno(), 1 << 16)
            *lines, rest = (rest + piece).split(b"\n") if piece else [rest, b""]
            yield from (line.decode(errors="replace").rstrip().rpartition("\r")[2] for line in lines if line)
            if not piece:
                return


def _terminate(process: subprocess.Popen[bytes]) -> None:
    """End a process and its session: SIGTERM, then SIGKILL."""
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
