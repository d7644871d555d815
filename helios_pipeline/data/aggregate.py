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
        rows: in the order in which they happened.
        stamp: instant that puts a row into its interval.
        interval: length of an interval; intervals start at multiples of it.
        prices: aggregations that name themselves.
        totals: name → value per row, 0 or more. They are added as whole units of 1e-8, so the order of rows is of no
            account; units are coarser where a row has more than 15 digits or all rows together more than 18. Null if
            any value is null.

    Returns:
        opened_at, closed_at, the prices, the totals, rows (how many were aggregated), sorted.
    """
    values = rows.select(value.alias(name) for name, value in totals.items())
    decimals = {name: _decimals(values[name]) for name in totals}
    # The extra columns are dropped by `agg`; a leading "_" keeps them apart from the rows' own.
    units = [(values[name] * 10**places).round().cast(pl.Int64).alias(f"_{name}") for name, places in decimals.items()]
    slots = rows.with_columns(pl.col(stamp).dt.truncate(interval).alias("opened_at"), *units)
    if not slots["opened_at"].is_sorted():
        slots = slots.sort("opened_at", maintain_order=True)
    return (
        slots.with_columns(pl.col("opened_at").set_sorted())
        .group_by("opened_at", maintain_order=True)
        .agg(*prices, *(_exact_sum(name, places) for name, places in decimals.items()), pl.len().alias("rows"))
        .with_columns(closed_at=pl.col("opened_at") + interval)
        .select("opened_at", "closed_at", pl.exclude("opened_at", "closed_at"))
    )


def _exact_sum(name: str, decimals: int) -> pl.Expr:
    value, units = pl.col(f"_{name}"), 10**decimals
    total = value.sum()
    exact = (total // units + (total % units) / units).alias(name)
    return pl.when(~value.has_nulls()).then(exact).alias(name)


def _decimals(values: pl.Series) -> int:
    row_digits, total_digits = (len(str(int(float(str(value or 0))))) for value in (values.max(), values.sum()))
    return max(0, min(FINEST_DECIMALS, ROW_DIGITS - row_digits, TOTAL_DIGITS - total_digits))
