"""Which sets passed a round's constraints, which constraints failed the rest, and which set is the candidate."""

from collections import Counter

import numpy as np
import polars as pl
from numpy.typing import NDArray

from helios_pipeline.core.selection import Constraints
from helios_pipeline.sweep.grid import Grid, parameters_of
from helios_pipeline.sweep.proscore import pro_scores

SEPARATOR = ", "
"""Between the names in `failed_constraints`."""


def judge_sets(metrics: pl.DataFrame, constraints: Constraints) -> pl.DataFrame:
    """Add `passed` and `failed_constraints`, the names of the metrics that miss their threshold, joined by commas.

    Args:
        metrics: one row per set with at least the constrained metrics; a NaN fails its constraint.
        constraints: what a set must reach in sample.
    """
    names = list(constraints.limits())
    failed = [constraints.failed(row) for row in metrics.select(names).iter_rows(named=True)]
    return metrics.with_columns(
        pl.Series("passed", [not missed for missed in failed], dtype=pl.Boolean),
        pl.Series("failed_constraints", [SEPARATOR.join(missed) for missed in failed], dtype=pl.String),
    )


def failure_counts(judged: pl.DataFrame, constraints: Constraints) -> dict[str, int]:
    """How many sets each constraint failed; a set with several failures counts in each."""
    missed = Counter(name for text in judged["failed_constraints"] if text for name in text.split(SEPARATOR))
    return {name: missed[name] for name in constraints.limits()}


def score_grid(metrics: pl.DataFrame, grid: Grid, constraints: Constraints) -> pl.DataFrame:
    """Add the verdict and `proscore2` to the metrics of every point of a grid, in the grid's order."""
    judged = judge_sets(metrics, constraints)
    return judged.with_columns(pl.Series("proscore2", pro_scores(metrics, grid.neighbours()), dtype=pl.Float64))


def choose_candidate(scored: pl.DataFrame) -> int | None:
    """Row of the best passing set; None if none passed."""
    rows = np.flatnonzero(scored["passed"].to_numpy())
    return best_row(scored, rows) if len(rows) else None


def best_row(scored: pl.DataFrame, rows: NDArray[np.intp]) -> int:
    """Of some rows the one with the highest ProScore2; ties by Sharpe, then by canonical text.

    Ties are common only at score 0, where one term is 0 and the Sharpe is what is left to tell sets apart.
    """
    for name in ("proscore2", "sharpe"):
        values = np.nan_to_num(scored[name].to_numpy()[rows], nan=-np.inf)
        rows = rows[values == values.max()]
    return int(min(rows, key=lambda row: parameters_of(scored.row(int(row), named=True)).canonical))
