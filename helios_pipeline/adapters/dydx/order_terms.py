"""NautilusTrader's orders as the venue's terms; pure."""

from dataclasses import dataclass
from decimal import Decimal

from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import OrderSide, OrderType, TimeInForce, TriggerType
from nautilus_trader.model.orders import Order

from helios_pipeline.adapters.dydx.market import BUY, SELL
from helios_pipeline.adapters.dydx.order_ids import OrderFlags
from helios_pipeline.adapters.dydx.order_messages import OrderSpec
from helios_pipeline.core.errors import VenueError
from helios_pipeline.core.venues import venue_client_id

QUOTE_SECONDS = 3.0
"""A quote may be so old."""
ORACLE_SECONDS = 12.0
"""An oracle price may be so old: it is read by REST every few seconds, and heard when it changes."""

_IN_ONE_PIECE = (TimeInForce.GTC, TimeInForce.GTD, TimeInForce.IOC)
_BPS = Decimal(10_000)
_TRIGGERS = (TriggerType.DEFAULT, TriggerType.MARK_PRICE, TriggerType.INDEX_PRICE)


def side_of(order: Order) -> int:
    """+1 to buy, −1 to sell."""
    return BUY if order.side == OrderSide.BUY else SELL


def flags_of(order: Order) -> OrderFlags:
    """How the chain keeps an order."""
    if order.order_type == OrderType.STOP_MARKET:
        return OrderFlags.CONDITIONAL
    immediate = order.order_type == OrderType.MARKET or order.time_in_force == TimeInForce.IOC
    return OrderFlags.SHORT_TERM if immediate else OrderFlags.LONG_TERM


def order_spec(order: Order, market_limit: Decimal | None) -> OrderSpec:
    """What the venue is to be asked for.

    Args:
        order: NautilusTrader's.
        market_limit: most that a market order may pay, or least that it may take.

    Raises:
        VenueError: the venue has no such order.
    """
    _check(order)
    limited = order.order_type == OrderType.LIMIT
    stop = order.order_type == OrderType.STOP_MARKET
    expires = order.expire_time_ns if order.time_in_force == TimeInForce.GTD else 0
    return OrderSpec(
        client_id=venue_client_id(order.client_order_id.value),
        kind="stop_market" if stop else "limit" if limited else "market",
        side=side_of(order),
        quantity=order.quantity.as_decimal(),
        limit_price=order.price.as_decimal() if limited else market_limit,
        trigger_price=order.trigger_price.as_decimal() if stop else None,
        reduce_only=order.is_reduce_only,
        immediate=flags_of(order) is OrderFlags.SHORT_TERM,
        post_only=order.is_post_only,
        expires_seconds=expires // 1_000_000_000 or None,
    )


def _check(order: Order) -> None:
    """Refuse what the venue does not have.

    Raises:
        VenueError: naming it.
    """
    if order.order_type not in (OrderType.MARKET, OrderType.LIMIT, OrderType.STOP_MARKET):
        raise VenueError(f"dYdX order: expected a market, limit or stop market order, found {order.type_string()}.")
    if order.order_type != OrderType.MARKET and order.time_in_force not in _IN_ONE_PIECE:
        raise VenueError(f"dYdX order: expected GTC, GTD or IOC, found {order.tif_string()}.")
    if order.order_type == OrderType.STOP_MARKET and order.trigger_type not in _TRIGGERS:
        raise VenueError("dYdX stop: expected a trigger on the oracle price (MARK_PRICE), the only one that there is.")
    if order.is_quote_quantity:
        raise VenueError("dYdX order: expected a quantity in base currency, found one in quote currency.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What is known of an instrument's price.

    Attributes:
        quote, quote_age_seconds: best prices that were heard; None for none.
        oracle, oracle_age_seconds: the chain's price; None for none.
    """

    quote: QuoteTick | None
    quote_age_seconds: float
    oracle: Decimal | None
    oracle_age_seconds: float


def market_limit(side: int, prices: Prices, slippage_bps: Decimal) -> Decimal | None:
    """Limit of a market order: the best price of the other side, or the oracle's, moved against the trader.

    Returns:
        None if neither is fresh: then nobody knows what such an order may cost.
    """
    base: Decimal | None = None
    if prices.quote is not None and prices.quote_age_seconds <= QUOTE_SECONDS:
        base = (prices.quote.ask_price if side == BUY else prices.quote.bid_price).as_decimal()
    elif prices.oracle is not None and prices.oracle_age_seconds <= ORACLE_SECONDS:
        base = prices.oracle
    return None if base is None else base * (1 + side * slippage_bps / _BPS)
