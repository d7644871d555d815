"""The simulated market: a pure function of (seed, instrument, time).

Generated top-down with counter-based random numbers, day by day: two day anchors → the path between them → raw bars →
trades that reproduce the bars exactly. Any moment costs the same, whenever and in whatever order it is asked, and an
answer depends neither on earlier questions nor on which other instruments are listed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from helios_pipeline.core.errors import SimulationError
from simulated_venues.bars import Bars, Trades, aggregate_bars, make_day
from simulated_venues.path import DayPath, day_path
from simulated_venues.premium import (
    DayPremium,
    day_premium,
    funding_rates_e8,
    open_interest_lots,
    position_ratios,
    settlement_delays_ms,
)
from simulated_venues.random import Floats
from simulated_venues.settings import (
    RAW_BARS_PER_DAY,
    RAW_BARS_PER_FUNDING,
    RAW_BARS_PER_METRICS,
    MarketSettings,
    SimulatedInstrument,
)

__all__ = [
    "Bars",
    "FairPrices",
    "MarketSettings",
    "OpenInterest",
    "Settlements",
    "SimulatedInstrument",
    "SimulatedMarket",
    "Trades",
]

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlements:
    """Funding settlements in order of time.

    Attributes:
        settled_at_ms: int64.
        published_at_ms: int64, the stamp the venue publishes, a few milliseconds late.
        rate_e8: int64, fraction of notional for the interval that ends here, in units of 1e-8.
        mark_price: float64, quote currency.
    """

    settled_at_ms: Integers
    published_at_ms: Integers
    rate_e8: Integers
    mark_price: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class FairPrices:
    """Premium, index and mark at starts of raw bars: `at_ms` int64, the others float64 (prices in quote currency)."""

    at_ms: Integers
    premium: Floats
    index_price: Floats
    mark_price: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenInterest:
    """Open interest and what the venue publishes beside it, every five raw bars.

    Attributes:
        measured_at_ms: int64.
        open_interest: int64, lots.
        mark_price: float64, at which the venue states the open interest's value.
        top_accounts_ratio, top_positions_ratio, accounts_ratio: float64, long over short.
        taker_ratio: float64, lots bought over lots sold by takers in the five raw bars before.
    """

    measured_at_ms: Integers
    open_interest: Integers
    mark_price: Floats
    top_accounts_ratio: Floats
    top_positions_ratio: Floats
    accounts_ratio: Floats
    taker_ratio: Floats


@dataclass(frozen=True, slots=True)
class SimulatedMarket:
    """Reads a market's history and future. Every span is half open, [first, last), and may lie anywhere in time."""

    settings: MarketSettings

    def bars(self, instrument_id: str, first: datetime, last: datetime, *, raw_bars: int) -> Bars:
        """Bars that open in the span.

        Args:
            instrument_id: one of the market's.
            first: start of the span.
            last: end of the span, excluded.
            raw_bars: raw bars in a bar, a divisor of 1,440: 1 for 1m, 15 for 15m.

        Raises:
            SimulationError: `raw_bars` does not divide a day.
        """
        if raw_bars < 1 or RAW_BARS_PER_DAY % raw_bars:
            raise SimulationError(
                f"simulated bars: expected raw_bars that divide {RAW_BARS_PER_DAY}, found {raw_bars}."
            )
        instrument = self.settings.instrument(instrument_id)
        days = [_day_bars(self.settings, instrument, day)[0] for day in self._days(first, last)]
        bars = _join([aggregate_bars(day, raw_bars) if raw_bars > 1 else day for day in days])
        return _cut(bars, bars.opened_at_ms, first, last)

    def trades(self, instrument_id: str, first: datetime, last: datetime) -> Trades:
        """Trades in the span; those of a bar give its open, high, low, close, volumes and count exactly."""
        instrument = self.settings.instrument(instrument_id)
        trades = _join([_day_bars(self.settings, instrument, day)[1] for day in self._days(first, last)])
        return _cut(trades, trades.traded_at_ms, first, last)

    def settlements(self, instrument_id: str, first: datetime, last: datetime) -> Settlements:
        """Funding settled in the span, every 480 raw bars (8 h at natural speed)."""
        instrument = self.settings.instrument(instrument_id)
        days = [self._day_settlements(instrument, day) for day in self._days(first, last)]
        settlements = _join(days)
        return _cut(settlements, settlements.settled_at_ms, first, last)

    def fair_prices(self, instrument_id: str, first: datetime, last: datetime) -> FairPrices:
        """Premium, index and mark at the raw bars' starts in the span."""
        instrument = self.settings.instrument(instrument_id)
        days = []
        for day in self._days(first, last):
            premium = _day_premium(self.settings, instrument, day)
            days.append(
                FairPrices(
                    at_ms=self._instants(day, 1),
                    premium=premium.premium,
                    index_price=premium.index_price,
                    mark_price=premium.mark_price,
                )
            )
        prices = _join(days)
        return _cut(prices, prices.at_ms, first, last)

    def open_interest(self, instrument_id: str, first: datetime, last: datetime) -> OpenInterest:
        """Open interest measured in the span, every five raw bars."""
        instrument = self.settings.instrument(instrument_id)
        metrics = _join([self._day_open_interest(instrument, day) for day in self._days(first, last)])
        return _cut(metrics, metrics.measured_at_ms, first, last)

    def _days(self, first: datetime, last: datetime) -> Iterator[int]:
        """Days of the market that the span touches; one at least, so that an empty span gives empty arrays."""
        day_ms = self.settings.raw_interval_ms * RAW_BARS_PER_DAY
        start = _milliseconds(first) // day_ms
        return iter(range(start, max(start + 1, -(-_milliseconds(last) // day_ms))))

    def _instants(self, day: int, every: int) -> Integers:
        """Starts of every `every`-th raw bar of a day, milliseconds since 1970."""
        raw = day * RAW_BARS_PER_DAY + np.arange(0, RAW_BARS_PER_DAY, every, dtype=np.int64)
        return raw * self.settings.raw_interval_ms

    def _day_settlements(self, instrument: SimulatedInstrument, day: int) -> Settlements:
        """The first settlement of a day closes the last interval of the day before."""
        before = funding_rates_e8(_day_premium(self.settings, instrument, day - 1).premium)
        today = _day_premium(self.settings, instrument, day)
        settled_at = self._instants(day, RAW_BARS_PER_FUNDING)
        return Settlements(
            settled_at_ms=settled_at,
            published_at_ms=settled_at + settlement_delays_ms(self.settings, instrument, day),
            rate_e8=np.concatenate((before[-1:], funding_rates_e8(today.premium)[:-1])),
            mark_price=today.mark_price[::RAW_BARS_PER_FUNDING],
        )

    def _day_open_interest(self, instrument: SimulatedInstrument, day: int) -> OpenInterest:
        ratios = position_ratios(self.settings, instrument, day)
        before, today = (
            aggregate_bars(_day_bars(self.settings, instrument, d)[0], RAW_BARS_PER_METRICS) for d in (day - 1, day)
        )
        bought = np.concatenate((before.taker_buy_volume[-1:], today.taker_buy_volume[:-1]))
        volume = np.concatenate((before.volume[-1:], today.volume[:-1]))
        return OpenInterest(
            measured_at_ms=self._instants(day, RAW_BARS_PER_METRICS),
            open_interest=open_interest_lots(self.settings, instrument, day),
            mark_price=_day_premium(self.settings, instrument, day).mark_price[::RAW_BARS_PER_METRICS],
            top_accounts_ratio=ratios[0],
            top_positions_ratio=ratios[1],
            accounts_ratio=ratios[2],
            taker_ratio=bought / np.maximum(1, volume - bought),
        )


# A day is asked for many times (its bars, its trades, its metrics, moment after moment of a live stream), so the last
# few are kept. They are functions of their arguments alone.
@lru_cache(maxsize=32)
def _day_bars(settings: MarketSettings, instrument: SimulatedInstrument, day: int) -> tuple[Bars, Trades]:
    bars, trades = make_day(settings, instrument, day, _day_path(settings, instrument, day))
    return _locked(bars), _locked(trades)


@lru_cache(maxsize=32)
def _day_premium(settings: MarketSettings, instrument: SimulatedInstrument, day: int) -> DayPremium:
    return _locked(day_premium(settings, instrument, day, _day_path(settings, instrument, day)))


@lru_cache(maxsize=32)
def _day_path(settings: MarketSettings, instrument: SimulatedInstrument, day: int) -> DayPath:
    return _locked(day_path(settings, instrument, day))


def _milliseconds(instant: datetime) -> int:
    if instant.tzinfo is None:
        raise SimulationError(f"simulated market: expected an instant with a time zone, found {instant.isoformat()}.")
    return round(instant.timestamp() * 1_000)


def _arrays[Columns](columns: Columns) -> dict[str, NDArray[np.generic]]:
    names = [field.name for field in fields(columns)]  # type: ignore[arg-type]
    return {name: getattr(columns, name) for name in names if isinstance(getattr(columns, name), np.ndarray)}


def _rebuilt[Columns](columns: Columns, change: Callable[[str], NDArray[np.generic]]) -> Columns:
    arrays = _arrays(columns)
    others = {f.name: getattr(columns, f.name) for f in fields(columns) if f.name not in arrays}  # type: ignore[arg-type]
    return type(columns)(**others, **{name: change(name) for name in arrays})


def _locked[Columns](columns: Columns) -> Columns:
    """The same record, its arrays made read-only because it is kept and shared."""
    for values in _arrays(columns).values():
        values.setflags(write=False)
    return columns


def _join[Columns](days: list[Columns]) -> Columns:
    """Days one after another as one record."""
    return _rebuilt(days[0], lambda name: np.concatenate([getattr(day, name) for day in days]))


def _cut[Columns](columns: Columns, at_ms: Integers, first: datetime, last: datetime) -> Columns:
    """The elements in [first, last)."""
    start, stop = np.searchsorted(at_ms, [_milliseconds(first), _milliseconds(last)])
    return _rebuilt(columns, lambda name: getattr(columns, name)[start:stop])
