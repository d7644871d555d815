"""Which parameters matter: the Sharpe ratio of a round's sets, parameter by parameter and pair by pair."""

from collections.abc import Mapping
from typing import Literal

import polars as pl

from helios_pipeline.sweep.grid import PARAMETER_NAMES

Over = Literal["median", "best"]
"""What stands for all sets that share some values, whatever their other parameters."""


def swept_parameters(metrics: pl.DataFrame) -> list[str]:
    """Parameters with more than one value, in the grid's order."""
    return [name for name in PARAMETER_NAMES if metrics[name].n_unique() > 1]


def parameter_sensitivity(metrics: pl.DataFrame, value: str = "sharpe") -> pl.DataFrame:
    """How a metric depends on each parameter alone.

    Args:
        metrics: one row per set; sets whose metric is none are left out.
        value: the metric.

    Returns:
        parameter, at (its value), sets, low (5 % quantile), median, high (95 % quantile), best; sorted.
    """
    known = metrics.filter(pl.col(value).is_not_nan() & pl.col(value).is_not_null())
    column = pl.col(value)
    return pl.concat(
        known.group_by(pl.col(name).cast(pl.Float64).alias("at"))
        .agg(
            parameter=pl.lit(name),
            sets=pl.len(),
            low=column.quantile(0.05, "linear"),
            median=column.median(),
            high=column.quantile(0.95, "linear"),
            best=column.max(),
        )
        .sort("at")
        .select("parameter", "at", "sets", "low", "median", "high", "best")
        for name in PARAMETER_NAMES
    )


def slice_through(metrics: pl.DataFrame, best: Mapping[str, float], name: str, value: str = "sharpe") -> pl.DataFrame:
    """A metric along one parameter, every other one held at a set's value.

    Args:
        metrics: one row per set.
        best: the set's parameters.
        name: the parameter that moves.
        value: the metric.

    Returns:
        at (its value) and value, the median where several sets share a place; sorted, without places that no set or
        no value stands at.
    """
    others = [pl.col(other) == best[other] for other in PARAMETER_NAMES if other != name]
    return (
        metrics.filter(*others)
        .group_by(pl.col(name).cast(pl.Float64).alias("at"))
        .agg(value=pl.col(value).fill_nan(None).median())
        .drop_nulls()
        .sort("at")
    )


def influential_parameters(metrics: pl.DataFrame, value: str = "sharpe") -> list[str]:
    """Swept parameters, the one whose values' medians lie furthest apart first."""
    spread = (
        parameter_sensitivity(metrics, value)
        .group_by("parameter", maintain_order=True)
        .agg(spread=pl.col("median").max() - pl.col("median").min())
        .sort("spread", descending=True, maintain_order=True)
    )
    swept = swept_parameters(metrics)
    found = [name for name in spread["parameter"] if name in swept]
    return found + [name for name in swept if name not in found]


def pair_values(metrics: pl.DataFrame, x: str, y: str, value: str = "sharpe", over: Over = "median") -> pl.DataFrame:
    """A metric for each pair of values of two parameters.

    Returns:
        x, y, value: `over` the sets that share both, null where no set has a value.
    """
    column = pl.col(value).fill_nan(None)
    return (
        metrics.group_by(pl.col(x).cast(pl.Float64).alias("x"), pl.col(y).cast(pl.Float64).alias("y"))
        .agg(value=column.median() if over == "median" else column.max())
        .sort("y", "x")
    )
