"""NautilusTrader's orders, events and reports as the journal's records and the gate's requests. Pure translation."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isnan
from typing import Literal

from nautilus_trader.execution.reports import FillReport
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import LiquiditySide, OrderSide, OrderType
from nautilus_trader.model.events import (
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    OrderTriggered,
)
from nautilus_trader.model.events import OrderEvent as NautilusOrderEvent
from nautilus_trader.model.orders import Order

from helios_pipeline.core.trading import (
    InferredFill,
    Intent,
    JournalRecord,
    OrderEvent,
    OrderKind,
    OrderState,
    Purpose,
    VenueFill,
)
from helios_pipeline.core.venues import venue_client_id
from helios_pipeline.execution.books import Books
from helios_pipeline.execution.orders import LIFE
from helios_pipeline.strategy.holding import SentOrder
from helios_pipeline.strategy.order_tags import read_tags
from live_engine.gate_state import OrderRequest

KINDS: dict[OrderType, OrderKind] = {
    OrderType.MARKET: "market",
    OrderType.LIMIT: "limit",
    OrderType.STOP_MARKET: "stop_market",
}
STATES: dict[type, OrderState] = {
    OrderDenied: "denied",
    OrderSubmitted: "submitted",
    OrderAccepted: "accepted",
    OrderRejected: "rejected",
    OrderTriggered: "triggered",
    OrderCanceled: "canceled",
    OrderExpired: "expired",
}
MADE_UP = frozenset({"UNKNOWN", "ORDER_NOT_FOUND_AT_VENUE"})
"""Reasons of rejections that NautilusTrader makes up when a venue does not answer: they say nothing about the order."""

MARKET_EXIT_TAG = "MARKET_EXIT"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(nanoseconds: int) -> datetime:
    """An instant from NautilusTrader's stamp, cut to microseconds."""
    return EPOCH + timedelta(microseconds=nanoseconds // 1_000)


def unsendable(order: Order) -> str:
    """Why no venue of ours can be sent an order; empty if one can."""
    if order.order_type not in KINDS:
        return f"order: expected one of {', '.join(KINDS.values())}, found {order.type_string()}"
    if order.is_quote_quantity:
        return "order: expected a quantity in base currency, found one in quote currency"
    return ""


def order_request(order: Order, quote: QuoteTick | None) -> OrderRequest:
    """What the gate judges of an order.

    Args:
        order: of a kind that can be sent.
        quote: best quotes of the instrument; None if there are none.
    """
    side = _side(order.side)
    price: Decimal | None = None
    if order.has_price:
        price = order.price.as_decimal()
    elif order.has_trigger_price:
        price = order.trigger_price.as_decimal()
    elif quote is not None:
        price = (quote.ask_price if side > 0 else quote.bid_price).as_decimal()
    return OrderRequest(
        instrument_id=order.instrument_id.value,
        client_order_id=order.client_order_id.value,
        side=side,
        quantity=order.quantity.as_decimal(),
        price=price,
        reduce_only=order.is_reduce_only,
        purpose=sent_for(order)[0],
    )


def sent_for(order: Order) -> tuple[Purpose, SentOrder]:
    """What an order is for, by its tags; closing orders of `market_exit` carry NautilusTrader's tag: a person asked."""
    sent = read_tags(order.tags)
    if MARKET_EXIT_TAG in (order.tags or []):
        return "flatten", sent
    return sent.purpose, sent


def order_intent(account: str, order: Order, good_til_block: int | None, now: datetime) -> Intent:
    """The intent of an order that is about to be sent.

    Args:
        account: that it is sent from.
        order: of a kind that can be sent.
        good_til_block: last block that may hold it; None for one that rests.
        now: when.
    """
    purpose, sent = sent_for(order)
    return Intent(
        account=account,
        instrument_id=order.instrument_id.value,
        client_order_id=order.client_order_id.value,
        venue_client_id=venue_client_id(order.client_order_id.value),
        side=_side(order.side),
        kind=KINDS[order.order_type],
        quantity=order.quantity.as_decimal(),
        limit_price=order.price.as_decimal() if order.has_price else None,
        trigger_price=order.trigger_price.as_decimal() if order.has_trigger_price else None,
        reduce_only=order.is_reduce_only,
        purpose=purpose,
        reason=sent.reason or ("market_exit" if purpose == "flatten" else ""),
        boundary=instant(sent.boundary) if sent.boundary else None,
        atr=None if isnan(sent.atr) else sent.atr,
        good_til_block=good_til_block,
        intended_at=now,
    )


def event_record(account: str, event: NautilusOrderEvent, books: Books) -> Iterator[JournalRecord]:
    """What the journal does not know yet of an event.

    A fill whose id the venue has told is in the journal already, and only the order's new state is added; any other
    was inferred.
    """
    line = books.orders.get(event.client_order_id.value)
    if isinstance(event, OrderFilled):
        told = books.knows(_venue_fill(account, event))
        if not told:
            yield _inferred(account, event)
        elif line is not None and line.intent is not None:
            yield _order_event(account, event, "partially_filled" if line.remaining else "filled", "")
        return
    state = STATES.get(type(event))
    reason = getattr(event, "reason", "") or ""
    if state is None or (state == "rejected" and reason in MADE_UP):
        return
    ours = state == "denied" or (line is not None and line.intent is not None)
    if ours and (line is None or LIFE[state] > LIFE[line.state]):
        yield _order_event(account, event, state, reason)


def fill_record(account: str, report: FillReport, books: Books) -> Iterator[VenueFill]:
    """The fill that a report tells; none for one from before the journal began."""
    if books.began_at is None or instant(report.ts_event) >= books.began_at:
        yield _venue_fill(account, report)


def _venue_fill(account: str, told: OrderFilled | FillReport) -> VenueFill:
    liquidity: Literal["maker", "taker"] = "maker" if told.liquidity_side == LiquiditySide.MAKER else "taker"
    return VenueFill(
        account=account,
        instrument_id=told.instrument_id.value,
        venue_fill_id=told.trade_id.value,
        venue_order_id="" if told.venue_order_id is None else told.venue_order_id.value,
        client_order_id=None if told.client_order_id is None else told.client_order_id.value,
        side=_side(told.order_side),
        quantity=told.last_qty.as_decimal(),
        price=told.last_px.as_decimal(),
        fee=Decimal(0) if told.commission is None else told.commission.as_decimal(),
        liquidity=liquidity,
        filled_at=instant(told.ts_event),
    )


def _inferred(account: str, event: OrderFilled) -> InferredFill:
    return InferredFill(
        account=account,
        instrument_id=event.instrument_id.value,
        client_order_id=event.client_order_id.value,
        side=_side(event.order_side),
        quantity=event.last_qty.as_decimal(),
        price=event.last_px.as_decimal(),
        inferred_at=instant(event.ts_event),
    )


def _order_event(account: str, event: NautilusOrderEvent, state: OrderState, reason: str) -> OrderEvent:
    return OrderEvent(
        account=account,
        client_order_id=event.client_order_id.value,
        state=state,
        venue_order_id=None if event.venue_order_id is None else event.venue_order_id.value,
        reason=reason,
        occurred_at=instant(event.ts_event),
    )


def _side(side: OrderSide) -> int:
    return 1 if side == OrderSide.BUY else -1
