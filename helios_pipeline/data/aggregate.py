"""Longer bars from shorter ones or from trades, with totals that are exact in decimal."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import polars as pl

FINEST_DECIMALS = 8
"""Decimals that Binance's quantities have at most."""

ROW_DIGITS = 15
"""Decimal digits that a double keeps, whatever they are: what one row's value may have."""

TOTAL_DIGITS = 18
"""Decimal digits that an int64 holds: what a total may have."""


def aggregate_rows(
    rows: pl.DataFrame, *, stamp: str, interval: timedelta, prices: Sequence[pl.Expr], totals: Mapping[str, pl.Expr]
) -> pl.DataFrame:
    """One row per interval that has rows.

    Args:
        rows: sorted by time.
        stamp: instant that puts a row into its interval.
        interval: length of an interval; intervals start at multiples of it.
        prices: aggregations that name themselves.
        totals: name → value per row, 0 or more. They are added as whole units of 1e-8 (coarser where a row has more
            than 15 digits), so the order of rows is of no account; null if any value is null.

    Returns:
        opened_at, closed_at, the prices, the totals, rows (how many were aggregated), sorted.
    """
    slots = rows.lazy().with_columns(opened_at=pl.col(stamp).dt.truncate(interval))
    sums = slots.group_by("opened_at").agg(value.sum().alias(name) for name, value in totals.items())
    largest_row = rows.select(value.max().alias(name) for name, value in totals.items()).row(0, named=True)
    largest_total = sums.select(pl.col(list(totals)).max()).collect().row(0, named=True)
    exact = [
        pl.when(~value.has_nulls())
        .then(_exact_sum(value, _decimals(largest_row[name], largest_total[name])))
        .alias(name)
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


def _exact_sum(value: pl.Expr, decimals: int) -> pl.Expr:
    units = 10**decimals
    total = (value * units).round().cast(pl.Int64).sum()
    exact: pl.Expr = total // units + (total % units) / units
    return exact


def _decimals(largest_row: float | None, largest_total: float | None) -> int:
    digits = [len(str(int(largest or 0))) for largest in (largest_row, largest_total)]
    return max(0, min(FINEST_DECIMALS, ROW_DIGITS - digits[0], TOTAL_DIGITS - digits[1]))
