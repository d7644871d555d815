"""The next round's grid, from the in-sample region that survived this one."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.sweep.grid import FLOORS, PARAMETER_NAMES, Grid
from helios_pipeline.sweep.positions import DECIMALS, WHOLE, positions_of
from helios_pipeline.sweep.rounds import RoundResult
from helios_pipeline.sweep.warnings import edges_of

ENOUGH_PASSES = 0.05
TOP = 0.10
MIDDLE = (0.10, 0.90)
"""Quantiles of the survivors' values that bound the next axis: a stray survivor does not hold it open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisChange:
    """How one parameter's values change, and why.

    Attributes:
        parameter: its name.
        before: values of the round that was judged.
        after: values proposed.
        step: mean distance of the proposed values, 0 for one value.
        reason: one sentence.
    """

    parameter: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    step: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NextGrid:
    """A proposal for the next round.

    Attributes:
        grid: as many values per parameter as before unless others were asked for; fewer where whole numbers run out.
        reason: which sets survived and why these.
        axes: one change per parameter, in the grid's order.
    """

    grid: Grid
    reason: str
    axes: tuple[AxisChange, ...]

    def summary(self) -> dict[str, Any]:
        """The proposal as JSON-able values."""
        return {"grid": self.grid.as_values(), "reason": self.reason, "axes": [asdict(axis) for axis in self.axes]}


@dataclass(frozen=True, slots=True, kw_only=True)
class NoNextGrid:
    """The search ends here, and why."""

    reason: str

    def summary(self) -> dict[str, Any]:
        """The end of the search as JSON-able values."""
        return {"grid": None, "reason": self.reason, "axes": []}


def propose_next_grid(
    result: RoundResult, counts: Mapping[str, int] | None = None, *, purge_bars: int
) -> NextGrid | NoNextGrid:
    """Narrow a round's grid to where its sets survived in sample.

    Survivors are the passing sets, or below 5 % of them the top decile by ProScore2; a set that lost money after
    costs never survives. Each parameter's values are spread from half a step below to half a step above the middle
    80 % of the survivors and the best set; where the best set stands on the edge, one step beyond it. No
    position is proposed that could be held across walk-forward's purge.

    Args:
        result: a judged round; only its in-sample metrics are read.
        counts: how many values a parameter gets; as many as before where it is not named. 1 keeps the best set's.
        purge_bars: between the bars that choose and those that judge: the longest `max_holding_bars` that is allowed.

    Raises:
        SettingsError: a count is of no parameter or below 1.
    """
    wanted = _counts(result.grid, counts or {})
    rows, reason = _survivors(result)
    if len(rows) == 0:
        return NoNextGrid(reason=reason)
    positions = positions_of(result.grid, result.metrics)
    edges = edges_of(result.grid, result.metrics.row(result.best, named=True))
    ceilings = {"max_holding_bars": purge_bars}
    axes = []
    for column, name in enumerate(PARAMETER_NAMES):
        values = getattr(result.grid, name)
        at = positions[rows, column]
        low, high = _bounds(at, float(positions[result.best, column]))
        if wanted[name] == 1:
            spread: tuple[int | float, ...] = (result.metrics[name][result.best],)
        else:
            spread = _narrow(name, values, wanted[name], low=low, high=high, beyond=edges.get(name))
        after = _within(spread, wanted[name], ceilings.get(name))
        change = _change(name, values, after, found=(_value(values, low), _value(values, high)), beyond=edges.get(name))
        axes.append(change if after == spread else _purged(change, purge_bars))
    grid = Grid.from_values({axis.parameter: axis.after for axis in axes})
    if grid == result.grid:
        return NoNextGrid(reason=f"{reason}, but they span the whole grid: nothing is left to narrow")
    return NextGrid(grid=grid, reason=reason, axes=tuple(axes))


def _counts(grid: Grid, given: Mapping[str, int]) -> dict[str, int]:
    if unknown := sorted(set(given) - set(PARAMETER_NAMES)):
        raise SettingsError(f"values: expected parameters of {list(PARAMETER_NAMES)}, found {unknown}")
    if low := {name: count for name, count in given.items() if count < 1}:
        raise SettingsError(f"values: expected one value or more per parameter, found {low}")
    return {name: given.get(name, count) for name, count in zip(PARAMETER_NAMES, grid.shape, strict=True)}


