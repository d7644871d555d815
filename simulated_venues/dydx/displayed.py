"""What accounts do to the order book that everybody sees: what they took is missing, what they let rest is there.

Taken from events alone, so a lagging indexer shows it late, as all else.
"""

from dataclasses import dataclass, field

from simulated_venues.dydx.records import LevelTaken, Market, OrderChanged, OrderId, OrderStatus, Side, TimeInForce
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
        taken: what was last told of each level, in order of time.
        resting: orders that rest, with their level and the steps that are left of them.
    """

    taken: dict[Level, LevelTaken] = field(default_factory=dict)
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

    def note_taken(self, taken: LevelTaken, market: Market) -> None:
        """Accounts took from a level."""
        level = (taken.clob_pair_id, taken.side, taken.subticks // market.subticks_per_tick)
        self.taken.pop(level, None)
        self.taken[level] = taken
        while self.taken[oldest := next(iter(self.taken))].moment.at_ms < taken.moment.at_ms - _FORGET_MS:
            del self.taken[oldest]

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

    def _left(self, market: Market, side: Side, levels: Levels) -> dict[int, int]:
        left = dict(zip(levels.price.tolist(), levels.quantity.tolist(), strict=True))
        if not self.taken:
            return left
        for ticks, since_ms in zip(levels.price.tolist(), levels.since_ms.tolist(), strict=True):
            taken = self.taken.get((market.clob_pair_id, side, ticks))
            if taken is not None and taken.since_ms == since_ms:
                left[ticks] -= taken.quantums // market.step_base_quantums
        return {ticks: steps for ticks, steps in left.items() if steps > 0}
