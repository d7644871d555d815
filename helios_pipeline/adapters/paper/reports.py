"""What NautilusTrader asks of a venue at its start, answered from a paper account.

Orders and fills are told from the last moment on at which an instrument was flat: they make the position that there is,
to the last fill, and an account of many years starts as fast as a new one.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from nautilus_trader.cache.cache import Cache
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.reports import FillReport, OrderStatusReport, PositionStatusReport
from nautilus_trader.model.enums import (
    LiquiditySide,
    OrderSide,
    OrderStatus,
    OrderType,
    PositionSide,
    TimeInForce,
    TriggerType,
)
from nautilus_trader.model.identifiers import AccountId, ClientOrderId, InstrumentId, TradeId, VenueOrderId
from nautilus_trader.model.objects import Money, Price, Quantity

from helios_pipeline.adapters.paper.state import PaperOrder, PaperState
from helios_pipeline.core.trading import OrderKind, OrderState, VenueFill

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ORDER_TYPES: dict[OrderKind, OrderType] = {
    "market": OrderType.MARKET,
    "limit": OrderType.LIMIT,
    "stop_market": OrderType.STOP_MARKET,
}
_ENDED: dict[OrderState, OrderStatus] = {
    "denied": OrderStatus.DENIED,
    "rejected": OrderStatus.REJECTED,
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "expired": OrderStatus.EXPIRED,
}


def to_ns(instant: datetime) -> int:
    """Nanoseconds since 1970, exactly."""
    return (instant - EPOCH) // timedelta(microseconds=1) * 1_000


def order_side(side: int) -> OrderSide:
    """NautilusTrader's word for −1 or +1."""
    return OrderSide.BUY if side > 0 else OrderSide.SELL


def fee_money(fee: Decimal, currency: str) -> Money:
    """Exact: `Money(Decimal)` goes through a double."""
    return Money.from_str(f"{fee:f} {currency}")


def exact_quantity(quantity: Decimal, decimals: int) -> Quantity:
    """Without the double that an instrument's `make_qty` goes through."""
    return Quantity.from_str(f"{quantity:.{decimals}f}")


def exact_price(price: Decimal, decimals: int) -> Price:
    """Without the double that an instrument's `make_price` goes through."""
    return Price.from_str(f"{price:.{decimals}f}")


def fills_since_flat(state: PaperState, instrument_id: str) -> list[VenueFill]:
    """The fills that make the position: from the last moment on at which it was flat and no order was half done."""
    fills = [each for each in state.fills if each.instrument_id == instrument_id]
    quantity, first = state.quantity(instrument_id), len(fills)
    told = {order.venue_order_id for order in state.open_orders(instrument_id)}
    while first and (quantity != 0 or _is_split(fills, first, told)):
        first -= 1
        quantity -= fills[first].side * fills[first].quantity
        told.add(fills[first].venue_order_id)
    return fills[first:]


def _is_split(fills: list[VenueFill], first: int, told: set[str]) -> bool:
    """Whether an order that is told has fills before the first one that is."""
    return any(fill.venue_order_id in told for fill in fills[:first])


