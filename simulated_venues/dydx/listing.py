"""The shared market as it trades on this venue: its own tape and book, oracle prices and funding.

A pure function of the source and of time. Of the source's trades every third or so happens here too, at a price that
is off by a slow basis of a few basis points, in this venue's ticks and steps. The book stands around these trades.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from helios_pipeline.core.errors import SimulationError
from simulated_venues.bars import Trades
from simulated_venues.book import BookShape, book_at, quotes_of, update_ids
from simulated_venues.clock import instant
from simulated_venues.dydx.records import BackgroundTrade, Market, Side
from simulated_venues.dydx.tape import Tape, basis_at, thin
from simulated_venues.random import Floats, stream_key
from simulated_venues.settings import RAW_BARS_PER_DAY, RAW_BARS_PER_HOUR, SimulatedInstrument
from simulated_venues.source import BOOK_STEP_MS, UPDATES_PER_STEP, Book, Integers, MarketSource

SHARE_OF_TRADES = 1 / 3
SHARE_OF_QUANTITY = 0.02
"""Of a trade's quantity at the source, what it has here."""

_LEVEL_USDC = 4_000.0
_FUNDING_SHARE = 8
"""The premium is a rate for eight hours, and settled every hour (v4-chain, `x/perpetuals`)."""
_CLAMP = 6.0
"""The eight-hour rate stays within 600 % of (initial − maintenance) margin (v4-chain, genesis of `x/perpetuals`)."""
_ORACLE_DECIMALS = 8
_KEPT_DAYS = 12
_DAYS_BACK = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fair:
    """A day's index prices (1e-8 USDC) and premium over it at this venue."""

    at_ms: Integers
    index_e8: Integers
    premium: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class _Interest:
    """A day's open interest (quantums)."""

    at_ms: Integers
    quantums: Integers


