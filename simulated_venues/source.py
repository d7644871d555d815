"""Where a venue's prices come from: one interface over the simulated market and over recorded real data.

Everything that a source answers is the *background*: it is the same whoever asks, whenever, and never reacts to an
account. Spans are half open, [first, last).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulated_venues.bars import Bars, Trades
from simulated_venues.settings import SimulatedInstrument

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

BOOK_STEP_MS = 100
"""Books change at multiples of this, of the venue's clock, and their best prices also at each trade."""

UPDATES_PER_STEP = 1_000
"""Update ids that a step of the book has: one per trade in it, and its last for the step itself."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """One side of a book, best price first.

    Attributes:
        price: int64, ticks.
        quantity: int64, lots, at least 1.
        since_ms: int64, when this quantity was set; the level's priority in time, and what names it: what an account
            took of a level stays taken until a later `since_ms` stands at its price.
    """

    price: Integers
    quantity: Integers
    since_ms: Integers

    def __len__(self) -> int:
        return len(self.price)


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """The background's order book at an instant.

    Attributes:
        at_ms: milliseconds since 1970.
        update_id: grows with time; the id of the last change at or before `at_ms`.
        bids, asks: the two sides; the best bid is below the best ask.
    """

    at_ms: int
    update_id: int
    bids: Levels
    asks: Levels


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotes:
    """Best prices from just before each trade on: one element a trade, in order of time.

    A trade in which the seller took is at `bid`, the others are at `ask`.

    Attributes:
        at_ms, update_id, bid, ask, bid_quantity, ask_quantity: int64; ticks and lots.
    """

    at_ms: Integers
    update_id: Integers
    bid: Integers
    ask: Integers
    bid_quantity: Integers
    ask_quantity: Integers


class MarketSource(Protocol):
    """The background of every instrument of a venue."""

    @property
    def instruments(self) -> tuple[SimulatedInstrument, ...]:
        """What trades."""

    @property
    def raw_interval_ms(self) -> int:
        """Length of a raw bar; 60,000 at natural speed, 1,000 in a world 60 times as fast."""

    @property
    def identity(self) -> str:
        """Names the prices: equal identities give equal answers."""

    @property
    def span_ms(self) -> tuple[int, int] | None:
        """First instant and end of what there is; None for a source without ends."""

    def bars(self, instrument_id: str, first: datetime, last: datetime, *, raw_bars: int) -> Bars:
        """Bars of `raw_bars` raw bars that open in the span, at multiples of their length since 1970."""

    def trades(self, instrument_id: str, first: datetime, last: datetime) -> Trades:
        """Trades in the span."""

    def quotes(self, instrument_id: str, first: datetime, last: datetime) -> Quotes:
        """Best prices with each trade in the span."""

    def book(self, instrument_id: str, at: datetime) -> Book:
        """The book at an instant."""

    def settlements(self, instrument_id: str, first: datetime, last: datetime) -> Settlements:
        """Funding settled in the span."""

    def fair_prices(self, instrument_id: str, first: datetime, last: datetime) -> FairPrices:
        """Premium, index and mark at the raw bars' starts in the span."""

    def open_interest(self, instrument_id: str, first: datetime, last: datetime) -> OpenInterest:
        """Open interest measured in the span."""
