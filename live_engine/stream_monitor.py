"""Notes when each stream last brought something, for the gate, the heartbeat and the metrics."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from nautilus_trader.common.actor import Actor
from nautilus_trader.common.config import ActorConfig
from nautilus_trader.model.data import Bar, FundingRateUpdate, MarkPriceUpdate, QuoteTick, TradeTick
from nautilus_trader.model.identifiers import InstrumentId

from helios_pipeline.core.status import StreamStatus
from live_engine.market_bars import NANOSECONDS_PER_MS, kline_type
from live_engine.stream_ages import ClockSkew, StreamAges

BLOCKS = ("blocks", "")


class StreamMonitor(Actor):
    """Hears trades, klines and funding of the signals, quotes and marks of what is traded."""

    def __init__(
        self,
        signals: Sequence[str],
        traded: Sequence[str],
        bar: timedelta,
        limits: Mapping[str, float],
        block_heard_at: Callable[[], float | None] | None,
    ) -> None:
        """Before the start.

        Args:
            signals: instrument ids of the signals.
            traded: of what is traded.
            bar: length of a bar.
            limits: age in seconds by kind of stream: `trades`, `klines`, `quotes`, `mark`, `blocks`.
            block_heard_at: when the venue's newest block was heard of, by `time.monotonic`; None without blocks.
        """
        super().__init__(ActorConfig(component_id="StreamMonitor"))
        self._signals = [InstrumentId.from_str(name) for name in dict.fromkeys(signals)]
        self._traded = [InstrumentId.from_str(name) for name in dict.fromkeys(traded)]
        self._bar, self._block_heard_at = bar, block_heard_at
        self._names = {instrument_id: str(instrument_id) for instrument_id in (*self._signals, *self._traded)}
        streams = [(kind, str(iid)) for iid in self._signals for kind in ("trades", "klines", "funding")]
        streams += [(kind, str(iid)) for iid in self._traded for kind in ("quotes", "mark")]
        self._ages = StreamAges([*streams, BLOCKS] if block_heard_at else streams, limits)
        self._skews = {str(iid.venue): ClockSkew() for iid in (*self._signals, *self._traded)}
        self._skew_of = {iid: self._skews[str(iid.venue)] for iid in (*self._signals, *self._traded)}

    def statuses(self) -> tuple[StreamStatus, ...]:
        """How old each stream is now."""
        now = time.monotonic()
        block_at = self._block_heard_at() if self._block_heard_at else None
        if block_at is not None:
            self._ages.heard(*BLOCKS, block_at)
        return self._ages.statuses(now)

    def clock_skew_ms(self) -> float | None:
        """How far our clock is ahead of the venue's that differs most; None while none was heard."""
        now = time.monotonic()
        found = [skew for each in self._skews.values() if (skew := each.milliseconds(now)) is not None]
        return max(found, key=abs, default=None)

    def on_start(self) -> None:
        """Subscribe to everything that has an age."""
        for instrument_id in self._signals:
            self.subscribe_trade_ticks(instrument_id)
            self.subscribe_bars(kline_type(str(instrument_id), self._bar))
            self.subscribe_funding_rates(instrument_id)
        for instrument_id in self._traded:
            self.subscribe_quote_ticks(instrument_id)
            self.subscribe_mark_prices(instrument_id)

    def on_trade_tick(self, tick: TradeTick) -> None:
        """A trade."""
        self._note("trades", tick.instrument_id, tick.ts_event, tick.ts_init)

    def on_bar(self, bar: Bar) -> None:
        """A closed kline; stamped with its own end, so no measure of the venue's clock."""
        self._ages.heard("klines", self._names[bar.bar_type.instrument_id], time.monotonic())

    def on_funding_rate(self, update: FundingRateUpdate) -> None:
        """A change of the estimated rate."""
        self._note("funding", update.instrument_id, update.ts_event, update.ts_init)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """A change of the best prices."""
        self._note("quotes", tick.instrument_id, tick.ts_event, tick.ts_init)

    def on_mark_price(self, update: MarkPriceUpdate) -> None:
        """A mark price."""
        self._note("mark", update.instrument_id, update.ts_event, update.ts_init)

    def _note(self, stream: str, instrument_id: InstrumentId, sent_ns: int, received_ns: int) -> None:
        now = time.monotonic()
        self._ages.heard(stream, self._names[instrument_id], now)
        self._skew_of[instrument_id].note(sent_ns / NANOSECONDS_PER_MS, received_ns / NANOSECONDS_PER_MS, now)
