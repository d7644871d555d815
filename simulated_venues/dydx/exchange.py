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

from collections.abc import Iterable

from helios_pipeline.core.errors import SimulationError
from simulated_venues.dydx.block import UNTAMPERED, Block, Tampering
from simulated_venues.dydx.execution import Execution
from simulated_venues.dydx.fees import MAINNET_TIERS, FeeTier, Volumes
from simulated_venues.dydx.margin import Risk
from simulated_venues.dydx.matching import Matching
from simulated_venues.dydx.memory import Memory
from simulated_venues.dydx.numbering import transfer_uuid
from simulated_venues.dydx.preconditions import Preconditions
from simulated_venues.dydx.records import (
    Background,
    Event,
    Market,
    Moment,
    Order,
    OrderId,
    Position,
    RemovalReason,
    SubaccountId,
    Transferred,
)
from simulated_venues.dydx.settlement import Settlement
from simulated_venues.dydx.state import Change, House, Row, Working

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
        self._memory = memory = Memory(volumes=Volumes(fee_tiers))
        self._settlement = Settlement(
            self.markets, memory.accounts, memory.orders, memory.volumes, background.funding_interval_ms
        )
        self._matching = Matching(memory.orders, memory.liquidity, self._settlement)
        self._preconditions = Preconditions(self.markets, memory.orders, self._settlement, self._matching)
        self._execution = Execution(
            markets=self.markets,
            memory=memory,
            settlement=self._settlement,
            matching=self._matching,
            preconditions=self._preconditions,
        )
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
        self._execution.pass_time(block, previous)
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
        self._execution.place(block, order)
        return block.take_events()

    def cancel(self, order_id: OrderId, good_til_block: int | None, moment: Moment) -> list[Event]:
        """Cancel an order; of a short-term one also what comes with its id until a block.

        A cancel of an order that is done, or that lives longer than the cancel, changes nothing now.

        Args:
            order_id: which.
            good_til_block: the cancel's last block; None for stateful orders.
            moment: the block.
        """
        block, working = self._enter(moment), self._memory.orders.working.get(order_id)
        if good_til_block is not None:
            self._memory.orders.remember_canceled(order_id, good_til_block)
        if working is not None and (working.order.good_til_block or 0) <= (good_til_block or 0):
            self._settlement.remove(block, working, RemovalReason.USER_CANCELED)
        return block.take_events()

    def fill(self, order_id: OrderId, moment: Moment) -> list[Event]:
        """The background takes what is left of a resting order at its price, for a fault that fills it late."""
        block, working = self._enter(moment), self._memory.orders.working.get(order_id)
        if working is not None and not working.is_waiting:
            self._matching.fill_whole(block, self.markets[order_id.clob_pair_id], working)
        return block.take_events()

    def fee_tier(self, owner: str) -> FeeTier:
        """What an owner's fills cost now."""
        return self._memory.volumes.tier(owner)

    def volumes(self, owner: str) -> tuple[int, int]:
        """Quote quantums that an owner took and made in the window of the fee tiers."""
        volumes = self._memory.volumes
        taken = volumes.taken(owner)
        return taken, volumes.total(owner) - taken

    def order(self, order_id: OrderId) -> Order | None:
        """An order that is not done."""
        working = self._memory.orders.working.get(order_id)
        return working.order if working is not None else None

    def filled_quantums(self, order_id: OrderId) -> int:
        """How much of an order is filled; of a short-term one that is done until its last block is past."""
        return self._memory.orders.filled_quantums(order_id)

    def is_resting(self, order_id: OrderId) -> bool:
        """Whether an order is on the book: not done, and not waiting for a trigger."""
        working = self._memory.orders.working.get(order_id)
        return working is not None and not working.is_waiting

    def orders(self) -> list[Working]:
        """Every order that is not done, oldest first; not to be changed."""
        return sorted(self._memory.orders.working.rows.values(), key=lambda each: (each.height, each.place))

    def usdc(self, subaccount: SubaccountId) -> int:
        """A subaccount's USDC, quote quantums; equity is with `risk`."""
        return self._memory.accounts.balance(subaccount)

    def house(self, house: House) -> int:
        """A house account's USDC, quote quantums; negative if it paid more than it got."""
        return self._memory.accounts.balance(house)

    def total_quote_quantums(self) -> int:
        """Everybody's money together: zero."""
        return self._memory.accounts.total()

    def positions(self, subaccount: SubaccountId) -> list[Position]:
        """A subaccount's open positions, by CLOB pair id."""
        return self._memory.accounts.positions_of(subaccount)

    def risk(self, subaccount: SubaccountId, moment: Moment) -> Risk:
        """Equity, requirements and free collateral at a block's oracle prices."""
        return self._settlement.risk(self._seen_at(moment), subaccount)

    def oracle_e8(self, market: Market) -> int:
        """Oracle price of the present block, with its faults, in 1e-8 USDC."""
        return self._block.oracle_e8(market)

    def state(self) -> list[Row]:
        """Everything that is remembered, in no order."""
        return self._memory.rows()

    def restore(self, rows: Iterable[Row]) -> None:
        """Take in the state of another exchange with the same markets; only for one that is still empty."""
        self._memory.restore(rows)

    def take_changes(self) -> list[Change]:
        """Rows that changed since the last call: what a store has to write for a block."""
        return self._memory.take_changes()

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
        self._memory.accounts.move(sender or House.OUTSIDE, recipient or House.OUTSIDE, quote_quantums)
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

    def _forget(self, previous: Moment, moment: Moment) -> None:
        """Drop what no longer matters, once an hour and once a funding interval."""
        self._memory.volumes.forget_before(moment.at_ms // self._background.funding_interval_ms)
        if previous.at_ms // _FORGET_EVERY_MS != moment.at_ms // _FORGET_EVERY_MS:
            self._memory.liquidity.forget_before(moment.at_ms)
