"""What a bias check found, and the first difference between two runs that should be one."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from helios_pipeline.simulation.record import Simulation

NANOSECONDS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BiasVerdict:
    """What one check found.

    Attributes:
        name: of the check.
        passed: whether nothing speaks against the round.
        sentence: what was compared and what was found, for a trader.
        rows: the evidence, one row per run or difference.
    """

    name: str
    passed: bool
    sentence: str
    rows: pl.DataFrame


def first_difference(whole: Simulation, other: Simulation, *, before_us: int | None) -> str | None:
    """The first fill or mark of equity that is not the same in both, in words; None if all are.

    Equity is compared in quote currency to the last bit, so sizes, fees and funding are in it.

    Args:
        whole: a run.
        other: one over the same slots, or fewer.
        before_us: microseconds since 1970 from which on the runs may differ; None compares everything.
    """
    fills, others = (_until(run.fills, "filled_at_ns", before_us, NANOSECONDS) for run in (whole, other))
    equity, marks = (
        _until(run.equity.with_columns(pl.col("closed_at").dt.epoch("us")), "closed_at", before_us, 1)
        for run in (whole, other)
    )
    if not fills.equals(others):
        return f"fill {_first_row(fills, others, 'filled_at_ns', NANOSECONDS)}"
    if not equity.equals(marks):
        return f"equity {_first_row(equity, marks, 'closed_at', 1)}"
    return None


def _until(rows: pl.DataFrame, stamp: str, before_us: int | None, scale: int) -> pl.DataFrame:
    return rows if before_us is None else rows.filter(pl.col(stamp) < before_us * scale)


def _first_row(rows: pl.DataFrame, others: pl.DataFrame, stamp: str, scale: int) -> str:
    shared = min(rows.height, others.height)
    same = np.ones(shared, np.bool_)
    for name in rows.columns:
        same &= (rows[name][:shared] == others[name][:shared]).to_numpy()
    at = shared if same.all() else int(np.argmin(same))
    found = [frame.row(at, named=True) if at < frame.height else None for frame in (rows, others)]
    when = next(row[stamp] for row in found if row is not None) // scale
    texts = ["none" if row is None else ", ".join(f"{value}" for value in list(row.values())[1:]) for row in found]
    instant = pl.Series([when]).cast(pl.Datetime("us", "UTC")).dt.strftime("%Y-%m-%d %H:%M:%S")[0]
    return f"{at + 1} at {instant} UTC: {texts[0]} with everything, {texts[1]} without"
