"""Klines as the archive's files and the REST endpoint give them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import polars as pl

from helios_pipeline.core.errors import DataError
from helios_pipeline.data.csv_rows import CsvColumns, read_csv_rows, stamps_to_instants
from helios_pipeline.data.quarantine import (
    STAMP,
    ParsedRows,
    combine,
    no_quarantine,
    quarantine_rows,
    separate_duplicates,
)

INTERVALS: Mapping[str, timedelta] = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
}
"""Binance's names of the intervals that Helios reads."""

RAW_KLINES_SCHEMA = pl.Schema(
    {
        "opened_at": STAMP,
        "interval": pl.String(),
        "open": pl.Float64(),
        "high": pl.Float64(),
        "low": pl.Float64(),
        "close": pl.Float64(),
        "volume": pl.Float64(),
        "quote_volume": pl.Float64(),
        "trade_count": pl.Int64(),
        "taker_buy_volume": pl.Float64(),
        "taker_buy_quote_volume": pl.Float64(),
        "source": pl.String(),
    }
)
"""Prices and quote volumes in quote currency, volumes in base currency; null = not recorded.

Key: interval, opened_at.
"""

KLINES_KEY = ("interval", "opened_at")

# https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api/Kline-Candlestick-Data
_COLUMNS = CsvColumns(
    types={
        "open_time": pl.Int64,
        "open": pl.Float64,
        "high": pl.Float64,
        "low": pl.Float64,
        "close": pl.Float64,
        "volume": pl.Float64,
        "close_time": pl.Int64,
        "quote_volume": pl.Float64,
        "count": pl.Int64,
        "taker_buy_volume": pl.Float64,
        "taker_buy_quote_volume": pl.Float64,
    },
    width=frozenset({12}),  # the last one is named `ignore`
)
_NUMBERS = ["open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"]


def parse_klines(csv: bytes, *, interval: str, file: str) -> ParsedRows:
    """Parse one kline file of the archive.

    Args:
        csv: the file's bytes, with or without a header row, stamps in ms or µs.
        interval: Binance's name of the interval, a key of `INTERVALS`.
        file: its name, for messages and quarantine.

    Returns:
        `RAW_KLINES_SCHEMA` rows with source `archive`. Quarantined: `wrong_columns`, `unparsable`, `not_finite`,
        `misaligned` (opened off the interval's grid), `close_time` (not the last instant of the interval), `duplicate`,
        `conflicting_rows`. Prices are judged later, where bars are made.

    Raises:
        DataError: the file is empty, cut off, of another kind, or its stamps have another width.
    """
    read = read_csv_rows(csv, _COLUMNS, file=file)
    parsed = _to_klines(read.rows, interval=interval, file=file, source="archive")
    return ParsedRows(frame=parsed.frame, quarantined=pl.concat([read.quarantined, parsed.quarantined]))


def klines_from_rest(rows: Sequence[Sequence[object]], *, interval: str) -> ParsedRows:
    """Parse the answer of `GET /fapi/v1/klines`, whose rows have the archive's twelve columns.

    Returns:
        As `parse_klines`, with source `rest`; empty if there are no rows.
    """
    if not rows:
        return ParsedRows(frame=RAW_KLINES_SCHEMA.to_frame(), quarantined=no_quarantine())
    names = list(_COLUMNS.types)
    cells = [[str(cell) for cell in row[: len(names)]] for row in rows]
    text = pl.DataFrame(cells, schema=dict.fromkeys(names, pl.String), orient="row")
    typed = text.select(pl.col(name).cast(kind) for name, kind in _COLUMNS.types.items())
    return _to_klines(typed, interval=interval, file=f"REST klines {interval}", source="rest")


def combine_klines(parts: Sequence[ParsedRows], *, first: datetime, last: datetime, source: str) -> ParsedRows:
    """Join the files of one partition, which may overlap.

    Args:
        parts: results of `parse_klines` and `klines_from_rest`, any intervals; none gives an empty frame.
        first: first instant of the partition.
        last: first instant after it; rows outside go under `outside_partition`.
        source: name of the partition, for quarantine.
    """
    if not parts:
        return ParsedRows(frame=RAW_KLINES_SCHEMA.to_frame(), quarantined=no_quarantine())
    inside = pl.col("opened_at").is_between(first, last, closed="left")
    return combine(parts, key=KLINES_KEY, source=source, inside=inside)


def _to_klines(rows: pl.DataFrame, *, interval: str, file: str, source: str) -> ParsedRows:
    if interval not in INTERVALS:
        raise DataError(f"{file}: expected an interval among {', '.join(INTERVALS)}, found {interval!r}.")
    rows = stamps_to_instants(rows, ["open_time", "close_time"], file=file)
    length = INTERVALS[interval]
    unit = pl.duration(microseconds=pl.col("_stamp_unit_us"))
    reason = (
        pl.when(~pl.all_horizontal(pl.col(_NUMBERS).is_finite()))
        .then(pl.lit("not_finite"))
        .when(pl.col("open_time").dt.truncate(length) != pl.col("open_time"))
        .then(pl.lit("misaligned"))
        .when(pl.col("close_time") != pl.col("open_time") + length - unit)
        .then(pl.lit("close_time"))
    )
    rows = rows.with_columns(_reason=reason)
    bad = rows.filter(pl.col("_reason").is_not_null())
    good = rows.filter(pl.col("_reason").is_null()).select(
        pl.col("open_time").alias("opened_at"),
        pl.lit(interval).alias("interval"),
        pl.col("open", "high", "low", "close", "volume"),
        *_recorded(),
        pl.lit(source).alias("source"),
    )
    unique = separate_duplicates(good, key=KLINES_KEY, source=file)
    misfits = quarantine_rows(bad, stamp="open_time", reason=pl.col("_reason"), source=file)
    return ParsedRows(frame=unique.frame, quarantined=pl.concat([misfits, unique.quarantined]))


def _recorded() -> list[pl.Expr]:
    """The columns that some copies of the archive leave at 0: with volume but no turnover they were not recorded."""
    absent = (pl.col("quote_volume") == 0) & (pl.col("volume") > 0)
    names = {
        "quote_volume": "quote_volume",
        "count": "trade_count",
        "taker_buy_volume": "taker_buy_volume",
        "taker_buy_quote_volume": "taker_buy_quote_volume",
    }
    return [pl.when(~absent).then(pl.col(column)).alias(name) for column, name in names.items()]
