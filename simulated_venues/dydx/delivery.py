"""What transactions do in a block, one after the other in order of arrival."""

from dataclasses import dataclass, field, replace

from v4_proto.dydxprotocol.clob.tx_pb2 import MsgBatchCancel, MsgCancelOrder, MsgPlaceOrder
from v4_proto.dydxprotocol.sending.transfer_pb2 import MsgDepositToSubaccount, MsgWithdrawFromSubaccount

from simulated_venues.dydx.exchange import Exchange
from simulated_venues.dydx.mempool import batch_order_ids
from simulated_venues.dydx.messages import order_id_of, order_of, subaccount_of
from simulated_venues.dydx.records import (
    Event,
    Moment,
    Order,
    OrderChanged,
    OrderFlags,
    OrderId,
    OrderStatus,
    RemovalReason,
)
from simulated_venues.dydx.refusals import Reason, Refused
from simulated_venues.dydx.signers import Signers
from simulated_venues.dydx.store import TransactionResult
from simulated_venues.dydx.transactions import ChainMessage, Transaction
from simulated_venues.faults import Faults

ORDER_GAS, TRANSFER_GAS = 60_000, 110_000
"""Gas that a transaction is said to use; order messages are free all the same."""

_REMOVALS = {
    Reason.ORDER_CANCELED: RemovalReason.USER_CANCELED,
    Reason.REDUCE_ONLY_INCREASES: RemovalReason.REDUCE_ONLY_RESIZE,
    Reason.POST_ONLY_CROSSES: RemovalReason.POST_ONLY_WOULD_CROSS,
}
"""Why a short-term order that was told of as opened is not in its block after all."""


