"""Who follows `helios live`: a person at a terminal, a pipe that wants lines, or a collector of log events."""

import json
import logging
import logging.handlers
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.live import Live

from helios_pipeline.cli.live_view import view
from helios_pipeline.cli.terminal import err, out
from helios_pipeline.core.errors import EngineError
from helios_pipeline.core.status import EngineStatus
from live_engine.heartbeat import HEARTBEAT, read_heartbeat
from live_engine.service_manager import notify

LOG_BYTES = 20_000_000
LOG_FILES = 5
RECENT = 6
LOUD = ("warning", "error", "critical")
EVERY_SECONDS = 1.0


class LogFile:
    """Keeps log events, in files of the account that take turns.

    Attributes:
        path: of the newest.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / "live.jsonl"
        self._handler = logging.handlers.RotatingFileHandler(
            self.path, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8", delay=True
        )

    def write(self, line: str) -> None:
        """Keep a line."""
        self._handler.emit(logging.makeLogRecord({"msg": line}))

    def close(self) -> None:
        """Close the file."""
        self._handler.close()


@dataclass(slots=True)
class Follower:
    """What every audience does: keep log events, and read the heartbeat."""

    folder: Path
    logs: LogFile
    _looked_at: float = 0.0

    def tell(self, line: str) -> None:
        """Say it on standard error."""
        err.print(line, highlight=False, markup=False, soft_wrap=True)

    def ready(self, said: Mapping[str, object]) -> None:
        """Say where metrics are, and whether there is a champion; tell systemd."""
        notify("READY=1")
        champion = "" if said.get("champion") else " There is no champion: nothing is entered until one is promoted."
        self.tell(
            f"Trading may begin: {said.get('account')}, metrics at {said.get('metrics')}, logs in {self.logs.path}."
            f"{champion}"
        )

    def log(self, line: str) -> None:
        """Keep it."""
        self.logs.write(line)

    def look(self) -> None:
        """Look at the heartbeat, once a second however often this is called."""
        if (now := time.monotonic()) - self._looked_at >= EVERY_SECONDS:
            self._looked_at = now
            self.see(self._status())

    def see(self, status: EngineStatus | None) -> None:
        """Take in the newest heartbeat."""

    def _status(self) -> EngineStatus | None:
        try:
            return read_heartbeat(self.folder / HEARTBEAT)
        except EngineError:
            return None


@dataclass(slots=True)
class PlainFollower(Follower):
    """Log events on standard output as they come, our own words on standard error."""

    def log(self, line: str) -> None:
        """Keep it and pass it on."""
        self.logs.write(line)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


@dataclass(slots=True)
class LineFollower(Follower):
    """A line whenever something changes, for a pipe or a file."""

    _before: tuple[object, ...] = ()

    def see(self, status: EngineStatus | None) -> None:
        """Say what changed."""
        if status is None:
            return
        held = tuple((each.instrument_id, each.quantity) for each in status.markets)
        key = (status.pid, status.mode, status.trader_running, status.champion, status.blocked, held)
        if key != self._before:
            self._before = key
            out.print(line_of(status), highlight=False, markup=False, soft_wrap=True)

    def log(self, line: str) -> None:
        """Keep it; say what is worse than a warning."""
        self.logs.write(line)
        said = json.loads(line)
        if said.get("level") in LOUD[1:]:
            self.tell(f"{said.get('process')}: {said.get('event')}")


@dataclass(slots=True)
class TerminalFollower(Follower):
    """Tables that change in place."""

    live: Live = field(kw_only=True)
    _recent: deque[str] = field(default_factory=lambda: deque(maxlen=RECENT))
    _last: str = ""

    def tell(self, line: str) -> None:
        """Show it below the tables."""
        self._last = line
        self.see(self._status())

    def log(self, line: str) -> None:
        """Keep it; show it if it is worth reading."""
        self.logs.write(line)
        if json.loads(line).get("level") in LOUD:
            self._recent.append(line)

    def see(self, status: EngineStatus | None) -> None:
        """Show it."""
        self.live.update(view(status, datetime.now(UTC), self._recent, self._last), refresh=True)


def line_of(status: EngineStatus) -> str:
    """An engine in one line."""
    held = ", ".join(f"{each.quantity:+f} {each.instrument_id}" for each in status.markets if each.quantity) or "flat"
    champion = f"champion {status.champion[:12]}" if status.champion else "no champion"
    runs = "" if status.trader_running else ", trader does not run"
    blocked = f"; entries are refused: {status.blocked[0]}" if status.blocked else ""
    state = f"{status.told_at:%H:%M:%S} {status.account}: {status.mode}{runs}"
    return f"{state}, {champion}, {held}, equity {status.equity:,.2f}{blocked}"
