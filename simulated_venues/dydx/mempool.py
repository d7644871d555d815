"""CheckTx: what becomes of a transaction when it arrives, and where it waits for the next block.

Short-term orders and cancels are told to the indexer at once, as a validator does by its own order book (best effort).
They are not in any block as transactions and use no sequence.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from v4_proto.dydxprotocol.clob.tx_pb2 import MsgBatchCancel, MsgCancelOrder, MsgPlaceOrder

from simulated_venues.dydx.exchange import Exchange
from simulated_venues.dydx.messages import order_id_of, order_of, subaccount_of
from simulated_venues.dydx.records import (
    Moment,
    Order,
    OrderChanged,
    OrderFlags,
    OrderId,
    OrderStatus,
    RemovalReason,
)
from simulated_venues.dydx.refusals import Reason, Refused
from simulated_venues.dydx.signers import Signer, Signers
from simulated_venues.dydx.transactions import Transaction, decode_transaction
from simulated_venues.dydx.validation import (
    check_cancel_in_time,
    check_good_til_block,
    check_message,
    check_order_in_time,
)
from simulated_venues.faults import Faults

KNOWN_TRANSACTIONS = 10_000
"""A transaction that is sent again is refused while it is among so many last ones."""


@dataclass(slots=True)
class Mempool:
    """Transactions that wait for a block, in order of arrival.

    Attributes:
        chain_id: for which they must be signed.
        open_account: finds or makes the account of an address.
        tell: takes what is known of short-term orders before their block.
        waiting: the transactions.
        told: statuses that were told since the last block.
    """

    chain_id: str
    exchange: Exchange
    signers: Signers
    faults: Faults
    open_account: Callable[[str], Signer]
    tell: Callable[[OrderChanged], None]
    waiting: list[Transaction] = field(default_factory=list)
    told: set[tuple[OrderId, OrderStatus]] = field(default_factory=set)
    _known: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _placed: dict[OrderId, Order] = field(default_factory=dict)
    _canceled: dict[OrderId, int] = field(default_factory=dict)

    def admit(self, raw: bytes, last: Moment) -> None:
        """Check a transaction and let it wait.

        Args:
            raw: its bytes.
            last: the last committed block.

        Raises:
            Refused: nothing has changed then.
        """
        transaction = decode_transaction(raw)
        if transaction.hash in self._known:
            raise Refused(Reason.TX_IN_MEMPOOL)
        self._check_signer(transaction, last)
        if not transaction.is_of_orders:
            self._enter(transaction)
            return
        told = self._check_orders(transaction.messages[0], last)
        if self._enter(transaction):
            self._note(transaction)
            for change in told:
                self.told.add((change.order.order_id, change.status))
                self.tell(change)

    def check(self, raw: bytes, last: Moment) -> Transaction:
        """Check what can be checked of a transaction before it is signed, as a simulation does.

        Raises:
            Refused: it would be refused.
        """
        transaction = decode_transaction(raw)
        for message in transaction.messages:
            check_message(message)
        if transaction.is_of_orders:
            self._check_orders(transaction.messages[0], last)
        return transaction

    def take(self) -> list[Transaction]:
        """All that waits; nothing waits any more."""
        taken, self.waiting = self.waiting, []
        self._placed.clear()
        self._canceled.clear()
        return taken

    def _check_signer(self, transaction: Transaction, last: Moment) -> None:
        for message in transaction.messages:
            check_message(message)
        if 0 < transaction.timeout_height < last.height + 1:
            raise Refused(
                Reason.TIMEOUT_HEIGHT,
                f"block height: {last.height + 1}, timeout height: {transaction.timeout_height}",
            )
        signer = self.open_account(transaction.signer)
        if not transaction.is_short_term:
            bump = self.faults.take("bump_sequence")
            if bump:
                self.signers.bump(signer.address, int(bump.value))
            self.signers.check(signer.address, transaction.sequence, last.at_ms)
        transaction.verify_signature(self.chain_id, signer.number)
        self.signers.learn_key(signer.address, transaction.public_key)

    def _enter(self, transaction: Transaction) -> bool:
        """Let a transaction wait, unless a fault swallows it."""
        self._known[transaction.hash] = None
        if len(self._known) > KNOWN_TRANSACTIONS:
            self._known.popitem(last=False)
        if not transaction.is_short_term:
            self.signers.use(transaction.signer, transaction.sequence)
        if self.faults.take("swallow_transaction"):
            return False
        self.waiting.append(transaction)
        return True

    def _check_orders(
        self, message: MsgPlaceOrder | MsgCancelOrder | MsgBatchCancel, last: Moment
    ) -> list[OrderChanged]:
        """Refuse what the order book would; what has to be told otherwise."""
        if isinstance(message, MsgPlaceOrder):
            return self._check_place(message, last)
        if isinstance(message, MsgCancelOrder):
            return self._check_cancel(message, last)
        return self._check_batch(message, last)

    def _check_place(self, message: MsgPlaceOrder, last: Moment) -> list[OrderChanged]:
        check_order_in_time(message.order, self.exchange.markets, last)
        order = order_of(message.order)
        ticker = self.exchange.markets[order.order_id.clob_pair_id].ticker
        rejection = self.faults.take("reject_orders", ticker)
        if rejection:
            raise Refused(Reason.PLACE_ORDER, f"Order of {ticker} is refused by a fault", code=int(rejection.value))
        self._check_pending(order)
        self.exchange.check(order, Moment(height=last.height + 1, at_ms=last.at_ms))
        if order.order_id.flags != OrderFlags.SHORT_TERM:
            return []
        return [self._told(order, OrderStatus.BEST_EFFORT_OPENED, None, last)]

    def _check_pending(self, order: Order) -> None:
        """Refuse an order whose id is in use by what waits."""
        pending, end = self._placed.get(order.order_id), order.good_til_block or 0
        canceled_until = self._canceled.get(order.order_id)
        if order.order_id.flags != OrderFlags.SHORT_TERM:
            if canceled_until is not None:
                raise Refused(
                    Reason.STATEFUL_CANCELED,
                    "An uncommitted stateful order cancellation with this OrderId already exists.",
                )
            if pending is not None:
                raise Refused(
                    Reason.STATEFUL_EXISTS,
                    "An uncommitted stateful order with this OrderId already exists and stateful order replacement is "
                    "not supported.",
                )
            return
        if canceled_until is not None and end <= canceled_until:
            raise Refused(Reason.ORDER_CANCELED, f"Order: {order.order_id.client_id}, canceled until {canceled_until}")
        if pending is not None and end <= (pending.good_til_block or 0):
            raise Refused(Reason.REPLACEMENT)

    def _check_cancel(self, message: MsgCancelOrder, last: Moment) -> list[OrderChanged]:
        order_id = order_id_of(message.order_id)
        check_cancel_in_time(message, self._order(order_id), last)
        if order_id.flags == OrderFlags.SHORT_TERM:
            return self._check_short_term_cancel(order_id, message.good_til_block, last)
        if order_id in self._canceled:
            raise Refused(
                Reason.STATEFUL_CANCEL_EXISTS,
                "An uncommitted stateful order cancellation with this OrderId already exists and stateful order "
                "cancellation replacement is not supported.",
            )
        return []

    def _check_short_term_cancel(self, order_id: OrderId, good_til_block: int, last: Moment) -> list[OrderChanged]:
        if self._canceled.get(order_id, -1) >= good_til_block:
            raise Refused(Reason.CANCEL_EXISTS)
        self.exchange.check_cancel(order_id, good_til_block)
        order = self._order(order_id)
        if order is None or (order.good_til_block or 0) > good_til_block:
            return []
        return [self._told(order, OrderStatus.BEST_EFFORT_CANCELED, RemovalReason.USER_CANCELED, last)]

    def _check_batch(self, message: MsgBatchCancel, last: Moment) -> list[OrderChanged]:
        """A batch is refused if all of its cancels are."""
        check_good_til_block(message.good_til_block, last.height)
        told, failures = list[OrderChanged](), list[int]()
        for order_id in batch_order_ids(message):
            if order_id.clob_pair_id not in self.exchange.markets:
                raise Refused(Reason.CLOB_PAIR_PARAMETER, f"Invalid clob pair id {order_id.clob_pair_id}")
            try:
                told += self._check_short_term_cancel(order_id, message.good_til_block, last)
            except Refused:
                failures.append(order_id.client_id)
        if len(failures) == len(batch_order_ids(message)):
            raise Refused(Reason.BATCH_CANCEL_FAILED, f"No successful cancellations. Failures: {failures}")
        return told

    def _order(self, order_id: OrderId) -> Order | None:
        """An order that waits for its block, or is in one."""
        return self._placed.get(order_id) or self.exchange.order(order_id)

    def _told(self, order: Order, status: OrderStatus, reason: RemovalReason | None, last: Moment) -> OrderChanged:
        return OrderChanged(
            order=order,
            status=status,
            filled_quantums=self.exchange.filled_quantums(order.order_id),
            removal_reason=reason,
            on_chain=False,
            moment=last,
        )

    def _note(self, transaction: Transaction) -> None:
        """Remember what waits, so that the next transactions are judged by it."""
        message = transaction.messages[0]
        if isinstance(message, MsgPlaceOrder):
            order = order_of(message.order)
            self._placed[order.order_id] = order
        elif isinstance(message, MsgCancelOrder):
            self._canceled[order_id_of(message.order_id)] = message.good_til_block
        else:
            self._canceled.update(dict.fromkeys(batch_order_ids(message), message.good_til_block))


def batch_order_ids(message: MsgBatchCancel) -> list[OrderId]:
    """The short-term orders that a batch cancels."""
    subaccount = subaccount_of(message.subaccount_id)
    return [
        OrderId(
            subaccount=subaccount, client_id=client_id, flags=OrderFlags.SHORT_TERM, clob_pair_id=batch.clob_pair_id
        )
        for batch in message.short_term_cancels
        for client_id in batch.client_ids
    ]
