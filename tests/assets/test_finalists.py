"""Which sets a second engine has to agree on, how many run at once, and what becomes of a disagreement."""

import os
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from assets.finalists import (
    PROCESS_BYTES,
    SLOT_BYTES,
    Allowance,
    FinalistResult,
    choose_finalists,
    compare_finalists,
    refuse_disagreement,
    summarise_agreement,
)
from helios_pipeline.core.errors import SimulationError
from helios_pipeline.core.records import Window
from helios_pipeline.core.selection import Constraints
from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.points import points_frame
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
        metrics=points_frame(GRID.records()).with_columns(**{k: pl.Series(v) for k, v in scores.items()}),
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


class Inputs:
    """Inputs of so many slots and markets; a process that they are sent to ends."""

    def __init__(self, slots, markets):
        self.slots = np.zeros((slots, markets), np.int8)

    def __reduce__(self):
        return os._exit, (3,)


@pytest.mark.parametrize(("processes", "expected"), [(0.5, 1), (1.0, 1), (2.99, 2), (3.0, 3), (50.0, 4)])
def test_as_many_finalists_run_at_once_as_memory_was_granted_for(processes, expected):
    inputs = Inputs(100_000, 3)
    each = PROCESS_BYTES + SLOT_BYTES * 300_000
    allowance = Allowance(workers=4, memory_mb=int(processes * each / 1_000_000))

    assert allowance.in_flight(inputs) == expected


def test_a_finalist_whose_process_is_gone_is_an_error_that_says_what_to_do():
    heard = []

    with pytest.raises(SimulationError, match=r"0 of 2 done, 1 running .* lower research\.backtest_memory_mb"):
        compare_finalists(Inputs(10, 1), GRID.points()[:2], Allowance(workers=1, memory_mb=100), heard.append)

    assert heard == []


@pytest.fixture
def results():
    """Three finalists, of which the second differs in a fill and the third in its cash."""

    def made(parameters, difference):
        return FinalistResult(
            parameters=parameters,
            fills=10,
            difference=difference,
            kernel_seconds=0.001,
            nautilus_seconds=1.0,
            peak_mb=600,
            round_trips=pl.DataFrame(),
            equity=pl.DataFrame(),
        )

    return [made("a", None), made("b", "fill 7: kernel {…}, NautilusTrader {…}"), made("c", "cash: kernel 1")]


def test_a_disagreement_is_an_error_that_names_the_set_and_the_first_differing_fill(results):
    refuse_disagreement(results[:1])

    with pytest.raises(SimulationError, match=r"another result in 2 of 3 finalists\. The first, b: fill 7: kernel"):
        refuse_disagreement(results)


def test_agreement_counts_fills_and_differences(results):
    summary = summarise_agreement(results)

    assert (summary.sets, summary.fills, summary.differences) == (3, 30, 2)
    assert summary.first_difference == results[1].difference
