from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from helios_pipeline.adapters.paper.settlements import Settlement
from helios_pipeline.adapters.paper.terms import MARKET_ORDER_LIFETIME, MarketPrices, PaperFees
from helios_pipeline.core.trading import FundingPayment, OrderEvent, VenueFill
from tests.adapters.paper.scene import BTC, ETH, NOON, TERMS, UNKNOWN, Scene, d, levels, prices


def fills(records):
    return [(each.side, each.quantity, each.price, each.liquidity) for each in records if isinstance(each, VenueFill)]


def states(records):
    return [each.state for each in records if isinstance(each, OrderEvent)]


def reason(records):
    return next(each.reason for each in reversed(records) if isinstance(each, OrderEvent))


def test_an_account_begins_with_its_opening_balance_once():
    scene = Scene()

    assert scene.state.quote_balance == 100_000
    assert scene.again().venue.open_account(NOON) == []


def test_a_market_order_fills_at_the_best_quote_and_pays_the_taker_fee():
    scene = Scene()
    happened = scene.send(+1, 2, at=prices(100, 101))

    assert states(happened) == ["submitted", "accepted"]
    assert fills(happened) == [(1, 2, 101, "taker")]
    assert scene.state.quote_balance == Decimal(100_000) - 202 - Decimal("0.101")
    assert scene.state.positions[BTC].entry_price == 101


def test_a_quote_takes_more_than_it_shows_when_no_book_is_known():
    assert fills(Scene().send(+1, 50, at=prices(size=5))) == [(1, 50, 101, "taker")]


def test_a_known_book_is_walked_within_the_slippage_and_the_rest_is_cancelled():
    asks = levels((100, 1), ("100.4", 2), ("100.6", 10))
    book = MarketPrices(bids=levels((99, 1)), asks=asks, mark=None, is_whole_book=True)
    happened = Scene().send(+1, 5, at=book)

    assert fills(happened) == [(1, 1, 100, "taker"), (1, 2, d("100.4"), "taker")]
    assert states(happened) == ["submitted", "accepted", "partially_filled", "partially_filled", "canceled"]
    assert "50 bps" in reason(happened)


def test_a_market_order_waits_for_a_price_and_expires_without_one():
    scene = Scene()
    scene.send(+1, 1)
    scene.send(+1, 2)
    first = scene.see(prices(100, 101))
    scene.send(+1, 3)
    in_time = scene.venue.expire(BTC, scene.now + MARKET_ORDER_LIFETIME - timedelta(seconds=1))
    late = scene.keep(scene.venue.expire(BTC, scene.now + MARKET_ORDER_LIFETIME + timedelta(seconds=1)))

    assert fills(first) == [(1, 1, 101, "taker"), (1, 2, 101, "taker")]
    assert (in_time, states(late)) == ([], ["expired"])
    assert scene.see(prices()) == []


@pytest.mark.parametrize(("side", "crossing"), [(-1, prices(94, 95, mark=95)), (+1, prices(105, 106, mark=105))])
def test_a_stop_rests_until_the_mark_reaches_its_trigger_and_fills_at_the_quote(side, crossing):
    scene = Scene()
    scene.send(-side, 1, at=prices())
    scene.send(side, 1, kind="stop_market", trigger=95 if side < 0 else 105, reduce_only=True)
    nothing = scene.see(prices(94, 106, mark=100))
    happened = scene.see(crossing)

    assert nothing == []
    assert states(happened) == ["triggered"]
    assert fills(happened) == [(side, 1, d(94) if side < 0 else d(106), "taker")]
    assert scene.state.positions == {}
    assert not scene.state.has_open(BTC)


def test_a_triggered_stop_whose_market_has_no_price_fills_at_the_next_one():
    scene = Scene()
    scene.send(+1, 1, at=prices())
    scene.send(-1, 1, kind="stop_market", trigger=95, reduce_only=True)
    blind = scene.see(replace(UNKNOWN, mark=d(90)))
    happened = scene.see(prices(80, 81, mark=90))

    assert blind == []
    assert fills(happened) == [(-1, 1, 80, "taker")]


def test_a_crash_between_trigger_and_fill_leaves_a_stop_that_still_fills():
    scene = Scene()
    scene.send(+1, 1, at=prices())
    scene.send(-1, 1, kind="stop_market", trigger=95, reduce_only=True)
    [order] = scene.state.open_orders(BTC)
    triggered = scene.venue.execute(order, prices(94, 95, mark=95), scene.now, arriving=False, immediate=False)[0]
    scene.keep([triggered])
    happened = scene.again().see(prices(99, 100, mark=99))

    assert triggered.state == "triggered"
    assert fills(happened) == [(-1, 1, 99, "taker")]


def test_reduce_only_never_turns_a_position():
    scene = Scene()
    scene.send(+1, 1, at=prices())
    happened = scene.send(-1, 3, at=prices(), reduce_only=True)

    assert fills(happened) == [(-1, 1, 100, "taker")]
    assert states(happened)[-1] == "canceled"
    assert "reduce-only" in reason(happened)
    assert scene.state.positions == {}


