"""Orders as the chain takes them: which kind of order on the chain stands for which of ours, in exact integers.

- A market order is a short-term order that takes at once (IOC) up to a limit: good until a block, kept in no state.
- A limit order that rests is a long-term order, good until a time.
- A protective stop is a conditional order: the chain keeps it and wakes it when the oracle price reaches its trigger,
  whether or not the engine is alive. It takes at once then, and can only reduce.

The chain allows reduce-only for orders that take at once only (v4-chain, x/clob, error 9003).
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from dydx_v4_client.node import message
from v4_proto.dydxprotocol.clob.order_pb2 import Order

from helios_pipeline.adapters.dydx.market import BUY, Market
from helios_pipeline.adapters.dydx.order_ids import OrderFlags, order_uuid
from helios_pipeline.core.errors import VenueError
from helios_pipeline.core.trading import OrderKind

RESTING_SECONDS = 90 * 86_400
"""For so long a resting order is good; the chain allows 95 days."""
CANCEL_SECONDS = 94 * 86_400
"""A cancel must be good for longer than the order it is for."""

STOP_LIMIT_FRACTION = Decimal("0.2")
"""How far beyond its trigger a woken stop may still trade: it has to get out, and takes no more than the book has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSpec:
    """An order before it is sent.

    Attributes:
        client_id: the u32 that the venue sees.
        kind: `market`, `limit` or `stop_market`.
        side: −1 or +1.
        quantity: base currency, a multiple of the market's step.
        limit_price: most that is paid or least that is taken; None for a stop.
        trigger_price: of a stop, on a tick.
        reduce_only: whether it can only make a position smaller.
        immediate: whether what can't be filled at once is dropped.
        post_only: whether it may only rest.
        expires_seconds: when a resting order ends, seconds since 1970; None for the longest.
    """

    client_id: int
    kind: OrderKind
    side: int
    quantity: Decimal
    limit_price: Decimal | None
    trigger_price: Decimal | None
    reduce_only: bool
    immediate: bool
    post_only: bool
    expires_seconds: int | None

    @property
    def flags(self) -> OrderFlags:
        """How the chain keeps it."""
        if self.kind == "stop_market":
            return OrderFlags.CONDITIONAL
        return OrderFlags.SHORT_TERM if self.immediate else OrderFlags.LONG_TERM


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderName:
    """What names an order on the chain."""

    address: str
    subaccount: int
    client_id: int
    clob_pair_id: int
    flags: OrderFlags

    @property
    def venue_order_id(self) -> str:
        """The indexer's id."""
        return order_uuid(self.address, self.subaccount, self.client_id, self.clob_pair_id, self.flags)

    def message(self) -> Any:  # noqa: ANN401 - messages carry no types
        """As the chain writes it."""
        return message.order_id(self.address, self.subaccount, self.client_id, self.clob_pair_id, int(self.flags))


def place_message(name: OrderName, spec: OrderSpec, market: Market, *, last_block: int, now_seconds: int) -> Any:  # noqa: ANN401
    """The message that places an order.

    Args:
        name: of the order.
        spec: what is wanted.
        market: where.
        last_block: last block that may include a short-term order.
        now_seconds: since 1970.

    Raises:
        VenueError: size or trigger are off the market's steps, or the chain has no such order.
    """
    if spec.reduce_only and spec.flags is OrderFlags.LONG_TERM:
        raise VenueError("dYdX order: expected a resting order that may enlarge a position, found reduce_only (9003).")
    stop = spec.kind == "stop_market"
    if stop and spec.trigger_price is None:
        raise VenueError("dYdX order: expected a stop with a trigger price, found none.")
    limit = stop_limit(spec) if stop else spec.limit_price
    if limit is None:
        raise VenueError("dYdX order: expected a limit price, found none.")
    short = spec.flags is OrderFlags.SHORT_TERM
    end = (
        {"good_til_block": last_block}
        if short
        else {"good_til_block_time": spec.expires_seconds or now_seconds + RESTING_SECONDS}
    )
    condition = (
        {
            "condition_type": Order.CONDITION_TYPE_STOP_LOSS,
            "conditional_order_trigger_subticks": market.subticks(spec.trigger_price or Decimal(0)),
        }
        if stop
        else {}
    )
    order = message.order(
        name.message(),
        Order.SIDE_BUY if spec.side == BUY else Order.SIDE_SELL,
        market.quantums(spec.quantity),
        market.subticks(limit, side=spec.side if stop or spec.immediate else None),
        _time_in_force(spec, stop=stop),
        spec.reduce_only,
        **end,
        **condition,
    )
    return message.place_order(order)


def cancel_message(name: OrderName, *, last_block: int, now_seconds: int) -> Any:  # noqa: ANN401
    """The message that cancels an order; of a short-term one it must name its last block or a later one."""
    if name.flags is OrderFlags.SHORT_TERM:
        return message.cancel_order(name.message(), good_til_block=last_block)
    return message.cancel_order(name.message(), good_til_block_time=now_seconds + CANCEL_SECONDS)


def stop_limit(spec: OrderSpec) -> Decimal:
    """Limit of a stop, beyond its trigger."""
    return (spec.trigger_price or Decimal(0)) * (1 + spec.side * STOP_LIMIT_FRACTION)


def _time_in_force(spec: OrderSpec, *, stop: bool) -> int:
    if stop or spec.immediate:
        return int(Order.TIME_IN_FORCE_IOC)
    return int(Order.TIME_IN_FORCE_POST_ONLY if spec.post_only else Order.TIME_IN_FORCE_UNSPECIFIED)
