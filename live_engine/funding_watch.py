"""Learns each funding settlement of the signals: the stream says when, REST says what was published."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nautilus_trader.common.actor import Actor
from nautilus_trader.common.config import ActorConfig
from nautilus_trader.model.data import FundingRateUpdate
from nautilus_trader.model.identifiers import InstrumentId

from helios_pipeline.core.market_data import MarketHistory, Settlement
from helios_pipeline.features.settlements import BARS_PER_HOUR
from live_engine.history_thread import HistoryThread
from live_engine.live_features import LiveFeatures
from live_engine.loop_timer import LoopTimer
from live_engine.warm_up import WarmUp

LOOK_SECONDS = 0.5
PUBLISHED_AFTER = timedelta(milliseconds=500)
"""The venue publishes a settlement some milliseconds after it."""

FIRST_RETRY, LONGEST_RETRY = timedelta(seconds=1), timedelta(seconds=30)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Due:
    """The settlement that is awaited.

    Attributes:
        last: the newest that is known.
        at: when the next one is due.
        ask_at: not before.
        wait: until it is asked for again.
    """

    last: Settlement
    at: datetime
    ask_at: datetime
    wait: timedelta = FIRST_RETRY


class FundingWatch(Actor):
    """Follows the settlements of every market. One that is late is asked for until it is there.

    Attributes:
        learned: settlements since the start.
    """

    def __init__(
        self, bar: timedelta, warm_ups: Sequence[WarmUp], features: LiveFeatures, history: MarketHistory
    ) -> None:
        """Go on where history ends.

        Args:
            bar: length of a bar; four are the hour to which stamps are floored.
            warm_ups: one a market; without a settlement in it a market has no funding score.
            features: learns settlements.
            history: asked for what was published, in a thread of this actor's own.
        """
        super().__init__(ActorConfig(component_id="FundingWatch"))
        self.learned = 0
        self._hour = BARS_PER_HOUR * bar
        self._features, self._history = features, history
        self._timer = LoopTimer(LOOK_SECONDS, self._look)
        self._thread = HistoryThread("funding")
        self._due = {
            InstrumentId.from_str(known.instrument_id): self._after(known.settlements[-1])
            for known in warm_ups
            if known.settlements
        }

    def _after(self, last: Settlement) -> _Due:
        at = last.settled_at + last.interval_hours * self._hour
        return _Due(last, at, at + PUBLISHED_AFTER)

    def on_start(self) -> None:
        """Subscribe to funding rates."""
        for instrument_id in self._due:
            self.subscribe_funding_rates(instrument_id)
        self._timer.start()

    def on_stop(self) -> None:
        """Ask nothing more."""
        self._timer.stop()
        self._thread.close()

    def on_funding_rate(self, update: FundingRateUpdate) -> None:
        """Hear when the next settlement is: later than the one that is due, then that one has happened."""
        due = self._due[update.instrument_id]
        at = _EPOCH + timedelta(microseconds=update.next_funding_ns // 1_000)
        if due.last.settled_at < at < due.at:
            # The interval became shorter.
            due.at, due.ask_at = at, at + PUBLISHED_AFTER
        elif at > due.at and due.wait == FIRST_RETRY:
            due.ask_at = min(due.ask_at, self._now() + PUBLISHED_AFTER)

    def _look(self) -> None:
        now = self._now()
        for instrument_id, due in self._due.items():
            if now >= due.ask_at and self._ask(instrument_id, due):
                due.ask_at, due.wait = now + due.wait, min(2 * due.wait, LONGEST_RETRY)

    def _now(self) -> datetime:
        return _EPOCH + timedelta(microseconds=self.clock.timestamp_ns() // 1_000)

    def _ask(self, instrument_id: InstrumentId, due: _Due) -> bool:
        hour_seconds = self._hour // timedelta(seconds=1)
        return self._thread.ask(
            f"settlements of {instrument_id}",
            lambda: self._history.settlements(str(instrument_id), hour_seconds, due.last.settled_at),
            lambda found: self._learn(instrument_id, found),
            asyncio.get_running_loop(),
        )

    def _learn(self, instrument_id: InstrumentId, found: Sequence[Settlement]) -> None:
        for settlement in found:
            if settlement.settled_at > self._due[instrument_id].last.settled_at:
                self.learned += 1
                self._features.take_funding(str(instrument_id), settlement)
                self._due[instrument_id] = self._after(settlement)
