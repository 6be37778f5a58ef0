"""Record figures of a share of the predictions, for drift detection: one JSON line per prediction.

Where MONITOR_FOLDER is a folder, BentoML's monitoring writes MONITOR_FOLDER/readings/data/data.WORKER.log;
earlier days are in data.WORKER.log.DAY. Where it is an address, all replicas write files by day there, with
the same lines (`storage.line_buffer`). Nothing is sent anywhere else.

Disk use is bounded by one file a day and worker for 31 days, of at most 256 MB each; memory by 256 records
that wait to be written, and 16 MB of lines where a store is away. A full or slow disk costs records, not
predictions.
"""

from __future__ import annotations

import base64
import contextvars
import errno
import itertools
import json
import logging
import os
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path
from threading import Semaphore

import bentoml
import cv2

from components.recognizer.features import observe
from components.records import RecordStore
from components.serving.inference.client import CachedPrediction, PreparedInput
from components.serving.observability import metrics
from components.serving.settings import Settings
from components.serving.storage.line_buffer import LineBuffer

NAME = "readings"

_WAITING = 256  # records waiting for the disk, each with a picture of some ten kB at most
_DAYS = 30
_LARGEST = 256 << 20  # a day's file, bytes
_TAIL = 1 << 20  # bytes; no line is longer

logger = logging.getLogger(__name__)


class PredictionLog:
    """Records a share of the predictions."""

    def __init__(self, settings: Settings) -> None:
        self._share = settings.monitor_share if settings.monitor_folder is not None else 0.0
        self._pictures = settings.monitor_pictures == "on"
        self._room = Semaphore(_WAITING)
        self._hand = ThreadPoolExecutor(1, "monitor")  # its thread starts with the first record
        self._failing = False
        where = settings.monitor_folder
        # A share of 0 must not keep a service from starting that has no library for the address.
        stored = isinstance(where, str) and self._share > 0
        self._lines = LineBuffer(RecordStore(str(where)), self._store_failed) if stored else None

    def close(self) -> None:
        """Write what waits. Never raises."""
        self._hand.shutdown()
        if self._lines is not None:
            try:
                self._lines.flush()
            except OSError as error:
                logger.error("the last predictions are not recorded: %s", error)

    def record(self, request_id: str, model: str, found: CachedPrediction) -> None:
        """Record a prediction if it is uncached and sampled; never waits and never raises."""
        if found.cached or found.prepared is None or random.random() >= self._share:
            return
        if not self._room.acquire(blocking=False):
            metrics.records.labels("dropped").inc()
            return
        # A copy: BentoML reads the trace from it, and leaves its partial record there when writing fails.
        context = contextvars.copy_context()
        self._hand.submit(context.run, self._write, request_id, model, found, found.prepared)

    def _write(self, request_id: str, model: str, found: CachedPrediction, prepared: PreparedInput) -> None:
        try:
            self._log(request_id, model, found, prepared)
        except Exception as error:  # usually of the disk; serving continues
            metrics.records.labels("failed").inc()
            if not self._failing:
                logger.error("predictions can't be recorded; serving continues: %s", error)
            self._failing = True
        else:
            metrics.records.labels("kept").inc()
            if self._failing:
                logger.warning("predictions are recorded again")
            self._failing = False
        finally:
            self._room.release()

    def _log(self, request_id: str, model: str, found: CachedPrediction, prepared: PreparedInput) -> None:
        figures = observe(prepared.picture, len(found.prediction.tokens), found.prediction.confidence)
        if self._lines is not None:
            now = datetime.now(UTC)
            record: dict[str, object] = {
                "timestamp": now.isoformat(),
                "request": request_id,
                "model": model,
                "kind": prepared.kind,
                "seconds": round(found.seconds, 6),
                **figures.as_dict(),
            }
            if self._pictures:
                record["picture"] = _png(prepared)
            self._lines.add(json.dumps(record), now)
            return
        with bentoml.monitor(NAME) as monitor:
            monitor.log(request_id, "request", "feature", "categorical")
            monitor.log(model, "model", "feature", "categorical")
            monitor.log(prepared.kind, "kind", "feature", "categorical")
            monitor.log(round(found.seconds, 6), "seconds", "feature", "numerical")
            for name, value in figures.as_dict().items():
                role = "prediction" if name in ("tokens", "confidence") else "feature"
                monitor.log(value, name, role, "numerical")
            if self._pictures:
                monitor.log(_png(prepared), "picture", "feature", "categorical")

    def _store_failed(self, error: OSError, waiting: int) -> None:
        metrics.records.labels("failed").inc()
        logger.error("%d records of predictions wait to be written: %s", waiting, error)


def _png(prepared: PreparedInput) -> str:
    """The picture as the recognizer saw it, a PNG file in base64."""
    return base64.b64encode(cv2.imencode(".png", prepared.picture)[1].tobytes()).decode()


class DayFile(TimedRotatingFileHandler):
    """A day's log file, with a month of earlier ones. Unlike its base class it raises OSError.

    Days are UTC's. Two services may write to it, while one takes over from the other. A line that was cut
    short, by a full disk or the end of the process, is taken out before the next one is written.
    """

    def __init__(self, filename: str) -> None:
        super().__init__(filename, when="midnight", utc=True, backupCount=_DAYS, encoding="utf-8", delay=True)

    def emit(self, record: logging.LogRecord) -> None:
        if self._size() >= _LARGEST and not self.shouldRollover(record):
            raise OSError(errno.EFBIG, "the day's file is full", self.baseFilename)
        super().emit(record)

    def rotation_filename(self, default_name: str) -> str:
        """A name that does not exist yet: during a blue-green change two services roll over."""
        names = itertools.chain([default_name], (f"{default_name}.{n}" for n in itertools.count(1)))
        return next(name for name in names if not Path(name).exists())

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Close the file, whose buffer may hold half a line, and re-raise the exception."""
        stream, self.stream = self.stream, None  # type: ignore[assignment]  # as FileHandler.close does
        if stream is not None:
            with suppress(OSError):
                stream.close()
        raise  # logging calls this while it handles the exception

    def _size(self) -> int:
        try:
            return Path(self.baseFilename).stat().st_size
        except FileNotFoundError:
            return 0

    def _open(self) -> TextIOWrapper:
        path = Path(self.baseFilename)
        if path.is_file():
            with path.open("rb+") as file:
                start = max(0, file.seek(0, os.SEEK_END) - _TAIL)
                file.seek(start)
                tail = file.read(_TAIL)
                if not tail.endswith(b"\n"):
                    file.truncate(start + tail.rfind(b"\n") + 1)
        return super()._open()
