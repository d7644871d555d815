"""Longer bars from shorter ones or from trades, with totals that are exact in decimal."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import polars as pl

EXACT_DIGITS = 15
"""Decimal digits that a double keeps whatever they are."""

FINEST_DECIMALS = 8
"""Decimals that Binance's quantities have at most."""


def aggregate_rows(
    rows: pl.DataFrame, *, stamp: str, interval: timedelta, prices: Sequence[pl.Expr], totals: Mapping[str, pl.Expr]
) -> pl.DataFrame:
    """One row per interval that has rows.

    Args:
        rows: sorted by time.
        stamp: instant that puts a row into its interval.
        interval: length of an interval; intervals start at multiples of it.
        prices: aggregations that name themselves.
        totals: name → value per row, at most 8 decimals. A sum with up to 15 digits is the double nearest to the exact
            decimal sum, in whatever order the rows come; null if any value is null.

    Returns:
        opened_at, closed_at, the prices, the totals, rows (how many were aggregated), sorted.
    """
    slots = rows.lazy().with_columns(opened_at=pl.col(stamp).dt.truncate(interval))
    largest = (
        slots.group_by("opened_at").agg(value.sum().alias(name) for name, value in totals.items())
        .select(pl.col(list(totals)).max())
    ).collect().row(0, named=True)  # fmt: skip
    scales = {name: 10 ** _decimals(largest[name] or 0.0) for name in totals}
    exact = [
        pl.when(~value.has_nulls()).then((value * scales[name]).round().cast(pl.Int64).sum() / scales[name]).alias(name)
        for name, value in totals.items()
    ]
    return (
        slots.group_by("opened_at", maintain_order=True)
        .agg(*prices, *exact, pl.len().alias("rows"))
        .with_columns(closed_at=pl.col("opened_at") + interval)
        .select("opened_at", "closed_at", pl.exclude("opened_at", "closed_at"))
        .sort("opened_at")
        .collect()
    )


def _decimals(largest: float) -> int:
    return max(0, min(FINEST_DECIMALS, EXACT_DIGITS - len(str(int(largest)))))
