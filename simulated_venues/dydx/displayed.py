"""What accounts do to the order book that everybody sees: what they took is missing, what they let rest is there.

Taken from events alone, so a lagging indexer shows it late, as all else.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from simulated_venues.dydx.listing import Listing
from simulated_venues.dydx.records import (
    Event,
    Filled,
    Market,
    Moment,
    OrderChanged,
    OrderId,
    OrderStatus,
    Side,
    TimeInForce,
)
from simulated_venues.source import Levels

_SHOWN = (OrderStatus.OPEN, OrderStatus.BEST_EFFORT_OPENED)
_FORGET_MS = 86_400_000
"""No level stands for a day untouched."""

Level = tuple[int, Side, int]
"""CLOB pair id, side of the book (BUY for bids), ticks."""


@dataclass(slots=True)
class Displayed:
    """Levels of accounts, and what is left of the background's.

    Attributes:
        listing: the background.
        taken: since when the level stands, and how many of its steps are taken.
        resting: orders that rest, with their level and the steps that are left of them.
    """

    listing: Listing
    taken: dict[Level, tuple[int, int]] = field(default_factory=dict)
    resting: dict[OrderId, tuple[Level, int]] = field(default_factory=dict)

    def note_order(self, change: OrderChanged, market: Market) -> None:
        """An order has another status."""
        order = change.order
        left = (order.quantums - change.filled_quantums) // market.step_base_quantums
        if change.status in _SHOWN and order.time_in_force is not TimeInForce.IOC and left > 0:
            level = (market.clob_pair_id, order.side, order.subticks // market.subticks_per_tick)
            self.resting[order.order_id] = (level, left)
        else:
            self.resting.pop(order.order_id, None)

    def note_fills(self, events: Iterable[Event], moment: Moment) -> None:
        """A block's matches: what takers got and no other account gave was the background's."""
        pairs = {market.clob_pair_id: market for market in self.listing.markets}
        taken = Counter[tuple[str, Level]]()
        for fill in events:
            if isinstance(fill, Filled):
                takes = fill.liquidity == "TAKER"
                side = fill.side if not takes else Side.SELL if fill.side is Side.BUY else Side.BUY
                market = pairs[fill.clob_pair_id]
                level = (fill.clob_pair_id, side, fill.subticks // market.subticks_per_tick)
                taken[fill.event_id, level] += (fill.quantums // market.step_base_quantums) * (1 if takes else -1)
        for (_, level), steps in taken.items():
            if steps > 0:
                self._take(level, steps, pairs[level[0]], moment)

    def sides(self, market: Market, bids: Levels, asks: Levels) -> tuple[dict[int, int], dict[int, int]]:
        """Ticks → steps of the two sides as everybody sees them, best prices first."""
        bid, ask = self._left(market, Side.BUY, bids), self._left(market, Side.SELL, asks)
        best_bid, best_ask = max(bid, default=0), min(ask, default=2**62)
        for (pair, side, ticks), steps in self.resting.values():
            if pair != market.clob_pair_id:
                continue
            # One that crosses is about to be matched.
            if side is Side.BUY and ticks < best_ask:
                bid[ticks] = bid.get(ticks, 0) + steps
            elif side is Side.SELL and ticks > best_bid:
                ask[ticks] = ask.get(ticks, 0) + steps
        return dict(sorted(bid.items(), reverse=True)), dict(sorted(ask.items()))

    def _take(self, level: Level, steps: int, market: Market, moment: Moment) -> None:
        book = self.listing.book(market, moment.at_ms)
        levels = book.bids if level[1] is Side.BUY else book.asks
        for ticks, since_ms in zip(levels.price.tolist(), levels.since_ms.tolist(), strict=True):
            if ticks == level[2]:
                before = self.taken.get(level, (since_ms, 0))
                self.taken[level] = (since_ms, steps + (before[1] if before[0] == since_ms else 0))
        for old in [old for old, (since_ms, _) in self.taken.items() if since_ms < moment.at_ms - _FORGET_MS]:
            del self.taken[old]

    def _left(self, market: Market, side: Side, levels: Levels) -> dict[int, int]:
        left = dict(zip(levels.price.tolist(), levels.quantity.tolist(), strict=True))
        if not self.taken:
            return left
        for ticks, since_ms in zip(levels.price.tolist(), levels.since_ms.tolist(), strict=True):
            taken = self.taken.get((market.clob_pair_id, side, ticks))
            if taken is not None and taken[0] == since_ms:
                left[ticks] -= taken[1]
        return {ticks: steps for ticks, steps in left.items() if steps > 0}
