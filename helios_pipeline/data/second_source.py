"""Stored bars against the same bars asked for a second time."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from helios_pipeline.core.calendar import BAR_INTERVAL, days_of_month
from helios_pipeline.core.records import Window
from helios_pipeline.data.bars import cross_check
from helios_pipeline.data.quarantine import STAMP
from helios_pipeline.data.validate import validate_bars

DISAGREEMENT_SCHEMA = pl.Schema(
    {"opened_at": STAMP, "column": pl.String(), "stored": pl.Float64(), "second_source": pl.Float64()}
)
"""A value that differs; column `bar`, with the close of the one that exists, where only one source has the bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondSource:
    """Stored bars and those of a second source.

    Attributes:
        compared: bars that both have.
        disagreements: `DISAGREEMENT_SCHEMA`.
    """

    compared: int
    disagreements: pl.DataFrame


def compare_with_second_source(stored: pl.DataFrame, klines: pl.DataFrame, *, span: Window) -> SecondSource:
    """Compare bars of a span: prices exactly, volumes as `cross_check` does.

    Args:
        stored: `BARS_SCHEMA`.
        klines: `RAW_KLINES_SCHEMA` of the second source, interval 15m. Those that may not be used, as in which nobody
            traded, are left out on this side too.
        span: what was asked for; other rows are left out.
    """
    inside = pl.col("opened_at").is_between(span.first, span.last, closed="left")
    ours = stored.filter(inside)
    theirs = validate_bars(klines.filter(inside), interval=BAR_INTERVAL, source="second source").frame
    checked = cross_check(ours, theirs)
    values = checked.differences.rename({"from_1m": "stored", "from_15m": "second_source"})
    only_ours = ours.join(theirs, on="opened_at", how="anti").select(
        "opened_at", column=pl.lit("bar"), stored="close", second_source=pl.lit(None, dtype=pl.Float64)
    )
    only_theirs = theirs.join(ours, on="opened_at", how="anti").select(
        "opened_at", column=pl.lit("bar"), stored=pl.lit(None, dtype=pl.Float64), second_source="close"
    )
    disagreements = pl.concat([values, only_ours, only_theirs]).sort("opened_at", maintain_order=True)
    return SecondSource(compared=checked.compared, disagreements=disagreements.cast(DISAGREEMENT_SCHEMA))


def sample_days(instrument: str, months: Sequence[str], *, count: int, until: datetime) -> list[date]:
    """Days to look at again, the same ones for the same months: those whose hash with the instrument is smallest.

    Args:
        instrument: instrument id.
        months: stored ones, `YYYY-MM`.
        count: days to choose, fewer if there are not as many.
        until: only days that are over by then.
    """
    days = [day for month in months for day in days_of_month(month) if day < until.date()]
    return sorted(sample(days, count=count, salt=instrument))


def sample[T](items: Sequence[T], *, count: int, salt: str) -> list[T]:
    """Some of the items, chosen by the SHA-256 of salt and item, so that anyone chooses the same."""
    return sorted(items, key=lambda item: hashlib.sha256(f"{salt} {item}".encode()).digest())[:count]


def day_window(day: date) -> Window:
    """A UTC day."""
    first = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    return Window(first=first, last=first + timedelta(days=1))
