"""Which sets of a grid's region a round evaluates: all its points, or so many at random, by Sobol or by Optuna."""

from collections.abc import Callable

import numpy as np

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.simulation.arrays import PARAMETERS, Records
from helios_pipeline.sweep.grid import PARAMETER_NAMES, Grid
from helios_pipeline.sweep.positions import Floats, records_at, swept_axes
from helios_pipeline.sweep.search import MOST_DRAWS, Batches, Search, is_defined, too_few

FEWEST_DRAWN = 4096
"""Points of the smallest draw: a power of two, which Sobol's sequence wants."""

type Draw = Callable[[int], Floats]
"""The next so many points of a sequence, each coordinate from 0 to 1: it goes on where the last draw ended."""


def batches(grid: Grid, search: Search) -> Batches:
    """The sets of a round in batches, each of which may depend on the results of those before and on nothing else.

    All but Optuna have one batch. A round that was stopped gives the same sets when the same results are sent again.

    Raises:
        SettingsError: no parameter varies, or the region holds fewer sets than asked for.
    """
    if search.sampler == "grid":
        yield grid.records()
        return
    if not swept_axes(grid):
        raise SettingsError(
            f"search.sampler: expected a grid in which some parameter has two values or more for "
            f"`{search.sampler}`, found {grid.as_values()}. Add values to [grid], or set sampler to `grid`."
        )
    if search.sampler == "optuna":
        # Imported by those who need it: it costs seconds.
        from helios_pipeline.sweep.optuna_search import optuna_batches

        yield from optuna_batches(grid, search.sets, search.seed)
        return
    yield take_distinct(grid, search, _random(grid, search) if search.sampler == "random" else _sobol(grid, search))


def take_distinct(grid: Grid, search: Search, draw: Draw) -> Records:
    """The first sets that are drawn, each once and only those that the signal defines.

    Raises:
        SettingsError: the region holds too few.
    """
    # As many as are wanted in one draw: each one sorts everything drawn so far.
    count = max(FEWEST_DRAWN, 1 << (search.sets - 1).bit_length())
    drawn = np.empty(0, PARAMETERS)
    for _ in range(-(-MOST_DRAWS * search.sets // count)):
        more = records_at(grid, draw(count))
        drawn = _distinct(np.concatenate([drawn, more[is_defined(more)]]))
        if len(drawn) >= search.sets:
            return drawn[: search.sets]
    raise too_few(search.sets, len(drawn))


def _distinct(records: Records) -> Records:
    """Each record once, where it stood first."""
    order = np.lexsort([records[name] for name in PARAMETER_NAMES])
    ordered = records[order]
    new = np.ones(len(records), dtype=np.bool_)
    new[1:] = ordered[1:] != ordered[:-1]
    return records[np.sort(order[new])]


def _random(grid: Grid, search: Search) -> Draw:
    source, dimensions = np.random.Generator(np.random.Philox(search.seed)), len(swept_axes(grid))
    return lambda count: source.random((count, dimensions))


def _sobol(grid: Grid, search: Search) -> Draw:
    """Sobol's sequence, scrambled (Owen 1998): even over the whole region and over each pair of parameters."""
    from scipy.stats import qmc

    seeded = np.random.Generator(np.random.Philox(search.seed))
    sequence = qmc.Sobol(len(swept_axes(grid)), scramble=True, rng=seeded)
    return lambda count: np.asarray(sequence.random(count))
