"""Each gate refuses what it is for, and nothing that only reduces is held back."""

from dataclasses import replace
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_pipeline.core.status import StreamStatus
from helios_pipeline.live_settings import RiskGateSection
from live_engine.gate_state import GateState, OpenQuantity, OrderRequest, only_reduces, worst_quantity
from live_engine.risk_gate import STATE_CHECKS, blocks, judge

BTC, ETH = "BTC-USD-PERP.DYDX", "ETH-USD-PERP.DYDX"
SIGNALS = {BTC: "BTCUSDT-PERP.BINANCE", ETH: "ETHUSDT-PERP.BINANCE"}
LIMITS = RiskGateSection(
    max_order_notional_quote=Decimal(50_000),
    max_leverage=Decimal(3),
    max_gross_notional_quote=Decimal(200_000),
    max_market_notional_quote=Decimal(80_000),
    max_orders_per_minute=30,
    price_band_bps=Decimal(200),
    max_daily_loss_fraction=Decimal("0.05"),
    max_consecutive_losses=8,
    stale_trades_seconds=60,
    stale_klines_seconds=90,
    stale_quotes_seconds=30,
    stale_mark_seconds=30,
    stale_block_seconds=15,
    max_clock_skew_ms=1_000,
    max_copy_lag_seconds=300,
)


def stream(name, instrument_id, age=1.0, limit=30.0):
    return StreamStatus(stream=name, instrument_id=instrument_id, age_seconds=age, limit_seconds=limit)


def streams(**ages):
    heard = [(name, signal) for name in ("trades", "klines") for signal in SIGNALS.values()]
    heard += [(name, traded) for name in ("quotes", "mark") for traded in SIGNALS] + [("blocks", "")]
    return tuple(stream(name, whose, ages.get(name, 1.0)) for name, whose in heard)


SOUND = GateState(
    mode="ACTIVE",
    mode_who="",
    mode_why="",
    signals=SIGNALS,
    positions={},
    open_quantities=(),
    marks={BTC: Decimal(60_000), ETH: Decimal(2_500)},
    equity=Decimal(100_000),
    day_start_equity=Decimal(100_000),
    losses_in_a_row=0,
    orders_last_minute=0,
    streams=streams(),
    clock_skew_ms=3.0,
    copy_lag_seconds=0.0,
    reconciled=True,
    differences=(),
    unknown=frozenset(),
    others=(),
)
ENTRY = OrderRequest(
    instrument_id=BTC,
    client_order_id="7",
    side=1,
    quantity=Decimal("0.5"),
    price=Decimal(60_010),
    reduce_only=False,
    purpose="entry",
)
UNSAFE = {
    "mode": replace(SOUND, mode="REDUCING", mode_who="ops", mode_why="drill"),
    "engine": replace(SOUND, others=("no champion is in force",)),
    "reconciliation": replace(SOUND, differences=("position of BTC-USD-PERP.DYDX: journal 0, venue 0.1",)),
    "unknown_order": replace(SOUND, unknown=frozenset({BTC})),
    "stale_trades": replace(SOUND, streams=streams(trades=31.0)),
    "stale_klines": replace(SOUND, streams=streams(klines=31.0)),
    "stale_quotes": replace(SOUND, streams=streams(quotes=None)),
    "stale_mark": replace(SOUND, streams=streams(mark=31.0)),
    "stale_blocks": replace(SOUND, streams=streams(blocks=31.0)),
    "clock_skew": replace(SOUND, clock_skew_ms=-1_001.0),
    "copy_lag": replace(SOUND, copy_lag_seconds=300.5),
    "daily_loss": replace(SOUND, equity=Decimal(95_000)),
    "losses_in_a_row": replace(SOUND, losses_in_a_row=8),
    "order_rate": replace(SOUND, orders_last_minute=30),
}


def refused(order, state=SOUND, limits=LIMITS):
    refusal = judge(order, state, limits)
    return None if refusal is None else refusal.gate


def test_an_entry_within_every_limit_passes():
    assert judge(ENTRY, SOUND, LIMITS) is None
    assert blocks(SOUND, LIMITS) == ()


@pytest.mark.parametrize("gate", UNSAFE)
def test_an_entry_is_refused_in_each_unsafe_state(gate):
    assert refused(ENTRY, UNSAFE[gate]) == gate
    assert gate in {refusal.gate for refusal in blocks(UNSAFE[gate], LIMITS)}