@pytest.mark.parametrize("held", [0, +1])
def test_reduce_only_without_a_position_to_reduce_is_refused(held):
    scene = Scene()
    if held:
        scene.send(held, 1, at=prices())
    happened = scene.send(+1, 1, at=prices(), reduce_only=True)

    assert states(happened) == ["rejected"]
    assert "no position" in reason(happened)


def test_a_stop_that_is_triggered_when_its_position_is_gone_is_cancelled():
    scene = Scene()
    scene.send(+1, 1, at=prices())
    scene.send(-1, 1, kind="stop_market", trigger=95, reduce_only=True)
    scene.send(-1, 1, at=prices(), reduce_only=True)
    happened = scene.see(prices(94, 95, mark=94))

    assert states(happened) == ["triggered", "canceled"]
    assert fills(happened) == []


def test_of_two_stops_that_trigger_at_once_only_one_closes_the_position():
    scene = Scene()
    scene.send(+1, 1, at=prices())
    for _ in range(2):
        scene.send(-1, 1, kind="stop_market", trigger=95, reduce_only=True)
    happened = scene.see(prices(94, 95, mark=94))

    assert fills(happened) == [(-1, 1, 94, "taker")]
    assert states(happened) == ["triggered", "triggered", "canceled"]


def test_a_limit_order_rests_and_fills_at_its_own_price_as_maker():
    scene = Scene()
    scene.send(+1, 1, kind="limit", limit=99, at=prices(100, 101))
    nothing, happened = scene.see(prices(98, 100)), scene.see(prices(97, 98))

    assert nothing == []
    assert fills(happened) == [(1, 1, 99, "maker")]
    assert happened[0].fee == Decimal("0.0099")


def test_a_limit_order_that_crosses_takes_what_rests_within_its_limit():
    book = MarketPrices(bids=(), asks=levels((100, 1), (101, 1), (103, 9)), mark=None, is_whole_book=True)
    scene = Scene()
    happened = scene.send(+1, 5, kind="limit", limit=102, at=book)

    assert fills(happened) == [(1, 1, 100, "taker"), (1, 1, 101, "taker")]
    assert scene.state.open_orders(BTC)[0].remaining == 3


def test_an_immediate_limit_order_that_finds_nothing_is_cancelled():
    assert states(Scene().send(+1, 1, kind="limit", limit=99, at=prices(), immediate=True))[-1] == "canceled"


def test_a_post_only_order_that_would_take_is_refused():
    happened = Scene().send(+1, 1, kind="limit", limit=101, at=prices(100, 101), post_only=True)

    assert states(happened) == ["rejected"]
    assert "post-only" in reason(happened)


def test_an_order_is_never_taken_in_twice():
    scene = Scene()
    scene.send(+1, 1, at=prices())
    [order] = scene.state.orders.values()

    assert scene.venue.receive(order.intent, scene.now, post_only_at=None) == []
    assert scene.venue.cancel(order.intent.client_order_id, scene.now) == []


def test_an_instrument_that_is_not_traded_is_refused():
    happened = Scene(replace(TERMS, fees={ETH: TERMS.fees[ETH]})).send(+1, 1, at=prices())

    assert states(happened) == ["rejected"]
    assert BTC in reason(happened)


def test_an_intent_that_never_arrived_ends_at_the_next_start():
    scene = Scene()
    scene.keep([scene.intent(+1, 1)])
    again = scene.again()
    again.keep(again.venue.forget_unsent(again.now))

    assert [order.ended for order in again.state.orders.values()] == ["rejected"]
    assert again.venue.forget_unsent(again.now) == []


def test_fees_and_funding_are_rounded_to_a_millionth_against_the_account():
    terms = replace(TERMS, fees={BTC: PaperFees(d("-0.00011"), d("0.00033333"))})
    scene = Scene(terms)
    [fill] = [each for each in scene.send(+1, "0.0001", at=prices(99, "100.1")) if isinstance(each, VenueFill)]
    exact = d("0.0001") * d("100.1") * d("0.00033333")
    settlement = Settlement(settled_at=NOON + timedelta(hours=1), rate=d("0.0000123"), price=d("100.123456"))
    [payment] = scene.venue.settle(BTC, settlement)

    assert Decimal(0) <= fill.fee - exact < Decimal("0.000001")
    owed = -d("0.0001") * settlement.price * settlement.rate
    assert Decimal(0) <= owed - payment.amount < Decimal("0.000001")


def test_funding_is_paid_on_the_position_carried_into_the_settlement_and_once():
    scene = Scene()
    scene.send(+1, 2, at=prices())
    at = scene.now + timedelta(seconds=1)
    settlement = Settlement(settled_at=at, rate=d("0.0001"), price=d(100))
    scene.send(+1, 5, at=prices())
    before = scene.state.quote_balance
    [payment] = scene.keep(scene.venue.settle(BTC, settlement))

    assert isinstance(payment, FundingPayment)
    assert (payment.position_quantity, payment.amount) == (2, Decimal("-0.02"))
    assert scene.state.quote_balance - before == payment.amount
    assert scene.venue.settle(BTC, settlement) == []
    assert scene.venue.settle(ETH, settlement) == []
    assert scene.again().venue.settle(BTC, settlement) == []
