"""Records made of arrays of equal length, one element a moment: cut, joined and locked whole; and their instants."""

from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from helios_pipeline.core.errors import SimulationError

Integers = NDArray[np.int64]


def to_milliseconds(instant: datetime) -> int:
    """An instant as milliseconds since 1970.

    Raises:
        SimulationError: the instant has no time zone.
    """
    if instant.tzinfo is None:
        raise SimulationError(f"simulated market: expected an instant with a time zone, found {instant.isoformat()}.")
    return round(instant.timestamp() * 1_000)


def to_instant(milliseconds: int) -> datetime:
    """Milliseconds since 1970 as an instant in UTC."""
    return datetime.fromtimestamp(milliseconds / 1_000, UTC)


def lock_columns[Columns](columns: Columns) -> Columns:
    """The same record, its arrays made read-only because it is kept and shared."""
    for values in _arrays(columns).values():
        values.setflags(write=False)
    return columns


def join_columns[Columns](parts: list[Columns]) -> Columns:
    """Parts one after another as one record; what is no array is the first part's."""
    return rebuild_columns(parts[0], lambda name: np.concatenate([getattr(part, name) for part in parts]))


def cut_columns[Columns](columns: Columns, at_ms: Integers, first: datetime, last: datetime) -> Columns:
    """The elements in [first, last); `at_ms` are their instants, in order."""
    start, stop = np.searchsorted(at_ms, [to_milliseconds(first), to_milliseconds(last)])
    return slice_columns(columns, int(start), int(stop))


def slice_columns[Columns](columns: Columns, start: int, stop: int) -> Columns:
    """Elements `start` to `stop`, the last excluded."""
    return rebuild_columns(columns, lambda name: getattr(columns, name)[start:stop])


def rebuild_columns[Columns](columns: Columns, change: Callable[[str], NDArray[np.generic]]) -> Columns:
    """A record of the same kind with every array replaced by what `change` gives for its name."""
    arrays = _arrays(columns)
    others = {f.name: getattr(columns, f.name) for f in fields(columns) if f.name not in arrays}  # type: ignore[arg-type]
    return type(columns)(**others, **{name: change(name) for name in arrays})


def _arrays[Columns](columns: Columns) -> dict[str, NDArray[np.generic]]:
    names = [field.name for field in fields(columns)]  # type: ignore[arg-type]
    return {name: getattr(columns, name) for name in names if isinstance(getattr(columns, name), np.ndarray)}
