"""What must hold for an order, a cancel or a withdrawal before it is carried out.

CheckTx asks this, and the block again. Source: v4-chain x/clob/memclob `validateNewOrder`, x/clob/keeper/orders.go
`PlaceStatefulOrder`, x/clob/keeper/equity_tier_limit.go.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor

from simulated_venues.dydx.block import Block
from simulated_venues.dydx.conditional import oracle_subticks
from simulated_venues.dydx.equity_tiers import stateful_limit
from simulated_venues.dydx.margin import is_allowed
from simulated_venues.dydx.matching import Matching
from simulated_venues.dydx.orders import Orders
from simulated_venues.dydx.part import Part
from simulated_venues.dydx.records import Market, Order, OrderFlags, OrderId, Side, SubaccountId, TimeInForce
from simulated_venues.dydx.refusals import Reason, Refused
from simulated_venues.dydx.settlement import Settlement
from simulated_venues.dydx.state import Working


@dataclass(slots=True)
class Preconditions:
    """Judges by the state as it is; changes nothing."""

    markets: Mapping[int, Market]
    orders: Orders
    settlement: Settlement
    matching: Matching

    def check(self, order: Order, block: Block) -> None:
        """Refuse an order that can't be placed in a block.

        Raises:
            Refused: with the CLOB's code.
        """
        if order.order_id.clob_pair_id not in self.markets:
            raise Refused(Reason.CLOB_PAIR, f"Clob {order.order_id.clob_pair_id} is not a valid clob")
        if order.order_id.flags == OrderFlags.SHORT_TERM:
            self._check_short_term(order, block)
        else:
            self._check_stateful(order, block)

    def check_cancel(self, order_id: OrderId, good_til_block: int | None) -> None:
        """Refuse a short-term cancel that is not later than one that is known.

        Raises:
            Refused: code 9 of the CLOB.
        """
        canceled = self.orders.canceled.get(order_id)
        if canceled is not None and good_til_block is not None and good_til_block <= canceled.good_til_block:
            raise Refused(Reason.CANCEL_EXISTS)

    def check_withdrawal(self, subaccount: SubaccountId, quote_quantums: int, block: Block) -> None:
        """Refuse to take from a subaccount what it needs for its positions, or does not have.

        Raises:
            Refused: by the subaccounts' module.
        """
        before = self.settlement.risk(block, subaccount)
        after = self.settlement.risk(block, subaccount, usdc=-quote_quantums)
        if not is_allowed(before, after):
            became = "StillUndercollateralized" if before.free_collateral < 0 else "NewlyUndercollateralized"
            raise Refused(
                Reason.SUBACCOUNT_UPDATE, f"Subaccount with id {subaccount.owner}/{subaccount.number} failed: {became}"
            )

    def may_rest(self, block: Block, order: Order, quantums: int) -> bool:
        """Whether an order's owner could afford it filled: at its limit, or the oracle price where that is worse."""
        market = self.markets[order.order_id.clob_pair_id]
        oracle = oracle_subticks(market, block.oracle_e8(market))
        if order.side is Side.BUY:
            signed, subticks = quantums, max(order.subticks, ceil(oracle))
        else:
            signed, subticks = -quantums, min(order.subticks, floor(oracle))
        return self.settlement.may_trade(
            block,
            order.order_id.subaccount,
            market,
            quantums=signed,
            quote_quantums=-market.quote_quantums(signed, subticks),
        )

    def _check_short_term(self, order: Order, block: Block) -> None:
        self._check_id(order)
        filled = self.orders.filled_quantums(order.order_id)
        if filled >= order.quantums:
            raise Refused(Reason.ORDER_FILLED, f"Order remaining amount is less than or equal to 0, filled {filled}")
        if filled and order.time_in_force is TimeInForce.IOC:
            raise Refused(Reason.IOC_FILLED, f"Order: {order.order_id}")
        working, market = Working(order=order, filled_quantums=filled), self.markets[order.order_id.clob_pair_id]
        if not self.settlement.reducible(Part.taker(working), working.remaining):
            raise Refused(Reason.REDUCE_ONLY_INCREASES)
        if order.time_in_force is TimeInForce.POST_ONLY and self.matching.would_cross(block, market, working):
            raise Refused(Reason.POST_ONLY_CROSSES)

    def _check_id(self, order: Order) -> None:
        """Refuse an id that is canceled, or in use by an order that does not end before this one."""
        end = order.good_til_block or 0
        canceled, existing = self.orders.canceled.get(order.order_id), self.orders.order(order.order_id)
        if canceled is not None and end <= canceled.good_til_block:
            raise Refused(
                Reason.ORDER_CANCELED,
                f"Order: {order.order_id}, Error: already canceled until {canceled.good_til_block}",
            )
        if existing == order:
            raise Refused(Reason.ORDER_REPROCESSED)
        if existing is not None and end <= (existing.good_til_block or 0):
            raise Refused(Reason.REPLACEMENT)

    def _check_stateful(self, order: Order, block: Block) -> None:
        existing, subaccount = self.orders.order(order.order_id), order.order_id.subaccount
        if existing is not None:
            raise Refused(
                Reason.STATEFUL_EXISTS,
                "A stateful order with this OrderId already exists and stateful order replacement is not supported. "
                f"Existing order GoodTilBlockTime ({existing.good_til_seconds}), New order GoodTilBlockTime "
                f"({order.good_til_seconds})",
            )
        limit = stateful_limit(self.settlement.risk(block, subaccount).equity)
        if self.orders.stateful_count(subaccount) >= limit:
            raise Refused(Reason.EQUITY_TIER, f"Opening order would exceed equity tier limit of {limit}")
        # A conditional order may be meant for a position that is not there yet: it is judged when it wakes.
        if order.order_id.flags == OrderFlags.LONG_TERM and not self.may_rest(block, order, order.quantums):
            raise Refused(Reason.STATEFUL_COLLATERAL, "PlaceStatefulOrder: result (NewlyUndercollateralized)")
