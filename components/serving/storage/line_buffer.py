"""JSON lines by day in a record store, gathered into whole files: object stores have no appends.

STORE/DAY/TIME-REPLICA.jsonl, a file a minute at most, and one more whenever the buffer is full. A process
that is killed loses the lines of its last minute; one that is told to end writes them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, date, datetime
from threading import Lock, Timer

from components.records import RecordStore

SECONDS = 60.0  # between two files

_FULL = 4 << 20  # bytes
_LARGEST = 16 << 20  # bytes kept while the store is away; past them lines are refused


class LineBuffer:
    """Lines that wait to be written. Several threads may use it."""

    def __init__(
        self, store: RecordStore, failed: Callable[[OSError, int], None], seconds: float = SECONDS
    ) -> None:
        """`failed` is told what went wrong, and how many lines wait, where a file can't be written in the
        background; they are tried again with later ones."""
        self._store, self._failed, self._seconds = store, failed, seconds
        self._replica = secrets.token_hex(6)
        self._lines: dict[date, list[str]] = {}
        self._bytes = 0
        self._lock, self._writing = Lock(), Lock()
        self._timer: Timer | None = None

    def add(self, line: str, at: datetime) -> None:
        """Keep a line without its end; `at` is in UTC. Raises OSError while the store is away and too many
        lines wait."""
        with self._lock:
            if self._bytes + len(line) > _LARGEST:
                raise OSError(f"{self._store}: {self._bytes >> 20} MiB of records wait already")
            self._lines.setdefault(at.date(), []).append(line)
            self._bytes += len(line) + 1
            full = self._bytes >= _FULL
            if self._timer is None:
                self._timer = Timer(self._seconds, self._in_background)
                self._timer.daemon = True
                self._timer.start()
        if full:
            self.flush()

    def flush(self) -> None:
        """Write what waits. Raises OSError; the lines wait on then."""
        with self._writing:
            with self._lock:
                waiting, self._lines, self._bytes = self._lines, {}, 0
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
            written: set[date] = set()
            try:
                for day, lines in waiting.items():
                    name = f"{datetime.now(UTC):%H%M%S}-{self._replica}-{secrets.token_hex(2)}.jsonl"
                    self._store.write(day, name, "".join(f"{line}\n" for line in lines).encode())
                    written.add(day)
            finally:
                self._return({day: lines for day, lines in waiting.items() if day not in written})

    def _return(self, waiting: dict[date, list[str]]) -> None:
        """Put lines back, before those that have come since."""
        with self._lock:
            for day, lines in waiting.items():
                self._lines[day] = lines + self._lines.get(day, [])
                self._bytes += sum(len(line) + 1 for line in lines)

    def _in_background(self) -> None:
        with self._lock:
            self._timer = None
        try:
            self.flush()
        except OSError as error:
            with self._lock:
                count = sum(map(len, self._lines.values()))
                self._timer = Timer(self._seconds, self._in_background)  # also without another line
                self._timer.daemon = True
                self._timer.start()
            self._failed(error, count)
