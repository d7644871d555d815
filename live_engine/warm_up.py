"""What an engine knows before it hears anything: enough history for the first live bar to have every feature."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from helios_pipeline.core.market_data import Candle, MarketHistory, Settlement
from helios_pipeline.core.records import FeatureSettings
from helios_pipeline.data.bar_judge import BarJudge
from helios_pipeline.data.closing_bars import join_candles
from helios_pipeline.features.frame import LONGEST_FUNDING_INTERVAL_HOURS
from helios_pipeline.features.settlements import BARS_PER_HOUR
from helios_pipeline.live_settings import RAW_KLINES_PER_BAR

MS = timedelta(milliseconds=1)
PUBLISHED_WITHIN_BARS = 2
"""A bar that ended longer ago and is not whole is one that the venue lacks."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """What is known of one market.

    Attributes:
        instrument_id: whose.
        bars: valid bars, oldest first, one after the other but for those that the venue lacks.
        open_klines: closed raw klines of the bar that is not complete yet.
        next_ms: opening of that bar; the first one to be made live.
        settlements: oldest first.
        judge: has judged `bars`, and goes on with the next.
    """

    instrument_id: str
    bars: tuple[Candle, ...]
    open_klines: tuple[Candle, ...]
    next_ms: int
    settlements: tuple[Settlement, ...]
    judge: BarJudge

    def missed(self, since: datetime, bar: timedelta) -> list[Candle]:
        """Valid bars of a length that closed after an instant, oldest first."""
        return [each for each in self.bars if each.opened_ms * MS + bar > since - _EPOCH]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How far back features look.

    Attributes:
        bars: in the longest window, the return before its first bar included.
        max_gap_bars: longest run of missing bars that a window skips.
        settlements: in the funding score.
    """

    bars: int
    max_gap_bars: int
    settlements: int

    @classmethod
    def of(cls, lookback_bars: int, settings: FeatureSettings) -> "Reach":
        """The reach of a lookback of the price score together with all other features."""
        return cls(
            bars=max(lookback_bars, settings.vol_lookback + 1, settings.atr_bars + 1),
            max_gap_bars=settings.max_gap_bars,
            settlements=settings.funding_lookback,
        )


def warm_up(history: MarketHistory, instrument_id: str, bar: timedelta, reach: Reach, since: datetime | None) -> WarmUp:
    """Load what features need at the first live bar, and at each bar that was missed.

    A bar that closes while this loads is neither lost nor made twice: it is the one at `next_ms`, or after it.

    Args:
        history: of the signal venue. Blocks.
        instrument_id: of the signal.
        bar: length of a bar.
        reach: of the features.
        since: from when on bars were missed; None if none were.

    Raises:
        DataError: the venue does not answer.
    """
    now = history.now()
    wanted_until = now if since is None else min(since, now)
    klines: list[Candle] = []
    first = end = _floor(now, bar)
    earliest = _floor(wanted_until, bar) - reach.bars * (1 + reach.max_gap_bars) * bar
    missing = reach.bars + math.ceil((now - wanted_until) / bar)
    bars: list[Candle] = []
    whole: list[Candle] = []
    judge = BarJudge()
    raw_seconds = bar // RAW_KLINES_PER_BAR // timedelta(seconds=1)
    while missing > 0 and first > earliest:
        start = max(earliest, first - missing * bar)
        klines = [*history.klines(instrument_id, raw_seconds, start, first if klines else now), *klines]
        first = start
        judge, whole = BarJudge(), whole_bars(klines, bar)
        bars = [each for each in whole if not judge.reason(each)]
        usable = sum(_EPOCH + each.opened_ms * MS + bar <= wanted_until for each in bars)
        missing = reach.bars - usable
    # A bar whose last klines the venue was about to publish is left to be completed live.
    known_until = whole[-1].opened_ms * MS + bar if whole else timedelta()
    next_ms = max(known_until, end - _EPOCH - PUBLISHED_WITHIN_BARS * bar) // MS if whole else (end - _EPOCH) // MS
    hour = BARS_PER_HOUR * bar
    funding_first = wanted_until - (reach.settlements + 2) * LONGEST_FUNDING_INTERVAL_HOURS * hour
    return WarmUp(
        instrument_id=instrument_id,
        bars=tuple(bars),
        open_klines=tuple(kline for kline in klines if kline.opened_ms >= next_ms),
        next_ms=next_ms,
        settlements=tuple(history.settlements(instrument_id, hour // timedelta(seconds=1), funding_first)),
        judge=judge,
    )


def whole_bars(klines: Sequence[Candle], bar: timedelta) -> list[Candle]:
    """Bars whose raw klines are all there, out of klines that are sorted and unique."""
    length, groups = bar // MS, dict[int, list[Candle]]()
    for kline in klines:
        groups.setdefault(kline.opened_ms // length * length, []).append(kline)
    return [join_candles(parts, opened) for opened, parts in groups.items() if len(parts) == RAW_KLINES_PER_BAR]


def _floor(instant: datetime, bar: timedelta) -> datetime:
    return _EPOCH + (instant - _EPOCH) // bar * bar
