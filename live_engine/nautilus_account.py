"""NautilusTrader's idea of an account: read from its cache, and set right through its own endpoints."""

from datetime import datetime
from decimal import Decimal

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import CancelOrder
from nautilus_trader.execution.reports import FillReport, PositionStatusReport
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.enums import LiquiditySide, OrderSide, PositionSide
from nautilus_trader.model.events import OrderAccepted, OrderCanceled
from nautilus_trader.model.identifiers import AccountId, ClientOrderId, InstrumentId, TradeId, VenueOrderId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import Money, Quantity
from nautilus_trader.model.orders import Order

from helios_pipeline.core.trading import VenueFill
from helios_pipeline.core.venues import VenuePosition
from helios_pipeline.execution.reconciliation import BelievedOrder, CacheExtract
from live_engine.order_records import EPOCH, instant


class NautilusAccount:
    """One account in a node. Everything it tells NautilusTrader passes the hooks, so it is journalled first.

    Args:
        node: that runs.
        account: as both name it.
    """

    def __init__(self, node: TradingNode, account: str) -> None:
        self._cache = node.kernel.cache
        self._msgbus = node.kernel.msgbus
        self._clock = node.kernel.clock
        self._account = AccountId(account)

    def extract(self) -> CacheExtract:
        """Positions and open orders as the cache has them."""
        positions: dict[str, Decimal] = {}
        for position in self._cache.positions_open(account_id=self._account):
            instrument_id = position.instrument_id.value
            positions[instrument_id] = positions.get(instrument_id, Decimal(0)) + position.signed_decimal_qty()
        live = (*self._cache.orders_open(), *self._cache.orders_inflight())
        return CacheExtract(
            positions={each: quantity for each, quantity in positions.items() if quantity},
            open_orders={order.client_order_id.value: _believed(order) for order in live},
        )

    def take_fill(self, fill: VenueFill) -> bool:
        """Tell a fill of the venue that the journal has; whether NautilusTrader knows the order."""
        order = None if fill.client_order_id is None else self._order(fill.client_order_id)
        instrument = self._cache.instrument(InstrumentId.from_str(fill.instrument_id))
        if order is None or instrument is None:
            return False
        venue_order_id = VenueOrderId(fill.venue_order_id)
        if self._cache.client_order_id(venue_order_id) is None:
            # A fill finds its order by the venue's id, which nobody told when the order was accepted.
            self._cache.add_venue_order_id(order.client_order_id, venue_order_id)
        report = _fill_report(fill, self._account, instrument, order)
        self._msgbus.send("ExecEngine.reconcile_execution_report", report)
        return True

    def accept(self, client_order_id: str, venue_order_id: str) -> bool:
        """Tell that the venue has an order; False if NautilusTrader does not know it as one that is under way."""
        order = self._order(client_order_id)
        if order is None or not order.is_inflight:
            return False
        self._msgbus.send("ExecEngine.process", self._event(OrderAccepted, order, venue_order_id))
        return True

    def cancel(self, client_order_id: str) -> bool:
        """Tell that an order has ended; False if NautilusTrader does not know it as one that may still fill."""
        order = self._order(client_order_id)
        if order is None or not (order.is_inflight or order.is_open):
            return False
        self._msgbus.send("ExecEngine.process", self._event(OrderCanceled, order, None))
        return True

    def withdraw(self, client_order_id: str, venue_order_id: str) -> bool:
        """Have an order cancelled at the venue, whatever it is thought to be; False if NautilusTrader never knew it."""
        named = self._cache.client_order_id(VenueOrderId(venue_order_id))
        order = self._order(client_order_id) if named is None else self._cache.order(named)
        if order is None:
            return False
        self._msgbus.send("ExecEngine.execute", cancel_command(order, self._clock.timestamp_ns()))
        return True

    def place(self, instrument_id: str, position: VenuePosition | None) -> None:
        """Tell what the position is; NautilusTrader infers a fill that makes it so."""
        instrument = self._cache.instrument(InstrumentId.from_str(instrument_id))
        if instrument is None:
            return
        quantity = Decimal(0) if position is None else position.quantity
        side = PositionSide.FLAT if not quantity else PositionSide.LONG if quantity > 0 else PositionSide.SHORT
        now = self._clock.timestamp_ns()
        report = PositionStatusReport(
            account_id=self._account,
            instrument_id=instrument.id,
            position_side=side,
            quantity=Quantity(abs(quantity), instrument.size_precision),
            report_id=UUID4(),
            ts_last=now,
            ts_init=now,
            avg_px_open=None if position is None else position.entry_price,
        )
        self._msgbus.send("ExecEngine.reconcile_execution_report", report)

    def _order(self, client_order_id: str) -> Order | None:
        return self._cache.order(ClientOrderId(client_order_id))

    def _event(
        self, kind: type[OrderAccepted | OrderCanceled], order: Order, venue_order_id: str | None
    ) -> OrderAccepted | OrderCanceled:
        now = self._clock.timestamp_ns()
        return kind(
            trader_id=order.trader_id,
            strategy_id=order.strategy_id,
            instrument_id=order.instrument_id,
            client_order_id=order.client_order_id,
            venue_order_id=order.venue_order_id if venue_order_id is None else VenueOrderId(venue_order_id),
            account_id=self._account,
            event_id=UUID4(),
            ts_event=now,
            ts_init=now,
            reconciliation=True,
        )


def cancel_command(order: Order, now_ns: int) -> CancelOrder:
    """That an order is to be cancelled."""
    return CancelOrder(
        trader_id=order.trader_id,
        strategy_id=order.strategy_id,
        instrument_id=order.instrument_id,
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        command_id=UUID4(),
        ts_init=now_ns,
    )


def _believed(order: Order) -> BelievedOrder:
    venue_order_id = None if order.venue_order_id is None else order.venue_order_id.value
    return BelievedOrder(venue_order_id=venue_order_id, changed_at=instant(order.ts_last))


def _fill_report(fill: VenueFill, account: AccountId, instrument: Instrument, order: Order) -> FillReport:
    return FillReport(
        account_id=account,
        instrument_id=instrument.id,
        venue_order_id=VenueOrderId(fill.venue_order_id),
        trade_id=TradeId(fill.venue_fill_id),
        order_side=OrderSide.BUY if fill.side > 0 else OrderSide.SELL,
        last_qty=instrument.make_qty(fill.quantity),
        last_px=instrument.make_price(fill.price),
        commission=Money(fill.fee, instrument.quote_currency),
        liquidity_side=LiquiditySide.MAKER if fill.liquidity == "maker" else LiquiditySide.TAKER,
        report_id=UUID4(),
        ts_event=_nanoseconds(fill.filled_at),
        ts_init=_nanoseconds(fill.filled_at),
        client_order_id=order.client_order_id,
    )


def _nanoseconds(moment: datetime) -> int:
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000
