"""The sets beside each set: one step away on a grid, the nearest ones where sets were sampled."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.positions import positions_of, swept_axes
from helios_pipeline.sweep.search import Search


def neighbours_of(grid: Grid, search: Search, metrics: pl.DataFrame) -> NDArray[np.int64]:
    """Index of each set's neighbours, -1 for none.

    Args:
        grid: of the round.
        search: how its sets were chosen.
        metrics: one row per set with its parameters, a grid's in the grid's order.

    Returns:
        Shape (sets, k), as `Grid.neighbours` or `nearest_sets`.
    """
    return nearest_sets(grid, metrics) if search.sampled else grid.neighbours()


def nearest_sets(grid: Grid, metrics: pl.DataFrame) -> NDArray[np.int64]:
    """Index of the sets that lie nearest to each set, shape (sets, 2 × swept parameters), -1 where there are no more.

    As many as a point within a grid has neighbours. Distance is Euclid's, in steps of the grid: a set half a step
    away on two axes is nearer than one a step away on one.

    Args:
        grid: whose region was sampled.
        metrics: one row per set, with its parameters.
    """
    from scipy.spatial import KDTree

    at = positions_of(grid, metrics)
    wanted = 2 * len(swept_axes(grid))
    _, found = KDTree(at).query(at, k=wanted + 1)
    # A set is its own nearest one, but with others at the same place it need not be the first that is found.
    others = found != np.arange(len(at))[:, None]
    others[others.all(axis=1), -1] = False
    beside = np.asarray(found, np.int64)[others].reshape(len(at), wanted)
    return np.where(beside < len(at), beside, -1)