def _survivors(result: RoundResult) -> tuple[NDArray[np.intp], str]:
    metrics, sets = result.metrics, result.metrics.height
    profitable = metrics["net_return"].to_numpy() > 0.0
    if not profitable.any():
        return np.empty(0, dtype=np.intp), f"none of {sets} sets made money after costs: the search stops here"
    if result.pass_rate >= ENOUGH_PASSES:
        rows = np.flatnonzero(metrics["passed"].to_numpy() & profitable)
        return rows, f"{result.passed} of {sets} sets ({result.pass_rate:.1%}) passed"
    sharpe = np.nan_to_num(metrics["sharpe"].to_numpy(), nan=-np.inf)
    order = np.lexsort((-sharpe, -metrics["proscore2"].to_numpy()))[: ceil(sets * TOP)]
    rows = np.sort(order[profitable[order]])
    few = f"only {result.passed} of {sets} sets ({result.pass_rate:.1%}) passed"
    if len(rows) == 0:
        return rows, f"{few} and none of the top decile by ProScore2 made money after costs: the search stops here"
    return rows, f"{few}: the {len(rows)} profitable sets of the top decile by ProScore2 stand in"


def _bounds(positions: NDArray[np.float64], best: float) -> tuple[float, float]:
    low = float(np.quantile(positions, MIDDLE[0], method="lower"))
    high = float(np.quantile(positions, MIDDLE[1], method="higher"))
    return min(low, best), max(high, best)


def _value(values: tuple[float, ...], position: float) -> float:
    return float(np.interp(position, np.arange(len(values)), values))


def _narrow(
    name: str, values: tuple[float, ...], count: int, *, low: float, high: float, beyond: str | None
) -> tuple[int | float, ...]:
    if name == "stop_atr" and values[0] == 0:
        # 0 is no stop, not a near one: it stays or goes, and nothing lies between it and the nearest stop.
        none = (0.0,) if low == 0 else ()
        if high == 0:
            return none
        rest = max(count - len(none), 1)
        return none + _narrow(name, values[1:], rest, low=max(low, 1.0) - 1, high=high - 1, beyond=beyond)
    if len(values) == 1:
        return values
    last = len(values) - 1
    first_at = -1.0 if beyond == "lowest" else max(low - 0.5, 0.0)
    last_at = last + 1.0 if beyond == "highest" else min(high + 0.5, last)
    # Between values the axis is straight from one to the next, so uneven steps stay uneven.
    spread = np.interp(
        np.linspace(first_at, last_at, count) if count > 1 else [(first_at + last_at) / 2],
        np.arange(-1, last + 2),
        [_below(name, values), *values, _above(values)],
    )
    whole = name in WHOLE
    return tuple(sorted({round(float(value)) if whole else round(float(value), DECIMALS) for value in spread}))


def _within(spread: tuple[int | float, ...], count: int, ceiling: int | None) -> tuple[int | float, ...]:
    """The values, spread anew between the first and the ceiling where the last lies beyond it."""
    if ceiling is None or spread[-1] <= ceiling:
        return spread
    return tuple(sorted({round(float(value)) for value in np.linspace(min(spread[0], ceiling), ceiling, count)}))


def _below(name: str, values: tuple[float, ...]) -> float:
    beyond = 2 * values[0] - values[1]
    if name == "entry_z":
        return beyond if beyond > 0 else values[0] / 2
    return max(beyond, FLOORS.get(name, beyond))


def _above(values: tuple[float, ...]) -> float:
    return 2 * values[-1] - values[-2]


def _change(
    name: str, before: tuple[float, ...], after: tuple[float, ...], *, found: tuple[float, float], beyond: str | None
) -> AxisChange:
    step = (after[-1] - after[0]) / (len(after) - 1) if len(after) > 1 else 0.0
    reason = f"survivors lie from {found[0]:g} to {found[1]:g}"
    if beyond is not None:
        further = after[0] < before[0] or after[-1] > before[-1]
        reason += f", the best set on the {beyond} value" + (": one step further is tried" if further else "")
    if after == before:
        reason += "; unchanged"
    return AxisChange(parameter=name, before=before, after=after, step=step, reason=reason)


def _purged(change: AxisChange, purge_bars: int) -> AxisChange:
    return replace(
        change, reason=f"{change.reason}; none above {purge_bars}, which is walk_forward.purge_bars in helios.toml"
    )
