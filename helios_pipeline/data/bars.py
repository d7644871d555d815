"""15-minute bars from the finest klines there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.data.aggregate import aggregate_rows
from helios_pipeline.data.quarantine import STAMP, ParsedRows
from helios_pipeline.data.validate import BARS_SCHEMA, validate_bars

MINUTE = timedelta(minutes=1)
MINUTES_PER_BAR = BAR_INTERVAL // MINUTE

JUDGED_FROM = timedelta(days=1)
"""How far before a span rows are read to know the price level it begins at."""

VOLUME_TOLERANCE = 1e-9
"""Relative difference of volumes that counts as none; prices have no tolerance."""

GAPS_SCHEMA = pl.Schema({"first": STAMP, "last": STAMP, "bars": pl.Int64(), "cause": pl.String()})
"""first, last: opened_at of the first and last missing bar; cause: `missing`, or the reason it is in quarantine."""

DIFFERENCES_SCHEMA = pl.Schema(
    {"opened_at": STAMP, "column": pl.String(), "from_1m": pl.Float64(), "from_15m": pl.Float64()}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCheck:
    """Bars aggregated from minutes against the venue's own 15-minute bars.

    Attributes:
        compared: bars that exist both ways.
        different: how many of them differ.
        differences: every differing value, `DIFFERENCES_SCHEMA`.
    """

    compared: int
    different: int
    differences: pl.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class BarsResult:
    """Bars of a span and everything that is to be said about them.

    Attributes:
        bars: valid bars, `BARS_SCHEMA`.
        quarantine: klines and bars that may not be used, `QUARANTINE_SCHEMA`.
        gaps: runs of bars that are missing, `GAPS_SCHEMA`. They are never filled.
        cross_check: aggregated against published bars.
    """

    bars: pl.DataFrame
    quarantine: pl.DataFrame
    gaps: pl.DataFrame
    cross_check: CrossCheck

    def facts(self) -> dict[str, object]:
        """What there is to say, as JSON values: counts by source and reason, every gap, every difference."""
        return {
            "bars": self.bars.height,
            "sources": _counts(self.bars["source"]),
            "quarantined": _counts(self.quarantine["reason"]),
            "gaps": [
                {**gap, "first": gap["first"].isoformat(), "last": gap["last"].isoformat()}
                for gap in self.gaps.iter_rows(named=True)
            ],
            "cross_check": {
                "compared": self.cross_check.compared,
                "different": self.cross_check.different,
                "differences": [
                    {**difference, "opened_at": difference["opened_at"].isoformat()}
                    for difference in self.cross_check.differences.iter_rows(named=True)
                ],
            },
        }


def make_bars(klines: pl.DataFrame, *, first: datetime, last: datetime) -> BarsResult:
    """Make the 15-minute bars of a span.

    A bar whose fifteen minutes are all there and valid is their aggregate; else it is the venue's own 15-minute
    kline if that is valid; else it is missing.

    Args:
        klines: `RAW_KLINES_SCHEMA`, intervals 1m and 15m, one row per key. Those of the day before the span serve to
            judge its first bars; others outside are left out.
        first: first instant of the span, a multiple of 15 minutes.
        last: first instant after it.
    """
    klines = klines.filter(pl.col("opened_at").is_between(first - JUDGED_FROM, last, closed="left")).sort("opened_at")
    minutes = _validate_klines(klines, interval="1m", length=MINUTE, first=first)
    published = _validate_klines(klines, interval="15m", length=BAR_INTERVAL, first=first)
    aggregated = aggregate_minutes(minutes.frame)
    own = published.frame.select(
        "opened_at", (pl.col("opened_at") + BAR_INTERVAL).alias("closed_at"), *list(BARS_SCHEMA)[2:-1],
        pl.lit("15m").alias("source"),
    )  # fmt: skip
    from_minutes = validate_bars(aggregated, interval=BAR_INTERVAL, source="bars_15m from 1m")
    bars = pl.concat([from_minutes.frame, own.join(from_minutes.frame, on="opened_at", how="anti")]).sort("opened_at")
    quarantine = pl.concat([published.quarantined, from_minutes.quarantined, minutes.quarantined])
    return BarsResult(
        bars=bars,
        quarantine=quarantine,
        gaps=find_gaps(bars, quarantine, first=first, last=last),
        cross_check=cross_check(aggregated, own),
    )


def aggregate_minutes(minutes: pl.DataFrame) -> pl.DataFrame:
    """Aggregate 1-minute klines into the 15-minute bars that are complete.

    Args:
        minutes: valid klines, sorted by opened_at, one per minute.

    Returns:
        `BARS_SCHEMA` with source `1m`; bars with fewer than fifteen minutes are left out.
    """
    totals = {name: pl.col(name) for name in ("volume", "quote_volume", "trade_count", "taker_buy_volume")}
    prices = [pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last()]
    bars = aggregate_rows(minutes, stamp="opened_at", interval=BAR_INTERVAL, prices=prices, totals=totals)
    return (
        bars.filter(pl.col("rows") == MINUTES_PER_BAR)
        .with_columns(source=pl.lit("1m"))
        .select(pl.col(name).cast(kind) for name, kind in BARS_SCHEMA.items())
    )


def cross_check(aggregated: pl.DataFrame, published: pl.DataFrame) -> CrossCheck:
    """Compare two sets of bars where both exist: prices exactly, volume within `VOLUME_TOLERANCE`."""
    both = aggregated.join(published, on="opened_at", suffix="_published")
    exact = ["open", "high", "low", "close"]
    distance = (pl.col("volume") - pl.col("volume_published")).abs()
    unequal = {name: pl.col(name) != pl.col(f"{name}_published") for name in exact}
    unequal["volume"] = distance > VOLUME_TOLERANCE * pl.col("volume_published").abs()
    differences = pl.concat(
        both.filter(differs).select(
            "opened_at",
            pl.lit(name).alias("column"),
            pl.col(name).alias("from_1m"),
            pl.col(f"{name}_published").alias("from_15m"),
        )
        for name, differs in unequal.items()
    ).sort("opened_at", maintain_order=True)
    return CrossCheck(compared=both.height, different=differences["opened_at"].n_unique(), differences=differences)


def find_gaps(bars: pl.DataFrame, quarantine: pl.DataFrame, *, first: datetime, last: datetime) -> pl.DataFrame:
    """Runs of missing bars in a span, split where the cause changes; `GAPS_SCHEMA`."""
    slots = pl.datetime_range(first, last, BAR_INTERVAL, closed="left", time_unit="us", eager=True).alias("opened_at")
    reasons = (
        quarantine.drop_nulls("opened_at")
        .with_columns(pl.col("opened_at").dt.truncate(BAR_INTERVAL))
        .unique("opened_at", keep="first", maintain_order=True)
        .select("opened_at", cause="reason")
    )
    missing = (
        slots.to_frame()
        .with_row_index("slot")
        .join(bars, on="opened_at", how="anti")
        .join(reasons, on="opened_at", how="left")
        .with_columns(pl.col("cause").fill_null("missing"))
        .sort("slot")
    )
    broken = (pl.col("slot").diff() != 1) | (pl.col("cause") != pl.col("cause").shift())
    return (
        missing.with_columns(run=broken.fill_null(value=True).cum_sum())
        .group_by("run", maintain_order=True)
        .agg(
            first=pl.col("opened_at").first(),
            last=pl.col("opened_at").last(),
            bars=pl.len().cast(pl.Int64),
            cause=pl.col("cause").first(),
        )
        .select(list(GAPS_SCHEMA))
    )


def gaps_from_facts(gaps: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    """`GAPS_SCHEMA` of the gaps as `BarsResult.facts` tells them."""
    instants = ("first", "last")
    return pl.DataFrame(
        [{**gap, **{name: datetime.fromisoformat(str(gap[name])) for name in instants}} for gap in gaps],
        schema=GAPS_SCHEMA,
    )


def _validate_klines(klines: pl.DataFrame, *, interval: str, length: timedelta, first: datetime) -> ParsedRows:
    """Judge all rows and keep those from `first` on."""
    rows = klines.filter(pl.col("interval") == interval)
    judged = validate_bars(rows, interval=length, source=f"raw_klines {interval}")
    inside = pl.col("opened_at") >= first
    return ParsedRows(frame=judged.frame.filter(inside), quarantined=judged.quarantined.filter(inside))


def _counts(values: pl.Series) -> dict[str, int]:
    return dict(values.value_counts().sort(values.name).rows())
