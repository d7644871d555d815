"""One step of the search: sets evaluated over a window, judged, and summarised."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.core.records import Window
from helios_pipeline.core.selection import Constraints
from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.sweep.grid import PARAMETER_NAMES, Grid, parameters_of
from helios_pipeline.sweep.neighbourhood import neighbours_of
from helios_pipeline.sweep.run import Sweep
from helios_pipeline.sweep.search import EVERY_POINT, Search
from helios_pipeline.sweep.verdict import best_row, choose_candidate, failure_counts, score_sets
from helios_pipeline.sweep.warnings import edge_warnings, peak_warnings

DISTRIBUTIONS = ("sharpe", "max_drawdown", "win_rate", "round_trips", "proscore2")
"""Metrics whose distribution over the sets a round's summary holds."""

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
BINS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundResult:
    """What a round found.

    Attributes:
        name: `round-1` and so on.
        grid: its points, in the order of the rows; or the region that was sampled.
        window: what was evaluated; all of it in sample.
        constraints: what a set had to reach.
        metrics: one row per point: parameters, metrics, `passed`, `failed_constraints`, `proscore2`.
        blocks: (sets, 16, 3): days, Σr, Σr² of each block of days.
        best: row of the candidate, or of the highest ProScore2 if no set passed.
        search: how the sets were chosen.
        warnings: a sentence for each reason to look at the best set twice: it stands on an edge, or alone.
    """

    name: str
    grid: Grid
    window: Window
    constraints: Constraints
    metrics: pl.DataFrame
    blocks: NDArray[np.float64]
    best: int
    search: Search = EVERY_POINT
    warnings: tuple[str, ...] = ()

    @property
    def candidate(self) -> ParameterSet | None:
        """The set that goes on to promotion; None if none passed."""
        return self.best_parameters if self.metrics["passed"][self.best] else None

    @property
    def best_parameters(self) -> ParameterSet:
        """The set of the best row."""
        return parameters_of(self.metrics.row(self.best, named=True))

    @property
    def passed(self) -> int:
        """How many sets met every constraint."""
        return int(self.metrics["passed"].sum())

    @property
    def pass_rate(self) -> float:
        """Fraction of the sets that met every constraint."""
        return self.passed / self.metrics.height

    def summary(self) -> dict[str, Any]:
        """The round as JSON-able values: figures that are none are null."""
        row = {name: json_value(value) for name, value in self.metrics.row(self.best, named=True).items()}
        return {
            "round": self.name,
            "window": [self.window.first.isoformat(), self.window.last.isoformat()],
            "grid": self.grid.as_values(),
            "search": asdict(self.search),
            "constraints": asdict(self.constraints),
            "sets": self.metrics.height,
            "combinations_left_out": self.grid.combinations_left_out,
            "passed": self.passed,
            "pass_rate": self.pass_rate,
            "failed": failure_counts(self.metrics, self.constraints),
            "above_zero_after_costs": int((self.metrics["net_return"] > 0).sum()),
            "has_candidate": self.candidate is not None,
            "best": {
                "parameters": {name: row[name] for name in PARAMETER_NAMES},
                "metrics": {name: value for name, value in row.items() if name not in PARAMETER_NAMES},
            },
            "warnings": list(self.warnings),
            "distributions": {name: distribution(self.metrics[name]) for name in DISTRIBUTIONS},
        }


def judge_round(
    name: str,
    sweep: Sweep,
    *,
    grid: Grid,
    window: Window,
    constraints: Constraints,
    search: Search = EVERY_POINT,
) -> RoundResult:
    """Judge and score what `run_sweep` measured over a grid or over sets of its region.

    Args:
        name: of the round.
        sweep: of exactly this grid, or of the sets that `search` chose.
        grid: the points, or the region.
        window: what was evaluated.
        constraints: what a set must reach in sample.
        search: how the sets were chosen; every point of the grid where nothing else is said.

    Raises:
        SettingsError: the sweep is not of this grid.
    """
    expected = search.sets if search.sampled else grid.size
    if sweep.metrics.height != expected:
        raise SettingsError(
            f"round {name}: expected metrics of the {'search' if search.sampled else 'grid'}'s {expected} sets, found "
            f"{sweep.metrics.height}. Run the sweep on this grid."
        )
    neighbours = neighbours_of(grid, search, sweep.metrics)
    scored = score_sets(sweep.metrics, neighbours, constraints)
    candidate = choose_candidate(scored)
    best = best_row(scored, np.arange(scored.height)) if candidate is None else candidate
    on_edges = edge_warnings(grid, asdict(parameters_of(scored.row(best, named=True))))
    return RoundResult(
        name=name,
        grid=grid,
        window=window,
        constraints=constraints,
        metrics=scored,
        blocks=sweep.blocks,
        best=best,
        search=search,
        warnings=(*on_edges, *peak_warnings(scored, neighbours, best)),
    )


def distribution(values: pl.Series) -> dict[str, Any]:
    """Count, quantiles and histogram of the values that exist, JSON-able; empty lists if none exists."""
    known = values.cast(pl.Float64).drop_nulls().drop_nans().to_numpy()
    found: dict[str, Any] = {"count": len(known), "none": len(values) - len(known), "quantiles": {}, "edges": []}
    if len(known) == 0:
        return found | {"counts": []}
    counts, edges = np.histogram(known, bins=BINS)
    quantiles = dict(zip(map(str, QUANTILES), np.quantile(known, QUANTILES).tolist(), strict=True))
    return found | {"quantiles": quantiles, "edges": edges.tolist(), "counts": counts.tolist()}


def json_value(value: Any) -> Any:  # noqa: ANN401 - a cell of any column
    """A cell as JSON knows it: NaN and infinity become None."""
    return None if isinstance(value, float) and not np.isfinite(value) else value
