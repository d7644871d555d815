"""Whether the chain takes a message, before it asks the exchange: the message alone, then against height and time.

The rules, their order, codes and texts are those of v4-chain: `ValidateBasic` in x/clob/types/message_*.go and
`PerformStatefulOrderValidation` in x/clob/keeper/orders.go.
"""

from collections.abc import Mapping

from v4_proto.dydxprotocol.clob.order_pb2 import Order as OrderMessage
from v4_proto.dydxprotocol.clob.tx_pb2 import MsgBatchCancel, MsgCancelOrder, MsgPlaceOrder

from simulated_venues.dydx.messages import CONDITIONS, SIDES, TIMES_IN_FORCE, one_line
from simulated_venues.dydx.records import Market, Moment, Order, OrderFlags
from simulated_venues.dydx.refusals import Reason, Refused
from simulated_venues.dydx.transactions import ChainMessage
from simulated_venues.dydx.transfers import check_subaccount, check_transfer

SHORT_BLOCK_WINDOW = 40
"""Blocks past the next one within which a short-term order must end."""

STATEFUL_WINDOW_SECONDS = 95 * 24 * 3_600
MAX_BATCH_CANCELS = 100

_STATEFUL = (OrderFlags.LONG_TERM, OrderFlags.CONDITIONAL)


def check_message(message: ChainMessage) -> None:
    """Refuse a message that is wrong by itself.

    Raises:
        Refused: with the module's code.
    """
    if isinstance(message, MsgPlaceOrder):
        _check_order(message.order)
    elif isinstance(message, MsgCancelOrder):
        _check_cancel(message)
    elif isinstance(message, MsgBatchCancel):
        _check_batch_cancel(message)
    else:
        check_transfer(message)


def check_order_in_time(order: OrderMessage, markets: Mapping[int, Market], last_block: Moment) -> None:
    """Refuse an order that could not be in the block after `last_block`.

    Args:
        order: one that passed `check_message`.
        markets: by CLOB pair id.
        last_block: the last committed block.

    Raises:
        Refused: unknown market, off tick or step, or an end outside its window.
    """
    market = markets.get(order.order_id.clob_pair_id)
    if market is None:
        raise Refused(Reason.CLOB_PAIR, f"Clob {order.order_id.clob_pair_id} is not a valid clob")
    if order.subticks % market.subticks_per_tick:
        raise Refused(
            Reason.PLACE_ORDER,
            f"Order subticks {order.subticks} must be a multiple of the ClobPair's SubticksPerTick "
            f"{market.subticks_per_tick}",
        )
    if order.quantums % market.step_base_quantums:
        raise Refused(
            Reason.PLACE_ORDER,
            f"Order Quantums {order.quantums} must be a multiple of the ClobPair's StepBaseQuantums "
            f"{market.step_base_quantums}",
        )
    if order.order_id.order_flags == OrderFlags.SHORT_TERM:
        check_good_til_block(order.good_til_block, last_block.height)
        return
    _check_good_til_time(order.good_til_block_time, last_block)
    trigger = order.conditional_order_trigger_subticks
    if trigger % market.subticks_per_tick:
        raise Refused(
            Reason.PLACE_ORDER,
            f"Conditional order trigger subticks {trigger} must be a multiple of the ClobPair's SubticksPerTick "
            f"{market.subticks_per_tick}",
        )


def check_cancel_in_time(cancel: MsgCancelOrder, order: Order | None, last_block: Moment) -> None:
    """Refuse a cancel that could not be in the block after `last_block`.

    Args:
        cancel: one that passed `check_message`.
        order: what it cancels, None if there is no such order.
        last_block: the last committed block.

    Raises:
        Refused: an end outside its window; a stateful order that does not exist or outlives the cancel.
    """
    if cancel.order_id.order_flags == OrderFlags.SHORT_TERM:
        check_good_til_block(cancel.good_til_block, last_block.height)
        return
    _check_good_til_time(cancel.good_til_block_time, last_block)
    if order is None:
        raise Refused(
            Reason.STATEFUL_UNKNOWN, f"Order Id to cancel does not exist. OrderId : {one_line(cancel.order_id)}"
        )
    if order.good_til_seconds is not None and cancel.good_til_block_time < order.good_til_seconds:
        raise Refused(
            Reason.STATEFUL_CANCEL,
            "cancellation goodTilBlockTime less than stateful order goodTilBlockTime. cancellation "
            f"{cancel.good_til_block_time}, order {order.good_til_seconds}",
        )


def check_good_til_block(good_til_block: int, last_height: int) -> None:
    """Refuse a last block that is past, or more than the window after the next block.

    Raises:
        Refused: codes 10 and 11 of the CLOB.
    """
    height = last_height + 1
    if good_til_block < height:
        raise Refused(
            Reason.GOOD_TIL_BLOCK_PAST, f"GoodTilBlock {good_til_block} is less than the current blockHeight {height}"
        )
    if good_til_block > height + SHORT_BLOCK_WINDOW:
        raise Refused(
            Reason.GOOD_TIL_BLOCK_FAR,
            f"The GoodTilBlock {good_til_block} exceeds the current blockHeight {height} plus ShortBlockWindow "
            f"{SHORT_BLOCK_WINDOW}",
        )