@pytest.mark.parametrize("gate", UNSAFE)
@pytest.mark.parametrize("purpose", ["exit", "stop", "flatten", "other"])
def test_an_order_that_reduces_passes_in_each_unsafe_state(gate, purpose):
    held = replace(UNSAFE[gate], positions={BTC: Decimal("-0.5")})
    flagged = replace(ENTRY, purpose=purpose, reduce_only=True)
    plain = replace(ENTRY, purpose=purpose)

    assert judge(flagged, held, LIMITS) is None
    assert judge(plain, held, LIMITS) is None


def test_an_account_that_was_never_compared_enters_nothing():
    assert refused(ENTRY, replace(SOUND, reconciled=False)) == "reconciliation"


def test_a_clock_that_nobody_has_compared_is_no_right_clock():
    assert refused(ENTRY, replace(SOUND, clock_skew_ms=None)) == "clock_skew"


@pytest.mark.parametrize("name", ["trades", "klines", "quotes", "mark"])
def test_a_stream_that_nobody_listens_to_is_stale(name):
    deaf = replace(SOUND, streams=tuple(each for each in SOUND.streams if each.stream != name))

    assert refused(ENTRY, deaf) == f"stale_{name}"


def test_another_market_may_be_entered_while_one_is_stale_or_unknown():
    old = tuple(
        replace(each, age_seconds=99.0) if each.instrument_id in (ETH, SIGNALS[ETH]) else each for each in streams()
    )

    assert judge(ENTRY, replace(SOUND, streams=old, unknown=frozenset({ETH})), LIMITS) is None
    assert refused(replace(ENTRY, instrument_id=ETH), replace(SOUND, streams=old)) == "stale_trades"


def test_an_instrument_that_is_not_traded_is_refused():
    assert refused(replace(ENTRY, instrument_id="DOGE-USD-PERP.DYDX")) == "instrument"


@pytest.mark.parametrize(
    ("gate", "order", "state"),
    [
        ("price_band", replace(ENTRY, price=Decimal(61_201)), SOUND),
        ("price_band", replace(ENTRY, price=None), SOUND),
        ("price_band", ENTRY, replace(SOUND, marks={})),
        ("order_notional", replace(ENTRY, quantity=Decimal("0.84")), SOUND),
        ("market_notional", ENTRY, replace(SOUND, positions={BTC: Decimal("0.9")})),
        ("leverage", ENTRY, replace(SOUND, equity=Decimal(9_999), day_start_equity=Decimal(9_999))),
        ("leverage", ENTRY, replace(SOUND, positions={ETH: Decimal(-110)})),
        ("gross_notional", replace(ENTRY, quantity=Decimal("0.6")), replace(SOUND, positions={ETH: Decimal(70)})),
        (
            "gross_notional",
            ENTRY,
            replace(SOUND, positions={ETH: Decimal(1)}, marks={BTC: Decimal(60_000)}),
        ),
    ],
)
def test_an_order_too_large_or_away_from_the_mark_is_refused(gate, order, state):
    assert refused(order, state) == gate


def test_orders_under_way_count_as_if_they_had_filled():
    under_way = OpenQuantity(instrument_id=BTC, side=1, quantity=Decimal("0.9"), reduce_only=False)
    stop = replace(under_way, side=-1, reduce_only=True)

    assert refused(ENTRY, replace(SOUND, open_quantities=(under_way,))) == "market_notional"
    assert judge(ENTRY, replace(SOUND, open_quantities=(stop,)), LIMITS) is None


def test_equity_of_the_morning_must_be_known():
    assert refused(ENTRY, replace(SOUND, day_start_equity=None)) == "daily_loss"
    assert refused(ENTRY, replace(SOUND, equity=None)) == "daily_loss"


def test_halted_lets_flattening_and_stops_through_and_nothing_else():
    halted = replace(SOUND, mode="HALTED", mode_who="ops", mode_why="drill", positions={BTC: Decimal("-0.5")})
    judged = {
        purpose: refused(replace(ENTRY, purpose=purpose, reduce_only=True), halted)
        for purpose in ("flatten", "stop", "exit", "other")
    }

    assert judged == {"flatten": None, "stop": None, "exit": "mode", "other": "mode"}
    assert refused(replace(ENTRY, purpose="flatten", quantity=Decimal("0.6")), halted) == "mode"


