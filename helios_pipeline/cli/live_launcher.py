"""Starts engine and watchdog, carries out what the watchdog asks for, and stops both in good order.

It decides nothing: when a dead engine is started again is the watchdog's to say. A watchdog that dies is started again;
engine and watchdog that die together are two such cases.
"""

import os
import selectors
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from helios_pipeline.cli.live_child import Channel, Child, read_object
from helios_pipeline.core.errors import EngineError, HeliosError

STOP_SECONDS = 60.0
"""For engine and watchdog to stop in good order."""

FIRST_WATCHDOG_SECONDS = 1.0
LONGEST_WATCHDOG_SECONDS = 60.0
"""Before a watchdog that died is started again, doubling."""

LINES_KEPT = 20


class Audience(Protocol):
    """Whoever follows live trading: a terminal, a pipe, a service manager."""

    def tell(self, line: str) -> None:
        """Say what we do."""

    def ready(self, said: Mapping[str, object]) -> None:
        """Trading may begin."""

    def log(self, line: str) -> None:
        """Pass on a log event, a line of JSON."""

    def look(self) -> None:
        """Once a second: look at the heartbeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveProcesses:
    """What is started.

    Attributes:
        config: `helios.toml`.
        account: that is traded.
        engine: environment of the engine.
        watchdog: environment of the watchdog; None for none: then a dead engine ends it all.
    """

    config: Path
    account: str
    engine: Mapping[str, str]
    watchdog: Mapping[str, str] | None


@dataclass(slots=True)
class Launcher:
    """Engine and watchdog of one account."""

    processes: LiveProcesses
    audience: Audience
    _engine: Child | None = None
    _watchdog: Child | None = None
    _waiting: selectors.BaseSelector = field(default_factory=selectors.PollSelector)
    _was_ready: bool = False
    _ended: dict[str, object] | None = None
    _watchdog_at: float | None = None
    _watchdog_deaths: int = 0
    _stopping: bool = False
    _outcome: HeliosError | None = None
    _over: bool = False

    def run(self) -> None:
        """Run until a person or a service manager stops us, or the engine is down for good.

        Raises:
            HeliosError: why the engine does not run; its exit code is the engine's.
        """
        try:
            if self.processes.watchdog is None:
                self._start_engine()
            else:
                self._start_watchdog()
            while not self._over:
                self._wait(1.0)
        except KeyboardInterrupt:
            self.audience.tell("Stopping in good order; positions stay as they are, their stops rest at the venue.")
        finally:
            self._stop()
            self._waiting.close()
        if self._outcome is not None:
            raise self._outcome

    def _start_engine(self) -> None:
        self._ended = None
        command = ["live_engine.main", "--config", str(self.processes.config)]
        self._engine = Child.start("engine", command, self.processes.engine, ends_with_us=True)
        self._engine.register(self._waiting)
        self.audience.tell(
            f"Engine of {self.processes.account} started, process {self._engine.process.pid}. "
            "Starting: reading history, connecting to venues …"
        )
        if self._watchdog is not None:
            self._watchdog.say(started=self._engine.process.pid)

    def _start_watchdog(self) -> None:
        self._watchdog_at = None
        command = ["live_engine.watchdog_main", "--config", str(self.processes.config), "--supervised"]
        command += ["--account", self.processes.account]
        self._watchdog = Child.start("watchdog", command, self.processes.watchdog or {}, ends_with_us=False)
        self._watchdog.register(self._waiting)
        if self._engine is not None:
            self._watchdog.say(running=self._engine.process.pid)
        elif self._ended is not None:
            self._watchdog.say(**self._ended)
        else:
            self._watchdog.say(running=None)

    def _wait(self, seconds: float) -> None:
        """Handle what comes, for so long at most."""
        for key, _ in self._waiting.select(seconds):
            child, channel = key.data
            if channel == "end":
                self._take_end(child)
            else:
                self._take_lines(child, channel)
                if channel in child.silent:
                    self._waiting.unregister(key.fileobj)
        if self._watchdog_at is not None and time.monotonic() >= self._watchdog_at and not self._stopping:
            self._start_watchdog()
        self.audience.look()

    def _take_lines(self, child: Child, channel: Channel) -> None:
        for line in child.lines(channel):
            self._take_line(child, channel, line)

    def _take_line(self, child: Child, channel: Channel, line: str) -> None:
        event = read_object(line)
        if event is None:
            if line.strip():
                child.said = [*child.said, line][-LINES_KEPT:]
        elif channel == "err":
            self.audience.log(line)
        elif child is self._watchdog:
            self._carry_out(event)
        elif event.get("ready"):
            self._was_ready = True
            self.audience.ready(event)

    def _carry_out(self, asked: Mapping[str, object]) -> None:
        """What the watchdog asks for."""
        if self._stopping:
            return
        match asked:
            case {"start": True} if self._engine is None:
                self._start_engine()
            case {"kill": True} if self._engine is not None:
                self.audience.tell("The engine hangs; it is killed and started again.")
                self._engine.process.kill()
            case {"gave_up": str() as why}:
                self._outcome = EngineError(
                    f"{self.processes.account}: expected an engine that stays up, found {why}. The kill switch is "
                    "HALTED; see what the log says, then `helios live` and `helios resume`."
                )
                self._over = True

    def _take_end(self, child: Child) -> None:
        self._take_lines(child, "out")
        self._take_lines(child, "err")
        child.close(self._waiting)
        if child is self._watchdog:
            self._watchdog = None
            self._take_end_of_watchdog(child)
        else:
            self._engine = None
            self._take_end_of_engine(child)

    def _take_end_of_watchdog(self, child: Child) -> None:
        if self._stopping or self._over:
            return
        known = child.known_error
        if known is not None and not self._was_ready:
            self._outcome, self._over = known, True
            return
        why = child.how if known is None else f"{child.how}: {known}"
        pause = min(FIRST_WATCHDOG_SECONDS * 2.0**self._watchdog_deaths, LONGEST_WATCHDOG_SECONDS)
        self._watchdog_deaths += 1
        self.audience.tell(f"The watchdog {why}. It is started again in {pause:g} s.")
        self._watchdog_at = time.monotonic() + pause

    def _take_end_of_engine(self, child: Child) -> None:
        code, known = child.process.returncode, child.known_error
        if self._stopping:
            return
        if code == 0:
            self.audience.tell("The engine was stopped in good order.")
            self._over = True
        elif self.processes.watchdog is None or (known is not None and not self._was_ready):
            # One that never came up says what a person has to do: to try again would say the same.
            self._outcome, self._over = known or child.unknown_error, True
        else:
            last = str(known) if known is not None else child.said[-1] if child.said else ""
            self.audience.tell(f"The engine {child.how}{': ' + last if last else '.'}")
            self._ended = {"ended": code, "said": last}
            if self._watchdog is not None:
                self._watchdog.say(**self._ended)

    def _stop(self) -> None:
        """Stop both; whoever takes too long, or a second Ctrl-C, gets SIGKILL: the journal survives that."""
        self._stopping = True
        if self._watchdog is not None:
            self._watchdog.say(stop=True)
        if self._engine is not None:
            self._engine.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        try:
            while (self._engine or self._watchdog) and (left := deadline - time.monotonic()) > 0:
                self._wait(min(left, 1.0))
        except KeyboardInterrupt:
            self.audience.tell("Killed.")
        for child in (self._engine, self._watchdog):
            if child is not None:
                os.kill(child.process.pid, signal.SIGKILL)
                child.close(self._waiting)
