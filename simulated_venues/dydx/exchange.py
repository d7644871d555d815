"""The exchange: orders, cancels, transfers and the passing of blocks become events; no clock, no input or output.

One object is one venue's accounts over one background. A block is made by `begin_block`, what happens by itself since
the block before, then `deposit`, `transfer`, `withdraw`, `place` and `cancel` in the order of its transactions, all
with the block's moment, then `take_changes`. Between blocks `check…` tell what the chain would refuse. Equal calls
give equal events and equal state, whether or not the exchange was restored in between.

In `begin_block`, in this order: short-term orders whose last block is past end; the span since the block before is gone
through from funding settlement to funding settlement, in each part background trades fill resting orders; stateful
orders whose time is over end; what the background's prices cross is filled; conditional orders wake by the block's
oracle prices; accounts below their maintenance requirement are liquidated.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from helios_pipeline.core.errors import SimulationError
from simulated_venues.dydx import funding
from simulated_venues.dydx.accounts import Accounts
from simulated_venues.dydx.block import UNTAMPERED, Block, Tampering
from simulated_venues.dydx.conditional import is_triggered
from simulated_venues.dydx.fees import MAINNET_TIERS, FeeTier, Volumes
from simulated_venues.dydx.liquidation import liquidation_part
from simulated_venues.dydx.liquidity import Liquidity
from simulated_venues.dydx.margin import Risk
from simulated_venues.dydx.matching import Matching
from simulated_venues.dydx.numbering import transfer_uuid
from simulated_venues.dydx.orders import Orders
from simulated_venues.dydx.part import Part
from simulated_venues.dydx.preconditions import Preconditions
from simulated_venues.dydx.records import (
    Background,
    Event,
    Market,
    Moment,
    Order,
    OrderFlags,
    OrderId,
    OrderStatus,
    Position,
    RemovalReason,
    Side,
    SubaccountId,
    TimeInForce,
    Transferred,
)
from simulated_venues.dydx.settlement import Settlement
from simulated_venues.dydx.state import (
    Balance,
    Canceled,
    Change,
    Finished,
    House,
    Row,
    Taken,
    Volume,
    Working,
    changes,
    holder_text,
    order_text,
)

_FORGET_EVERY_MS = 3_600_000


class Exchange:
    """Accounts, orders and matching of a simulated dYdX v4."""

    def __init__(
        self, markets: tuple[Market, ...], background: Background, *, fee_tiers: tuple[FeeTier, ...] = MAINNET_TIERS
    ) -> None:
        """An exchange without accounts.

        Args:
            markets: what trades.
            background: the market around the accounts.
            fee_tiers: what fills cost, from the lowest volume on.
        """
        self.markets = {market.clob_pair_id: market for market in markets}
        self._background = background
        self._accounts, self._orders, self._liquidity = Accounts(), Orders(), Liquidity()
        self._volumes = Volumes(fee_tiers)
        self._settlement = Settlement(
            self.markets, self._accounts, self._orders, self._volumes, background.funding_interval_ms
        )
        self._matching = Matching(self._orders, self._liquidity, self._settlement)
        self._preconditions = Preconditions(self.markets, self._orders, self._settlement, self._matching)
        self._block = Block(Moment(height=0, at_ms=0), background, UNTAMPERED)

    def begin_block(self, previous: Moment, moment: Moment, tampering: Tampering = UNTAMPERED) -> list[Event]:
        """What happens by itself between two blocks, and at the beginning of the second.

        Args:
            previous: the block before.
            moment: the new block.
            tampering: what faults do to the new block.

        Raises:
            SimulationError: `moment` is not after `previous`.
        """
        if moment.height <= previous.height or moment.at_ms <= previous.at_ms:
            raise SimulationError(f"dYdX block: expected one after {previous}, found {moment}. Stamp blocks in order.")
        block = self._block = Block(moment, self._background, tampering)
        self._forget(previous, moment)
        ended = self._orders.expired(moment)
        self._end([each for each in ended if each.is_short_term])
        self._pass_span(block, previous)
        self._end([each for each in ended if not each.is_short_term])
        for market in self.markets.values():
            self._matching.fill_crossed(block, market)
            self._matching.shorten_queues(block, market)
            self._uncross(block, market)
        self._wake(block)
        self._liquidate(block)
        return block.take_events()

    def deposit(
        self, subaccount: SubaccountId, quote_quantums: int, moment: Moment, transaction_hash: str
    ) -> list[Event]:
        """Money comes in from outside."""
        return self._transfer(None, subaccount, quote_quantums, moment, transaction_hash)

    def withdraw(
        self, subaccount: SubaccountId, quote_quantums: int, moment: Moment, transaction_hash: str
    ) -> list[Event]:
        """Money goes out; `check_withdrawal` tells whether it may."""
        return self._transfer(subaccount, None, quote_quantums, moment, transaction_hash)

    def transfer(
        self,
        sender: SubaccountId,
        recipient: SubaccountId,
        quote_quantums: int,
        moment: Moment,
        transaction_hash: str,
    ) -> list[Event]:
        """Money goes from one subaccount to another; `check_withdrawal` tells whether the sender may."""
        return self._transfer(sender, recipient, quote_quantums, moment, transaction_hash)

    def check(self, order: Order, moment: Moment) -> None:
        """Refuse an order that the chain would refuse in a block, by what it knows of accounts and orders.

        Args:
            order: one whose fields, market, tick, step and end have been checked.
            moment: the block it would be in; before that block is begun its time is that of the last one.

        Raises:
            Refused: by the CLOB.
        """
        self._preconditions.check(order, self._seen_at(moment))

    def check_cancel(self, order_id: OrderId, good_til_block: int | None) -> None:
        """Refuse a cancel of a short-term order that another one makes needless.

        Raises:
            Refused: by the CLOB.
        """
        self._preconditions.check_cancel(order_id, good_til_block)

    def check_withdrawal(self, subaccount: SubaccountId, quote_quantums: int, moment: Moment) -> None:
        """Refuse to take money from a subaccount that needs it.

        Raises:
            Refused: by the subaccounts' module.
        """
        self._preconditions.check_withdrawal(subaccount, quote_quantums, self._seen_at(moment))

    def place(self, order: Order, moment: Moment) -> list[Event]:
        """Carry an order out that `check` lets pass: it takes, rests, waits, or is removed again with the reason.

        A short-term order replaces the one with its id, and what that has filled counts for it.
        """
        block = self._enter(moment)
        order_id, market = order.order_id, self.markets[order.order_id.clob_pair_id]
        working = Working(order=order, filled_quantums=self._orders.filled_quantums(order_id))
        replaced = self._orders.working.get(order_id)
        if replaced is not None:
            self._orders.remove(replaced)
        if order_id.flags == OrderFlags.CONDITIONAL:
            working.is_waiting, working.height, working.place = True, moment.height, block.next_place()
            self._orders.add(working)
            self._settlement.tell(block, working, OrderStatus.UNTRIGGERED)
            return block.take_events()
        if working.is_short_term:
            self._settlement.tell(block, working, OrderStatus.BEST_EFFORT_OPENED, on_chain=False)
        else:
            self._settlement.tell(block, working, OrderStatus.OPEN)
        self._execute(block, market, working)
        return block.take_events()

    def cancel(self, order_id: OrderId, good_til_block: int | None, moment: Moment) -> list[Event]:
        """Cancel an order; of a short-term one also what comes with its id until a block.

        A cancel of an order that is done, or that lives longer than the cancel, changes nothing now.

        Args:
            order_id: which.
            good_til_block: the cancel's last block; None for stateful orders.
            moment: the block.
        """
        block, working = self._enter(moment), self._orders.working.get(order_id)
        if good_til_block is not None:
            self._orders.remember_canceled(order_id, good_til_block)
        if working is not None and (working.order.good_til_block or 0) <= (good_til_block or 0):
            self._settlement.remove(block, working, RemovalReason.USER_CANCELED)
        return block.take_events()

    def fill(self, order_id: OrderId, moment: Moment) -> list[Event]:
        """The background takes what is left of a resting order at its price, for a fault that fills it late."""
        block, working = self._enter(moment), self._orders.working.get(order_id)
        if working is not None and not working.is_waiting:
            self._matching.fill_whole(block, self.markets[order_id.clob_pair_id], working)
        return block.take_events()

    def fee_tier(self, owner: str) -> FeeTier:
        """What an owner's fills cost now."""
        return self._volumes.tier(owner)

    def order(self, order_id: OrderId) -> Order | None:
        """An order that is not done."""
        working = self._orders.working.get(order_id)
        return working.order if working is not None else None

    def orders(self) -> list[Working]:
        """Every order that is not done, oldest first; not to be changed."""
        return sorted(self._orders.working.rows.values(), key=lambda each: (each.height, each.place))

    def usdc(self, subaccount: SubaccountId) -> int:
        """A subaccount's USDC, quote quantums; equity is with `risk`."""
        return self._accounts.balance(subaccount)

    def house(self, house: House) -> int:
        """A house account's USDC, quote quantums; negative if it paid more than it got."""
        return self._accounts.balance(house)

    def total_quote_quantums(self) -> int:
        """Everybody's money together: zero."""
        return self._accounts.total()

    def positions(self, subaccount: SubaccountId) -> list[Position]:
        """A subaccount's open positions, by CLOB pair id."""
        return [position for _, position in sorted(self._accounts.holdings(subaccount).items())]

    def risk(self, subaccount: SubaccountId, moment: Moment) -> Risk:
        """Equity, requirements and free collateral at a block's oracle prices."""
        return self._settlement.risk(self._seen_at(moment), subaccount)

    def oracle_e8(self, market: Market) -> int:
        """Oracle price of the present block, with its faults, in 1e-8 USDC."""
        return self._block.oracle_e8(market)

    def state(self) -> list[Row]:
        """Everything that is remembered, in no order."""
        rows: list[Row] = [
            Balance(holder=holder, quote_quantums=amount) for holder, amount in self._accounts.balances.rows.items()
        ]
        rows += self._accounts.positions.rows.values()
        rows += self._orders.working.rows.values()
        rows += self._orders.finished.rows.values()
        rows += self._orders.canceled.rows.values()
        rows += self._liquidity.taken.rows.values()
        rows += (_volume_row(key, amount) for key, amount in self._volumes.rows.rows.items())
        return rows

    def restore(self, rows: Iterable[Row]) -> None:
        """Take in the state of another exchange with the same markets; only for one that is still empty."""
        orders: list[Working | Finished | Canceled] = []
        for row in rows:
            if isinstance(row, Balance):
                self._accounts.balances.put(row.holder, row.quote_quantums)
            elif isinstance(row, Position):
                self._accounts.put_position(row)
            elif isinstance(row, Taken):
                self._liquidity.taken.put((row.clob_pair_id, row.side, row.subticks), row)
            elif isinstance(row, Volume):
                self._volumes.add(row.owner, row.interval, row.quote_quantums)
            else:
                orders.append(row)
        self._orders.restore(orders)
        self.take_changes()

    def take_changes(self) -> list[Change]:
        """Rows that changed since the last call: what a store has to write for a block."""
        return list(self._changes())

    def _changes(self) -> Iterator[Change]:
        accounts, orders = self._accounts, self._orders
        yield from changes(
            "balances", accounts.balances, holder_text, lambda key, row: Balance(holder=key, quote_quantums=row)
        )
        yield from changes(
            "positions", accounts.positions, lambda key: f"{holder_text(key[0])}/{key[1]}", lambda _, row: row
        )
        yield from changes("working", orders.working, order_text, lambda _, row: row)
        yield from changes("finished", orders.finished, order_text, lambda _, row: row)
        yield from changes("canceled", orders.canceled, order_text, lambda _, row: row)
        yield from changes(
            "taken", self._liquidity.taken, lambda key: f"{key[0]}/{key[1]}/{key[2]}", lambda _, row: row
        )
        yield from changes("volumes", self._volumes.rows, lambda key: f"{key[0]}/{key[1]}", _volume_row)

    def _enter(self, moment: Moment) -> Block:
        """The block of a moment, begun or continued."""
        if moment != self._block.moment:
            self._block = Block(moment, self._background, UNTAMPERED)
        return self._block

    def _seen_at(self, moment: Moment) -> Block:
        """The block of a moment to look at, without beginning it; faults of the present block go on."""
        if moment == self._block.moment:
            return self._block
        return Block(moment, self._background, self._block.tampering)

    def _transfer(
        self,
        sender: SubaccountId | None,
        recipient: SubaccountId | None,
        quote_quantums: int,
        moment: Moment,
        transaction_hash: str,
    ) -> list[Event]:
        if quote_quantums <= 0:
            raise SimulationError(f"dYdX transfer: expected a positive amount, found {quote_quantums} quote quantums.")
        block = self._enter(moment)
        self._accounts.move(sender or House.OUTSIDE, recipient or House.OUTSIDE, quote_quantums)
        block.events.append(
            Transferred(
                transfer_id=transfer_uuid(block.next_event_id(), sender, recipient),
                sender=sender,
                recipient=recipient,
                quote_quantums=quote_quantums,
                transaction_hash=transaction_hash,
                moment=moment,
            )
        )
        for subaccount in (sender, recipient):
            if subaccount is not None:
                self._settlement.tell_balance(block, subaccount)
        return block.take_events()

    def _execute(self, block: Block, market: Market, working: Working) -> None:
        """An order takes what it can, then rests or is removed."""
        order, settlement = working.order, self._settlement
        reason = self._take(block, market, working)
        if not working.remaining:
            self._orders.remember_filled(working)
            settlement.tell(block, working, OrderStatus.FILLED)
            return
        if reason is None and order.time_in_force is TimeInForce.IOC:
            reason = RemovalReason.IOC_WOULD_REST
        if reason is None and not self._preconditions.may_rest(block, order, working.remaining):
            reason = RemovalReason.UNDERCOLLATERALIZED
        if reason is not None:
            self._orders.remember_filled(working)
            settlement.tell_removed(block, working, reason)
            return
        self._matching.rest(block, market, working)
        if working.filled_quantums:
            settlement.tell(block, working, OrderStatus.OPEN)

    def _take(self, block: Block, market: Market, working: Working) -> RemovalReason | None:
        """What an order takes as it comes; why nothing of it may rest, if so."""
        taker = Part.taker(working)
        if not self._settlement.reducible(taker, working.remaining):
            return RemovalReason.REDUCE_ONLY_RESIZE
        if working.order.time_in_force is not TimeInForce.POST_ONLY:
            return self._matching.take(block, market, taker)
        crossing = self._matching.would_cross(block, market, working)
        return RemovalReason.POST_ONLY_WOULD_CROSS if crossing else None

    def _uncross(self, block: Block, market: Market) -> None:
        """Accounts' orders that a fault kept from filling each other try again, the younger as taker."""
        bid, ask = (self._orders.book(market.clob_pair_id, side).best() for side in Side)
        if bid is None or ask is None or bid.order.subticks < ask.order.subticks:
            return
        younger = max(bid, ask, key=lambda each: (each.height, each.place))
        self._orders.remove(younger)
        self._execute(block, market, younger)

    def _pass_span(self, block: Block, previous: Moment) -> None:
        """Go through the time since the block before: background trades, and funding at its instants."""
        instants = funding.settlement_instants(previous, block.moment, self._background.funding_interval_ms)
        for first, last in pairwise((previous.at_ms, *instants, block.moment.at_ms)):
            for pair, market in self.markets.items():
                if self._orders.rests(pair):
                    self._matching.fill_from_tape(block, market, self._background.trades(market, first + 1, last + 1))
            if last in instants and first < last:
                funding.settle(block, self._settlement, last)

    def _wake(self, block: Block) -> None:
        """Conditional orders whose trigger the oracle price has reached are carried out, oldest first."""
        for working in self._orders.waiting():
            market = self.markets[working.order.order_id.clob_pair_id]
            if is_triggered(working.order, market, block.oracle_e8(market)):
                self._orders.remove(working)
                working.is_waiting = False
                self._settlement.tell(block, working, OrderStatus.OPEN)
                self._execute(block, market, working)

    def _liquidate(self, block: Block) -> None:
        for subaccount in self._accounts.holders_of_positions():
            for position in self.positions(subaccount):
                risk = self._settlement.risk(block, subaccount)
                if not risk.is_liquidatable:
                    break
                market = self.markets[position.clob_pair_id]
                self._matching.take(block, market, liquidation_part(block, market, position, risk))

    def _end(self, ended: list[Working]) -> None:
        """Orders whose time is over, if they are still there."""
        for working in ended:
            if self._orders.working.get(working.order.order_id) is working:
                self._settlement.remove(self._block, working, RemovalReason.EXPIRED)

    def _forget(self, previous: Moment, moment: Moment) -> None:
        """Drop what no longer matters, once an hour and once a funding interval."""
        self._volumes.forget_before(moment.at_ms // self._background.funding_interval_ms)
        if previous.at_ms // _FORGET_EVERY_MS != moment.at_ms // _FORGET_EVERY_MS:
            self._liquidity.forget_before(moment.at_ms)


def _volume_row(key: tuple[str, int], quote_quantums: int) -> Volume:
    return Volume(owner=key[0], interval=key[1], quote_quantums=quote_quantums)
