"""What the background offers to accounts: its levels, less what accounts took of them.

What was taken stays taken until the level is set anew, which its `since_ms` shows. A level that is out of sight for a
while (the best price moved) and comes back with the same `since_ms` is the same level.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile

from simulated_venues.dydx.block import Block
from simulated_venues.dydx.records import LevelTaken, Market, Side
from simulated_venues.dydx.state import Table, Taken

_FORGET_MS = 86_400_000
"""No level stands for a day untouched."""


@dataclass(slots=True)
class DisplayedSide:
    """One side of the background's book in a block, best price first.

    Attributes:
        side: BUY for bids.
        subticks, since_ms: of each level.
        quantums: what is left of each level.
    """

    market: Market
    side: Side
    subticks: list[int]
    quantums: list[int]
    since_ms: list[int]
    _best: int = 0
    _places: dict[int, int] | None = None

    def best(self) -> int | None:
        """Place of the best level with something left."""
        while self._best < len(self.quantums):
            if self.quantums[self._best] > 0:
                return self._best
            self._best += 1
        return None

    def within(self, accepts: Callable[[int], bool]) -> int:
        """What is left of the levels whose prices somebody accepts."""
        first = self.best()
        if first is None:
            return 0
        found = takewhile(lambda place: accepts(self.subticks[place]), range(first, len(self.subticks)))
        return sum(self.quantums[place] for place in found)

    def at(self, subticks: int) -> int:
        """What is left at a price."""
        if self._places is None:
            self._places = {price: place for place, price in enumerate(self.subticks)}
        place = self._places.get(subticks)
        return 0 if place is None else self.quantums[place]


@dataclass(slots=True)
class Liquidity:
    """Levels as accounts see them, and what they took.

    Attributes:
        taken: (CLOB pair id, side, subticks) → what was taken there.
    """

    taken: Table[tuple[int, Side, int], Taken] = field(default_factory=Table)
    _block: Block | None = None
    _sides: dict[tuple[int, Side], DisplayedSide] = field(default_factory=dict)

    def side(self, block: Block, market: Market, side: Side) -> DisplayedSide:
        """Bids (BUY) or asks (SELL) of the background in a block; the same object for the whole block."""
        if block is not self._block:
            self._block = block
            self._sides = {}
        key = (market.clob_pair_id, side)
        displayed = self._sides.get(key)
        if displayed is None:
            displayed = self._sides[key] = self._displayed(block, market, side)
        return displayed

    def take(self, block: Block, displayed: DisplayedSide, place: int, quantums: int) -> None:
        """An account took a part of a level."""
        displayed.quantums[place] -= quantums
        subticks, since_ms = displayed.subticks[place], displayed.since_ms[place]
        key = (displayed.market.clob_pair_id, displayed.side, subticks)
        before = self.taken.get(key)
        already = before.quantums if before is not None and before.since_ms == since_ms else 0
        total = already + quantums
        self.taken.put(
            key,
            Taken(
                clob_pair_id=key[0],
                side=displayed.side,
                subticks=subticks,
                since_ms=since_ms,
                quantums=total,
                seen_ms=block.moment.at_ms,
            ),
        )
        block.events.append(
            LevelTaken(
                clob_pair_id=key[0],
                side=displayed.side,
                subticks=subticks,
                since_ms=since_ms,
                quantums=total,
                moment=block.moment,
            )
        )

    def forget_before(self, at_ms: int) -> None:
        """Drop what was taken so long ago that its level can't be there any more."""
        for key in [key for key, taken in self.taken.rows.items() if taken.seen_ms < at_ms - _FORGET_MS]:
            self.taken.drop(key)

    def _displayed(self, block: Block, market: Market, side: Side) -> DisplayedSide:
        book = block.book(market)
        levels = book.bids if side is Side.BUY else book.asks
        subticks = (levels.price * market.subticks_per_tick).tolist()
        quantums = (levels.quantity * market.step_base_quantums).tolist()
        since_ms = levels.since_ms.tolist()
        rows, pair = self.taken.rows, market.clob_pair_id
        for place, price in enumerate(subticks) if rows else ():
            taken = rows.get((pair, side, price))
            if taken is not None and taken.since_ms == since_ms[place]:
                quantums[place] = max(0, quantums[place] - taken.quantums)
        return DisplayedSide(market, side, subticks, quantums, since_ms)
