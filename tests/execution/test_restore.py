"""A restart at any record finds what the strategy knew, and trades on as if nothing had been."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from nautilus_trader.model.events import OrderFilled

from helios_pipeline.core.trading import Decision, Intent, VenueFill
from helios_pipeline.execution.decision_records import nanoseconds
from helios_pipeline.execution.restore import restore_market
from helios_pipeline.strategy.order_tags import read_tags
from helios_pipeline.strategy.parameters import ParameterSet
from tests.execution.recorded_run import SECOND, Faults, RecordedRun
from tests.simulation.conftest import make_inputs

UNIT_OF_PANDAS = "The 'generic' unit for NumPy timedelta"
pytestmark = pytest.mark.filterwarnings(f"ignore:{UNIT_OF_PANDAS}:DeprecationWarning")

QUICK = (Phase.explicit, Phase.reuse, Phase.generate)
"""A failing run is small enough as it is: to shrink it takes minutes."""
TWO = ("BTCUSDT", "ETHUSDT")
BUSY = ParameterSet(
    lookback_bars=12,
    funding_weight=0.4,
    entry_z=1.0,
    exit_z=0.2,
    max_holding_bars=5,
    cooldown_bars=2,
    stop_atr=1.0,
)
BARS = 120


def restored(run, count):
    desk = run.desk
    return tuple(restore_market(desk.records[:count], market, desk.cooldown) for market in desk.markets)


def some_parameters():
    return st.builds(
        ParameterSet,
        lookback_bars=st.integers(2, 20),
        funding_weight=st.sampled_from([0.0, 0.4]),
        entry_z=st.floats(0.5, 1.5),
        exit_z=st.floats(-0.4, 0.4),
        max_holding_bars=st.integers(1, 20),
        cooldown_bars=st.integers(0, 4),
        stop_atr=st.sampled_from([0.0, 0.2, 1.0]),
    )


def some_faults():
    return st.builds(
        Faults,
        seed=st.integers(0, 10**6),
        thin=st.sampled_from([0.0, 0.5, 1.0]),
        denied=st.sampled_from([0.0, 0.3]),
        cut=st.sampled_from([0.0, 0.5]),
    )


@settings(max_examples=8, deadline=None, phases=QUICK)
@given(
    seed=st.integers(0, 10**6), missing=st.sampled_from([0.0, 0.05]), parameters=some_parameters(), faults=some_faults()
)
def test_a_journal_cut_anywhere_gives_the_strategys_state_back(seed, missing, parameters, faults):
    run = RecordedRun(make_inputs(seed, symbols=TWO, count=BARS, missing=missing), parameters, faults=faults)

    run.go(BARS).watch()

    for count, holdings in run.states:
        assert tuple(each.holding for each in restored(run, count)) == holdings
    last = restored(run, len(run.desk.records))
    assert [each.decided_at for each in last] == [market.decided_at for market in run.strategy.markets]
    for each, market in zip(last, run.strategy.markets, strict=True):
        # An order that is denied takes the place of the oldest for a moment; repr: an ATR of NaN equals no other.
        assert len(each.sent) - len(market.sent) in (0, 1)
        assert repr(list(market.sent.items())) == repr(list(each.sent.items())[-len(market.sent) :])
    run.close()


def test_the_property_meets_what_it_is_about():
    run = RecordedRun(
        make_inputs(5, symbols=TWO, count=240, missing=0.05), BUSY, faults=Faults(seed=3, thin=0.6, denied=0.3)
    ).go(240)

    fills = [record for record in run.desk.records if isinstance(record, VenueFill)]
    purposes = {record.client_order_id: record.purpose for record in run.desk.records if isinstance(record, Intent)}
    per_order = Counter(fill.client_order_id for fill in fills)
    partly = Counter(purposes[name] for name, count in per_order.items() if count > 1)
    denied = Counter(
        read_tags(order.tags).purpose for order in run.engine.cache.orders() if order.status_string() == "DENIED"
    )
    outcomes = Counter(record.outcome for record in run.desk.decisions)
    print(partly, denied, outcomes)
    assert {"entry", "exit", "stop"} <= set(purposes.values())
    assert partly["entry"]
    assert denied["entry"]
    assert denied["stop"]
    assert denied["exit"]
    assert {"enter", "exit:signal", "exit:max_holding", "hold", "flat"} <= set(outcomes)
    run.close()


def test_every_record_of_a_position_is_a_restart_that_holds_what_the_fills_say():
    run = RecordedRun(make_inputs(5, symbols=TWO, count=BARS), BUSY, faults=Faults(seed=3, thin=0.6)).go(BARS)
    held = dict.fromkeys((market.instrument_id for market in run.desk.markets), Decimal(0))

    for count, record in enumerate(run.desk.records, start=1):
        if not isinstance(record, VenueFill):
            continue
        held[record.instrument_id] += record.side * record.quantity
        for market, left in zip(run.desk.markets, restored(run, count), strict=True):
            assert left.holding.side * left.holding.lots * market.lot == held[market.instrument_id]
    run.close()


@settings(max_examples=6, deadline=None, phases=QUICK)
@given(seed=st.integers(0, 10**6), at=st.integers(1, BARS - 1), thin=st.sampled_from([0.0, 0.6]))
def test_a_restart_between_two_bars_changes_no_fill(seed, at, thin):
    inputs = make_inputs(seed, symbols=TWO, count=BARS)
    undisturbed = RecordedRun(inputs, BUSY, faults=Faults(thin=thin)).go(BARS)
    restarted = RecordedRun(inputs, BUSY, faults=Faults(thin=thin)).go(at).stop().restart().go(BARS - at)

    assert restarted.fills == undisturbed.fills
    assert restarted.open_stops == undisturbed.open_stops
    assert decided_once(restarted)
    undisturbed.close()
    restarted.close()


def decided_once(run):
    keys = Counter((each.instrument_id, each.opened_at) for each in run.desk.decisions)
    return all(count == 1 for count in keys.values())


def test_a_fill_that_is_journalled_before_the_start_and_told_after_it_counts_once():
    run = RecordedRun(make_inputs(7, symbols=TWO, count=BARS), BUSY, faults=Faults(thin=0.6)).go(60)
    while not any(holding.side for holding in run.holdings):
        run.go(1)
    told = [event for order in run.engine.cache.orders() for event in order.events if isinstance(event, OrderFilled)]
    held = run.holdings

    run.stop().restart()
    for fill in sorted(told, key=lambda fill: fill.ts_event):
        run.strategy.on_order_filled(fill)

    assert len(told) > 20
    assert run.holdings == held
    assert [list(market.taken) for market in run.strategy.markets] == [
        list(each.taken) for each in restored(run, len(run.desk.records))
    ]
    run.close()


def test_a_restart_takes_over_no_champion_that_it_had_already():
    inputs = make_inputs(7, symbols=TWO, count=BARS)
    run = RecordedRun(inputs, BUSY).go(60).stop().restart().go(60)

    assert run.desk.took == [("champion", (0, 1))]
    run.close()


def test_bars_missed_while_it_was_down_are_decided_late_and_only_reduce():
    inputs = make_inputs(7, symbols=TWO, count=BARS)
    run = RecordedRun(inputs, BUSY, late_ns=30 * SECOND).go(40)
    while not any(holding.side for holding in run.holdings):
        run.go(1)
    down = run._done
    before = {each.instrument_id for each in run.desk.decisions}
    run.stop().go(20).restart(run.bars(down - 1, down + 20)).go(3)

    decided = run.desk.decisions
    late = [each for each in decided if each.late]
    assert decided_once(run)
    assert before == {market.instrument_id for market in run.desk.markets}
    per_market = Counter(each.instrument_id for each in late)
    assert set(per_market.values()) <= {19, 20}
    assert not any(each.outcome == "enter" for each in late)
    assert any(each.outcome == "late" for each in late), "an entry was wanted in those bars"
    assert any(each.outcome.startswith("exit:") for each in late), "nothing is held longer than 5 bars"
    gaps = {each.closed_at for each in decided}
    assert max(gaps) - min(gaps) == timedelta(minutes=15) * (len(gaps) - 1), "no boundary was left out"
    run.close()


@pytest.mark.parametrize("comes", [True, False])
def test_a_bar_that_closed_while_history_was_asked_for_is_waited_for(comes):
    run = RecordedRun(make_inputs(7, symbols=TWO, count=BARS), BUSY, late_ns=30 * SECOND).go(40).stop().go(5)
    known, coming = run.bars(39, 43), run.bars(43, 44)
    newest = coming[0].ts_event

    run.restart(known)
    at_start = {nanoseconds(each.closed_at) for each in run.desk.decisions}
    for bar in coming if comes else ():
        run.strategy.handle_bar(bar)
    run.go(2)

    decided = {nanoseconds(each.closed_at): each for each in run.desk.decisions}
    assert newest not in at_start
    assert newest - 900 * SECOND in at_start
    assert (decided[newest].close is not None) == comes
    assert decided_once(run)
    assert len(decided) == len(run.desk.decisions) / 2 == 46
    run.close()


def test_an_exit_that_was_decided_and_not_sent_is_sent_after_the_restart():
    inputs = make_inputs(7, symbols=TWO, count=BARS)
    run = RecordedRun(inputs, BUSY)
    # What a kill between decision and order leaves: recorded, not sent.
    run.desk.waiting = "killed here"
    while not any(each.outcome.startswith("exit:") for each in run.desk.decisions):
        run.go(1)
    fills = len(run.fills)
    run.stop()
    run.desk.waiting = ""

    run.restart().go(1)

    exits = [record for record in run.desk.records if isinstance(record, Intent) and record.purpose == "exit"]
    assert len(run.fills) > fills
    assert exits
    run.close()


def test_an_exit_is_not_sent_while_an_order_is_unknown_and_tried_until_it_is():
    inputs = make_inputs(7, symbols=TWO, count=BARS)
    run = RecordedRun(inputs, BUSY)
    run.desk.waiting_for = 20
    run.desk.waiting = "order 7 is unknown"

    run.go(BARS)

    exits = [record for record in run.desk.records if isinstance(record, Intent) and record.purpose == "exit"]
    waited = [record for record in run.desk.decisions if record.leaving]
    assert waited
    assert {record.outcome for record in waited} == {"hold"}
    assert nanoseconds(exits[0].intended_at) % (900 * SECOND) != 0, "between two decisions, not at one"
    run.close()


def test_blocked_entries_are_recorded_with_their_reason_and_exits_go_on():
    inputs = make_inputs(7, symbols=TWO, count=BARS)
    run = RecordedRun(inputs, BUSY).go(40)
    while not any(holding.side for holding in run.holdings):
        run.go(1)
    run.desk.blocks = "stale_quotes"
    entries = sum(isinstance(record, Intent) and record.purpose == "entry" for record in run.desk.records)

    run.go(30)

    after = sum(isinstance(record, Intent) and record.purpose == "entry" for record in run.desk.records)
    outcomes = Counter(each.outcome for each in run.desk.decisions)
    assert after == entries
    assert outcomes["blocked:stale_quotes"] > 0
    assert not any(holding.side for holding in run.holdings)
    run.close()


@pytest.mark.parametrize("faults", [Faults(seed=1, thin=0.8), Faults(seed=1, cut=0.6)], ids=["thin", "cut"])
def test_a_position_is_protected_in_the_size_that_is_held(faults):
    inputs = make_inputs(11, symbols=TWO, count=BARS)
    run = RecordedRun(inputs, BUSY, faults=faults)
    seen = 0

    for _ in range(BARS - 1):
        run.go(1)
        held = sorted(
            (str(market.traded.id), str(market.quantity(market.holding.lots)))
            for market in run.strategy.markets
            if market.holding.side and not market.holding.leaving
        )
        assert run.open_stops == held
        seen += len(held)
    assert seen > 20
    run.close()


def test_an_exit_of_which_a_part_was_cancelled_is_sent_again_with_a_new_id_for_the_rest():
    run = RecordedRun(make_inputs(3, symbols=TWO, count=BARS), BUSY, faults=Faults(seed=2, cut=0.6)).go(BARS)
    orders = {str(order.client_order_id): order for order in run.engine.cache.orders()}
    exits = [record for record in run.desk.records if isinstance(record, Intent) and record.purpose == "exit"]

    again = 0
    for before, after in pairwise(exits):
        cut = orders[before.client_order_id]
        if cut.status_string() == "CANCELED" and after.instrument_id == before.instrument_id:
            again += 1
            assert after.quantity == before.quantity - cut.filled_qty.as_decimal()
            assert after.intended_at - before.intended_at >= timedelta(seconds=1)
            assert after.client_order_id != before.client_order_id
    assert again > 3
    run.close()


def test_a_decision_is_known_before_its_orders():
    run = RecordedRun(make_inputs(7, symbols=TWO, count=BARS), BUSY).go(BARS)
    decided = set()

    for record in run.desk.records:
        if isinstance(record, Decision):
            decided.add((record.instrument_id, record.closed_at))
        if isinstance(record, Intent):
            assert (record.instrument_id, record.boundary) in decided
    run.close()
