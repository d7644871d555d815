"""A block while it is made: its moment, what faults do to it, the prices it sees, and the events it gathers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from simulated_venues.dydx.numbering import event_id
from simulated_venues.dydx.records import Background, Event, Market, Moment
from simulated_venues.source import Book

PPM = 1_000_000
_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tampering:
    """What faults do to a block, by ticker.

    Attributes:
        fill_ppm: of what an order could be filled by a match with everything at hand, or a resting order by one trade,
            it gets this part, in millionths, rounded down to a step but one step at least; None: all of it. It is asked
            only when there is something to match.
        oracle_ppm: the oracle price is this many millionths of the true one.
    """

    fill_ppm: Callable[[str], int | None] = _NOTHING.get
    oracle_ppm: Mapping[str, int] = field(default_factory=lambda: _NOTHING)


UNTAMPERED = Tampering()


@dataclass(slots=True)
class Block:
    """Prices are asked for once and kept: they are the same for everything in the block."""

    moment: Moment
    background: Background
    tampering: Tampering
    events: list[Event] = field(default_factory=list)
    _places: int = 0
    _oracles: dict[int, int] = field(default_factory=dict)
    _books: dict[int, Book] = field(default_factory=dict)

    def next_place(self) -> int:
        """The next place in the block, from 0."""
        self._places += 1
        return self._places - 1

    def next_event_id(self) -> str:
        """Name of the next event in the block."""
        return event_id(self.moment.height, self.next_place())

    def take_events(self) -> list[Event]:
        """Events since they were last taken."""
        taken, self.events = self.events, []
        return taken

    def oracle_e8(self, market: Market) -> int:
        """Oracle price of the block."""
        price = self._oracles.get(market.clob_pair_id)
        if price is None:
            price = self._oracles[market.clob_pair_id] = self.oracle_at(market, self.moment.at_ms)
        return price

    def oracle_at(self, market: Market, at_ms: int) -> int:
        """Oracle price at another instant, with this block's faults; at least 1."""
        price = self.background.oracle_e8(market, at_ms)
        factor = self.tampering.oracle_ppm.get(market.ticker)
        return price if factor is None else max(1, price * factor // PPM)

    def book(self, market: Market) -> Book:
        """The background's book at the block's time."""
        book = self._books.get(market.clob_pair_id)
        if book is None:
            book = self._books[market.clob_pair_id] = self.background.book(market, self.moment.at_ms)
        return book

    def fillable(self, market: Market, wanted: int, at_hand: int) -> int:
        """What may be filled of what is wanted: all, but a part of what there is to match when a fault is on."""
        part = self.tampering.fill_ppm(market.ticker) if at_hand else None
        if part is None:
            return wanted
        step = market.step_base_quantums
        return min(at_hand, max(step, at_hand * part // PPM // step * step))
