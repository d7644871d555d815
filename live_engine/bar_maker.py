"""Makes the engine's bars of what is heard, and publishes each as it closes."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nautilus_trader.common.actor import Actor
from nautilus_trader.common.config import ActorConfig
from nautilus_trader.model.data import Bar, BarType, TradeTick
from nautilus_trader.model.identifiers import InstrumentId

from helios_pipeline.core.errors import JournalError
from helios_pipeline.core.market_data import Candle, MarketHistory
from helios_pipeline.core.trading import BarDifference
from helios_pipeline.core.venues import RecordSink
from helios_pipeline.data.bar_judge import BarJudge
from helios_pipeline.data.closing_bars import Closing, ClosingBars
from helios_pipeline.live_settings import RAW_KLINES_PER_BAR
from live_engine.history_thread import HistoryThread
from live_engine.live_features import LiveFeatures
from live_engine.loop_timer import LoopTimer
from live_engine.market_bars import (
    NANOSECONDS_PER_MS,
    RAW_PER_UNIT,
    bar_type,
    kline_type,
    milliseconds,
    to_bar,
    to_candle,
)
from live_engine.warm_up import WarmUp

LOG = logging.getLogger(__name__)
MS = timedelta(milliseconds=1)

LOOK_SECONDS = 0.1
"""How often bars that wait are looked at."""

ASK_AFTER_SECONDS = 0.4
"""So long after a raw kline's end it should have been told; then it is asked for. The venue tells within 0.25 s."""

FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 1.0, 10.0
"""Between questions that bring nothing."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Market:
    """A market whose bars are made."""

    kind: BarType
    bars: ClosingBars
    judge: BarJudge
    ask_at_ns: int = 0
    wait_seconds: float = FIRST_RETRY_SECONDS


@dataclass(slots=True, kw_only=True)
class BarCounts:
    """What became of bars since the start, over all markets."""

    published: int = 0
    from_trades: int = 0
    late: int = 0
    corrected: int = 0
    unusable: int = 0
    questions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BarMakerSettings:
    """How bars are made.

    Attributes:
        account: that differences are journalled for.
        bar: length of a bar.
        patience: how long after its end an incomplete bar holds up newer ones.
    """

    account: str
    bar: timedelta
    patience: timedelta


class BarMaker(Actor):
    """Hears trades and closed klines of the signals, and publishes bars as `data.bars.<type>` in NautilusTrader.

    A bar that is not provably whole is not published: its klines are asked for over REST, and it comes when they do.

    Attributes:
        counts: what became of bars.
    """

    def __init__(
        self,
        settings: BarMakerSettings,
        warm_ups: Sequence[WarmUp],
        features: LiveFeatures,
        history: MarketHistory,
        sink: RecordSink,
    ) -> None:
        """Go on where history ends.

        Args:
            settings: how.
            warm_ups: one a market; bars begin at their `next_ms`.
            features: learns every valid bar before it is published.
            history: asked for klines that did not come, in a thread of this actor's own.
            sink: journals differences between trades and klines.
        """
        super().__init__(ActorConfig(component_id="BarMaker"))
        self.counts = BarCounts()
        self._settings, self._features, self._history, self._sink = settings, features, history, sink
        self._raw = settings.bar / RAW_KLINES_PER_BAR
        self._timer = LoopTimer(LOOK_SECONDS, self._look)
        self._thread = HistoryThread("klines")
        self._markets: dict[InstrumentId, _Market] = {}
        for known in warm_ups:
            self._markets[InstrumentId.from_str(known.instrument_id)] = self._begin(known)

    def _begin(self, known: WarmUp) -> _Market:
        bars = ClosingBars(
            raw_ms=self._raw // MS,
            raw_per_bar=RAW_KLINES_PER_BAR,
            first_ms=known.next_ms,
            patience_ms=self._settings.patience // MS,
        )
        for bar in known.bars:
            self._features.learn_bar(known.instrument_id, bar)
        for settlement in known.settlements:
            self._features.take_funding(known.instrument_id, settlement)
        for kline in known.open_klines:
            bars.take_kline(kline)
        return _Market(bar_type(known.instrument_id, self._settings.bar), bars, known.judge)

    def on_start(self) -> None:
        """Subscribe, and look at bars that wait from time to time."""
        for instrument_id in self._markets:
            self.subscribe_trade_ticks(instrument_id)
            self.subscribe_bars(kline_type(str(instrument_id), self._settings.bar))
        self._timer.start()

    def on_stop(self) -> None:
        """Ask nothing more."""
        self._timer.stop()
        self._thread.close()

    def on_trade_tick(self, tick: TradeTick) -> None:
        """A trade."""
        market = self._markets[tick.instrument_id]
        price, quantity = tick.price.raw // RAW_PER_UNIT, tick.size.raw // RAW_PER_UNIT
        if market.bars.take_trade(int(tick.trade_id.value), milliseconds(tick.ts_event), price, quantity):
            self._close(tick.instrument_id, market)

    def on_bar(self, bar: Bar) -> None:
        """A closed kline."""
        instrument_id = bar.bar_type.instrument_id
        market = self._markets[instrument_id]
        if market.bars.take_kline(to_candle(bar, self._raw)):
            self._close(instrument_id, market)

    def _look(self) -> None:
        """Pass over what has waited too long, and ask for klines that should have come."""
        now_ns = self.clock.timestamp_ns()
        for instrument_id, market in self._markets.items():
            self._close(instrument_id, market)
            missing = market.bars.missing(self._venue_ms(market) - round(ASK_AFTER_SECONDS * 1_000))
            if missing is None or now_ns < market.ask_at_ns:
                continue
            if self._ask(instrument_id, market, missing):
                market.ask_at_ns = now_ns + round(market.wait_seconds * 1_000_000_000)
                market.wait_seconds = min(2 * market.wait_seconds, LONGEST_RETRY_SECONDS)

    def _ask(self, instrument_id: InstrumentId, market: _Market, missing: tuple[int, int]) -> bool:
        first, last = (_EPOCH + opened_ms * MS for opened_ms in missing)
        raw_seconds = self._raw // timedelta(seconds=1)

        def take(klines: Sequence[Candle]) -> None:
            for kline in klines:
                market.bars.take_kline(kline)
                market.wait_seconds = FIRST_RETRY_SECONDS
            self._close(instrument_id, market)

        is_asked = self._thread.ask(
            f"klines of {instrument_id}",
            lambda: self._history.klines(str(instrument_id), raw_seconds, first, last + self._raw),
            take,
            asyncio.get_running_loop(),
        )
        self.counts.questions += is_asked
        return is_asked

    def _close(self, instrument_id: InstrumentId, market: _Market) -> None:
        for closing in market.bars.close(self._venue_ms(market)):
            self._tell(instrument_id, market, closing)

    def _venue_ms(self, market: _Market) -> int:
        """The venue's time: ours, or what it told, if our clock is behind."""
        return max(int(self.clock.timestamp_ns()) // NANOSECONDS_PER_MS, market.bars.seen_ms)

    def _tell(self, instrument_id: InstrumentId, market: _Market, closing: Closing) -> None:
        """Learn a bar, publish it if it is the next one, journal it if it was otherwise before."""
        if closing.kind == "corrected":
            self.counts.corrected += 1
            self._journal(instrument_id, closing)
        reason = market.judge.reason(closing.bar)
        if reason:
            self.counts.unusable += 1
            LOG.warning("bar_unusable", extra={"instrument": str(instrument_id), "reason": reason})
            return
        self._features.learn_bar(str(instrument_id), closing.bar)
        if closing.kind == "closed":
            self.counts.published += 1
            instrument = self.cache.instrument(instrument_id)
            bar = to_bar(closing.bar, self._settings.bar, market.kind, instrument, self.clock.timestamp_ns())
            self.msgbus.send(endpoint="DataEngine.process", msg=bar)
        elif closing.kind == "late":
            self.counts.late += 1
            LOG.warning("bar_late", extra={"instrument": str(instrument_id), "opened_ms": closing.bar.opened_ms})

    def _journal(self, instrument_id: InstrumentId, closing: Closing) -> None:
        made = closing.before or closing.bar
        record = BarDifference(
            account=self._settings.account,
            instrument_id=str(instrument_id),
            opened_at=_EPOCH + closing.bar.opened_ms * MS,
            made=made.columns,
            published=closing.bar.columns,
        )
        try:
            self._sink.append(record)
        except JournalError as error:
            # The gate refuses entries then; bars go on, for exits need them.
            LOG.error("bar_difference_not_journalled", extra={"error": str(error)})  # noqa: TRY400 - the message is whole
