"""Order messages as they are signed, and the records that they stand for."""

from v4_proto.dydxprotocol.clob.order_pb2 import Order as OrderMessage
from v4_proto.dydxprotocol.clob.order_pb2 import OrderId as OrderIdMessage
from v4_proto.dydxprotocol.subaccounts.subaccount_pb2 import SubaccountId as SubaccountMessage

from simulated_venues.dydx.records import (
    Condition,
    Order,
    OrderFlags,
    OrderId,
    Side,
    SubaccountId,
    TimeInForce,
)

SIDES = {OrderMessage.SIDE_BUY: Side.BUY, OrderMessage.SIDE_SELL: Side.SELL}
TIMES_IN_FORCE = {
    OrderMessage.TIME_IN_FORCE_UNSPECIFIED: TimeInForce.GTT,
    OrderMessage.TIME_IN_FORCE_IOC: TimeInForce.IOC,
    OrderMessage.TIME_IN_FORCE_POST_ONLY: TimeInForce.POST_ONLY,
}
CONDITIONS = {
    OrderMessage.CONDITION_TYPE_UNSPECIFIED: None,
    OrderMessage.CONDITION_TYPE_STOP_LOSS: Condition.STOP_LOSS,
    OrderMessage.CONDITION_TYPE_TAKE_PROFIT: Condition.TAKE_PROFIT,
}


def order_of(message: OrderMessage) -> Order:
    """The order of a message that passed `check_message`."""
    is_short_term = message.order_id.order_flags == OrderFlags.SHORT_TERM
    return Order(
        order_id=order_id_of(message.order_id),
        side=SIDES[message.side],
        quantums=message.quantums,
        subticks=message.subticks,
        time_in_force=TIMES_IN_FORCE[message.time_in_force],
        reduce_only=message.reduce_only,
        good_til_block=message.good_til_block if is_short_term else None,
        good_til_seconds=None if is_short_term else message.good_til_block_time,
        condition=CONDITIONS[message.condition_type],
        trigger_subticks=message.conditional_order_trigger_subticks,
        client_metadata=message.client_metadata,
    )


def order_id_of(message: OrderIdMessage) -> OrderId:
    """The order id of a message that passed `check_message`."""
    return OrderId(
        subaccount=subaccount_of(message.subaccount_id),
        client_id=message.client_id,
        flags=OrderFlags(message.order_flags),
        clob_pair_id=message.clob_pair_id,
    )


def subaccount_of(message: SubaccountMessage) -> SubaccountId:
    """The subaccount that a message names."""
    return SubaccountId(owner=message.owner, number=message.number)


def one_line(message: OrderIdMessage | SubaccountMessage) -> str:
    """A message for a log."""
    return str(message).replace("\n", " ").strip()
