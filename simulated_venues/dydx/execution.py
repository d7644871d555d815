"""How orders are carried out and what time does: between the exchange's calls and matching."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from simulated_venues.dydx import funding
from simulated_venues.dydx.block import Block
from simulated_venues.dydx.conditional import is_triggered
from simulated_venues.dydx.liquidation import liquidation_part
from simulated_venues.dydx.matching import Matching
from simulated_venues.dydx.memory import Memory
from simulated_venues.dydx.part import Part
from simulated_venues.dydx.preconditions import Preconditions
from simulated_venues.dydx.records import (
    Market,
    Moment,
    Order,
    OrderFlags,
    OrderStatus,
    RemovalReason,
    Side,
    TimeInForce,
)
from simulated_venues.dydx.settlement import Settlement
from simulated_venues.dydx.state import Working


@dataclass(slots=True, kw_only=True)
class Execution:
    """Carries orders out in a block, at once or when their time comes."""

    markets: Mapping[int, Market]
    memory: Memory
    settlement: Settlement
    matching: Matching
    preconditions: Preconditions

    def place(self, block: Block, order: Order) -> None:
        """An order that passed the preconditions is carried out: it takes, rests, waits, or is removed again."""
        order_id, orders = order.order_id, self.memory.orders
        working = Working(order=order, filled_quantums=orders.filled_quantums(order_id))
        replaced = orders.working.get(order_id)
        if replaced is not None:
            orders.remove(replaced)
        if order_id.flags == OrderFlags.CONDITIONAL:
            working.is_waiting, working.height, working.place = True, block.moment.height, block.next_place()
            orders.add(working)
            self.settlement.tell(block, working, OrderStatus.UNTRIGGERED)
            return
        if working.is_short_term:
            self.settlement.tell(block, working, OrderStatus.BEST_EFFORT_OPENED, on_chain=False)
        else:
            self.settlement.tell(block, working, OrderStatus.OPEN)
        self._execute(block, self.markets[order_id.clob_pair_id], working)

    def pass_time(self, block: Block, previous: Moment) -> None:
        """What happens by itself since the block before and as the new one begins; the order is the exchange's."""
        ended = self.memory.orders.expired(block.moment)
        self._end(block, [each for each in ended if each.is_short_term])
        self._pass_span(block, previous)
        self._end(block, [each for each in ended if not each.is_short_term])
        for market in self.markets.values():
            self.matching.fill_crossed(block, market)
            self.matching.shorten_queues(block, market)
            self._uncross(block, market)
        self._wake(block)
        self._liquidate(block)

    def _execute(self, block: Block, market: Market, working: Working) -> None:
        """An order takes what it can, then rests or is removed."""
        settlement = self.settlement
        reason = self._take(block, market, working)
        if not working.remaining:
            self.memory.orders.remember_filled(working)
            settlement.tell(block, working, OrderStatus.FILLED)
            return
        reason = reason or self._why_it_may_not_rest(block, working)
        if reason is not None:
            self.memory.orders.remember_filled(working)
            settlement.tell_removed(block, working, reason)
            return
        self.matching.rest(block, market, working)
        if working.filled_quantums:
            settlement.tell(block, working, OrderStatus.OPEN)

    def _why_it_may_not_rest(self, block: Block, working: Working) -> RemovalReason | None:
        order = working.order
        quantums = self.settlement.reducible(Part.taker(working), working.remaining)
        if not quantums:
            return RemovalReason.REDUCE_ONLY_RESIZE
        if order.time_in_force is TimeInForce.IOC:
            return RemovalReason.IOC_WOULD_REST
        if not self.preconditions.may_rest(block, order, quantums):
            return RemovalReason.UNDERCOLLATERALIZED
        return None

    def _take(self, block: Block, market: Market, working: Working) -> RemovalReason | None:
        """What an order takes as it comes; why nothing of it may rest, if so."""
        taker = Part.taker(working)
        if not self.settlement.reducible(taker, working.remaining):
            return RemovalReason.REDUCE_ONLY_RESIZE
        if working.order.time_in_force is not TimeInForce.POST_ONLY:
            return self.matching.take(block, market, taker)
        crossing = self.matching.would_cross(block, market, working)
        return RemovalReason.POST_ONLY_WOULD_CROSS if crossing else None

    def _uncross(self, block: Block, market: Market) -> None:
        """Accounts' orders that a fault kept from filling each other try again, the younger as taker."""
        bid, ask = (self.memory.orders.book(market.clob_pair_id, side).best() for side in Side)
        if bid is None or ask is None or bid.order.subticks < ask.order.subticks:
            return
        younger = max(bid, ask, key=lambda each: (each.height, each.place))
        self.memory.orders.remove(younger)
        self._execute(block, market, younger)

    def _pass_span(self, block: Block, previous: Moment) -> None:
        """Go through the time since the block before: background trades, and funding at its instants."""
        instants = funding.settlement_instants(previous, block.moment, block.background.funding_interval_ms)
        for first, last in pairwise((previous.at_ms, *instants, block.moment.at_ms)):
            for pair, market in self.markets.items():
                if self.memory.orders.rests(pair):
                    self.matching.fill_from_tape(block, market, block.background.trades(market, first + 1, last + 1))
            if last in instants and first < last:
                funding.settle(block, self.settlement, last)

    def _wake(self, block: Block) -> None:
        """Conditional orders whose trigger the oracle price has reached are carried out, oldest first."""
        for working in self.memory.orders.waiting():
            market = self.markets[working.order.order_id.clob_pair_id]
            if is_triggered(working.order, market, block.oracle_e8(market)):
                self.memory.orders.remove(working)
                working.is_waiting = False
                self.settlement.tell(block, working, OrderStatus.OPEN)
                self._execute(block, market, working)

    def _liquidate(self, block: Block) -> None:
        for subaccount in self.memory.accounts.holders_of_positions():
            for position in self.memory.accounts.positions_of(subaccount):
                risk = self.settlement.risk(block, subaccount)
                if not risk.is_liquidatable:
                    break
                market = self.markets[position.clob_pair_id]
                self.matching.take(block, market, liquidation_part(block, market, position, risk))

    def _end(self, block: Block, ended: list[Working]) -> None:
        """Orders whose time is over, if they are still there."""
        for working in ended:
            if self.memory.orders.working.get(working.order.order_id) is working:
                self.settlement.remove(block, working, RemovalReason.EXPIRED)
