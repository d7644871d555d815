"""What a person should know about a round's best set: that better ones may lie beyond the grid, or that it is alone."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from helios_pipeline.sweep.grid import FLOORS, PARAMETER_NAMES, Grid
from helios_pipeline.sweep.positions import positions_of

ISOLATED = 0.5
"""Median Sharpe of the neighbours over a set's own, below which the set is called an isolated peak."""


def edges_of(grid: Grid, parameters: Mapping[str, float]) -> dict[str, str]:
    """Parameters of a set that stand on the grid's edge: name → `lowest` or `highest`.

    A set between the grid's values stands where its nearest value does. Parameters with one value have no edge to
    stand on; nor is a floor of `FLOORS` one.
    """
    row = {name: pl.Series([float(parameters[name])]) for name in PARAMETER_NAMES}
    found = {}
    for name, at, count in zip(PARAMETER_NAMES, np.rint(positions_of(grid, row)[0]), grid.shape, strict=True):
        if count > 1 and at == count - 1:
            found[name] = "highest"
        elif count > 1 and at == 0 and getattr(grid, name)[0] != FLOORS.get(name):
            found[name] = "lowest"
    return found


def edge_warnings(grid: Grid, best: Mapping[str, float]) -> tuple[str, ...]:
    """One sentence per parameter of the best set that stands on the grid's edge; beyond it may be better."""
    said = []
    for name, end in edges_of(grid, best).items():
        value = getattr(grid, name)[-1 if end == "highest" else 0]
        where = f"the grid's {end} value" if best[name] == value else f"next to {value:g}, the grid's {end} value"
        said.append(f"{name}: the best set has {best[name]:g}, {where}")
    return tuple(said)


def peak_warnings(metrics: pl.DataFrame, neighbours: NDArray[np.int64], best: int) -> tuple[str, ...]:
    """A sentence where the best set stands alone: its neighbours' median Sharpe is below `ISOLATED` of its own.

    A real edge moves little when a parameter moves by a step; a Sharpe ratio that the sets beside it do not share is
    more likely luck.

    Args:
        metrics: one row per set: `sharpe`, `passed`.
        neighbours: (sets, k) indices, -1 for none.
        best: row of the best set.

    Returns:
        Nothing for a best set without a Sharpe ratio above 0.
    """
    own, beside = metrics["sharpe"][best], neighbours[best]
    beside = beside[beside >= 0]
    if own is None or not own > 0.0:
        return ()
    if len(beside) == 0:
        return ("isolated peak: the best set has no neighbour that would show whether it is more than luck",)
    # A neighbour without a Sharpe ratio shows no edge.
    median = float(np.median(np.nan_to_num(metrics["sharpe"].to_numpy()[beside], nan=0.0)))
    if median >= ISOLATED * own:
        return ()
    passed = int(metrics["passed"].to_numpy()[beside].sum())
    return (
        f"isolated peak: the best set has a Sharpe of {own:.2f}, its {len(beside)} neighbours a median of "
        f"{median:.2f}, and {passed} of them passed",
    )