class PaperReports:
    """Writes the reports of one account.

    Args:
        state: of the account.
        currency: that fees are paid in.
        cache: NautilusTrader's, which knows the instruments' precisions.
    """

    def __init__(self, state: PaperState, currency: str, cache: Cache) -> None:
        self._state = state
        self._currency = currency
        self._cache = cache

    def fills(self, account_id: AccountId, instrument_ids: Iterable[str], now_ns: int) -> list[FillReport]:
        """Fills that make the positions there are."""
        return [
            self._fill(account_id, fill, now_ns)
            for each in instrument_ids
            for fill in fills_since_flat(self._state, each)
        ]

    def orders(self, account_id: AccountId, instrument_ids: Iterable[str], now_ns: int) -> list[OrderStatusReport]:
        """Orders of those fills, in the order in which they first filled, then those that are open without any."""
        found = dict[str, PaperOrder]()
        for each in instrument_ids:
            ids = [fill.client_order_id for fill in fills_since_flat(self._state, each)]
            ids += [order.intent.client_order_id for order in self._state.open_orders(each)]
            found.update((i, self._state.orders[i]) for i in ids if i is not None and i not in found)
        return [self.order(account_id, order, now_ns) for order in found.values()]

    def order(self, account_id: AccountId, order: PaperOrder, now_ns: int) -> OrderStatusReport:
        """One order as it is."""
        intent = order.intent
        instrument_id = InstrumentId.from_str(intent.instrument_id)
        instrument = self._cache.instrument(instrument_id)
        fills = [each for each in self._state.fills if each.client_order_id == intent.client_order_id]
        accepted_ns = to_ns(order.accepted_at or intent.intended_at)
        limit, trigger = intent.limit_price, intent.trigger_price
        return OrderStatusReport(
            account_id=account_id,
            instrument_id=instrument_id,
            venue_order_id=VenueOrderId(order.venue_order_id),
            order_side=order_side(intent.side),
            order_type=ORDER_TYPES[intent.kind],
            time_in_force=TimeInForce.IOC if intent.kind == "market" else TimeInForce.GTC,
            order_status=_status(order),
            quantity=exact_quantity(intent.quantity, instrument.size_precision),
            filled_qty=exact_quantity(order.filled, instrument.size_precision),
            report_id=UUID4(),
            ts_accepted=accepted_ns,
            ts_last=to_ns(fills[-1].filled_at) if fills else accepted_ns,
            ts_init=now_ns,
            client_order_id=ClientOrderId(intent.client_order_id),
            price=None if limit is None else exact_price(limit, instrument.price_precision),
            trigger_price=None if trigger is None else exact_price(trigger, instrument.price_precision),
            trigger_type=TriggerType.NO_TRIGGER if trigger is None else TriggerType.MARK_PRICE,
            avg_px=sum((f.quantity * f.price for f in fills), Decimal(0)) / order.filled if fills else None,
            reduce_only=intent.reduce_only,
        )

    def positions(self, account_id: AccountId, now_ns: int) -> list[PositionStatusReport]:
        """Positions that are not flat."""
        return [self._position(account_id, each, now_ns) for each in self._state.positions]

    def _position(self, account_id: AccountId, instrument_id: str, now_ns: int) -> PositionStatusReport:
        position = self._state.positions[instrument_id]
        nautilus_id = InstrumentId.from_str(instrument_id)
        return PositionStatusReport(
            account_id=account_id,
            instrument_id=nautilus_id,
            position_side=PositionSide.LONG if position.quantity > 0 else PositionSide.SHORT,
            quantity=exact_quantity(abs(position.quantity), self._cache.instrument(nautilus_id).size_precision),
            report_id=UUID4(),
            ts_last=now_ns,
            ts_init=now_ns,
            avg_px_open=position.entry_price,
        )

    def _fill(self, account_id: AccountId, fill: VenueFill, now_ns: int) -> FillReport:
        instrument_id = InstrumentId.from_str(fill.instrument_id)
        instrument = self._cache.instrument(instrument_id)
        return FillReport(
            account_id=account_id,
            instrument_id=instrument_id,
            venue_order_id=VenueOrderId(fill.venue_order_id),
            trade_id=TradeId(fill.venue_fill_id),
            order_side=order_side(fill.side),
            last_qty=exact_quantity(fill.quantity, instrument.size_precision),
            last_px=exact_price(fill.price, instrument.price_precision),
            commission=fee_money(fill.fee, self._currency),
            liquidity_side=LiquiditySide.MAKER if fill.liquidity == "maker" else LiquiditySide.TAKER,
            report_id=UUID4(),
            ts_event=to_ns(fill.filled_at),
            ts_init=now_ns,
            client_order_id=ClientOrderId(fill.client_order_id) if fill.client_order_id else None,
        )


def _status(order: PaperOrder) -> OrderStatus:
    if order.ended is not None:
        return _ENDED[order.ended]
    return OrderStatus.PARTIALLY_FILLED if order.filled else OrderStatus.ACCEPTED
