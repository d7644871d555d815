"""Looks at an engine from outside: its heartbeat file, its process, and how long nothing has changed."""

import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from helios_pipeline.core.errors import EngineError
from helios_pipeline.core.status import EngineStatus
from live_engine.heartbeat import read_heartbeat
from live_engine.watchdog import EngineView


@dataclass(slots=True)
class EngineWatch:
    """What was seen of an engine so far.

    Attributes:
        path: its heartbeat file.
        pid: of the engine that was started, if somebody told us; heartbeats of an earlier one then count for nothing.
        ended: how it ended, if somebody told us; else empty.
    """

    path: Path
    pid: int | None = None
    ended: str = ""
    _told_at: datetime | None = None
    _changed_at: float = field(default_factory=time.monotonic)
    _since: float = field(default_factory=time.monotonic)

    def started(self, pid: int) -> None:
        """An engine was started."""
        self.pid, self.ended, self._told_at = pid, "", None
        self._since = self._changed_at = time.monotonic()

    def look(self) -> EngineView:
        """The engine now."""
        status, unreadable = self._read()
        now = time.monotonic()
        if status is not None and status.told_at != self._told_at:
            # The first that we see may be an old one; from then on our own clock counts, which no one sets.
            old = 0.0 if self._told_at is not None else (datetime.now(UTC) - status.told_at).total_seconds()
            self._told_at, self._changed_at = status.told_at, now - max(0.0, old)
        pid = self.pid if self.pid is not None else None if status is None else status.pid
        return EngineView(
            status=status,
            unreadable=unreadable,
            age_seconds=now - self._changed_at,
            watched_seconds=now - self._since,
            alive=not self.ended and pid is not None and is_alive(pid),
            ended=self.ended,
        )

    def _read(self) -> tuple[EngineStatus | None, str]:
        try:
            status = read_heartbeat(self.path)
        except EngineError as error:
            return None, str(error)
        if status is not None and self.pid is not None and status.pid != self.pid:
            return None, ""
        if status is None and self._told_at is not None:
            # It stopped in good order; whoever comes next has the time to come up again.
            self._told_at, self._since = None, time.monotonic()
        return status, ""


def is_alive(pid: int) -> bool:
    """Whether there is a process of that number that is not a dead one nobody has asked about yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False
