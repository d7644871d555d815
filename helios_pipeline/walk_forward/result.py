"""What walk-forward found: fold by fold, stitched, and summed up for the gates."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from helios_pipeline.core.records import Window
from helios_pipeline.core.selection import WalkForwardSummary
from helios_pipeline.metrics.sharpe import sharpe
from helios_pipeline.simulation.inputs import SimulationInputs
from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.sweep.rounds import json_value
from helios_pipeline.walk_forward.folds import Fold
from helios_pipeline.walk_forward.stability import parameter_stability

DAY_MS = 86_400_000

type Axes = Mapping[str, Sequence[float]]
"""Parameter → its ascending values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What one fold's in-sample bars chose.

    Attributes:
        parameters: the passing set with the highest ProScore2; None if none passed.
        passed: how many sets passed in sample.
        proscore2: of the choice; NaN for none.
        sharpe: in sample, annualised; NaN for none.
        daily_return: in sample, mean net return of a day; NaN for none.
    """

    parameters: ParameterSet | None
    passed: int
    proscore2: float
    sharpe: float
    daily_return: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldResult:
    """What a fold chose and what that earned on bars it had not seen.

    Attributes:
        fold: its slots.
        choice: from in-sample bars alone.
        daily_returns: out of sample, one net return per UTC day; zeros if nothing was chosen.
        net_return: out of sample, fraction of the starting equity.
        round_trips: closed out of sample, the one closed at the fold's end included.
        max_drawdown: out of sample, of bar-close equity, ≤ 0.
    """

    fold: Fold
    choice: Choice
    daily_returns: NDArray[np.float64]
    net_return: float
    round_trips: int
    max_drawdown: float

    @property
    def retention(self) -> float:
        """Out-of-sample over in-sample Sharpe; NaN without either, as with fewer than 60 days to judge."""
        return _ratio(sharpe(self.daily_returns), self.choice.sharpe)

    @property
    def efficiency(self) -> float:
        """Mean daily net return out of sample over that in sample; NaN where nothing was chosen.

        Pardo, The Evaluation and Optimization of Trading Strategies (2008), calls it walk-forward efficiency. Unlike a
        Sharpe ratio it exists for folds of any length.
        """
        return _ratio(float(self.daily_returns.mean()), self.choice.daily_return)


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForwardResult:
    """What walk-forward found.

    Attributes:
        summary: what the gates read.
        efficiency: mean daily net return of all out-of-sample days over the mean in-sample one of the folds' choices.
        folds: one row per fold: dates (the last one exclusive), choice, in-sample and out-of-sample figures;
            `parameters` is the choice's canonical text, null where nothing passed and the fold traded nothing.
        stability: `STABILITY_SCHEMA`.
        equity: one row per out-of-sample day: `day`, `fold`, `daily_return`, `growth` of 1 over all folds so far.
    """

    summary: WalkForwardSummary
    efficiency: float
    folds: pl.DataFrame
    stability: pl.DataFrame
    equity: pl.DataFrame

    def report(self) -> dict[str, Any]:
        """The result as JSON-able values: figures that are none are null, dates are ISO 8601."""
        rows = self.folds.with_columns(pl.col(pl.Datetime).dt.to_string("iso:strict")).iter_rows(named=True)
        return {
            "summary": {name: json_value(value) for name, value in asdict(self.summary).items()},
            "efficiency": json_value(self.efficiency),
            "folds": [{name: json_value(value) for name, value in row.items()} for row in rows],
            "stability": [
                {name: json_value(value) for name, value in row.items()} for row in self.stability.iter_rows(named=True)
            ],
            "equity": {
                "day": self.equity["day"].dt.to_string("iso:strict").to_list(),
                "growth": self.equity["growth"].to_list(),
            },
        }


def collect_results(
    inputs: SimulationInputs, axes: Axes, results: list[FoldResult], *, sampled: bool
) -> WalkForwardResult:
    """Stitch the folds' out-of-sample days in order, and sum up.

    Args:
        inputs: the markets the folds were cut from.
        axes: parameter → the values that were on offer in every fold.
        results: one or more, in order.
        sampled: whether sets lay between those values.
    """
    equity = _stitch(inputs, results)
    days = equity["daily_return"].to_numpy()
    return WalkForwardResult(
        summary=_summarise(results, days),
        efficiency=_ratio(float(days.mean()), _mean_of_choices(results, "daily_return")),
        folds=_fold_frame(inputs, results),
        stability=parameter_stability(axes, [result.choice.parameters for result in results], sampled=sampled),
        equity=equity,
    )


def in_sample_window(inputs: SimulationInputs, fold: Fold) -> Window:
    """The bars on which a fold chooses."""
    return Window(first=_instant(inputs, fold.in_sample_start), last=_instant(inputs, fold.in_sample_stop))


def days_of(inputs: SimulationInputs, fold: Fold) -> list[datetime]:
    """00:00 UTC of each out-of-sample day of a fold."""
    interval = int(inputs.opened_at[1] - inputs.opened_at[0])
    slots = range(fold.out_of_sample_start, fold.out_of_sample_stop, DAY_MS // interval)
    return [_instant(inputs, slot) for slot in slots]


def _summarise(results: list[FoldResult], daily_returns: NDArray[np.float64]) -> WalkForwardSummary:
    in_sample = _mean_of_choices(results, "sharpe")
    out_of_sample = sharpe(daily_returns)
    return WalkForwardSummary(
        folds=len(results),
        out_of_sample_sharpe=out_of_sample,
        in_sample_sharpe=in_sample,
        retention=_ratio(out_of_sample, in_sample),
        round_trips=sum(result.round_trips for result in results),
        positive_fraction=float(np.mean([result.net_return > 0 for result in results])) if results else math.nan,
    )


def _mean_of_choices(results: list[FoldResult], name: str) -> float:
    """Mean of a figure over the folds that chose; NaN if none did."""
    chosen = [getattr(result.choice, name) for result in results if result.choice.parameters is not None]
    return float(np.mean(chosen)) if chosen else math.nan


def _ratio(out_of_sample: float, in_sample: float) -> float:
    """NaN where there is nothing above zero to keep."""
    return out_of_sample / in_sample if in_sample > 0 else math.nan


def _stitch(inputs: SimulationInputs, results: list[FoldResult]) -> pl.DataFrame:
    returns = np.concatenate([result.daily_returns for result in results])
    days = [day for result in results for day in days_of(inputs, result.fold)]
    numbers = [result.fold.number for result in results for _ in result.daily_returns]
    return pl.DataFrame(
        {"day": days, "fold": numbers, "daily_return": returns, "growth": np.cumprod(1.0 + returns)},
        schema={"day": pl.Datetime("us", "UTC"), "fold": pl.Int64, "daily_return": pl.Float64, "growth": pl.Float64},
    )


def _fold_frame(inputs: SimulationInputs, results: list[FoldResult]) -> pl.DataFrame:
    rows = []
    for result in results:
        fold, parameters = result.fold, result.choice.parameters
        rows.append(
            {
                "fold": fold.number,
                "in_sample_first": _instant(inputs, fold.in_sample_start),
                "in_sample_last": _instant(inputs, fold.in_sample_stop),
                "out_of_sample_first": _instant(inputs, fold.out_of_sample_start),
                "out_of_sample_last": _instant(inputs, fold.out_of_sample_stop),
                "in_sample_passed": result.choice.passed,
                "in_sample_proscore2": result.choice.proscore2,
                "in_sample_sharpe": result.choice.sharpe,
                "in_sample_daily_return": result.choice.daily_return,
                "out_of_sample_sharpe": sharpe(result.daily_returns),
                "out_of_sample_daily_return": float(result.daily_returns.mean()),
                "retention": result.retention,
                "efficiency": result.efficiency,
                "out_of_sample_net_return": result.net_return,
                "round_trips": result.round_trips,
                "max_drawdown": result.max_drawdown,
                "parameters": None if parameters is None else parameters.canonical,
            }
        )
    instants = ("in_sample_first", "in_sample_last", "out_of_sample_first", "out_of_sample_last")
    overrides: dict[str, Any] = {name: pl.Datetime("us", "UTC") for name in instants} | {"parameters": pl.String}
    return pl.DataFrame(rows, schema_overrides=overrides)


def _instant(inputs: SimulationInputs, slot: int) -> datetime:
    opened = inputs.opened_at
    interval = int(opened[1] - opened[0])
    return datetime.fromtimestamp((int(opened[0]) + slot * interval) / 1000, tz=UTC)
