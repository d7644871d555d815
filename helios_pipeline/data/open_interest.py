"""Open interest, every five minutes."""

from collections.abc import Mapping, Sequence
from datetime import datetime

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

RAW_OPEN_INTEREST_SCHEMA = pl.Schema(
    {"measured_at": STAMP, "open_interest": pl.Float64(), "open_interest_quote": pl.Float64(), "source": pl.String()}
)
"""open_interest in base currency, open_interest_quote in quote currency. Key: measured_at."""

OPEN_INTEREST_KEY = ("measured_at",)

# Four ratios of long to short accounts follow; they may be empty and are not read.
_COLUMNS = CsvColumns(
    types={
        "create_time": pl.String,
        "symbol": pl.String,
        "sum_open_interest": pl.Float64,
        "sum_open_interest_value": pl.Float64,
    },
    width=frozenset({8}),
)


def parse_open_interest(csv: bytes, *, file: str) -> ParsedRows:
    """Parse one daily metrics file of the archive, with or without a header row, stamps as `YYYY-MM-DD HH:MM:SS` UTC.

    Returns:
        `RAW_OPEN_INTEREST_SCHEMA` with source `archive`. Quarantined: `wrong_columns`, `unparsable`, `time_stamp`,
        `not_finite`, `negative`, `duplicate`, `conflicting_rows`.

    Raises:
        DataError: the file is empty, cut off, or of another kind.
    """
    read = read_csv_rows(csv, _COLUMNS, file=file)
    stamp = pl.col("create_time").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", time_zone="UTC", strict=False)
    rows = read.rows.select(
        measured_at=stamp,
        open_interest="sum_open_interest",
        open_interest_quote="sum_open_interest_value",
        source=pl.lit("archive"),
        create_time="create_time",
    )
    parsed = _to_open_interest(rows, file=file)
    return ParsedRows(frame=parsed.frame, quarantined=pl.concat([read.quarantined, parsed.quarantined]))


def open_interest_from_rest(rows: Sequence[Mapping[str, object]]) -> ParsedRows:
    """Parse the answer of `GET /futures/data/openInterestHist`.

    Args:
        rows: each with timestamp (ms), sumOpenInterest, sumOpenInterestValue.
    """
    if not rows:
        return ParsedRows(frame=RAW_OPEN_INTEREST_SCHEMA.to_frame(), quarantined=no_quarantine())
    file = "REST open interest"
    read = pl.DataFrame(
        {
            "measured_at": [int(str(row["timestamp"])) for row in rows],
            "open_interest": [float(str(row["sumOpenInterest"])) for row in rows],
            "open_interest_quote": [float(str(row["sumOpenInterestValue"])) for row in rows],
            "source": "rest",
        }
    )
    return _to_open_interest(stamps_to_instants(read, ["measured_at"], file=file), file=file)


def combine_open_interest(parts: Sequence[ParsedRows], *, first: datetime, last: datetime, source: str) -> ParsedRows:
    """Join the files of one partition; see `klines.combine_klines`.

    A day's file ends with midnight of the next day, so a partition has the instants after `first` up to and including
    `last`.
    """
    if not parts:
        return ParsedRows(frame=RAW_OPEN_INTEREST_SCHEMA.to_frame(), quarantined=no_quarantine())
    inside = pl.col("measured_at").is_between(first, last, closed="right")
    return combine(parts, key=OPEN_INTEREST_KEY, source=source, inside=inside)


def _to_open_interest(rows: pl.DataFrame, *, file: str) -> ParsedRows:
    numbers = pl.col("open_interest", "open_interest_quote")
    rows = rows.with_columns(
        _reason=pl.when(pl.col("measured_at").is_null())
        .then(pl.lit("time_stamp"))
        .when(~pl.all_horizontal(numbers.is_finite()))
        .then(pl.lit("not_finite"))
        .when(pl.any_horizontal(numbers < 0))
        .then(pl.lit("negative"))
    )
    bad = rows.filter(pl.col("_reason").is_not_null())
    good = rows.filter(pl.col("_reason").is_null()).select(list(RAW_OPEN_INTEREST_SCHEMA))
    unique = separate_duplicates(good, key=OPEN_INTEREST_KEY, source=file)
    misfits = quarantine_rows(bad, stamp="measured_at", reason=pl.col("_reason"), source=file)
    return ParsedRows(frame=unique.frame, quarantined=pl.concat([misfits, unique.quarantined]))