@dataclass(slots=True)
class Listing:
    """The background of every market of the venue, see `records.Background`. Days of it are kept while in use."""

    source: MarketSource
    markets: tuple[Market, ...]
    _tapes: dict[tuple[str, int], Tape] = field(default_factory=dict)
    _fairs: dict[tuple[str, int], _Fair] = field(default_factory=dict)
    _interests: dict[tuple[str, int], _Interest] = field(default_factory=dict)
    _instruments: dict[str, SimulatedInstrument] = field(init=False)
    _keys: dict[str, np.uint64] = field(init=False)

    def __post_init__(self) -> None:
        self._instruments = {each.instrument_id: each for each in self.source.instruments}
        self._keys = {each: stream_key(0, f"{self.source.identity}/dydx/{each}") for each in self._instruments}

    @property
    def day_ms(self) -> int:
        """A day of the market: 24 hours at natural speed."""
        return self.source.raw_interval_ms * RAW_BARS_PER_DAY

    @property
    def funding_interval_ms(self) -> int:
        """One hour at natural speed."""
        return self.source.raw_interval_ms * RAW_BARS_PER_HOUR

    @property
    def begins_ms(self) -> int:
        """When the source begins; 0 if it has no beginning."""
        return 0 if self.source.span_ms is None else self.source.span_ms[0]

    def prepare(self, at_ms: int) -> None:
        """Make what questions about an instant need, so that they cost microseconds; may run in another thread."""
        for market in self.markets:
            self._tape(market, at_ms // self.day_ms)
            self._fair(market, at_ms // self.day_ms)
            self._interest(market, at_ms // self.day_ms)

    def book(self, market: Market, at_ms: int) -> Book:
        """The order book at an instant, in the market's ticks and steps."""
        tape, last = self._last_trade(market, at_ms)
        step_ms = at_ms // BOOK_STEP_MS * BOOK_STEP_MS
        inside = tape.at_ms[np.searchsorted(tape.at_ms, step_ms) : last + 1]
        return book_at(
            self._shape(market),
            int(tape.trade_id[last]),
            int(tape.price[last]),
            seller_took=bool(tape.seller_took[last]),
            at_ms=at_ms,
            update_id=int(update_ids(inside)[-1]) if len(inside) else step_ms // BOOK_STEP_MS * UPDATES_PER_STEP,
        )

    def trades(self, market: Market, first_ms: int, last_ms: int) -> list[BackgroundTrade]:
        """Trades in [first, last), in order."""
        found = []
        for tape in self.tapes(market, first_ms, last_ms):
            for trade_id, at_ms, price, quantity, seller_took in zip(
                *(column.tolist() for column in (tape.trade_id, tape.at_ms, tape.price, tape.quantity)),
                tape.seller_took.tolist(),
                strict=True,
            ):
                found.append(
                    BackgroundTrade(
                        trade_id=trade_id,
                        at_ms=at_ms,
                        taker=Side.SELL if seller_took else Side.BUY,
                        quantums=quantity * market.step_base_quantums,
                        subticks=price * market.subticks_per_tick,
                    )
                )
        return found

    def tapes(self, market: Market, first_ms: int, last_ms: int) -> list[Tape]:
        """The tape in [first, last), one piece for each day of the market that it touches, oldest first."""
        days = range(first_ms // self.day_ms, -(-last_ms // self.day_ms))
        return [self._tape(market, day).between(first_ms, last_ms) for day in days]

    def mids(self, market: Market, at_ms: Integers) -> Integers:
        """Twice the middle of the best prices at some instants, ticks; int64, one element an instant."""
        rows = [self._last_trade(market, int(each)) for each in at_ms]
        last = Trades(
            trade_id=np.array([tape.trade_id[i] for tape, i in rows], np.int64),
            traded_at_ms=np.asarray(at_ms, np.int64),
            price=np.array([tape.price[i] for tape, i in rows], np.int64),
            quantity=np.ones(len(rows), np.int64),
            buyer_is_maker=np.array([tape.seller_took[i] for tape, i in rows], np.bool_),
        )
        quotes = quotes_of(self._shape(market), last)
        return quotes.bid + quotes.ask

    def volume(self, market: Market, first_ms: int, last_ms: int) -> tuple[int, int]:
        """Money (ticks × steps) and number of the background's trades in [first, last)."""
        money = trades = 0
        for day in range(first_ms // self.day_ms, -(-last_ms // self.day_ms)):
            tape = self._tape(market, day)
            start, stop = np.searchsorted(tape.at_ms, [first_ms, last_ms])
            money += int(tape.money_before[stop] - tape.money_before[start])
            trades += int(stop - start)
        return money, trades

    def oracle_e8(self, market: Market, at_ms: int) -> int:
        """Oracle price in 1e-8 USDC: the index at the start of the raw bar."""
        fair, row = self._last_fair(market, at_ms)
        return int(fair.index_e8[row])

    def open_interest(self, market: Market, at_ms: int) -> int:
        """Base quantums open in the background."""
        for day in range(at_ms // self.day_ms, at_ms // self.day_ms - _DAYS_BACK, -1):
            interest = self._interest(market, day)
            row = int(np.searchsorted(interest.at_ms, at_ms, side="right")) - 1
            if row >= 0:
                return int(interest.quantums[row])
        return 0

    def funding_rate_e12(self, market: Market, settled_at_ms: int) -> int:
        """Rate of the interval that ends at an instant: an eighth of its average premium, in 1e-12."""
        return self._rate_e12(market, settled_at_ms - self.funding_interval_ms, settled_at_ms)

    def next_funding_rate_e12(self, market: Market, at_ms: int) -> int:
        """What the premium so far would make of the interval that an instant lies in, in 1e-12."""
        return self._rate_e12(market, at_ms // self.funding_interval_ms * self.funding_interval_ms, at_ms + 1)

    def _rate_e12(self, market: Market, first_ms: int, last_ms: int) -> int:
        total, count = 0.0, 0
        for day in range(first_ms // self.day_ms, -(-last_ms // self.day_ms)):
            fair = self._fair(market, day)
            start, stop = np.searchsorted(fair.at_ms, [first_ms, last_ms])
            total += float(fair.premium[start:stop].sum())
            count += int(stop - start)
        bound = _CLAMP * (market.initial_margin_ppm - market.maintenance_margin_ppm) / 1e6
        rate = min(bound, max(-bound, total / count)) if count else 0.0
        return round(rate / _FUNDING_SHARE * 1e12)

    def _shape(self, market: Market) -> BookShape:
        price = float(self._instruments[market.instrument_id].start_price)
        return BookShape(
            key=self._keys[market.instrument_id],
            mean_lots=max(1.0, _LEVEL_USDC / (price * float(market.step))),
            longest_life_steps=max(1, self.source.raw_interval_ms // BOOK_STEP_MS),
        )

    def _last_trade(self, market: Market, at_ms: int) -> tuple[Tape, int]:
        """The last trade at or before an instant: its day's tape, and where it is in it.

        Just before the source begins it is the first one, so that the first book has prices.
        """
        for day in self._days_back(at_ms):
            tape = self._tape(market, day)
            last = int(np.searchsorted(tape.at_ms, at_ms, side="right")) - 1
            if last >= 0:
                return tape, last
        for day in self._days_ahead(at_ms):
            if len(self._tape(market, day)):
                return self._tape(market, day), 0
        raise self._nothing("trade", market, at_ms)

    def _last_fair(self, market: Market, at_ms: int) -> tuple[_Fair, int]:
        """The same of index prices."""
        for day in self._days_back(at_ms):
            fair = self._fair(market, day)
            last = int(np.searchsorted(fair.at_ms, at_ms, side="right")) - 1
            if last >= 0:
                return fair, last
        for day in self._days_ahead(at_ms):
            if len(self._fair(market, day).at_ms):
                return self._fair(market, day), 0
        raise self._nothing("index price", market, at_ms)

    def _days_back(self, at_ms: int) -> range:
        today = at_ms // self.day_ms
        return range(today, today - _DAYS_BACK, -1)

    def _days_ahead(self, at_ms: int) -> range:
        today = at_ms // self.day_ms
        return range(today, today + 2)

    def _nothing(self, what: str, market: Market, at_ms: int) -> SimulationError:
        return SimulationError(
            f"dYdX {market.ticker}: expected a {what} within {_DAYS_BACK} days of the market before "
            f"{instant(at_ms).isoformat()}, found none. Ask inside the source's span, {self.source.span_ms}."
        )

    def _tape(self, market: Market, day: int) -> Tape:
        return self._kept(self._tapes, self._make_tape, market, day)

    def _fair(self, market: Market, day: int) -> _Fair:
        return self._kept(self._fairs, self._make_fair, market, day)

    def _interest(self, market: Market, day: int) -> _Interest:
        return self._kept(self._interests, self._make_interest, market, day)

    def _kept[Value](
        self, kept: dict[tuple[str, int], Value], make: Callable[[Market, int], Value], market: Market, day: int
    ) -> Value:
        """A day of a market, made if it is not kept."""
        name = (market.instrument_id, day)
        found = kept.get(name)
        if found is None:
            found = kept[name] = make(market, day)
            _forget(kept, _KEPT_DAYS * len(self.markets))
        return found

    def _make_tape(self, market: Market, day: int) -> Tape:
        instrument = self._instruments[market.instrument_id]
        trades = self.source.trades(market.instrument_id, *map(instant, self._span(day)))
        return thin(
            trades,
            self._keys[market.instrument_id],
            share=SHARE_OF_TRADES,
            ticks=float(instrument.tick / market.tick),
            steps=SHARE_OF_QUANTITY * float(instrument.lot / market.step),
            raw_interval_ms=self.source.raw_interval_ms,
        )

    def _make_fair(self, market: Market, day: int) -> _Fair:
        first, last = map(instant, self._span(day))
        fair = self.source.fair_prices(market.instrument_id, first, last)
        basis = basis_at(fair.at_ms, self._keys[market.instrument_id], self.source.raw_interval_ms)
        decimals = min(_ORACLE_DECIMALS, 15 + market.atomic_resolution)
        return _Fair(
            at_ms=fair.at_ms,
            index_e8=np.rint(fair.index_price * 10.0**decimals).astype(np.int64) * 10 ** (_ORACLE_DECIMALS - decimals),
            premium=(1.0 + fair.premium) * (1.0 + basis) - 1.0,
        )

    def _make_interest(self, market: Market, day: int) -> _Interest:
        interest = self.source.open_interest(market.instrument_id, *map(instant, self._span(day)))
        lot = self._instruments[market.instrument_id].lot
        steps = np.rint(interest.open_interest * (SHARE_OF_QUANTITY * float(lot / market.step))).astype(np.int64)
        return _Interest(at_ms=interest.measured_at_ms, quantums=np.maximum(1, steps) * market.step_base_quantums)

    def _span(self, day: int) -> tuple[int, int]:
        """A day of the market, cut where the source ends."""
        first, last = day * self.day_ms, (day + 1) * self.day_ms
        if self.source.span_ms is None:
            return first, last
        start, end = self.source.span_ms
        return min(max(first, start), end), max(min(last, end), start)


def _forget[Value](kept: dict[tuple[str, int], Value], most: int) -> None:
    """Let go of the oldest days: who reads history passes over them, the latest are asked for all the time."""
    while len(kept) > most:
        # Other threads put days in meanwhile: the oldest is looked for in a copy, which is made at once.
        kept.pop(min(tuple(kept), key=lambda name: name[1]), None)