def test_a_refusal_says_who_stopped_it_why_and_what_helps():
    halted = replace(SOUND, mode="HALTED", mode_who="ops", mode_why="venue looks wrong")

    assert str(judge(ENTRY, halted, LIMITS)) == (
        "mode: HALTED by ops: venue looks wrong. `helios flatten` closes, `helios resume` trades again"
    )


def test_an_exit_larger_than_what_is_left_of_the_position_is_an_entry():
    stop = OpenQuantity(instrument_id=BTC, side=-1, quantity=Decimal("0.3"), reduce_only=True)
    held = replace(UNSAFE["mode"], positions={BTC: Decimal("0.5")}, open_quantities=(stop,))
    exit_ = replace(ENTRY, side=-1, purpose="exit")

    assert refused(replace(exit_, quantity=Decimal("0.2")), held) is None
    assert refused(replace(exit_, quantity=Decimal("0.3")), held) == "mode"
    assert refused(replace(exit_, quantity=Decimal("0.3"), reduce_only=True), held) is None


lots = st.integers(min_value=1, max_value=20).map(Decimal)
sides = st.sampled_from([-1, 1])
open_quantities = st.builds(
    OpenQuantity, instrument_id=st.just(BTC), side=sides, quantity=lots, reduce_only=st.booleans()
)
orders = st.builds(
    OrderRequest,
    instrument_id=st.just(BTC),
    client_order_id=st.just("7"),
    side=sides,
    quantity=lots,
    price=st.none() | lots,
    reduce_only=st.booleans(),
    purpose=st.sampled_from(["entry", "exit", "stop", "flatten", "other"]),
)
states = st.builds(
    replace,
    st.just(SOUND),
    mode=st.sampled_from(["ACTIVE", "REDUCING", "HALTED"]),
    positions=st.fixed_dictionaries({BTC: st.integers(-20, 20).map(Decimal)}),
    open_quantities=st.lists(open_quantities, max_size=3).map(tuple),
    marks=st.just({}) | st.just(SOUND.marks),
    equity=st.none() | st.just(Decimal(1)),
    losses_in_a_row=st.integers(0, 20),
    orders_last_minute=st.integers(0, 99),
    streams=st.just(()) | st.just(streams(mark=99.0)),
    clock_skew_ms=st.none() | st.just(5_000.0),
    copy_lag_seconds=st.just(1e6),
    reconciled=st.booleans(),
    differences=st.just(()) | st.just(("positions differ",)),
    unknown=st.just(frozenset({BTC})),
    others=st.just(()) | st.just(("no champion",)),
)


@given(orders, states)
def test_what_only_reduces_is_held_back_by_nothing_but_the_kill_switch(order, state):
    refusal = judge(order, state, LIMITS)

    if not only_reduces(order, state):
        assert refusal is not None  # every generated state is unsafe
    elif state.mode != "HALTED" or order.purpose in ("flatten", "stop"):
        assert refusal is None
    else:
        assert refusal is not None
        assert refusal.gate == "mode"


def filled(position, orders):
    """The position after orders, those flagged filling no further than to flat."""
    for side, quantity, reduce_only in orders:
        most = max(Decimal(0), -side * position) if reduce_only else quantity
        position += side * min(quantity, most)
    return position


@given(orders, states)
def test_an_order_that_only_reduces_turns_no_position_round(order, state):
    before = state.positions[BTC]
    mine = (order.side, order.quantity, order.reduce_only)
    others = [(each.side, each.quantity, each.reduce_only) for each in state.open_quantities]
    same_side = [each for each in others if each[0] == order.side]

    if only_reduces(order, state):
        for sequence in permutations([mine, *(each for each in same_side if each[2])]):
            assert filled(before, sequence) * before >= 0
            assert abs(filled(before, sequence)) <= abs(before)


@given(states, orders)
def test_no_order_of_filling_leads_beyond_the_worst_position(state, order):
    every = [(each.side, each.quantity, each.reduce_only) for each in state.open_quantities]
    every.append((order.side, order.quantity, order.reduce_only))
    worst = worst_quantity(BTC, state, order)

    for size in range(len(every) + 1):
        for sequence in permutations(every, size):
            assert abs(filled(state.positions[BTC], sequence)) <= worst


def test_every_gate_of_the_state_has_a_case_here():
    assert len(STATE_CHECKS) == 9
