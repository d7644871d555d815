import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_pipeline.core.selection import Constraints
from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.sweep.points import points_frame, records_of
from helios_pipeline.sweep.verdict import best_row, choose_candidate, failure_counts, judge_sets

CONSTRAINTS = Constraints(min_round_trips=20, max_drawdown_fraction=0.2, min_sharpe=1.5, min_win_rate=0.3)
PASSING = {"round_trips": 20, "max_drawdown": -0.2, "sharpe": 1.5, "win_rate": 0.3}


def point(lookback_bars):
    return ParameterSet(
        lookback_bars=lookback_bars,
        funding_weight=0.0,
        entry_z=2.0,
        exit_z=0.0,
        max_holding_bars=96,
        cooldown_bars=0,
        stop_atr=0.0,
    )


def scored(rows, lookbacks=None):
    points = [point(lookback) for lookback in lookbacks or range(2, 2 + len(rows))]
    values = pl.DataFrame(
        rows, schema={"proscore2": pl.Float64, "sharpe": pl.Float64, "passed": pl.Boolean}, orient="row"
    )
    return pl.concat([points_frame(records_of(points)), values], how="horizontal")


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({}, ""),
        ({"round_trips": 19}, "round_trips"),
        ({"max_drawdown": -0.2001}, "max_drawdown"),
        ({"sharpe": 1.49}, "sharpe"),
        ({"sharpe": math.nan}, "sharpe"),
        ({"round_trips": 0, "sharpe": math.nan, "win_rate": math.nan}, "round_trips, sharpe, win_rate"),
    ],
)
def test_every_failed_constraint_is_named(change, failed):
    judged = judge_sets(pl.DataFrame([PASSING | change]), CONSTRAINTS)

    assert judged.row(0, named=True) == pytest.approx(
        PASSING | change | {"passed": failed == "", "failed_constraints": failed}, nan_ok=True
    )


@given(st.lists(st.tuples(*[st.sampled_from([-1.0, -0.2, 0.0, 0.3, 1.5, 20.0, math.nan])] * 4), min_size=1))
def test_verdicts_of_many_sets_are_those_of_each(rows):
    table = pl.DataFrame(rows, schema=dict.fromkeys(PASSING, pl.Float64), orient="row")

    judged = judge_sets(table, CONSTRAINTS)

    failed = [CONSTRAINTS.failed(row) for row in table.iter_rows(named=True)]
    assert judged["failed_constraints"].to_list() == [", ".join(names) for names in failed]
    assert judged["passed"].to_list() == [not names for names in failed]
    assert failure_counts(judged, CONSTRAINTS) == {name: sum(name in each for each in failed) for name in PASSING}


def test_failures_are_counted_for_each_constraint():
    table = pl.DataFrame([PASSING, PASSING | {"sharpe": 1.0}, PASSING | {"sharpe": math.nan, "win_rate": 0.1}])

    counts = failure_counts(judge_sets(table, CONSTRAINTS), CONSTRAINTS)

    assert counts == {"round_trips": 0, "max_drawdown": 0, "sharpe": 2, "win_rate": 1}


def test_the_candidate_is_the_passing_set_with_the_highest_score():
    table = scored([(90.0, 3.0, False), (70.0, 2.0, True), (80.0, 1.6, True), (0.0, math.nan, False)])

    assert choose_candidate(table) == 2


def test_equal_scores_are_told_apart_by_sharpe_then_by_canonical_text():
    # "lookback_bars":10 is spelled before "lookback_bars":9.
    table = scored([(0.0, 2.0, True), (0.0, 2.5, True), (0.0, 2.5, True)], lookbacks=[8, 9, 10])

    assert choose_candidate(table) == 2


def test_no_passing_set_means_no_candidate():
    assert choose_candidate(scored([(50.0, 1.0, False)])) is None


def test_sets_without_a_sharpe_rank_last():
    table = scored([(0.0, math.nan, False), (0.0, -1.0, False), (0.0, math.nan, False)])

    assert best_row(table, table.with_row_index()["index"].to_numpy().astype(int)) == 1
    assert best_row(table, table.with_row_index()["index"].to_numpy().astype(int)[[0, 2]]) == 0
