"""Which sets a second engine has to agree on."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from assets.backtest import choose_finalists
from helios_pipeline.core.records import Window
from helios_pipeline.core.selection import Constraints
from helios_pipeline.sweep.grid import Grid, parameter_frame
from helios_pipeline.sweep.rounds import RoundResult

GRID = Grid(
    lookback_bars=(48,),
    funding_weight=(0.0,),
    entry_z=(2.0, 3.0),
    exit_z=(0.0,),
    max_holding_bars=(96,),
    cooldown_bars=(0, 4, 8),
    stop_atr=(0.0,),
)


@pytest.fixture
def tied_round():
    """Six sets that all passed and score alike, as those do that differ in a cooldown that never began."""
    scores = {"passed": [True] * 6, "proscore2": [50.0] * 6, "sharpe": [3.0] * 6}
    return RoundResult(
        name="round-1",
        grid=GRID,
        window=Window(first=datetime(2025, 1, 1, tzinfo=UTC), last=datetime(2025, 5, 1, tzinfo=UTC)),
        constraints=Constraints(min_round_trips=20, max_drawdown_fraction=0.2, min_sharpe=1.5, min_win_rate=0.3),
        metrics=parameter_frame(GRID.points()).with_columns(**{k: pl.Series(v) for k, v in scores.items()}),
        blocks=np.zeros((6, 16, 3)),
        best=0,
    )


@pytest.mark.parametrize("best", range(6))
def test_the_candidate_is_a_finalist_also_among_equals(tied_round, best):
    judged = replace(tied_round, best=best)

    finalists = choose_finalists(judged, 2)

    assert finalists[0] == judged.candidate
    assert len(set(finalists)) == 2


def test_without_a_passing_set_the_best_is_the_only_finalist(tied_round):
    metrics = tied_round.metrics.with_columns(passed=pl.lit(value=False))

    assert choose_finalists(replace(tied_round, metrics=metrics, best=3), 2) == [GRID.points()[3]]


def test_finalists_are_the_sets_with_the_highest_scores(tied_round):
    metrics = tied_round.metrics.with_columns(proscore2=pl.Series([1.0, 9.0, 3.0, 8.0, 2.0, 7.0]))

    finalists = choose_finalists(replace(tied_round, metrics=metrics, best=1), 3)

    assert finalists == [GRID.points()[k] for k in (1, 3, 5)]
