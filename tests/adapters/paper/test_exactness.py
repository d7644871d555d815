"""Whatever is traded in whatever order: the money is that of the records to the last digit, also after a crash."""

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from helios_pipeline.adapters.paper.reports import fills_since_flat
from helios_pipeline.adapters.paper.settlements import Settlement
from helios_pipeline.adapters.paper.terms import MarketPrices
from helios_pipeline.core.trading import VenueFill
from tests.adapters.paper.books import recount
from tests.adapters.paper.scene import BTC, ETH, UNKNOWN, Scene, as_seen, levels

LOT, TICK = Decimal("0.0001"), Decimal("0.1")
instrument_ids = st.sampled_from((BTC, ETH))
quantities = st.integers(1, 30_000).map(lambda lots: lots * LOT)
ticks = st.integers(900, 1_100).map(lambda n: n * TICK)
sides = st.sampled_from((-1, +1))


@st.composite
def markets(draw):
    if draw(st.integers(0, 9)) == 0:
        return UNKNOWN
    bid, spread = draw(ticks), draw(st.integers(1, 20)) * TICK
    sizes = [draw(quantities) for _ in range(4)]
    bids, asks = levels((bid, sizes[0]), (bid - TICK, sizes[1])), levels((bid + spread, sizes[2]), (bid + 30, sizes[3]))
    return MarketPrices(bids=bids, asks=asks, mark=draw(ticks), is_whole_book=draw(st.booleans()))


@st.composite
def orders(draw):
    kind = draw(st.sampled_from(("market", "market", "limit", "stop_market")))
    return {
        "side": draw(sides),
        "quantity": draw(quantities),
        "kind": kind,
        "limit": draw(ticks) if kind == "limit" else None,
        "trigger": draw(ticks) if kind == "stop_market" else None,
        "reduce_only": draw(st.booleans()),
        "immediate": draw(st.booleans()),
        "post_only": kind == "limit" and draw(st.booleans()),
    }


steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), instrument_ids, markets(), orders()),
        st.tuples(st.just("see"), instrument_ids, markets()),
        st.tuples(st.just("cancel"), st.integers(1, 20)),
        st.tuples(st.just("settle"), instrument_ids, ticks, st.integers(-500, 500)),
        st.tuples(st.just("expire"), instrument_ids),
    ),
    max_size=25,
)


def play(chosen):
    scene = Scene()
    for kind, *rest in chosen:
        match kind:
            case "send":
                instrument_id, at, order = rest
                scene.send(at=at, instrument_id=instrument_id, **order)
            case "see":
                scene.see(rest[1], rest[0])
            case "cancel":
                scene.keep(scene.venue.cancel(str(rest[0]), scene.now))
            case "settle":
                scene.now += timedelta(seconds=1)
                rate = Decimal(rest[2]).scaleb(-7)
                settlement = Settlement(settled_at=scene.now, rate=rate, price=rest[1])
                scene.keep(scene.venue.settle(rest[0], settlement))
            case "expire":
                scene.now += timedelta(seconds=6)
                scene.keep(scene.venue.expire(rest[0], scene.now))
    return scene


@given(steps)
def test_cash_and_positions_are_what_the_records_sum_to(chosen):
    scene = play(chosen)
    cash, positions, filled = recount(scene.records)

    assert Fraction(scene.state.quote_balance) == cash
    assert {i: Fraction(p.quantity) for i, p in scene.state.positions.items()} == positions
    assert {i: Fraction(o.filled) for i, o in scene.state.orders.items() if o.filled} == filled
    assert all(order.filled <= order.intent.quantity for order in scene.state.orders.values())


@given(steps)
def test_equity_moves_with_prices_alone_while_nothing_is_traded(chosen):
    scene = play(chosen)
    before, after = {BTC: Decimal(100), ETH: Decimal(90)}, {BTC: Decimal("100.1"), ETH: Decimal("89.7")}

    def equity(at):
        return scene.state.quote_balance + sum(p.quantity * at[i] for i, p in scene.state.positions.items())

    moved = sum((after[i] - before[i]) * scene.state.quantity(i) for i in (BTC, ETH))
    assert equity(after) - equity(before) == moved


@given(steps)
def test_an_account_that_is_put_together_from_its_records_is_the_same(chosen):
    scene = play(chosen)

    assert as_seen(scene.again().state) == as_seen(scene.state)


@given(steps, st.data())
def test_a_crash_after_any_record_leaves_books_that_are_true(chosen, data):
    scene = play(chosen)
    scene.records = scene.records[: data.draw(st.integers(1, len(scene.records)))]
    again = scene.again()
    again.keep(again.venue.forget_unsent(again.now))
    cash, positions, _ = recount(again.records)

    assert Fraction(again.state.quote_balance) == cash
    assert {i: Fraction(p.quantity) for i, p in again.state.positions.items()} == positions
    assert not any(order.is_unsent for order in again.state.orders.values())
    taken = len([each for each in again.records if isinstance(each, VenueFill)])
    again.send(+1, 1, at=MarketPrices(bids=(), asks=levels((100, 1)), mark=None, is_whole_book=False))
    assert again.state.fills[-1].venue_fill_id == f"paper-fill-{taken + 1}"


@given(steps)
def test_reported_fills_make_the_position_and_hold_whole_orders(chosen):
    scene = play(chosen)

    for instrument_id in (BTC, ETH):
        fills = [fill for fill in scene.state.fills if fill.instrument_id == instrument_id]
        told = fills_since_flat(scene.state, instrument_id)
        before = {fill.venue_order_id for fill in fills[: len(fills) - len(told)]}
        reported = {f.venue_order_id for f in told} | {o.venue_order_id for o in scene.state.open_orders(instrument_id)}
        assert told == fills[len(fills) - len(told) :]
        assert sum((f.side * f.quantity for f in told), Decimal(0)) == scene.state.quantity(instrument_id)
        assert not before & reported


@given(steps)
def test_a_reduce_only_order_never_makes_a_position_larger_or_turns_it(chosen):
    held = defaultdict(Decimal)
    scene = play(chosen)

    for fill in scene.state.fills:
        before, after = held[fill.instrument_id], held[fill.instrument_id] + fill.side * fill.quantity
        if scene.state.orders[fill.client_order_id].intent.reduce_only:
            assert abs(after) < abs(before)
            assert before * after >= 0
        held[fill.instrument_id] = after
