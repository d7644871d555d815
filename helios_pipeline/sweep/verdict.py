"""Which sets passed a round's constraints, which constraints failed the rest, and which set is the candidate."""

from collections import Counter

import numpy as np
import polars as pl
from numpy.typing import NDArray

from helios_pipeline.core.selection import Constraints
from helios_pipeline.sweep.points import records_from
from helios_pipeline.sweep.proscore import pro_scores
from helios_pipeline.sweep.spelling import canonical_texts

SEPARATOR = ", "
"""Between the names in `failed_constraints`."""


def judge_sets(metrics: pl.DataFrame, constraints: Constraints) -> pl.DataFrame:
    """Add `passed` and `failed_constraints`, the names of the metrics that miss their threshold, joined by commas.

    Args:
        metrics: one row per set with at least the constrained metrics; a NaN fails its constraint.
        constraints: what a set must reach in sample.
    """
    limits = constraints.limits()
    code = np.zeros(metrics.height, np.uint32)
    for bit, (name, (_, threshold)) in enumerate(limits.items()):
        # Compared by NumPy, for which NaN is at least nothing; for polars it is the largest of numbers.
        code |= np.where(metrics[name].to_numpy() >= threshold, 0, 1 << bit).astype(np.uint32)
    names = [
        SEPARATOR.join(name for bit, name in enumerate(limits) if pattern >> bit & 1)
        for pattern in range(1 << len(limits))
    ]
    return metrics.with_columns(
        pl.Series("passed", code == 0, dtype=pl.Boolean),
        pl.Series("failed_constraints", names, dtype=pl.String).gather(pl.Series(code)),
    )


def failure_counts(judged: pl.DataFrame, constraints: Constraints) -> dict[str, int]:
    """How many sets each constraint failed; a set with several failures counts in each."""
    missed: Counter[str] = Counter()
    for text, sets in judged["failed_constraints"].value_counts().iter_rows():
        missed.update(dict.fromkeys(text.split(SEPARATOR), sets))
    return {name: missed[name] for name in constraints.limits()}


def score_sets(metrics: pl.DataFrame, neighbours: NDArray[np.int64], constraints: Constraints) -> pl.DataFrame:
    """Add the verdict and `proscore2` to the metrics of a round's sets.

    Args:
        metrics: one row per set.
        neighbours: as `neighbours_of`, -1 for none.
        constraints: what a set must reach in sample.
    """
    judged = judge_sets(metrics, constraints)
    return judged.with_columns(pl.Series("proscore2", pro_scores(metrics, neighbours), dtype=pl.Float64))


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
    texts = canonical_texts(records_from(scored[rows].to_dict()))
    return int(min(zip(texts, rows.tolist(), strict=True))[1])
