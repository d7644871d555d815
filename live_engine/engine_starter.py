"""Starts engines for a watchdog that runs by itself, where neither systemd nor `helios live` does.

The engine gets what this process was given, without the webhook's address and secret; it outlives the watchdog.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from helios_pipeline.core.errors import EngineError
from live_engine.engine_watch import is_alive
from live_engine.heartbeat import HEARTBEAT, read_heartbeat

LOG_NAME = "engine.log"
KNOWN_ERROR = "helios: "
TAIL_BYTES = 4_096


class EngineStarter:
    """Carries out what supervision asks for.

    Args:
        config: `helios.toml`.
        folder: of the account.
        environment: for engines.
    """

    def __init__(self, config: Path, folder: Path, environment: Mapping[str, str]) -> None:
        self._config, self._folder = config, folder
        self._environment = {name: value for name, value in environment.items() if "WEBHOOK" not in name}
        self._child: subprocess.Popen[bytes] | None = None
        self._adopted: int | None = None
        self._gone: int | None = None
        self.hear: Callable[[Mapping[str, object]], None] = lambda _: None
        """Told what became of the engine."""

    def ask(self, what: Mapping[str, object]) -> None:
        """Do what is asked."""
        match what:
            case {"start": True} if self._child is None and self._adopted is None:
                self._child = self._start()
                self.hear({"started": self._child.pid})
            case {"kill": True}:
                self._kill(self._adopted if self._child is None else self._child.pid)

    def look(self) -> None:
        """Say what became of the engine since the last look; one that somebody else started is watched too."""
        if self._child is not None:
            if (code := self._child.poll()) is not None:
                self._child = None
                self._say_end(code, self._last_line())
            return
        if self._adopted is not None:
            if not is_alive(self._adopted):
                self._adopted = None
                self._say_end(None, "")
            return
        pid = self._beating()
        if pid is not None and is_alive(pid):
            self._adopted = pid
            self.hear({"running": pid})
        elif pid is not None and pid != self._gone:
            self._say_end(None, "")

    def _say_end(self, code: int | None, last: str) -> None:
        """Tell of an end, unless it was one in good order: then the engine took its heartbeat away."""
        self._gone = self._beating()
        if code != 0 and (code is not None or self._gone is not None):
            self.hear({"ended": code, "said": last})

    def _kill(self, pid: int | None) -> None:
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _start(self) -> subprocess.Popen[bytes]:
        logs = self._folder / "logs"
        logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (logs / LOG_NAME).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "live_engine.main", "--config", str(self._config)],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _last_line(self) -> str:
        """What the engine said of its end, if that has a known cause."""
        with (self._folder / "logs" / LOG_NAME).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        known = [line.removeprefix(KNOWN_ERROR) for line in lines if line.startswith(KNOWN_ERROR)]
        return known[-1] if known else ""

    def _beating(self) -> int | None:
        """Process of the newest heartbeat; None if there is none."""
        try:
            status = read_heartbeat(self._folder / HEARTBEAT)
        except EngineError:
            return None
        return None if status is None else status.pid
