from decimal import Decimal

import pytest
from v4_proto.dydxprotocol.clob.order_pb2 import Order

from helios_pipeline.adapters.dydx.order_ids import OrderFlags, order_uuid
from helios_pipeline.adapters.dydx.order_messages import OrderName, OrderSpec, cancel_message, place_message
from helios_pipeline.core.errors import VenueError
from simulated_venues.dydx import numbering, records
from tests.adapters.dydx.test_market import BTC

ADDRESS = "dydx19rl4cm2hmr8afy4kldpxz3fka4jguq0a4erelz"
NOW = 1_800_000_000


def make_spec(kind="market", **values):
    usual = {
        "client_id": 7,
        "kind": kind,
        "side": 1,
        "quantity": Decimal("0.0029"),
        "limit_price": None if kind == "stop_market" else Decimal("40000.4"),
        "trigger_price": Decimal(38_000) if kind == "stop_market" else None,
        "reduce_only": kind == "stop_market",
        "immediate": kind != "limit",
        "post_only": False,
        "expires_seconds": None,
    }
    return OrderSpec(**{**usual, **values})


def place(spec):
    name = OrderName(address=ADDRESS, subaccount=0, client_id=7, clob_pair_id=0, flags=spec.flags)
    return place_message(name, spec, BTC, last_block=55, now_seconds=NOW).order


def test_a_market_order_is_short_term_and_takes_at_once():
    order = place(make_spec())
    assert (order.order_id.order_flags, order.good_til_block, order.good_til_block_time) == (0, 55, 0)
    assert (order.time_in_force, order.side) == (Order.TIME_IN_FORCE_IOC, Order.SIDE_BUY)
    assert (order.quantums, order.subticks) == (29_000_000, 4_000_100_000)


def test_a_resting_order_is_long_term():
    order = place(make_spec("limit", limit_price=Decimal(39_000), post_only=True))
    assert order.order_id.order_flags == 64
    assert order.time_in_force == Order.TIME_IN_FORCE_POST_ONLY
    assert order.good_til_block_time > NOW + 80 * 86_400


@pytest.mark.parametrize(("side", "limit"), [(-1, 30_400), (1, 45_600)])
def test_a_stop_is_conditional_with_its_exact_trigger_and_a_limit_beyond_it(side, limit):
    order = place(make_spec("stop_market", side=side))
    assert (order.order_id.order_flags, order.condition_type) == (32, Order.CONDITION_TYPE_STOP_LOSS)
    assert BTC.price(order.conditional_order_trigger_subticks) == 38_000
    assert BTC.price(order.subticks) == limit
    assert (order.reduce_only, order.time_in_force) == (True, Order.TIME_IN_FORCE_IOC)


@pytest.mark.parametrize(
    "spec",
    [
        make_spec("limit", limit_price=Decimal(39_000), reduce_only=True),
        make_spec("limit", limit_price=Decimal("39000.5")),
        make_spec("stop_market", trigger_price=Decimal("38000.5")),
        make_spec("stop_market", trigger_price=None),
        make_spec(limit_price=None),
        make_spec(quantity=Decimal("0.00001")),
    ],
)
def test_what_the_chain_would_refuse_is_refused_before_it_is_sent(spec):
    with pytest.raises(VenueError):
        place(spec)


def test_a_cancel_outlives_its_order():
    spec = make_spec("limit", limit_price=Decimal(39_000))
    name = OrderName(address=ADDRESS, subaccount=0, client_id=7, clob_pair_id=0, flags=spec.flags)
    cancel = cancel_message(name, last_block=60, now_seconds=NOW)
    assert cancel.good_til_block_time > place(spec).good_til_block_time
    assert cancel.order_id == place(spec).order_id


@pytest.mark.parametrize("flags", OrderFlags)
def test_the_indexers_id_of_an_order_is_known_before_it_is_sent(flags):
    subaccount = records.SubaccountId(owner=ADDRESS, number=3)
    theirs = records.OrderId(
        subaccount=subaccount, client_id=2**31 + 5, flags=records.OrderFlags(int(flags)), clob_pair_id=1
    )
    assert order_uuid(ADDRESS, 3, 2**31 + 5, 1, flags) == numbering.order_uuid(theirs)
