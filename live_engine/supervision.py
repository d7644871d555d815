"""Decides when an engine is started, started again, killed, or left down HALTED; `helios live` carries it out."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from helios_pipeline.core.errors import HeliosError
from helios_pipeline.live_settings import WatchdogSection
from live_engine.alert_desk import AlertDesk
from live_engine.engine_watch import EngineWatch
from live_engine.kill_switch import KillSwitch
from live_engine.restarts import is_hung, seconds_before_start
from live_engine.watchdog import Condition, EngineView

LOGGER = logging.getLogger(__name__)

WHO = "watchdog"


class Supervision:
    """The engine of one account, as who started us tells of it.

    Args:
        folder: of the account.
        desk: tells people, and remembers starts.
        watch: looks at the engine.
        limits: how often and how soon an engine is started again.
        ask: tells who started us what to do.
    """

    def __init__(
        self,
        folder: Path,
        desk: AlertDesk,
        watch: EngineWatch,
        limits: WatchdogSection,
        ask: Callable[[Mapping[str, object]], None],
    ) -> None:
        self._folder, self._account = folder, desk.account
        self._desk, self._watch, self._limits, self._ask = desk, watch, limits, ask
        self._start_at: float | None = None
        self._killing = False
        self._gave_up = ""

    def hear(self, said: Mapping[str, object]) -> None:
        """Take in what became of the engine."""
        match said:
            case {"running": int() as pid} | {"started": int() as pid}:
                self._watch.started(pid)
                self._start_at, self._killing = None, False
            case {"running": None}:
                # A person wants an engine: what happened before is theirs to know.
                self._desk.remember_starts(())
                self._start_at = time.monotonic()
            case {"ended": None | int() as code, "said": str() as last}:
                self._ended(_how(code), last)
            case _:
                LOGGER.error("unknown message to the watchdog", extra={"found": dict(said)})

    def act(self, view: EngineView) -> bool:
        """Ask for what is due; whether that was the last thing."""
        if self._gave_up:
            self._ask({"gave_up": self._gave_up})
            self._gave_up = ""
            return True
        if self._start_at is not None and time.monotonic() >= self._start_at:
            self._start_at = None
            # Counted before it is asked for: a watchdog that is killed with its engine each time still gives up.
            self._desk.remember_starts([*self._of_late(), datetime.now(UTC)])
            self._ask({"start": True})
        if not self._killing and is_hung(view, self._limits):
            self._killing = True
            LOGGER.critical("the engine hangs and is killed", extra={"pid": self._watch.pid})
            self._ask({"kill": True})
        return False

    def left_alone(self) -> None:
        """Who started us is gone: the engine gets SIGTERM from the kernel, and nobody will start another."""
        self._desk.tell(
            Condition(
                kind="supervisor_gone",
                severity="critical",
                summary="helios live was killed: its engine is being stopped, and nobody starts another",
            )
        )

    def _ended(self, how: str, last: str = "") -> None:
        """Plan the next start, or give up."""
        self._watch.ended = f"{how}: {last}" if last else how
        pause = seconds_before_start(self._desk.starts, datetime.now(UTC), self._limits)
        if pause is not None:
            LOGGER.warning("the engine is started again", extra={"in_seconds": pause, "why": self._watch.ended})
            self._start_at = time.monotonic() + pause
            return
        self._start_at = None
        within = f"{len(self._of_late())} starts within {self._limits.within_minutes:g} minutes"
        self._gave_up = f"{within}; the engine {self._watch.ended}"
        said = f"{self._halt()}, no more starts: {self._gave_up}"
        self._desk.tell(Condition(kind="gave_up", severity="critical", summary=said))

    def _halt(self) -> str:
        """Set the kill switch to HALTED; in words."""
        try:
            switch = KillSwitch.load(self._folder, self._account, None)
            if switch.mode != "HALTED":
                switch.set("HALTED", WHO, self._gave_up)
        except HeliosError as error:
            return f"the kill switch could not be set to HALTED ({error})"
        return "HALTED"

    def _of_late(self) -> list[datetime]:
        since = datetime.now(UTC) - timedelta(minutes=self._limits.within_minutes)
        return [at for at in self._desk.starts if at > since]


def _how(code: int | None) -> str:
    if code is None:
        return "was found dead"
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