@dataclass(slots=True)
class Delivery:
    """Carries transactions out.

    Attributes:
        banks: address → USDC outside of subaccounts, quote quantums.
        changed_banks: addresses whose bank balance changed in this block.
    """

    exchange: Exchange
    signers: Signers
    faults: Faults
    banks: dict[str, int]
    changed_banks: set[str] = field(default_factory=set)

    def deliver(self, transaction: Transaction, moment: Moment) -> tuple[list[Event], TransactionResult | None]:
        """Carry a transaction out; what happened, and the result that is kept if it is in the block as such."""
        if transaction.is_short_term:
            return self._carry_out(transaction.messages[0], moment, transaction.hash), None
        self.signers.include(transaction.signer, transaction.sequence)
        gas = gas_of(transaction)
        try:
            events = [
                event
                for message in transaction.messages
                for event in self._carry_out(message, moment, transaction.hash)
            ]
        except Refused as refused:
            result = TransactionResult(
                hash=transaction.hash,
                raw=transaction.raw,
                moment=moment,
                code=refused.code,
                codespace=refused.codespace,
                log=f"failed to execute message; message index: 0: {refused.log}",
                gas_used=gas,
            )
            return [], result
        return events, TransactionResult(hash=transaction.hash, raw=transaction.raw, moment=moment, gas_used=gas)

    def take_banks(self) -> dict[str, int]:
        """Bank balances that changed since this was last asked."""
        changed = {address: self.banks[address] for address in sorted(self.changed_banks)}
        self.changed_banks.clear()
        return changed

    def _carry_out(self, message: ChainMessage, moment: Moment, transaction_hash: str) -> list[Event]:
        if isinstance(message, MsgPlaceOrder):
            return self._place(order_of(message.order), moment)
        if isinstance(message, MsgCancelOrder):
            return self._cancel_one(message, moment)
        if isinstance(message, MsgBatchCancel):
            return [
                event
                for order_id in batch_order_ids(message)
                for event in self._cancel(order_id, message.good_til_block, moment)
            ]
        return self._move(message, moment, transaction_hash)

    def _place(self, order: Order, moment: Moment) -> list[Event]:
        try:
            self.exchange.check(order, moment)
        except Refused as refused:
            if order.order_id.flags != OrderFlags.SHORT_TERM:
                raise
            return self._not_opened(order, refused, moment)
        return self.exchange.place(order, moment)

    def _not_opened(self, order: Order, refused: Refused, moment: Moment) -> list[Event]:
        """A short-term order that can't be matched now is gone; one with its id that it was to replace stays."""
        filled = self.exchange.filled_quantums(order.order_id)
        existing = self.exchange.order(order.order_id)
        if existing is not None:
            # Before the block the replacement was told of with its own price and size.
            status = OrderStatus.OPEN if filled else OrderStatus.BEST_EFFORT_OPENED
            return [_change(existing, status, filled, None, moment)]
        if (refused.codespace, refused.code) == Reason.ORDER_FILLED.value[:2]:
            return []
        reason = next(
            (removal for each, removal in _REMOVALS.items() if each.value[:2] == (refused.codespace, refused.code)),
            RemovalReason.INTERNAL_ERROR,
        )
        told = _change(order, OrderStatus.BEST_EFFORT_CANCELED, filled, reason, moment)
        return [replace(told, on_chain=False), replace(told, status=OrderStatus.CANCELED)]

    def _cancel_one(self, message: MsgCancelOrder, moment: Moment) -> list[Event]:
        order_id = order_id_of(message.order_id)
        if order_id.flags == OrderFlags.SHORT_TERM:
            return self._cancel(order_id, message.good_til_block, moment)
        events = self._cancel(order_id, None, moment)
        if not events:
            raise Refused(
                Reason.STATEFUL_CANCEL_REMOVED, f"Stateful order {order_id.client_id} was removed before its cancel"
            )
        return events

    def _cancel(self, order_id: OrderId, good_til_block: int | None, moment: Moment) -> list[Event]:
        events = list[Event]()
        if self.exchange.is_resting(order_id) and self.faults.take("late_fill_after_cancel", self._ticker(order_id)):
            events += self.exchange.fill(order_id, moment)
        return events + self.exchange.cancel(order_id, good_til_block, moment)

    def _move(self, message: ChainMessage, moment: Moment, transaction_hash: str) -> list[Event]:
        """Money between the bank and a subaccount, or between subaccounts."""
        if isinstance(message, MsgDepositToSubaccount):
            have = self.banks.get(message.sender, 0)
            if have < message.quantums:
                raise Refused(
                    Reason.INSUFFICIENT_FUNDS,
                    f"spendable balance {have}uusdc is smaller than {message.quantums}uusdc",
                )
            self._bank(message.sender, -message.quantums)
            return self.exchange.deposit(subaccount_of(message.recipient), message.quantums, moment, transaction_hash)
        withdraws = isinstance(message, MsgWithdrawFromSubaccount)
        sender = subaccount_of(message.sender if withdraws else message.transfer.sender)
        amount = message.quantums if withdraws else message.transfer.amount
        self.exchange.check_withdrawal(sender, amount, moment)
        if withdraws:
            self._bank(message.recipient, amount)
            return self.exchange.withdraw(sender, amount, moment, transaction_hash)
        recipient = subaccount_of(message.transfer.recipient)
        return self.exchange.transfer(sender, recipient, amount, moment, transaction_hash)

    def _bank(self, address: str, quote_quantums: int) -> None:
        self.banks[address] = self.banks.get(address, 0) + quote_quantums
        self.changed_banks.add(address)

    def _ticker(self, order_id: OrderId) -> str:
        return self.exchange.markets[order_id.clob_pair_id].ticker


def _change(
    order: Order, status: OrderStatus, filled_quantums: int, reason: RemovalReason | None, moment: Moment
) -> OrderChanged:
    return OrderChanged(
        order=order,
        status=status,
        filled_quantums=filled_quantums,
        removal_reason=reason,
        on_chain=True,
        moment=moment,
    )


def gas_of(transaction: Transaction) -> int:
    """Gas that a transaction is said to use."""
    return ORDER_GAS if transaction.is_of_orders else TRANSFER_GAS * len(transaction.messages)
