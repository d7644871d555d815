"""Funding rates as published, with the interval they are for."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import polars as pl

from helios_pipeline.data.csv_rows import CsvColumns, read_csv_rows, stamps_to_instants
from helios_pipeline.data.quarantine import (
    STAMP,
    ParsedRows,
    combine,
    no_quarantine,
    quarantine_rows,
    separate_duplicates,
)

RAW_FUNDING_SCHEMA = pl.Schema(
    {
        "settled_at": STAMP,
        "published_at": STAMP,
        "funding_rate": pl.Float64(),
        "interval_hours": pl.Int64(),
        "mark_price": pl.Float64(),
        "source": pl.String(),
    }
)
"""settled_at: `published_at` floored to the hour, the key; funding_rate: fraction of notional per `interval_hours`;
mark_price: in quote currency, null in the archive."""

MISSING_SETTLEMENTS_SCHEMA = pl.Schema({"settled_at": STAMP, "interval_hours": pl.Int64()})

FUNDING_KEY = ("settled_at",)
LONGEST_INTERVAL_HOURS = 24

LARGEST_FUNDING_RATE = 0.05
"""Of notional, per settlement, either way: above every venue's cap. The simulation takes no larger one."""

FUNDING_RATE_DECIMALS = 10
"""What the simulation takes; the venue publishes 8."""

_HOUR = timedelta(hours=1)
_COLUMNS = CsvColumns(
    types={"calc_time": pl.Int64, "funding_interval_hours": pl.Int64, "last_funding_rate": pl.Float64},
    width=frozenset({3}),
)


def parse_funding_rates(csv: bytes, *, file: str) -> ParsedRows:
    """Parse one fundingRate file of the archive, with or without a header row.

    Returns:
        `RAW_FUNDING_SCHEMA` with source `archive`. Quarantined: `wrong_columns`, `unparsable`, `not_finite`,
        `interval` (not 1 to 24 hours), `duplicate`, `conflicting_rows` (two rates in one hour).

    Raises:
        DataError: the file is empty, cut off, of another kind, or its stamps have another width.
    """
    read = read_csv_rows(csv, _COLUMNS, file=file)
    rows = stamps_to_instants(read.rows, ["calc_time"], file=file).select(
        published_at="calc_time",
        funding_rate="last_funding_rate",
        interval_hours="funding_interval_hours",
        mark_price=pl.lit(None, dtype=pl.Float64),
    )
    parsed = _to_funding(rows, file=file, source="archive")
    return ParsedRows(frame=parsed.frame, quarantined=pl.concat([read.quarantined, parsed.quarantined]))


def funding_from_rest(rows: Sequence[Mapping[str, object]], *, interval_hours: int) -> ParsedRows:
    """Parse the answer of `GET /fapi/v1/fundingRate`.

    Args:
        rows: each with fundingTime (ms), fundingRate and, in newer answers, markPrice.
        interval_hours: the interval in force now (`GET /fapi/v1/fundingInfo`); the answer itself has none.

    Returns:
        As `parse_funding_rates`, with source `rest`. Rows that follow the one before by another interval were published
        before the interval changed, so theirs is not known: `interval_unknown`.
    """
    if not rows:
        return ParsedRows(frame=RAW_FUNDING_SCHEMA.to_frame(), quarantined=no_quarantine())
    file = "REST funding rates"
    read = pl.DataFrame(
        {
            "calc_time": [int(str(row["fundingTime"])) for row in rows],
            "funding_rate": [float(str(row["fundingRate"])) for row in rows],
            "mark_price": [float(str(row.get("markPrice") or "nan")) for row in rows],
        }
    )
    stamped = stamps_to_instants(read, ["calc_time"], file=file).select(
        published_at="calc_time",
        funding_rate="funding_rate",
        interval_hours=pl.lit(interval_hours, dtype=pl.Int64),
        mark_price=pl.col("mark_price").fill_nan(None),
    )
    parsed = _to_funding(stamped, file=file, source="rest")
    settled = pl.col("settled_at")
    regular = ((settled - settled.shift()).dt.total_hours() == interval_hours).fill_null(value=True)
    marked = parsed.frame.with_columns(_regular=regular)
    irregular = quarantine_rows(
        marked.filter(~pl.col("_regular")), stamp="settled_at", reason=pl.lit("interval_unknown"), source=file
    )
    return ParsedRows(
        frame=marked.filter("_regular").drop("_regular"), quarantined=pl.concat([parsed.quarantined, irregular])
    )


def combine_funding(parts: Sequence[ParsedRows], *, first: datetime, last: datetime, source: str) -> ParsedRows:
    """Join the files of one partition; see `klines.combine_klines`."""
    if not parts:
        return ParsedRows(frame=RAW_FUNDING_SCHEMA.to_frame(), quarantined=no_quarantine())
    inside = pl.col("settled_at").is_between(first, last, closed="left")
    return combine(parts, key=FUNDING_KEY, source=source, inside=inside)


def missing_settlements(funding: pl.DataFrame, *, first: datetime, last: datetime) -> pl.DataFrame:
    """Settlements that a span should have by the intervals of its own rows.

    A rate published with interval h covers the h hours before it, so the settlement before it was h hours earlier.

    Args:
        funding: `RAW_FUNDING_SCHEMA`, sorted, at least one row; without rows nothing is known and nothing returned.
        first: first instant of the span.
        last: first instant after it.

    Returns:
        `MISSING_SETTLEMENTS_SCHEMA`, sorted.
    """
    settled, length = pl.col("settled_at"), pl.duration(hours=pl.col("interval_hours"))
    before = funding.select(
        "interval_hours",
        hours=pl.datetime_ranges(
            pl.max_horizontal(settled.shift() + _HOUR, pl.lit(first, dtype=STAMP)), settled, "1h", closed="left"
        ),
        end=settled,
    )
    tail = funding.tail(1).select(
        "interval_hours",
        hours=pl.datetime_ranges(settled + length, pl.lit(last, dtype=STAMP), "1h", closed="left"),
        end=settled,
    )
    # Hours of the stretch that lie a whole number of intervals from the row that says the interval.
    return (
        pl.concat([before, tail])
        .explode("hours", empty_as_null=False)
        .filter((pl.col("end") - pl.col("hours")).dt.total_hours() % pl.col("interval_hours") == 0)
        .select(settled_at="hours", interval_hours="interval_hours")
        .cast(MISSING_SETTLEMENTS_SCHEMA)
        .sort("settled_at")
    )


def _to_funding(rows: pl.DataFrame, *, file: str, source: str) -> ParsedRows:
    rows = rows.with_columns(
        settled_at=pl.col("published_at").dt.truncate("1h"),
        source=pl.lit(source),
        _reason=pl.when(~pl.col("funding_rate").is_finite())
        .then(pl.lit("not_finite"))
        .when(~pl.col("interval_hours").is_between(1, LONGEST_INTERVAL_HOURS))
        .then(pl.lit("interval")),
    )
    bad = rows.filter(pl.col("_reason").is_not_null())
    good = rows.filter(pl.col("_reason").is_null()).select(list(RAW_FUNDING_SCHEMA))
    unique = separate_duplicates(good, key=FUNDING_KEY, source=file)
    misfits = quarantine_rows(bad, stamp="settled_at", reason=pl.col("_reason"), source=file)
    return ParsedRows(frame=unique.frame, quarantined=pl.concat([misfits, unique.quarantined]))
