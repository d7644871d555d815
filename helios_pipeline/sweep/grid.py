"""The points of a round and their neighbourhood."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.simulation.arrays import PARAMETERS, Records
from helios_pipeline.strategy.parameters import ParameterSet

PARAMETER_NAMES = tuple(field.name for field in fields(ParameterSet))
_NUMBER: dict[str, type] = {field.name: field.type for field in fields(ParameterSet)}  # type: ignore[misc]
FLOORS = {"lookback_bars": 2, "funding_weight": 0, "max_holding_bars": 1, "cooldown_bars": 0, "stop_atr": 0}
"""Values below which a parameter has no meaning, or (`funding_weight`) means another strategy: standing on one of
them is not standing on an edge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The values of each parameter; its points are their product without the combinations the signal forbids.

    Each field holds strictly ascending values. Points keep one order everywhere: `lookback_bars` varies slowest,
    `stop_atr` fastest.

    Raises:
        SettingsError: an axis is empty, not ascending or holds a value that is not allowed, or no combination is
            allowed.
    """

    lookback_bars: tuple[int, ...]
    funding_weight: tuple[float, ...]
    entry_z: tuple[float, ...]
    exit_z: tuple[float, ...]
    max_holding_bars: tuple[int, ...]
    cooldown_bars: tuple[int, ...]
    stop_atr: tuple[float, ...]

    def __post_init__(self) -> None:
        """Give every value its type, and refuse axes that no step can be taken on."""
        for name in PARAMETER_NAMES:
            given = getattr(self, name)
            # Adding zero turns -0.0 into 0.0: one spelling per point.
            values = tuple(_NUMBER[name](value) + 0 for value in given)
            whole = values == tuple(given)
            if not (values and whole and np.isfinite(values).all() and all(np.diff(values) > 0)):
                raise SettingsError(
                    f"grid.{name}: expected one or more ascending {_NUMBER[name].__name__} values, each once, "
                    f"found {list(given)}. Sort the values and remove repetitions."
                )
            object.__setattr__(self, name, values)
        if self.size == 0:
            raise SettingsError(
                f"grid: expected a combination with -entry_z < exit_z < entry_z, found none in "
                f"entry_z={list(self.entry_z)}, exit_z={list(self.exit_z)}. Raise entry_z or lower |exit_z|."
            )
        # The other limits are lower bounds, so the first point meets them only if all points do.
        self._point(self.coordinates()[0])

    @classmethod
    def from_values(cls, values: Mapping[str, Sequence[Any]]) -> "Grid":
        """Build a grid from names and values, e.g. a file's table or `as_values()`.

        Raises:
            SettingsError: a name is missing or unknown, or a value is not allowed.
        """
        if set(values) != set(PARAMETER_NAMES):
            raise SettingsError(f"grid: expected the parameters {list(PARAMETER_NAMES)}, found {sorted(values)}")
        return cls(**{name: tuple(values[name]) for name in PARAMETER_NAMES})

    def as_values(self) -> dict[str, list[float]]:
        """The axes as plain values, in the order of the points' names."""
        return {name: list(getattr(self, name)) for name in PARAMETER_NAMES}

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each parameter has."""
        return tuple(len(getattr(self, name)) for name in PARAMETER_NAMES)

    @property
    def size(self) -> int:
        """How many points are allowed."""
        return int(self._allowed().sum())

    @property
    def combinations_left_out(self) -> int:
        """How many combinations the signal does not define: exit_z at or beyond ±entry_z."""
        return prod(self.shape) - self.size

    def points(self) -> list[ParameterSet]:
        """Every allowed point, in the grid's order."""
        return [self._point(coordinate) for coordinate in self.coordinates()]

    def records(self) -> Records:
        """Every allowed point as `PARAMETERS`, in the grid's order."""
        coordinates = self.coordinates()
        records = np.empty(len(coordinates), PARAMETERS)
        for column, name in enumerate(PARAMETER_NAMES):
            records[name] = np.array(getattr(self, name))[coordinates[:, column]]
        return records

    def coordinates(self) -> NDArray[np.int64]:
        """Position of each point on each axis, shape (size, parameters), in the grid's order."""
        return np.stack(np.unravel_index(np.flatnonzero(self._allowed()), self.shape), axis=1).astype(np.int64)

    def neighbours(self) -> NDArray[np.int64]:
        """Index of each point's neighbours, shape (size, 2 × parameters): one parameter changed by one step.

        -1 stands where the grid ends or the combination was left out.
        """
        allowed = self._allowed()
        # A border of -1 on every side answers for steps that leave the grid.
        bordered = tuple(size + 2 for size in self.shape)
        position = np.full(bordered, -1, dtype=np.int64)
        inner = position[(slice(1, -1),) * len(self.shape)]
        inner[allowed] = np.arange(self.size)
        flat, at = position.reshape(-1), np.ravel_multi_index(tuple(self.coordinates().T + 1), bordered)
        # How far apart the flat indices of two points are that differ by one step on an axis.
        strides = np.array(position.strides) // position.itemsize
        found = np.empty((self.size, 2 * len(self.shape)), dtype=np.int64)
        for column, stride in enumerate((*strides, *-strides)):
            found[:, column] = flat[at + stride]
        return found

    def _allowed(self) -> NDArray[np.bool_]:
        entry, exit_ = np.array(self.entry_z)[:, None], np.array(self.exit_z)[None, :]
        pairs = (-entry < exit_) & (exit_ < entry)
        where = [PARAMETER_NAMES.index("entry_z"), PARAMETER_NAMES.index("exit_z")]
        spread = pairs.reshape([size if axis in where else 1 for axis, size in enumerate(self.shape)])
        return np.broadcast_to(spread, self.shape)

    def _point(self, coordinate: NDArray[np.int64]) -> ParameterSet:
        return ParameterSet(
            **{name: getattr(self, name)[at] for name, at in zip(PARAMETER_NAMES, coordinate, strict=True)}
        )


def parameters_of(row: Mapping[str, Any]) -> ParameterSet:
    """The point of a row that has the parameters among its columns."""
    return ParameterSet.from_mapping({name: row[name] for name in PARAMETER_NAMES})
