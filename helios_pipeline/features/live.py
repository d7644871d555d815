"""Features of one market as its bars and settlements come in: bit for bit those that history gives later.

The compiled functions of `windows` make each number, over the same windows as in `frame.make_features` and in the
kernel. Bars may come late, or again with other prices: they take their place in the history, whatever the order.
"""

import bisect
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from helios_pipeline.core.market_data import Candle, Settlement
from helios_pipeline.core.records import QUANTA_PER_UNIT, FeatureSettings
from helios_pipeline.features.frame import FUNDING_Z_BOUND, MICROSECOND
from helios_pipeline.features.settlements import late_settlements, market_hour
from helios_pipeline.features.windows import (
    average_true_range,
    floored_z_score,
    log_prices,
    segment_starts,
    volatility,
    z_score,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class BarFeatures:
    """What was known when a bar closed; NaN for no value."""

    z_price: float
    z_funding: float
    volatility: float
    atr: float


NO_FEATURES = BarFeatures(z_price=math.nan, z_funding=math.nan, volatility=math.nan, atr=math.nan)


class MarketMemory:
    """The newest bars and settlements of one market."""

    def __init__(self, interval: timedelta, capacity: int) -> None:
        """An empty memory.

        Args:
            interval: length of a bar.
            capacity: bars, and settlements, that are kept at least.
        """
        self._interval = interval // MICROSECOND
        self._hour = market_hour(self._interval)
        self._capacity = capacity
        self._opened: list[int] = []
        self._bars: list[tuple[float, float, float]] = []
        self._settled: list[int] = []
        self._rates: list[tuple[float, int]] = []

    def take_bar(self, bar: Candle) -> None:
        """Put a closed, valid bar in its place; one that is there already is replaced."""
        prices = (bar.high / QUANTA_PER_UNIT, bar.low / QUANTA_PER_UNIT, bar.close / QUANTA_PER_UNIT)
        _place(self._opened, self._bars, bar.opened_ms * 1000, prices, self._capacity)

    def take_funding(self, settlement: Settlement) -> None:
        """Put a settlement in its place; one that is there already is replaced."""
        at = (settlement.settled_at - _EPOCH) // MICROSECOND
        per_hour = settlement.rate / settlement.interval_hours
        _place(self._settled, self._rates, at, (per_hour, settlement.interval_hours), self._capacity)

    def at(self, closed_at: datetime, lookback_bars: int, settings: FeatureSettings) -> BarFeatures:
        """Features of the bar that closed at an instant; `NO_FEATURES` if there is none.

        Args:
            closed_at: a boundary; bars that close later and settlements that are not older are not looked at.
            lookback_bars: of the price score.
            settings: as research made its features with.
        """
        boundary = (closed_at - _EPOCH) // MICROSECOND
        stop = bisect.bisect_right(self._opened, boundary - self._interval)
        if stop == 0 or self._opened[stop - 1] != boundary - self._interval:
            return NO_FEATURES
        reach = max(lookback_bars, settings.vol_lookback + 1, settings.atr_bars + 1)
        opened = np.array(self._opened[max(stop - reach, 0) : stop])
        highs, lows, closes = np.array(self._bars[max(stop - reach, 0) : stop]).T.copy()
        logs, last = log_prices(closes), len(opened) - 1
        available = last - int(segment_starts(opened, self._interval, settings.max_gap_bars)[last]) + 1
        periods = float(settings.periods_per_year)
        none = math.nan
        return BarFeatures(
            z_price=z_score(logs, last, lookback_bars) if available >= lookback_bars else none,
            z_funding=self._funding_score(boundary, settings),
            volatility=volatility(logs, last, settings.vol_lookback, periods)
            if available > settings.vol_lookback
            else none,
            atr=average_true_range(highs, lows, closes, last, settings.atr_bars)
            if available > settings.atr_bars
            else none,
        )

    def _funding_score(self, boundary: int, settings: FeatureSettings) -> float:
        """Score of the last settlement before a boundary; NaN if it is too old, or if one is missing in its window."""
        stop = bisect.bisect_left(self._settled, boundary)
        start = stop - settings.funding_lookback
        if start < 0 or boundary - self._settled[stop - 1] > self._rates[stop - 1][1] * self._hour + self._interval:
            return math.nan
        per_hour = np.array([rate for rate, _ in self._rates[start:stop]])
        hours = np.array([hours for _, hours in self._rates[start:stop]])
        if len(late_settlements(np.array(self._settled[start:stop]), hours, self._hour)):
            return math.nan
        last = len(per_hour) - 1
        score = floored_z_score(per_hour, last, settings.funding_lookback, settings.funding_std_floor, FUNDING_Z_BOUND)
        return float(score)


def _place[Row](keys: list[int], rows: list[Row], key: int, row: Row, capacity: int) -> None:
    """Replace the row of a key, or insert it in order; beyond twice the capacity the oldest are forgotten."""
    at = bisect.bisect_left(keys, key)
    if at < len(keys) and keys[at] == key:
        rows[at] = row
        return
    keys.insert(at, key)
    rows.insert(at, row)
    if len(keys) > 2 * capacity:
        del keys[:-capacity], rows[:-capacity]
