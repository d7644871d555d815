"""Where sets lie on a grid's axes, on its values or between them."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from helios_pipeline.simulation.arrays import PARAMETERS, Records
from helios_pipeline.sweep.grid import PARAMETER_NAMES, Grid

type Floats = NDArray[np.float64]

DECIMALS = 4
"""Of a sampled value: two sets that differ by less are one trial."""

WHOLE = tuple(name for name in PARAMETER_NAMES if PARAMETERS[name].kind == "i")


def swept_axes(grid: Grid) -> tuple[str, ...]:
    """Parameters with more than one value, in the grid's order."""
    return tuple(name for name, count in zip(PARAMETER_NAMES, grid.shape, strict=True) if count > 1)


def positions_of(grid: Grid, columns: Mapping[str, pl.Series] | pl.DataFrame | Records) -> Floats:
    """Position of each set on each axis: 0 at an axis's first value, 1 at its second, halfway between at 0.5.

    Distances between sets are thereby in steps of the grid, also where its steps are uneven. Values beyond an end
    have the end's position.

    Args:
        grid: the axes.
        columns: n values per parameter.

    Returns:
        float64[n, parameters]; 0 on axes with one value.
    """
    return np.stack(
        [
            np.interp(np.asarray(columns[name], np.float64), getattr(grid, name), np.arange(count))
            for name, count in zip(PARAMETER_NAMES, grid.shape, strict=True)
        ],
        axis=1,
    )


def records_at(grid: Grid, unit: Floats) -> Records:
    """The sets at some points of the unit cube, one dimension per swept axis.

    An axis is straight from one of its values to the next. Lookbacks are rounded to multiples of the axis's smallest
    step from its first value, so that their price scores stay few; other whole numbers to the nearest, the rest to
    `DECIMALS`. A `stop_atr` of 0 is no stop, not a near one: it has its share of the axis, and between it and the
    nearest stop lies nothing.

    Args:
        grid: the axes.
        unit: float64[n, swept axes], each within [0, 1).

    Returns:
        n records, some of which the signal may not define.
    """
    records = np.empty(len(unit), PARAMETERS)
    swept = swept_axes(grid)
    for name in PARAMETER_NAMES:
        axis = np.array(getattr(grid, name), np.float64)
        if name not in swept:
            records[name] = axis[0]
            continue
        at = unit[:, swept.index(name)]
        if name == "stop_atr" and axis[0] == 0.0:
            share = 1.0 / len(axis)
            values = np.where(at < share, 0.0, _along(axis[1:], (at - share) / (1.0 - share)))
        else:
            values = _along(axis, at)
        if name == "lookback_bars":
            step = np.diff(axis).min()
            values = np.minimum(axis[0] + np.rint((values - axis[0]) / step) * step, axis[-1])
        # Adding zero turns -0.0 into 0.0: one spelling per set.
        records[name] = np.rint(values) if name in WHOLE else np.round(values, DECIMALS) + 0.0
    return records


def snap_to_grid(grid: Grid, metrics: pl.DataFrame) -> pl.DataFrame:
    """The frame with every parameter moved to the grid's nearest value: sets between values are shown with it."""
    nearest = np.rint(positions_of(grid, metrics)).astype(np.int64)
    return metrics.with_columns(
        pl.Series(name, np.array(getattr(grid, name))[nearest[:, column]]).cast(metrics.schema[name])
        for column, name in enumerate(PARAMETER_NAMES)
    )


def _along(axis: Floats, at: Floats) -> Floats:
    return np.asarray(np.interp(at * (len(axis) - 1), np.arange(len(axis)), axis))
