"""Which parameters matter."""

import math

import polars as pl
import pytest

from helios_pipeline.promotion.luck import luck_sharpe
from helios_pipeline.reports.sensitivity import (
    influential_parameters,
    pair_values,
    parameter_sensitivity,
    slice_through,
    swept_parameters,
)
from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.points import points_frame

GRID = Grid(
    lookback_bars=(48, 96),
    funding_weight=(0.0,),
    entry_z=(2.0, 3.0, 4.0),
    exit_z=(0.0,),
    max_holding_bars=(96,),
    cooldown_bars=(0, 8),
    stop_atr=(0.0,),
)


@pytest.fixture
def metrics():
    points = points_frame(GRID.records())
    return points.with_columns(sharpe=pl.col("lookback_bars") / 48 - 2 * pl.col("entry_z"))


def test_only_parameters_with_several_values_are_swept(metrics):
    assert swept_parameters(metrics) == ["lookback_bars", "entry_z", "cooldown_bars"]


def test_the_parameter_whose_values_differ_most_comes_first(metrics):
    assert influential_parameters(metrics) == ["entry_z", "lookback_bars", "cooldown_bars"]


def test_without_a_single_value_the_grid_s_order_stands(metrics):
    empty = metrics.with_columns(sharpe=pl.lit(math.nan))

    assert influential_parameters(empty) == swept_parameters(metrics)


def test_a_parameter_s_median_is_over_all_others(metrics):
    rows = parameter_sensitivity(metrics).filter(pl.col("parameter") == "entry_z")

    assert rows.select("at", "sets", "median", "best").rows() == [(2.0, 4, -2.5, -2.0), (3.0, 4, -4.5, -4.0),
                                                                  (4.0, 4, -6.5, -6.0)]  # fmt: skip


def test_sets_without_a_value_count_nowhere(metrics):
    some = metrics.with_columns(sharpe=pl.when(pl.col("entry_z") == 2.0).then(math.nan).otherwise("sharpe"))

    rows = parameter_sensitivity(some)
    pairs = pair_values(some, "entry_z", "lookback_bars")

    assert rows.filter(pl.col("parameter") == "entry_z")["at"].to_list() == [3.0, 4.0]
    assert pairs.filter(pl.col("x") == 2.0)["value"].to_list() == [None, None]


@pytest.mark.parametrize(("over", "value"), [("median", -3.0), ("best", -3.0)])
def test_a_pair_has_one_value(metrics, over, value):
    pairs = pair_values(metrics, "entry_z", "lookback_bars", over=over)

    assert pairs.height == 6
    assert pairs.row(0) == (2.0, 48.0, value)


def test_luck_grows_with_trials_and_shrinks_with_days():
    assert luck_sharpe(1, 365) == 0.0
    assert luck_sharpe(1440, 457) > luck_sharpe(100, 457) > luck_sharpe(100, 1000) > 0
    assert luck_sharpe(1440, 457) == pytest.approx(2.96, abs=0.06)  # "about 3" is what the README says of this round
    assert math.isnan(luck_sharpe(1440, 1))


def test_a_slice_moves_one_parameter_and_holds_the_others_at_the_set_s_values(metrics):
    best = {"lookback_bars": 96, "funding_weight": 0.0, "entry_z": 2.0, "exit_z": 0.0, "max_holding_bars": 96,
            "cooldown_bars": 0, "stop_atr": 0.0}  # fmt: skip

    assert slice_through(metrics, best, "entry_z").rows() == [(2.0, -2.0), (3.0, -4.0), (4.0, -6.0)]
    assert slice_through(metrics, best | {"cooldown_bars": 4}, "entry_z").is_empty()