def _check_order(order: OrderMessage) -> None:
    if order.time_in_force == OrderMessage.TIME_IN_FORCE_FILL_OR_KILL:
        raise Refused(Reason.DEPRECATED_FIELD, "Fill-or-kill has been deprecated")
    check_subaccount(order.order_id.subaccount_id)
    _check_kinds(order)
    if order.quantums == 0:
        raise Refused(Reason.ORDER_QUANTUMS, "order size quantums cannot be 0")
    _check_end(order)
    immediate = order.time_in_force == OrderMessage.TIME_IN_FORCE_IOC
    if order.order_id.order_flags == OrderFlags.LONG_TERM and immediate:
        raise Refused(Reason.LONG_TERM_IMMEDIATE)
    if order.reduce_only and not immediate:
        raise Refused(Reason.REDUCE_ONLY, "reduce only orders must be short term IOC orders")
    if order.subticks == 0:
        raise Refused(Reason.ORDER_SUBTICKS, "order subticks cannot be 0 for this order type")
    _check_condition(order)


def _check_kinds(order: OrderMessage) -> None:
    """Refuse numbers that stand for no side, time in force or condition."""
    if order.side not in (OrderMessage.SIDE_UNSPECIFIED, *SIDES):
        raise Refused(Reason.ORDER_SIDE, f"invalid order side ({order.side})")
    if order.time_in_force not in TIMES_IN_FORCE:
        raise Refused(Reason.TIME_IN_FORCE, f"invalid time in force ({order.time_in_force})")
    if order.condition_type not in CONDITIONS:
        raise Refused(Reason.CONDITION_TYPE, f"invalid condition type ({order.condition_type})")
    if order.side == OrderMessage.SIDE_UNSPECIFIED:
        raise Refused(Reason.ORDER_SIDE, "UNSPECIFIED is not a valid order side")


def _check_end(order: OrderMessage) -> None:
    flags = order.order_id.order_flags
    if flags == OrderFlags.SHORT_TERM:
        if order.good_til_block == 0:
            raise Refused(Reason.GOOD_TIL_BLOCK, "order goodTilBlock cannot be 0")
    elif flags in _STATEFUL:
        if order.good_til_block_time == 0:
            raise Refused(Reason.GOOD_TIL_TIME, "stateful order goodTilBlockTime cannot be 0")
    else:
        raise Refused(Reason.ORDER_FLAGS, f"invalid order flag {flags}")


def _check_condition(order: OrderMessage) -> None:
    has_condition = order.condition_type != OrderMessage.CONDITION_TYPE_UNSPECIFIED
    has_trigger = order.conditional_order_trigger_subticks != 0
    if order.order_id.order_flags == OrderFlags.CONDITIONAL:
        if not has_condition:
            raise Refused(Reason.CONDITION_TYPE, "condition type cannot be unspecified")
        if not has_trigger:
            raise Refused(Reason.TRIGGER_SUBTICKS, "conditional order trigger subticks cannot be 0")
        return
    if has_condition:
        raise Refused(Reason.CONDITION_TYPE, "condition type specified for non-conditional order")
    if has_trigger:
        raise Refused(
            Reason.TRIGGER_SUBTICKS, "conditional order trigger subticks greater than 0 for non-conditional order"
        )


def _check_cancel(cancel: MsgCancelOrder) -> None:
    check_subaccount(cancel.order_id.subaccount_id)
    flags = cancel.order_id.order_flags
    if flags not in (OrderFlags.SHORT_TERM, *_STATEFUL):
        raise Refused(Reason.ORDER_FLAGS, f"orderId: {one_line(cancel.order_id)}")
    if flags in _STATEFUL and cancel.good_til_block_time == 0:
        raise Refused(
            Reason.GOOD_TIL_TIME,
            f"stateful cancellation goodTilBlockTime cannot be 0, {one_line(cancel.order_id)}",
        )
    if flags == OrderFlags.SHORT_TERM and cancel.good_til_block == 0:
        raise Refused(
            Reason.GOOD_TIL_BLOCK, f"cancellation goodTilBlock cannot be 0, orderId {one_line(cancel.order_id)}"
        )


def _check_batch_cancel(message: MsgBatchCancel) -> None:
    check_subaccount(message.subaccount_id)
    for batch in message.short_term_cancels:
        seen: set[int] = set()
        for client_id in batch.client_ids:
            if client_id in seen:
                raise Refused(
                    Reason.BATCH_CANCEL,
                    "Batch cancel cannot have duplicate cancels. Duplicate clob pair id: "
                    f"{batch.clob_pair_id}, client id: {client_id}",
                )
            seen.add(client_id)
    count = sum(len(batch.client_ids) for batch in message.short_term_cancels)
    if count > MAX_BATCH_CANCELS:
        raise Refused(
            Reason.BATCH_CANCEL, f"Batch cancel cannot have over {MAX_BATCH_CANCELS} orders. Order count: {count}"
        )


def _check_good_til_time(good_til_seconds: int, last_block: Moment) -> None:
    now = last_block.at_ms // 1_000
    if good_til_seconds <= now:
        raise Refused(
            Reason.GOOD_TIL_TIME_PAST, f"GoodTilBlockTime {good_til_seconds} is less than the previous blockTime {now}"
        )
    if good_til_seconds > now + STATEFUL_WINDOW_SECONDS:
        raise Refused(
            Reason.GOOD_TIL_TIME_FAR,
            f"GoodTilBlockTime {good_til_seconds} exceeds the previous blockTime plus StatefulOrderTimeWindow "
            f"{now + STATEFUL_WINDOW_SECONDS}",
        )
