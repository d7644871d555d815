"""Judge a round's procedure: choose in sample, trade out of sample, fold by fold."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from helios_pipeline.core.errors import SimulationError
from helios_pipeline.core.selection import Constraints
from helios_pipeline.simulation.arrays import Records
from helios_pipeline.simulation.inputs import SimulationInputs
from helios_pipeline.simulation.kernel import simulate
from helios_pipeline.simulation.summary import METRICS
from helios_pipeline.sweep.grid import Grid, parameters_of
from helios_pipeline.sweep.neighbourhood import neighbours_of
from helios_pipeline.sweep.proscore import pro_scores
from helios_pipeline.sweep.run import Sweep, Workers, run_sweep
from helios_pipeline.sweep.samplers import batches
from helios_pipeline.sweep.search import Search
from helios_pipeline.sweep.verdict import choose_candidate, judge_sets
from helios_pipeline.walk_forward.folds import Fold, FoldLengths, lay_folds
from helios_pipeline.walk_forward.result import (
    DAY_MS,
    Choice,
    FoldResult,
    WalkForwardResult,
    collect_results,
    days_of,
)

type Keep = Callable[[Fold, Sweep], None]
"""Takes what a batch of a fold's sets measured in sample."""


def plan_folds(inputs: SimulationInputs, grid: Grid, lengths: FoldLengths, *, start: int, stop: int) -> list[Fold]:
    """Lay folds over the slots [start, stop), from the first 00:00 UTC on.

    Raises:
        SettingsError: too few bars for one fold, or a purge shorter than the grid's longest holding time.
    """
    opened = inputs.opened_at
    interval = int(opened[1] - opened[0])
    first = start + int(-opened[start] % DAY_MS) // interval
    return lay_folds(
        start=first,
        stop=stop,
        bars_per_day=DAY_MS // interval,
        lengths=lengths,
        max_holding_bars=max(grid.max_holding_bars),
    )


def run_walk_forward(  # noqa: PLR0913 - what is judged, how, by whom and for whom
    inputs: SimulationInputs,
    grid: Grid,
    search: Search,
    *,
    folds: Sequence[Fold],
    constraints: Constraints,
    workers: Workers,
    keep: Keep = lambda _fold, _sweep: None,
) -> WalkForwardResult:
    """Repeat the whole search in sample in every fold, and trade each fold's choice out of sample.

    Each fold starts flat with the initial equity and warm features (lookbacks read earlier bars) and is closed at its
    end. A fold in which no set passes trades nothing: its days count as 0.

    Args:
        inputs: the markets.
        grid: of the round.
        search: how sets are chosen from it: in each fold anew, so that a sampler learns from in-sample bars alone.
        folds: from `plan_folds`.
        constraints: what a set must reach in sample to be chosen.
        workers: who evaluates; progress counts the sets of all folds together.
        keep: given every batch of sets of every fold before any of them can be chosen.

    Raises:
        SimulationError: a worker ended without an answer.
    """
    results = []
    sets = search.sets if search.sampled else grid.size
    for before, fold in enumerate(folds):
        told = _count_on(workers, before=before * sets, total=len(folds) * sets)
        choice = choose(inputs, grid, search, fold=fold, constraints=constraints, workers=told, keep=keep)
        results.append(_judge(inputs, fold, choice))
    return collect_results(inputs, grid.as_values(), results, sampled=search.sampled)


def choose(  # noqa: PLR0913 - the same of one fold
    inputs: SimulationInputs,
    grid: Grid,
    search: Search,
    *,
    fold: Fold,
    constraints: Constraints,
    workers: Workers,
    keep: Keep,
) -> Choice:
    """The passing set with the highest ProScore2 over a fold's in-sample slots; later slots are not read."""
    metrics = _search_in_sample(inputs, grid, search, fold=fold, workers=workers, keep=keep)
    scores = pro_scores(metrics, neighbours_of(grid, search, metrics))
    scored = judge_sets(metrics, constraints).with_columns(pl.Series("proscore2", scores, dtype=pl.Float64))
    passed, row = int(scored["passed"].sum()), choose_candidate(scored)
    if row is None:
        return Choice(parameters=None, passed=passed, proscore2=math.nan, sharpe=math.nan, daily_return=math.nan)
    chosen = scored.row(row, named=True)
    return Choice(
        parameters=parameters_of(chosen),
        passed=passed,
        proscore2=chosen["proscore2"],
        sharpe=chosen["sharpe"],
        daily_return=chosen["sum_r1"] / chosen["days"],
    )


def _search_in_sample(
    inputs: SimulationInputs, grid: Grid, search: Search, *, fold: Fold, workers: Workers, keep: Keep
) -> pl.DataFrame:
    """Parameters and metrics of every set that the search asks for, batch by batch."""
    asking, found = batches(grid, search), list[pl.DataFrame]()
    batch: Records | None = next(asking)
    while batch is not None:
        told = _count_on(workers, before=sum(part.height for part in found), total=search.sets)
        sweep = run_sweep(inputs, batch, start=fold.in_sample_start, stop=fold.in_sample_stop, workers=told)
        keep(fold, sweep)
        found.append(sweep.metrics)
        try:
            batch = asking.send(sweep.metrics.select(METRICS).cast(pl.Float64).to_numpy())
        except StopIteration:
            batch = None
    return pl.concat(found)


def _judge(inputs: SimulationInputs, fold: Fold, choice: Choice) -> FoldResult:
    start, stop = fold.out_of_sample_start, fold.out_of_sample_stop
    days = len(days_of(inputs, fold))
    if choice.parameters is None:
        flat = np.zeros(days)
        return FoldResult(fold=fold, choice=choice, daily_returns=flat, net_return=0.0, round_trips=0, max_drawdown=0.0)
    traded = simulate(inputs, choice.parameters, start=start, stop=stop)
    if len(traded.daily_returns) != days:
        raise SimulationError(
            f"fold {fold.number}: expected {days} out-of-sample days, found {len(traded.daily_returns)}. "
            "Folds must start and end at 00:00 UTC: plan them with plan_folds."
        )
    return FoldResult(
        fold=fold,
        choice=choice,
        daily_returns=traded.daily_returns,
        net_return=float(traded.metrics["net_return"]),
        round_trips=int(traded.metrics["round_trips"]),
        max_drawdown=float(traded.metrics["max_drawdown"]),
    )


def _count_on(workers: Workers, *, before: int, total: int) -> Workers:
    def progress(done: int, _: int) -> None:
        workers.progress(before + done, total)

    return replace(workers, progress=progress)
