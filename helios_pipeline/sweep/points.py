"""Parameter sets in bulk: structured arrays of `PARAMETERS`, one record a set, and what they travel in.

A round of a million sets is one array of 56 MB; a million Python objects would be a hundred times slower to make.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from helios_pipeline.features.windows import Integers
from helios_pipeline.simulation.arrays import PARAMETERS, Records, records_of
from helios_pipeline.strategy.parameters import ParameterSet

__all__ = ["chunk_rows", "parameter_sets", "points_frame", "records_from", "records_of"]

_NAMES = PARAMETERS.names or ()


def records_from(columns: Mapping[str, pl.Series]) -> Records:
    """`PARAMETERS` from columns of that name, e.g. those of a stored round."""
    first, *_ = _NAMES
    records = np.empty(len(columns[first]), PARAMETERS)
    for name in _NAMES:
        records[name] = columns[name].to_numpy()
    return records


def parameter_sets(records: Records) -> list[ParameterSet]:
    """The records as objects, in their order.

    Raises:
        SettingsError: a record is no point that the signal defines.
    """
    return [ParameterSet(**dict(zip(_NAMES, record, strict=True))) for record in records.tolist()]


def points_frame(records: Records) -> pl.DataFrame:
    """One row per record and one column per parameter, Int64 or Float64."""
    return pl.DataFrame({name: np.ascontiguousarray(records[name]) for name in _NAMES})


def chunk_rows(records: Records, chunk_size: int) -> list[Integers]:
    """Which rows of the records each chunk holds: sets of one lookback together, so that few scores serve many sets.

    A pure function of its arguments: a sweep that goes on after a kill meets the same chunks.

    Args:
        records: `PARAMETERS` in any order.
        chunk_size: sets in a chunk; the last one may have fewer.

    Returns:
        Indices into `records`; every row is in one chunk.
    """
    order = np.argsort(records["lookback_bars"], kind="stable")
    return [order[first : first + chunk_size] for first in range(0, len(order), chunk_size)]
