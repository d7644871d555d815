"""How a round chooses its sets: the record, and what all ways of choosing share."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.simulation.arrays import Records
from helios_pipeline.sweep.positions import Floats

type SamplerName = Literal["grid", "random", "sobol", "optuna"]
type Batches = Generator[Records, Floats]
"""Yields the sets of a batch and is sent their rows, float64[sets, `METRICS`]."""

MOST_DRAWS = 20
"""Draws for each set that is wanted; a region that yields fewer sets than that holds too few of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How a round chooses its sets from the region that its grid spans.

    Attributes:
        sampler: `grid` for every point; `random` and `sobol` for sets spread over the region; `optuna` for sets that
            each batch of results draws towards better ones.
        sets: of a sampled round; a grid has as many as its points.
        seed: of a sampled round. The same seed with more sets begins with the same ones, so a larger round of
            `random` or `sobol` costs the ledger only what it adds.
    """

    sampler: SamplerName
    sets: int
    seed: int

    @property
    def sampled(self) -> bool:
        """Whether sets lie between the grid's values."""
        return self.sampler != "grid"

    @property
    def adaptive(self) -> bool:
        """Whether sets depend on results, so that every fold of walk-forward tries others than the round did."""
        return self.sampler == "optuna"


EVERY_POINT = Search(sampler="grid", sets=0, seed=0)
"""The search of a grid, for which neither sets nor seed are used."""


def is_defined(records: Records) -> NDArray[np.bool_]:
    """Which records the signal defines: -entry_z < exit_z < entry_z."""
    return np.asarray(np.abs(records["exit_z"]) < records["entry_z"])


def too_few(wanted: int, found: int) -> SettingsError:
    """The error of a region that holds too few sets."""
    return SettingsError(
        f"search.sets: expected a region with {wanted:,} different sets, found {found:,} in {MOST_DRAWS} draws for "
        "each. Ask for fewer sets, widen [grid], or set sampler to `grid`."
    )
