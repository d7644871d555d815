"""Records of a paper account as NautilusTrader's events."""

from decimal import ROUND_FLOOR, Decimal

from nautilus_trader.cache.cache import Cache
from nautilus_trader.live.execution_client import LiveExecutionClient
from nautilus_trader.model.enums import LiquiditySide
from nautilus_trader.model.identifiers import ClientOrderId, TradeId, VenueOrderId
from nautilus_trader.model.objects import AccountBalance, Money
from nautilus_trader.model.orders import Order

from helios_pipeline.adapters.paper.reports import exact_price, exact_quantity, fee_money, order_side, to_ns
from helios_pipeline.adapters.paper.state import PaperState
from helios_pipeline.adapters.paper.terms import MONEY_QUANTUM
from helios_pipeline.core.trading import JournalRecord, OrderEvent, VenueFill


class Telling:
    """Tells NautilusTrader what happened to orders that it knows; of any other it hears by reports.

    Args:
        client: that events come from.
        cache: where NautilusTrader's orders are.
        currency: that fees are paid in.
    """

    def __init__(self, client: LiveExecutionClient, cache: Cache, currency: str) -> None:
        self._client = client
        self._cache = cache
        self._currency = currency

    def tell(self, record: JournalRecord) -> None:
        """Say one record; those that are not of orders are passed over."""
        if not isinstance(record, OrderEvent | VenueFill) or record.client_order_id is None:
            return
        order = self._cache.order(ClientOrderId(record.client_order_id))
        if order is None:
            return
        if isinstance(record, VenueFill):
            self._tell_fill(order, record)
        else:
            _tell_event(self._client, order, record)

    def _tell_fill(self, order: Order, fill: VenueFill) -> None:
        instrument = self._cache.instrument(order.instrument_id)
        self._client.generate_order_filled(
            order.strategy_id,
            order.instrument_id,
            order.client_order_id,
            VenueOrderId(fill.venue_order_id),
            None,
            TradeId(fill.venue_fill_id),
            order_side(fill.side),
            order.order_type,
            exact_quantity(fill.quantity, instrument.size_precision),
            exact_price(fill.price, instrument.price_precision),
            instrument.quote_currency,
            fee_money(fill.fee, self._currency),
            LiquiditySide.MAKER if fill.liquidity == "maker" else LiquiditySide.TAKER,
            to_ns(fill.filled_at),
        )


def account_balance(state: PaperState, currency: str) -> AccountBalance:
    """Cash without unrealised profit, as NautilusTrader counts it: what positions cost is added back."""
    cost = sum((each.quantity * each.entry_price for each in state.positions.values()), Decimal(0))
    cash = (state.quote_balance + cost).quantize(MONEY_QUANTUM, ROUND_FLOOR)
    total = Money.from_str(f"{cash:f} {currency}")
    return AccountBalance(total, Money.from_str(f"0 {currency}"), total)


def _tell_event(client: LiveExecutionClient, order: Order, event: OrderEvent) -> None:
    names = (order.strategy_id, order.instrument_id, order.client_order_id)
    venue_order_id, stamp = VenueOrderId(event.venue_order_id), to_ns(event.occurred_at)
    match event.state:
        case "submitted":
            client.generate_order_submitted(*names, stamp)
        case "accepted":
            client.generate_order_accepted(*names, venue_order_id, stamp)
        case "rejected":
            client.generate_order_rejected(*names, event.reason, stamp)
        case "canceled":
            client.generate_order_canceled(*names, venue_order_id, stamp)
        case "expired":
            client.generate_order_expired(*names, venue_order_id, stamp)
