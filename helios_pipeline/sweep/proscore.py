"""ProScore2: one number from 0 to 100 by which in-sample choices are made."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from helios_pipeline.metrics.sharpe import sharpe_from_sums

type Floats = NDArray[np.float64]

WEIGHTS = {
    "sharpe": 0.30,
    "drawdown": 0.15,
    "round_trips": 0.10,
    "win_rate": 0.05,
    "retention": 0.20,
    "neighbours": 0.20,
}
"""Exponent of each term; they sum to 1."""

ROWS_AT_ONCE = 65_536
"""Points whose neighbours are looked at together, so that memory stays bounded."""


def pro_score(terms: dict[str, Floats]) -> Floats:
    """ProScore2 = 100 × ∏ termᵢ^wᵢ over the terms of `WEIGHTS`.

    Args:
        terms: one array of n values per term; each is clipped to [0, 1], NaN counts as 0.

    Returns:
        n scores from 0 to 100; one term at 0 makes the score 0.
    """
    clipped = {name: np.clip(np.nan_to_num(terms[name], nan=0.0), 0.0, 1.0) for name in WEIGHTS}
    return np.asarray(100.0 * np.prod([clipped[name] ** weight for name, weight in WEIGHTS.items()], axis=0))


def pro_scores(metrics: pl.DataFrame, neighbours: NDArray[np.int64]) -> Floats:
    """ProScore2 of every point of a grid, from in-sample numbers alone.

    Args:
        metrics: n rows as `Evaluation.metrics`, in the grid's order.
        neighbours: (n, k) indices as `Grid.neighbours()`, -1 for none.
    """
    sharpe = metrics["sharpe"].to_numpy()
    return pro_score(
        {
            "sharpe": sharpe / 3.0,
            "drawdown": 1.0 - np.abs(metrics["max_drawdown"].to_numpy()) / 0.2,
            "round_trips": metrics["round_trips"].to_numpy() / 100.0,
            "win_rate": metrics["win_rate"].to_numpy() / 0.6,
            "retention": inner_retention(metrics),
            "neighbours": neighbour_ratio(sharpe, neighbours),
        }
    )


def inner_retention(metrics: pl.DataFrame) -> Floats:
    """Sharpe of the last 30 % of the days over Sharpe of the first 70 %; 0 where the first is not above 0.

    Args:
        metrics: n rows with `inner_days`, `inner_sum_r1`, `inner_sum_r2` and the same of `inner_tail_`.
    """
    first, last = (
        np.nan_to_num(
            sharpe_from_sums(*(metrics[f"{part}_{name}"] for name in ("sum_r1", "sum_r2", "days")), min_days=2)
        )
        for part in ("inner", "inner_tail")
    )
    return _ratio(last, first)


def neighbour_ratio(sharpe: Floats, neighbours: NDArray[np.int64]) -> Floats:
    """Median Sharpe of the neighbours over the point's own; 0 without neighbours or where its own is not above 0.

    A neighbour without a Sharpe counts as 0: it shows no edge. A point without neighbours has nothing that shows it
    is more than an isolated peak.

    Args:
        sharpe: n values, NaN for none.
        neighbours: (n, k) indices, -1 for none.
    """
    own = np.nan_to_num(sharpe, nan=0.0)
    medians = [
        _medians(own, neighbours[first : first + ROWS_AT_ONCE]) for first in range(0, len(neighbours), ROWS_AT_ONCE)
    ]
    return _ratio(np.concatenate([np.empty(0), *medians]), own)


def _medians(values: Floats, chosen: NDArray[np.int64]) -> Floats:
    """Median of the chosen values of each row, -1 for none; 0 for a row that chooses none."""
    beside = np.sort(np.where(chosen < 0, np.inf, values[chosen]), axis=1)
    count = (chosen >= 0).sum(axis=1)
    each = np.arange(len(chosen))
    lower, upper = beside[each, np.maximum(count - 1, 0) // 2], beside[each, count // 2]
    return np.where(count > 0, (lower + upper) / 2, 0.0)


def _ratio(above: Floats, below: Floats) -> Floats:
    # A Sharpe of 1e-309 is above 0; the infinite ratio to it is clipped with the term.
    with np.errstate(over="ignore"):
        return np.divide(above, below, out=np.zeros_like(below), where=below > 0.0)
