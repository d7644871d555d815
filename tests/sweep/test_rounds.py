import json
import math
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.core.records import Window
from helios_pipeline.core.selection import Constraints
from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.points import points_frame
from helios_pipeline.sweep.rounds import distribution, judge_round
from helios_pipeline.sweep.run import Sweep

WINDOW = Window(first=datetime(2024, 1, 1, tzinfo=UTC), last=datetime(2025, 1, 1, tzinfo=UTC))
CONSTRAINTS = Constraints(min_round_trips=20, max_drawdown_fraction=0.2, min_sharpe=1.5, min_win_rate=0.3)
GRID = Grid(
    lookback_bars=(48, 96, 192),
    funding_weight=(0.0,),
    entry_z=(1.0, 2.0, 3.0),
    exit_z=(0.0,),
    max_holding_bars=(96,),
    cooldown_bars=(0,),
    stop_atr=(0.0, 4.0),
)


def sweep_with(grid, sharpes):
    n = grid.size
    measured = pl.DataFrame(
        {
            "sharpe": sharpes,
            "max_drawdown": [-0.1] * n,
            "round_trips": [100] * n,
            "win_rate": [0.6] * n,
            "net_return": [0.0 if math.isnan(sharpe) else sharpe / 10 for sharpe in sharpes],
            **{name: [10] * n for name in ("inner_days", "inner_tail_days")},
            **{name: [0.01] * n for name in ("inner_sum_r1", "inner_tail_sum_r1", "inner_sum_r2", "inner_tail_sum_r2")},
        },
        schema_overrides={"sharpe": pl.Float64},
    )
    metrics = pl.concat([points_frame(grid.records()), measured], how="horizontal")
    return Sweep(metrics=metrics, blocks=np.zeros((n, 16, 3)))


def judged(sharpe_of, grid=GRID):
    sharpes = [float(sharpe_of(point)) for point in grid.points()]
    return judge_round("round-1", sweep_with(grid, sharpes), grid=grid, window=WINDOW, constraints=CONSTRAINTS)


def peak_at_the_centre(point):
    return 2.5 - abs(point.entry_z - 2.0) - abs(math.log2(point.lookback_bars / 96)) - 0.01 * point.stop_atr


def test_a_round_names_its_candidate_pass_rate_and_failures():
    result = judged(peak_at_the_centre)

    assert result.candidate == result.best_parameters
    assert (result.candidate.lookback_bars, result.candidate.entry_z, result.candidate.stop_atr) == (96, 2.0, 0.0)
    # The centre without a stop 2.5 and with one 2.46, four neighbours at 1.5 without a stop.
    assert result.passed == 6
    assert result.pass_rate == 6 / 18
    assert result.summary()["failed"] == {"round_trips": 0, "max_drawdown": 0, "sharpe": 12, "win_rate": 0}


def test_without_a_passing_set_there_is_no_candidate_but_a_best_set():
    result = judged(lambda point: peak_at_the_centre(point) - 1.5)

    assert result.candidate is None
    assert result.best_parameters.entry_z == 2.0
    assert result.summary()["has_candidate"] is False


def test_a_best_set_on_the_edge_is_said():
    result = judged(lambda point: 1.0 + 0.4 * point.entry_z + point.lookback_bars / 1000)

    assert result.warnings == (
        "lookback_bars: the best set has 192, the grid's highest value",
        "entry_z: the best set has 3, the grid's highest value",
    )


def test_a_summary_survives_json_without_nan():
    result = judged(lambda point: math.nan if point.entry_z == 1.0 else -0.5)

    summary = result.summary()

    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["distributions"]["sharpe"]["none"] == 6
    assert summary["above_zero_after_costs"] == 0
    assert summary["sets"] == 18


def test_a_distribution_counts_every_value_that_exists():
    found = distribution(pl.Series([1.0, 2.0, 3.0, math.nan, None]))

    assert (found["count"], found["none"], sum(found["counts"])) == (3, 2, 3)
    assert (found["quantiles"]["0.0"], found["quantiles"]["0.5"], found["quantiles"]["1.0"]) == (1.0, 2.0, 3.0)


def test_a_distribution_of_nothing_is_empty():
    assert distribution(pl.Series([math.nan])) == {"count": 0, "none": 1, "quantiles": {}, "edges": [], "counts": []}


def test_a_sweep_of_another_grid_is_refused():
    smaller = Grid.from_values(GRID.as_values() | {"entry_z": [1.0, 2.0]})

    with pytest.raises(SettingsError, match="expected metrics of the grid's 12 sets, found 18"):
        judge_round("round-1", sweep_with(GRID, [1.0] * 18), grid=smaller, window=WINDOW, constraints=CONSTRAINTS)
