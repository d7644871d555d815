"""The simulated market: a pure function of (seed, instrument, time).

Generated top-down with counter-based random numbers, day by day: two day anchors → the path between them → raw bars →
trades that reproduce the bars exactly. Any moment costs the same, whenever and in whatever order it is asked, and an
answer depends neither on earlier questions nor on which other instruments are listed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import numpy as np

from helios_pipeline.core.errors import SimulationError
from simulated_venues.bars import Bars, Trades, aggregate_bars, make_day
from simulated_venues.book import TRADES_PER_LEVEL, BookShape, book_after, quotes_of
from simulated_venues.columns import (
    cut_columns,
    join_columns,
    lock_columns,
    slice_columns,
    to_instant,
    to_milliseconds,
)
from simulated_venues.path import DayPath, day_path
from simulated_venues.premium import (
    DayPremium,
    day_premium,
    funding_rates_e8,
    open_interest_lots,
    position_ratios,
    settlement_delays_ms,
)
from simulated_venues.random import stream_key
from simulated_venues.settings import (
    RAW_BARS_PER_DAY,
    RAW_BARS_PER_FUNDING,
    RAW_BARS_PER_METRICS,
    MarketSettings,
    SimulatedInstrument,
)
from simulated_venues.source import (
    BOOK_STEP_MS,
    Book,
    FairPrices,
    Integers,
    OpenInterest,
    Quotes,
    Settlements,
)

__all__ = [
    "Bars",
    "Book",
    "FairPrices",
    "MarketSettings",
    "OpenInterest",
    "Quotes",
    "Settlements",
    "SimulatedInstrument",
    "SimulatedMarket",
    "Trades",
]


@dataclass(frozen=True, slots=True)
class SimulatedMarket:
    """Reads a market's history and future. Every span is half open, [first, last), and may lie anywhere in time."""

    settings: MarketSettings

    @property
    def instruments(self) -> tuple[SimulatedInstrument, ...]:
        """What trades."""
        return self.settings.instruments

    @property
    def raw_interval_ms(self) -> int:
        """Length of a raw bar."""
        return self.settings.raw_interval_ms

    @property
    def identity(self) -> str:
        """Names the prices."""
        return f"simulated seed {self.settings.seed} market {self.settings.digest}"

    @property
    def span_ms(self) -> tuple[int, int] | None:
        """None: the market has no ends."""
        return None

    def bars(self, instrument_id: str, first: datetime, last: datetime, *, raw_bars: int) -> Bars:
        """Bars that open in the span, at multiples of their length since 1970.

        Args:
            instrument_id: one of the market's.
            first: start of the span.
            last: end of the span, excluded.
            raw_bars: raw bars in a bar: 1 for 1m at natural speed, 15 for 15m.

        Raises:
            SimulationError: `raw_bars` is not positive.
        """
        if raw_bars < 1:
            raise SimulationError(f"simulated bars: expected raw_bars of 1 or more, found {raw_bars}.")
        instrument = self.settings.instrument(instrument_id)
        length_ms = raw_bars * self.settings.raw_interval_ms
        opens = [-(-to_milliseconds(instant) // length_ms) * length_ms for instant in (first, last)]
        days = range(opens[0] // self._day_ms, max(opens[0] // self._day_ms + 1, -(-opens[1] // self._day_ms)))
        raw = join_columns([_day_bars(self.settings, instrument, day)[0] for day in days])
        start, stop = np.searchsorted(raw.opened_at_ms, opens)
        whole = slice_columns(raw, int(start), int(stop))
        return aggregate_bars(whole, raw_bars) if raw_bars > 1 else whole

    def trades(self, instrument_id: str, first: datetime, last: datetime) -> Trades:
        """Trades in the span; those of a bar give its open, high, low, close, volumes and count exactly."""
        instrument = self.settings.instrument(instrument_id)
        trades = join_columns([_day_bars(self.settings, instrument, day)[1] for day in self._days(first, last)])
        return cut_columns(trades, trades.traded_at_ms, first, last)

    def quotes(self, instrument_id: str, first: datetime, last: datetime) -> Quotes:
        """Best prices from just before each trade in the span on."""
        instrument = self.settings.instrument(instrument_id)
        step = to_instant(to_milliseconds(first) // BOOK_STEP_MS * BOOK_STEP_MS)
        quotes = quotes_of(self._shape(instrument), self.trades(instrument_id, step, last))
        return cut_columns(quotes, quotes.at_ms, first, last)

    def book(self, instrument_id: str, at: datetime) -> Book:
        """The book at an instant; the same as at the start of its step, but for what trades since have moved."""
        instrument, at_ms = self.settings.instrument(instrument_id), to_milliseconds(at)
        trades = _day_bars(self.settings, instrument, at_ms // self._day_ms)[1]
        last = int(np.searchsorted(trades.traded_at_ms, at_ms, side="right")) - 1
        if last < 0:
            trades = _day_bars(self.settings, instrument, at_ms // self._day_ms - 1)[1]
        return book_after(self._shape(instrument), slice_columns(trades, 0, last + 1) if last >= 0 else trades, at_ms)

    def settlements(self, instrument_id: str, first: datetime, last: datetime) -> Settlements:
        """Funding settled in the span, every 480 raw bars (8 h at natural speed)."""
        instrument = self.settings.instrument(instrument_id)
        days = [self._day_settlements(instrument, day) for day in self._days(first, last)]
        settlements = join_columns(days)
        return cut_columns(settlements, settlements.settled_at_ms, first, last)

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
        prices = join_columns(days)
        return cut_columns(prices, prices.at_ms, first, last)

    def open_interest(self, instrument_id: str, first: datetime, last: datetime) -> OpenInterest:
        """Open interest measured in the span, every five raw bars."""
        instrument = self.settings.instrument(instrument_id)
        metrics = join_columns([self._day_open_interest(instrument, day) for day in self._days(first, last)])
        return cut_columns(metrics, metrics.measured_at_ms, first, last)

    def _days(self, first: datetime, last: datetime) -> Iterator[int]:
        """Days of the market that the span touches; one at least, so that an empty span gives empty arrays."""
        start = to_milliseconds(first) // self._day_ms
        return iter(range(start, max(start + 1, -(-to_milliseconds(last) // self._day_ms))))

    @property
    def _day_ms(self) -> int:
        return self.settings.raw_interval_ms * RAW_BARS_PER_DAY

    def _shape(self, instrument: SimulatedInstrument) -> BookShape:
        trade_lots = instrument.daily_volume / float(instrument.lot) / instrument.trades_per_day
        return BookShape(
            key=stream_key(self.settings.seed, instrument.instrument_id),
            mean_lots=TRADES_PER_LEVEL * trade_lots,
            longest_life_steps=max(1, self.settings.raw_interval_ms // BOOK_STEP_MS),
        )

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
    return lock_columns(bars), lock_columns(trades)


@lru_cache(maxsize=32)
def _day_premium(settings: MarketSettings, instrument: SimulatedInstrument, day: int) -> DayPremium:
    return lock_columns(day_premium(settings, instrument, day, _day_path(settings, instrument, day)))


@lru_cache(maxsize=32)
def _day_path(settings: MarketSettings, instrument: SimulatedInstrument, day: int) -> DayPath:
    return lock_columns(day_path(settings, instrument, day))
