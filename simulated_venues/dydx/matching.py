"""Matching: takers against the merged book, resting orders against the background's trades and prices.

The merged book is the accounts' resting orders and the background's levels, by price and then time: an order's time is
the block in which it began to rest, a level's its `since_ms`; a level stands before an order of the same time. A fill
is at the maker's price.

A resting order also has a place in the queue for the background's trades: behind what the background showed at its
price when the order came (`ahead_quantums`), which later levels can only make shorter. Background trades at its price
fill it after that, trades beyond its price at once, each within its own quantity. Where the background's own prices
come to cross it without a trade, it is filled at its price by the levels that cross.
"""

from dataclasses import dataclass
from typing import NamedTuple

from simulated_venues.dydx.block import Block
from simulated_venues.dydx.liquidity import DisplayedSide, Liquidity
from simulated_venues.dydx.orders import OTHER_SIDE, Orders, crosses
from simulated_venues.dydx.part import Part
from simulated_venues.dydx.records import BackgroundTrade, Market, RemovalReason, Side
from simulated_venues.dydx.settlement import Settlement
from simulated_venues.dydx.state import Working


class _Offer(NamedTuple):
    """The best that a taker can have: an account's order, or the background's level at a place."""

    subticks: int
    quantums: int
    maker: Working | None
    place: int


