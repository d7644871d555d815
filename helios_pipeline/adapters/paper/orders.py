"""NautilusTrader's orders as intents of a paper account, and its prices as what that account sees."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from nautilus_trader.cache.cache import Cache
from nautilus_trader.model.enums import OrderSide, OrderType, TimeInForce
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.orders import Order

from helios_pipeline.adapters.paper.reports import EPOCH
from helios_pipeline.adapters.paper.terms import Level, MarketPrices
from helios_pipeline.core.trading import Intent, OrderKind
from helios_pipeline.core.venues import venue_client_id

QUOTE_AGE_NS = 30_000_000_000
"""An older quote is no price: what waits for one waits for the next."""

KINDS: dict[OrderType, OrderKind] = {
    OrderType.MARKET: "market",
    OrderType.LIMIT: "limit",
    OrderType.STOP_MARKET: "stop_market",
}
_LIFETIMES = (TimeInForce.GTC, TimeInForce.IOC)


def to_instant(stamp_ns: int) -> datetime:
    """UTC; below a microsecond is cut."""
    return EPOCH + timedelta(microseconds=stamp_ns // 1_000)


def unsupported(order: Order) -> str:
    """Why the paper venue does not take such an order; empty if it does."""
    if order.order_type not in KINDS:
        return f"expected a market, limit or stop-market order, found {order.type_string()}"
    if order.is_quote_quantity:
        return "expected a quantity in base currency, found one in quote currency"
    if order.time_in_force not in _LIFETIMES:
        return f"expected an order that is GTC or IOC, found {order.tif_string()}"
    return ""


def is_immediate(order: Order) -> bool:
    """Whether what does not fill on arrival is cancelled."""
    return bool(order.order_type == OrderType.MARKET or order.time_in_force == TimeInForce.IOC)


def intent_of(order: Order, account: str, now: datetime) -> Intent:
    """The order as it would be journalled if nobody who knows its purpose did so before."""
    return Intent(
        account=account,
        instrument_id=order.instrument_id.value,
        client_order_id=order.client_order_id.value,
        venue_client_id=venue_client_id(order.client_order_id.value),
        side=1 if order.side == OrderSide.BUY else -1,
        kind=KINDS[order.order_type],
        quantity=order.quantity.as_decimal(),
        limit_price=order.price.as_decimal() if order.has_price else None,
        trigger_price=order.trigger_price.as_decimal() if order.has_trigger_price else None,
        reduce_only=order.is_reduce_only,
        purpose="other",
        reason="",
        boundary=None,
        atr=None,
        good_til_block=None,
        intended_at=now,
    )


def best_prices(cache: Cache, instrument_id: InstrumentId, now_ns: int) -> MarketPrices:
    """What NautilusTrader's quote and mark say of a market now; cheap enough for every one that comes."""
    mark = cache.mark_price(instrument_id)
    marked = None if mark is None else mark.value.as_decimal()
    quote = cache.quote_tick(instrument_id)
    if quote is None or now_ns - quote.ts_init > QUOTE_AGE_NS:
        return MarketPrices(bids=(), asks=(), mark=marked, is_whole_book=False)
    return MarketPrices(
        bids=(Level(quote.bid_price.as_decimal(), quote.bid_size.as_decimal()),),
        asks=(Level(quote.ask_price.as_decimal(), quote.ask_size.as_decimal()),),
        mark=marked,
        is_whole_book=False,
    )


def fill_prices(cache: Cache, instrument_id: InstrumentId, now_ns: int) -> MarketPrices:
    """The same with every level of the book, where somebody has it kept and it agrees with the quote."""
    best, book = best_prices(cache, instrument_id, now_ns), cache.order_book(instrument_id)
    if book is None or not best.bids:
        return best
    decimals = cache.instrument(instrument_id).size_precision
    bids, asks = (
        tuple(Level(each.price.as_decimal(), Decimal(f"{each.size():.{decimals}f}")) for each in side)
        for side in (book.bids(), book.asks())
    )
    agree = bids and asks and (bids[0].price, asks[0].price) == (best.bids[0].price, best.asks[0].price)
    return replace(best, bids=bids, asks=asks, is_whole_book=True) if agree else best
