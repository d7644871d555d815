"""How steady the choices of the folds are: a set found anew in every fold says more than another one each time."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from helios_pipeline.strategy.parameters import ParameterSet

STABILITY_SCHEMA = pl.Schema(
    {
        "parameter": pl.String(),
        "values": pl.Int64(),
        "chosen": pl.Int64(),
        "most_often": pl.Float64(),
        "share": pl.Float64(),
        "mean_step": pl.Float64(),
        "step_by_chance": pl.Float64(),
        "stability": pl.Float64(),
    }
)
"""See `parameter_stability`. Key: parameter."""


def parameter_stability(
    axes: Mapping[str, Sequence[float]], choices: Sequence[ParameterSet | None], *, sampled: bool
) -> pl.DataFrame:
    """How far each parameter moved from one fold's choice to the next, beside how far chance would have moved it.

    Args:
        axes: parameter → its ascending values on offer.
        choices: of the folds in order; None where no set passed. Steps are counted between folds that chose.
        sampled: whether choices may lie between the values.

    Returns:
        One row per parameter with two or more values: how many are on offer and how many were chosen; the one chosen
        most often, the lowest of them in a tie, and the share of folds that chose it; the mean distance of consecutive
        choices in steps of the axis; that of independent choices, each place on the axis as likely as the next:
        (n² − 1) / 3n for n values, (n − 1) / 3 where choices lie between them too; and stability, 1 − their ratio: 1
        if it never moved, 0 as by chance, below 0 if it jumped from end to end. NaN where fewer than two folds chose,
        in `most_often` and `share` where none did.
    """
    made = [choice for choice in choices if choice is not None]
    rows = [
        _row(name, values, [getattr(choice, name) for choice in made], sampled=sampled)
        for name, values in axes.items()
        if len(values) > 1
    ]
    return pl.DataFrame(rows, schema=STABILITY_SCHEMA)


def _row(name: str, values: Sequence[float], chosen: Sequence[float], *, sampled: bool) -> dict[str, object]:
    count = len(values)
    by_chance = (count - 1) / 3 if sampled else (count**2 - 1) / (3 * count)
    often, times = min(Counter(chosen).items(), key=lambda item: (-item[1], item[0]), default=(math.nan, 0))
    at = np.interp(chosen, values, range(count))
    mean_step = float(np.abs(np.diff(at)).mean()) if len(at) > 1 else math.nan
    return {
        "parameter": name,
        "values": count,
        "chosen": len(set(chosen)),
        "most_often": float(often),
        "share": times / len(chosen) if chosen else math.nan,
        "mean_step": mean_step,
        "step_by_chance": by_chance,
        "stability": 1.0 - mean_step / by_chance,
    }