@dataclass(slots=True)
class Matching:
    """Matches orders of a block; what they lead to is settled by `settlement`."""

    orders: Orders
    liquidity: Liquidity
    settlement: Settlement

    def would_cross(self, block: Block, market: Market, working: Working) -> bool:
        """Whether an order would take something as it comes."""
        return self._best_offer(block, market, Part.taker(working)) is not None

    def take(self, block: Block, market: Market, taker: Part) -> RemovalReason | None:
        """Fill a taker as far as price, quantity and money allow.

        Returns:
            Why the taker must not go on (nothing of it may rest), or None.
        """
        left = block.fillable(market, taker.wanted, self._at_hand(block, market, taker))
        while left > 0:
            offer = self._best_offer(block, market, taker)
            if offer is None:
                return None
            if offer.maker is not None and offer.maker.order.order_id.subaccount == taker.subaccount:
                self.settlement.remove(block, offer.maker, RemovalReason.SELF_TRADE)
                continue
            quantums = self.settlement.reducible(taker, min(left, offer.quantums))
            if not quantums:
                return RemovalReason.REDUCE_ONLY_RESIZE
            if offer.maker is None:
                filled = self._take_level(block, market, taker, offer, quantums)
            else:
                filled = self._take_order(block, market, taker, offer.maker, quantums)
            if filled is None:
                return RemovalReason.UNDERCOLLATERALIZED
            left -= filled
        return None

    def rest(self, block: Block, market: Market, working: Working) -> None:
        """Put an order on the book, behind what the background shows at its price."""
        working.height, working.place = block.moment.height, block.next_place()
        working.since_ms = block.moment.at_ms
        shown = self.liquidity.side(block, market, working.order.side)
        working.ahead_quantums = shown.at(working.order.subticks)
        self.orders.add(working)

    def fill_from_tape(self, block: Block, market: Market, trades: list[BackgroundTrade]) -> None:
        """Background trades fill what rests, in order of time."""
        for trade in trades:
            book = self.orders.book(market.clob_pair_id, OTHER_SIDE[trade.taker])
            best = book.best()
            if best is not None and not _is_worse(best, trade.subticks):
                self._fill_from_trade(block, market, trade, book.at_or_better(trade.subticks))

    def fill_crossed(self, block: Block, market: Market) -> None:
        """The background's prices fill the resting orders that they cross, each at its own price."""
        for side in Side:
            book = self.orders.book(market.clob_pair_id, side)
            if not book:
                continue
            levels = self.liquidity.side(block, market, OTHER_SIDE[side])
            place = levels.best()
            best = book.best()
            if place is None or best is None or not crosses(best.order, levels.subticks[place]):
                continue
            for working in book.at_or_better(levels.subticks[place]):
                self._fill_from_levels(block, market, working, levels)

    def fill_whole(self, block: Block, market: Market, working: Working) -> None:
        """The background takes what is left of a resting order at its price, whatever the background's prices are."""
        self._fill_resting(block, market, working, working.remaining, on_tape=False)

    def shorten_queues(self, block: Block, market: Market) -> None:
        """What stands before a resting order is at most what the background shows at its price now."""
        for side in Side:
            book = self.orders.book(market.clob_pair_id, side)
            if not book:
                continue
            levels = self.liquidity.side(block, market, side)
            for working in book:
                if working.ahead_quantums and working.ahead_quantums > levels.at(working.order.subticks):
                    working.ahead_quantums = levels.at(working.order.subticks)
                    self.orders.working.touch(working.order.order_id)

    def _best_offer(self, block: Block, market: Market, taker: Part) -> _Offer | None:
        other = OTHER_SIDE[taker.side]
        maker = self.orders.book(market.clob_pair_id, other).best()
        levels = self.liquidity.side(block, market, other)
        place = levels.best()
        if place is not None and (maker is None or _level_is_first(levels, place, maker)):
            offer = _Offer(levels.subticks[place], levels.quantums[place], None, place)
        elif maker is not None:
            offer = _Offer(maker.order.subticks, maker.remaining, maker, 0)
        else:
            return None
        return offer if taker.would_take(offer.subticks) else None

    def _at_hand(self, block: Block, market: Market, taker: Part) -> int:
        """What a taker could be filled of all that is offered to it."""
        other = OTHER_SIDE[taker.side]
        offered = self.liquidity.side(block, market, other).within(taker.would_take)
        for maker in self.orders.book(market.clob_pair_id, other):
            if not taker.would_take(maker.order.subticks):
                break
            if maker.order.order_id.subaccount != taker.subaccount:
                offered += maker.remaining
        return self.settlement.reducible(taker, min(taker.wanted, offered))

    def _take_level(self, block: Block, market: Market, taker: Part, offer: _Offer, quantums: int) -> int | None:
        """Quantums taken from the background; None if the taker can't afford them."""
        if self.settlement.match(block, market, (taker,), quantums, offer.subticks) is not None:
            return None
        levels = self.liquidity.side(block, market, OTHER_SIDE[taker.side])
        self.liquidity.take(block, levels, offer.place, quantums)
        return quantums

    def _take_order(self, block: Block, market: Market, taker: Part, maker: Working, quantums: int) -> int | None:
        """Quantums taken from an account's order, 0 if it had to go; None if the taker can't afford them."""
        part = Part.maker(maker, against_liquidation=taker.working is None)
        quantums = self.settlement.reducible(part, quantums)
        if not quantums:
            self.settlement.remove(block, maker, RemovalReason.REDUCE_ONLY_RESIZE)
            return 0
        failed = self.settlement.match(block, market, (taker, part), quantums, maker.order.subticks)
        if failed is taker:
            return None
        if failed is part:
            self.settlement.remove(block, maker, RemovalReason.UNDERCOLLATERALIZED)
            return 0
        return quantums

    def _fill_from_trade(self, block: Block, market: Market, trade: BackgroundTrade, queue: list[Working]) -> None:
        """One trade: first what is beyond its price, then, at its price, what stands before an order before it."""
        left, passed = trade.quantums, 0
        for working in queue:
            if working.order.good_til_seconds is not None and trade.at_ms >= working.order.good_til_seconds * 1_000:
                continue
            if working.order.subticks != trade.subticks:
                working.ahead_quantums = 0
            else:
                before = min(left, max(0, working.ahead_quantums - passed))
                left, passed = left - before, passed + before
                working.ahead_quantums = max(0, working.ahead_quantums - passed)
            self.orders.working.touch(working.order.order_id)
            if left and not working.ahead_quantums:
                left -= self._fill_resting(block, market, working, left, on_tape=True)

    def _fill_from_levels(self, block: Block, market: Market, working: Working, levels: DisplayedSide) -> None:
        part = Part.maker(working)
        at_hand = self.settlement.reducible(part, min(working.remaining, levels.within(part.would_take)))
        left = block.fillable(market, working.remaining, at_hand)
        while left > 0:
            place = levels.best()
            if place is None or not crosses(working.order, levels.subticks[place]):
                return
            quantums = min(left, levels.quantums[place])
            filled = self._fill_resting(block, market, working, quantums, on_tape=False)
            if not filled:
                return
            self.liquidity.take(block, levels, place, filled)
            left -= filled

    def _fill_resting(self, block: Block, market: Market, working: Working, offered: int, *, on_tape: bool) -> int:
        """The background takes from a resting order at its price; 0 if the order is gone or had to go."""
        if self.orders.working.get(working.order.order_id) is not working:
            return 0
        part = Part.maker(working)
        quantums = self.settlement.reducible(part, min(offered, working.remaining))
        if on_tape:
            quantums = block.fillable(market, quantums, quantums)
        if not quantums:
            self.settlement.remove(block, working, RemovalReason.REDUCE_ONLY_RESIZE)
            return 0
        failed = self.settlement.match(block, market, (part,), quantums, working.order.subticks, on_tape=on_tape)
        if failed is not None:
            self.settlement.remove(block, working, RemovalReason.UNDERCOLLATERALIZED)
            return 0
        return quantums


def _level_is_first(levels: DisplayedSide, place: int, maker: Working) -> bool:
    """Whether a level of the background stands before an account's order on the same side."""
    level, order = levels.subticks[place], maker.order.subticks
    if level == order:
        return levels.since_ms[place] <= maker.since_ms
    return level > order if levels.side is Side.BUY else level < order


def _is_worse(working: Working, subticks: int) -> bool:
    """Whether a resting order asks more, or bids less, than a trade's price."""
    order = working.order
    return order.subticks < subticks if order.side is Side.BUY else order.subticks > subticks
