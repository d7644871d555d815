import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_pipeline.sweep.proscore import WEIGHTS, inner_retention, neighbour_ratio, pro_score, pro_scores

NO_NEIGHBOURS = -1


def sums(part, returns):
    r = np.array(returns)
    return {f"{part}_days": len(r), f"{part}_sum_r1": r.sum(), f"{part}_sum_r2": (r**2).sum()}


def row(*, sharpe=2.0, max_drawdown=-0.1, round_trips=50, win_rate=0.45, first=(0.01, -0.005), last=(0.01, -0.005)):
    return {
        "sharpe": sharpe,
        "max_drawdown": max_drawdown,
        "round_trips": round_trips,
        "win_rate": win_rate,
        **sums("inner", first),
        **sums("inner_tail", last),
    }


terms = st.fixed_dictionaries({name: st.floats(-2, 2) for name in WEIGHTS})


def test_weights_sum_to_one():
    assert sum(WEIGHTS.values()) == pytest.approx(1.0, abs=1e-15)


def test_a_score_worked_out_by_hand():
    # First part: mean 0.0025, std 0.0075; last part: mean 0.0010, std 0.0060; neighbours' Sharpes 1.0, 1.5, 1.8.
    table = pl.DataFrame(
        [
            row(sharpe=2.0, max_drawdown=-0.05, round_trips=40, win_rate=0.30, last=(0.007, -0.005)),
            row(sharpe=1.0),
            row(sharpe=1.5),
            row(sharpe=1.8),
        ]
    )
    neighbours = np.array([[1, 2, 3, NO_NEIGHBOURS], [0, -1, -1, -1], [0, -1, -1, -1], [0, -1, -1, -1]])

    score = pro_scores(table, neighbours)[0]

    expected = (
        100
        * (2 / 3) ** 0.30
        * 0.75**0.15
        * 0.4**0.10
        * 0.5**0.05
        * ((0.001 / 0.006) / (0.0025 / 0.0075)) ** 0.20
        * (1.5 / 2.0) ** 0.20
    )
    assert score == pytest.approx(expected, rel=1e-12)
    assert score == pytest.approx(61.43, abs=0.01)


def test_a_set_at_every_limit_scores_one_hundred():
    table = pl.DataFrame([row(sharpe=3.0, max_drawdown=0.0, round_trips=100, win_rate=0.6) for _ in range(2)])

    assert pro_scores(table, np.array([[1], [0]])).tolist() == pytest.approx([100.0, 100.0])


@given(terms)
def test_scores_lie_between_0_and_100(values):
    score = pro_score({name: np.array([value]) for name, value in values.items()})[0]

    assert 0.0 <= score <= 100.0 + 1e-12


@given(terms, st.sampled_from(sorted(WEIGHTS)), st.floats(0, 2))
def test_a_better_term_never_lowers_the_score(values, name, gain):
    better = values | {name: values[name] + gain}

    low, high = (pro_score({key: np.array([value]) for key, value in side.items()})[0] for side in (values, better))
    assert high >= low


@pytest.mark.parametrize(
    "change",
    [{"sharpe": math.nan}, {"sharpe": -1.0}, {"max_drawdown": -0.2}, {"round_trips": 0, "win_rate": math.nan}],
)
def test_a_set_without_sharpe_or_trades_or_with_too_deep_a_drawdown_scores_0(change):
    table = pl.DataFrame([row(**change), row()], schema_overrides={"win_rate": pl.Float64})

    assert pro_scores(table, np.array([[1], [0]]))[0] == 0.0


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ((0.01, -0.005), (0.01, -0.005), 1.0),
        ((0.01, -0.02), (0.02, 0.01), 0.0),  # the first part lost
        ((0.01, -0.005), (0.001, 0.001, 0.001), 0.0),  # equal returns have no Sharpe
        ((0.001,) * 10, (0.01, -0.005), 0.0),
        ((), (), 0.0),
    ],
)
def test_retention_is_the_last_part_over_the_first_and_0_without_evidence(first, last, expected):
    table = pl.DataFrame([row(first=first, last=last)])

    assert inner_retention(table)[0] == pytest.approx(expected)


def test_retention_of_a_losing_last_part_is_negative_before_clipping():
    table = pl.DataFrame([row(first=(0.01, -0.005), last=(-0.01, 0.005))])

    assert inner_retention(table)[0] == pytest.approx(-1.0)


def test_neighbours_count_by_their_median_and_one_without_sharpe_counts_as_0():
    sharpe = np.array([2.0, 1.0, math.nan, 1.5, -1.0])
    neighbours = np.array([[1, 2, 3], [0, -1, -1], [0, 1, 3], [-1, -1, -1], [0, 1, 3]])

    ratio = neighbour_ratio(sharpe, neighbours)

    assert ratio.tolist() == [0.5, 2.0, 0.0, 0.0, 0.0]


@given(st.lists(st.one_of(st.floats(-5, 5), st.just(math.nan)), min_size=4, max_size=4))
def test_neighbour_ratios_agree_with_a_loop(values):
    sharpe = np.array(values)
    neighbours = np.array([[1, 3], [0, 2], [1, 3], [2, -1]])

    ratio = neighbour_ratio(sharpe, neighbours)

    for index, beside in enumerate(neighbours):
        known = [0.0 if math.isnan(values[k]) else values[k] for k in beside if k >= 0]
        with np.errstate(over="ignore"):
            expected = np.float64(np.median(known)) / values[index] if values[index] > 0 else 0.0
        assert ratio[index] == pytest.approx(expected)
