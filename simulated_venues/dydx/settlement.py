"""What a match does: money, positions, fees and volume of the accounts in it, and the events that tell of it.

Nothing happens unless every account in the match may go to where it leads (`margin.is_allowed`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from simulated_venues.dydx.accounts import Accounts
from simulated_venues.dydx.block import Block
from simulated_venues.dydx.fees import Volumes, fee_quote_quantums
from simulated_venues.dydx.liquidation import LiquidationFill, insurance_quote_quantums
from simulated_venues.dydx.margin import Risk, is_allowed, risk_of
from simulated_venues.dydx.numbering import fill_uuid
from simulated_venues.dydx.orders import Orders
from simulated_venues.dydx.part import LIMIT, LIQUIDATED, LIQUIDATION, TAKER, Part
from simulated_venues.dydx.positions import PositionFill, after_fill
from simulated_venues.dydx.records import (
    BalanceChanged,
    Filled,
    Market,
    MarketTraded,
    OrderChanged,
    OrderStatus,
    PositionChanged,
    RemovalReason,
    Side,
    SubaccountId,
)
from simulated_venues.dydx.state import House, Volume, Working


@dataclass(slots=True)
class Settlement:
    """Carries matches out.

    Attributes:
        markets: by CLOB pair id.
        interval_ms: funding interval, over which volume is counted.
    """

    markets: Mapping[int, Market]
    accounts: Accounts
    orders: Orders
    volumes: Volumes
    interval_ms: int

    def risk(
        self, block: Block, subaccount: SubaccountId, *, usdc: int = 0, clob_pair_id: int = -1, quantums: int = 0
    ) -> Risk:
        """Risk of a subaccount, with some USDC and a part of a position more than it has."""
        held = []
        for pair, position in self.accounts.holdings(subaccount).items():
            market, size = self.markets[pair], position.quantums
            if pair == clob_pair_id:
                size, quantums = size + quantums, 0
            held.append((market, size, block.oracle_e8(market)))
        if quantums:
            market = self.markets[clob_pair_id]
            held.append((market, quantums, block.oracle_e8(market)))
        return risk_of(self.accounts.balance(subaccount) + usdc, held)

    def may_trade(
        self, block: Block, subaccount: SubaccountId, market: Market, *, quantums: int, quote_quantums: int
    ) -> bool:
        """Whether a subaccount may get signed quantums and (signed) quote quantums."""
        after = self.risk(block, subaccount, usdc=quote_quantums, clob_pair_id=market.clob_pair_id, quantums=quantums)
        return after.equity >= after.initial or is_allowed(self.risk(block, subaccount), after)

    def reducible(self, part: Part, quantums: int) -> int:
        """What of a quantity a part may have: all, but what reduces its position if it is reduce-only."""
        if part.working is None or not part.working.order.reduce_only:
            return quantums
        held = self.accounts.holding(part.subaccount, part.working.order.order_id.clob_pair_id)
        return min(quantums, max(0, -part.signed(1) * held))

    def match(
        self,
        block: Block,
        market: Market,
        parts: tuple[Part, ...],
        quantums: int,
        subticks: int,
        *,
        on_tape: bool = False,
    ) -> Part | None:
        """Settle a match of one account with the background, or of two accounts.

        Args:
            block: in which it happens.
            market: where.
            parts: the taker first, if it is an account.
            quantums: how much.
            subticks: the price.
            on_tape: the background's tape already has this trade.

        Returns:
            The part that can't afford it, in which case nothing has happened; None if it is done.
        """
        quote = market.quote_quantums(quantums, subticks)
        for part in parts:
            if not self._charge(block, market, part, quantums, quote):
                return part
        event = block.next_event_id()
        for part in parts:
            self._fill(block, market, part, quantums, subticks, event)
        if not on_tape:
            self._tell_trade(block, market, parts[0], quantums, subticks, event)
        for part in parts:
            self._cancel_reduce_only(block, part, market.clob_pair_id)
        return None

    def remove(self, block: Block, working: Working, reason: RemovalReason) -> None:
        """Take an order off the book, or out of those that wait, and tell why."""
        self.orders.remove(working)
        self.tell_removed(block, working, reason)

    def tell_removed(self, block: Block, working: Working, reason: RemovalReason) -> None:
        """Tell that an order is gone: for a short-term one first as the validator knows it, then on chain."""
        if working.is_short_term:
            self.tell(block, working, OrderStatus.BEST_EFFORT_CANCELED, reason, on_chain=False)
        self.tell(block, working, OrderStatus.CANCELED, reason)

    def tell(
        self,
        block: Block,
        working: Working,
        status: OrderStatus,
        reason: RemovalReason | None = None,
        *,
        on_chain: bool = True,
    ) -> None:
        """Tell an order's status."""
        block.events.append(
            OrderChanged(
                order=working.order,
                status=status,
                filled_quantums=working.filled_quantums,
                removal_reason=reason,
                on_chain=on_chain,
                moment=block.moment,
            )
        )

    def tell_balance(self, block: Block, subaccount: SubaccountId) -> None:
        """Tell a subaccount's USDC."""
        block.events.append(
            BalanceChanged(subaccount=subaccount, quote_quantums=self.accounts.balance(subaccount), moment=block.moment)
        )

    def _charge(self, block: Block, market: Market, part: Part, quantums: int, quote: int) -> bool:
        """Set a part's fee; whether it can afford the match. A liquidated account is not asked."""
        if part.working is None:
            self._charge_liquidated(block, market, part, LiquidationFill(quantums=quantums, quote_quantums=quote))
            return True
        tier = self.volumes.tier(part.subaccount.owner)
        ppm = tier.taker_ppm if part.liquidity == TAKER else tier.maker_ppm
        # The protocol gives no rebate to those who stand against a liquidation, which pays no trading fee.
        part.fee = fee_quote_quantums(quote, max(0, ppm) if part.kind == LIQUIDATION else ppm)
        return self.may_trade(
            block,
            part.subaccount,
            market,
            quantums=part.signed(quantums),
            quote_quantums=-part.signed(quote) - part.fee,
        )

    def _charge_liquidated(self, block: Block, market: Market, part: Part, fill: LiquidationFill) -> None:
        position, risk = self.accounts.position(part.subaccount, market.clob_pair_id), self.risk(block, part.subaccount)
        if position is not None:
            part.fee = insurance_quote_quantums(market, position, block.oracle_e8(market), risk, fill)

    def _fill(self, block: Block, market: Market, part: Part, quantums: int, subticks: int, event: str) -> None:
        quote, accounts, subaccount = market.quote_quantums(quantums, subticks), self.accounts, part.subaccount
        before = accounts.position(subaccount, market.clob_pair_id)
        block.events.append(
            Filled(
                fill_id=fill_uuid(event, part.liquidity),
                event_id=event,
                subaccount=subaccount,
                order=part.working.order if part.working is not None else None,
                clob_pair_id=market.clob_pair_id,
                side=part.side,
                liquidity=part.liquidity,
                kind=part.kind,
                quantums=quantums,
                subticks=subticks,
                quote_quantums=quote,
                fee_quote_quantums=part.fee,
                position_before=before.quantums if before is not None else 0,
                moment=block.moment,
            )
        )
        accounts.move(subaccount, House.BACKGROUND, part.signed(quote))
        accounts.move(subaccount, House.FEE_COLLECTOR if part.working is not None else House.INSURANCE_FUND, part.fee)
        fill = PositionFill(
            subaccount=subaccount,
            market=market,
            quantums=part.signed(quantums),
            subticks=subticks,
            event_id=event,
            moment=block.moment,
        )
        for position in after_fill(before, fill):
            accounts.put_position(position)
            block.events.append(PositionChanged(position=position, moment=block.moment))
        self.tell_balance(block, subaccount)
        self.volumes.add(
            Volume(
                owner=subaccount.owner,
                interval=block.moment.at_ms // self.interval_ms,
                quote_quantums=quote,
                taker_quote_quantums=quote if part.liquidity == TAKER else 0,
            )
        )
        part.wanted -= quantums
        if part.working is not None:
            self._fill_order(block, part.working, part.liquidity, quantums)

    def _fill_order(self, block: Block, working: Working, liquidity: str, quantums: int) -> None:
        """Count a fill to its order; a taker's status is told by whoever placed it, when it is through."""
        working.filled_quantums += quantums
        if liquidity == TAKER:
            return
        if working.remaining:
            self.orders.working.touch(working.order.order_id)
            self.tell(block, working, OrderStatus.OPEN)
        else:
            self.orders.remove(working)
            self.tell(block, working, OrderStatus.FILLED)

    def _tell_trade(self, block: Block, market: Market, taker: Part, quantums: int, subticks: int, event: str) -> None:
        """Tell a match; if the only account is the maker, the background took the other side."""
        bought = (taker.side is Side.BUY) == (taker.liquidity == TAKER)
        block.events.append(
            MarketTraded(
                trade_id=event,
                clob_pair_id=market.clob_pair_id,
                taker=Side.BUY if bought else Side.SELL,
                quantums=quantums,
                subticks=subticks,
                kind=LIQUIDATED if taker.kind == LIQUIDATED else LIMIT,
                moment=block.moment,
            )
        )

    def _cancel_reduce_only(self, block: Block, part: Part, clob_pair_id: int) -> None:
        """Remove the resting reduce-only orders of a position that has closed or changed sides."""
        for working in self.orders.reducing(part.subaccount, clob_pair_id):
            if not self.reducible(Part.maker(working), working.remaining):
                self.remove(block, working, RemovalReason.REDUCE_ONLY_RESIZE)
