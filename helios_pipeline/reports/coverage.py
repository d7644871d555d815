"""Which bars of which days are there."""

from datetime import timedelta

import polars as pl

from helios_pipeline.core.calendar import BAR_INTERVAL

DAYS_SCHEMA = pl.Schema(
    {
        "instrument": pl.String(),
        "day": pl.Datetime("us", "UTC"),
        "missing": pl.Int64(),
        "quarantined": pl.Int64(),
    }
)
"""Of each day that is stored, how many bars were never there, and how many are in quarantine."""

GAPS_SCHEMA = pl.Schema(
    {
        "instrument": pl.String(),
        "first": pl.Datetime("us", "UTC"),
        "last": pl.Datetime("us", "UTC"),
        "bars": pl.Int64(),
        "cause": pl.String(),
    }
)
"""Runs of bars that are not there: `opened_at` of the first and last, and why."""

SPANS_SCHEMA = pl.Schema(
    {"instrument": pl.String(), "first": pl.Datetime("us", "UTC"), "until": pl.Datetime("us", "UTC")}
)
"""Half-open spans of time that were looked at."""

NEVER_THERE = "missing"
"""Cause of a gap whose bars no file held; any other names the reason they are in quarantine."""


def days_covered(spans: pl.DataFrame, gaps: pl.DataFrame) -> pl.DataFrame:
    """Count the bars that each day lacks.

    Args:
        spans: `SPANS_SCHEMA`; days outside are not looked at.
        gaps: `GAPS_SCHEMA`, inside the spans.

    Returns:
        `DAYS_SCHEMA`, by instrument and day.
    """
    days = (
        spans.with_columns(
            day=pl.datetime_ranges(
                pl.col("first").dt.truncate("1d"), "until", "1d", closed="left", time_unit="us", time_zone="UTC"
            )
        )
        .explode("day", empty_as_null=False, keep_nulls=False)
        .select("instrument", "day")
        .unique(maintain_order=True)
    )
    slots = gaps.with_columns(
        day=pl.datetime_ranges("first", "last", timedelta(seconds=BAR_INTERVAL.total_seconds()))
    ).explode("day", empty_as_null=False, keep_nulls=False)
    lacking = slots.group_by("instrument", pl.col("day").dt.truncate("1d")).agg(
        missing=(pl.col("cause") == NEVER_THERE).sum(), quarantined=(pl.col("cause") != NEVER_THERE).sum()
    )
    return (
        days.join(lacking, on=["instrument", "day"], how="left")
        .with_columns(pl.col("missing", "quarantined").fill_null(0))
        .select(pl.col(name).cast(kind) for name, kind in DAYS_SCHEMA.items())
        .sort("instrument", "day")
    )
