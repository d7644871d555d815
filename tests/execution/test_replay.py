"""Decisions come out the same when they are made again, and a changed one is found."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.trading import Decision, Intent, OrderEvent, VenueFill
from helios_pipeline.execution.decision_backtest import backtest_decisions
from helios_pipeline.execution.replay import replay_decisions
from tests.execution.recorded_run import Faults, RecordedRun
from tests.execution.test_restore import BARS, BUSY, QUICK, TWO, some_faults, some_parameters
from tests.simulation.conftest import make_inputs

UNIT_OF_PANDAS = "The 'generic' unit for NumPy timedelta"
pytestmark = pytest.mark.filterwarnings(f"ignore:{UNIT_OF_PANDAS}:DeprecationWarning")


def replayed(run, decisions=None):
    chosen = run.desk.decisions if decisions is None else decisions
    return replay_decisions(chosen, run.desk.markets, run.desk.terms_of)


def backtested(run, records=None):
    chosen = run.desk.records if records is None else records
    return backtest_decisions(chosen, run.desk.markets, run.desk.terms_of, BAR_INTERVAL)


@settings(max_examples=8, deadline=None, phases=QUICK)
@given(seed=st.integers(0, 10**6), parameters=some_parameters(), faults=some_faults())
def test_every_decision_of_a_run_is_made_again_from_its_record_and_from_the_fills(seed, parameters, faults):
    run = RecordedRun(make_inputs(seed, symbols=TWO, count=BARS, missing=0.03), parameters, faults=faults).go(BARS)

    again, from_fills = replayed(run), backtested(run)

    assert (again.decisions, again.equal, again.differences) == (2 * BARS, 2 * BARS, ())
    assert (from_fills.decisions, from_fills.equal, from_fills.differences) == (2 * BARS, 2 * BARS, ())
    run.close()


@pytest.fixture(scope="module")
def run():
    made = RecordedRun(make_inputs(3, symbols=TWO, count=BARS), BUSY, faults=Faults(thin=0.3)).go(BARS)
    yield made
    made.close()


CHANGES = {
    "another side": lambda d: replace(d, wanted=-d.wanted),
    "more lots": lambda d: replace(d, lots=d.lots + 1),
    "another feature": lambda d: replace(d, z_price=-d.z_price),
    "less equity": lambda d: replace(d, equity=d.equity / 2),
    "in cooldown": lambda d: replace(d, may_enter=False),
    "while reducing": lambda d: replace(d, mode="REDUCING"),
    "while late": lambda d: replace(d, late=True),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_entry_that_should_not_have_been_made_so_is_named(run, change):
    decisions = run.desk.decisions
    at = next(k for k, each in enumerate(decisions) if each.outcome == "enter" and len(alone(decisions, each)) == 1)
    changed = [*decisions[:at], CHANGES[change](decisions[at]), *decisions[at + 1 :]]

    found = replayed(run, changed)

    assert found.equal == found.decisions - 1
    assert decisions[at].instrument_id in found.differences[0]


def alone(decisions, chosen):
    return [each for each in decisions if each.closed_at == chosen.closed_at and each.outcome == "enter"]


def test_a_strategy_that_forgot_a_position_is_found_by_the_fills_alone(run):
    records = list(run.desk.records)
    at = next(k for k, each in enumerate(records) if isinstance(each, Decision) and each.position_side)
    forgetful = replace(records[at], position_side=0, position_lots=0, bars_held=0, wanted=0, outcome="flat")

    found = backtested(run, [*records[:at], forgetful, *records[at + 1 :]])

    assert "position_side recorded 0, again" in found.differences[0]


def test_an_entry_that_was_on_its_way_counts_as_held_until_it_ends(run):
    records = list(run.desk.records)
    at = next(k for k, each in enumerate(records) if isinstance(each, Intent) and each.purpose == "entry")
    entry = records[at]
    lost = replace(entry, client_order_id="99999", venue_client_id=99999)
    refused = OrderEvent(
        account=entry.account,
        client_order_id="99999",
        state="rejected",
        venue_order_id=None,
        reason="",
        occurred_at=entry.intended_at,
    )

    forgotten = backtested(run, [*records[:at], lost, *records[at:]])
    ended = backtested(run, [*records[:at], lost, refused, *records[at:]])

    assert "open_kept recorded" in forgotten.differences[0]
    assert ended.equal == ended.decisions


def test_equity_that_is_not_what_the_fills_say_is_found(run):
    records = list(run.desk.records)
    at = next(k for k, each in enumerate(records) if isinstance(each, VenueFill))
    dearer = replace(records[at], fee=records[at].fee + Decimal("0.00000001"))

    found = backtested(run, [*records[:at], dearer, *records[at + 1 :]])

    assert found.equal < found.decisions
    assert "equity recorded" in found.differences[0]


def test_a_decision_for_an_instrument_that_is_not_traded_is_named(run):
    stranger = replace(run.desk.decisions[0], instrument_id="XRP-USD-PERP.DYDX")

    assert "expected an instrument of the strategy" in replayed(run, [stranger]).differences[0]
