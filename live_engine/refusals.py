"""The messages of NautilusTrader by which a refusal is told, and what is left of a refused list is sent."""

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import ModifyOrder, SubmitOrder, SubmitOrderList
from nautilus_trader.model.events import OrderDenied, OrderModifyRejected
from nautilus_trader.model.orders import Order

NO_CHANGES = "orders are not changed: the journal holds one intent for each. Cancel it and send another"


def denial(order: Order, why: str, now_ns: int) -> OrderDenied:
    """That an order was not sent, and why."""
    return OrderDenied(
        trader_id=order.trader_id,
        strategy_id=order.strategy_id,
        instrument_id=order.instrument_id,
        client_order_id=order.client_order_id,
        reason=why,
        event_id=UUID4(),
        ts_init=now_ns,
    )


def change_refusal(command: ModifyOrder, order: Order | None, now_ns: int) -> OrderModifyRejected:
    """That an order stays as it is; `order` is None if nobody knows it."""
    return OrderModifyRejected(
        trader_id=command.trader_id,
        strategy_id=command.strategy_id,
        instrument_id=command.instrument_id,
        client_order_id=command.client_order_id,
        venue_order_id=command.venue_order_id,
        account_id=None if order is None else order.account_id,
        reason=NO_CHANGES,
        event_id=UUID4(),
        ts_event=now_ns,
        ts_init=now_ns,
    )


def alone(command: SubmitOrderList, order: Order, now_ns: int) -> SubmitOrder:
    """An order of a list as a command of its own."""
    return SubmitOrder(
        trader_id=command.trader_id,
        strategy_id=command.strategy_id,
        order=order,
        command_id=UUID4(),
        ts_init=now_ns,
        position_id=command.position_id,
        client_id=command.client_id,
        params=command.params,
    )
