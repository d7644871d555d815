"""One month of raw rows of one instrument: archive files, then the REST tail."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from helios_pipeline.core.calendar import month_start, next_month
from helios_pipeline.core.records import Window
from helios_pipeline.data.funding import (
    FUNDING_KEY,
    combine_funding,
    funding_from_rest,
    missing_settlements,
    parse_funding_rates,
)
from helios_pipeline.data.klines import KLINES_KEY, combine_klines, klines_from_rest, parse_klines
from helios_pipeline.data.open_interest import (
    OPEN_INTEREST_KEY,
    combine_open_interest,
    open_interest_from_rest,
    parse_open_interest,
)
from helios_pipeline.data.precedence import merge_archive_over_rest
from helios_pipeline.data.quarantine import ParsedRows


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvFile:
    """A CSV of the archive.

    Attributes:
        name: for messages and quarantine.
        content: its bytes.
    """

    name: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RawMonth:
    """The rows of a month.

    Attributes:
        frame: usable rows of both sources.
        quarantine: the others, `QUARANTINE_SCHEMA`.
        differences: values of REST rows that the archive has otherwise; see `merge_archive_over_rest`.
        missing: settlements the month should have, for funding rates only; else empty.
    """

    frame: pl.DataFrame
    quarantine: pl.DataFrame
    differences: pl.DataFrame
    missing: pl.DataFrame

    def facts(self) -> dict[str, object]:
        """What there is to say, as JSON values."""
        reasons = self.quarantine["reason"].value_counts().sort("reason")
        sources = self.frame["source"].value_counts().sort("source")
        return {
            "rows": self.frame.height,
            "sources": dict(sources.rows()),
            "quarantined": dict(reasons.rows()),
            "differences": self.differences.height,
            "missing": [at.isoformat() for at in self.missing.to_series(0)] if self.missing.width else [],
        }


def make_raw_klines(
    files: Mapping[str, Sequence[CsvFile]],
    rest: Mapping[str, Sequence[Sequence[object]]],
    *,
    month: str,
    before: pl.DataFrame | None,
) -> RawMonth:
    """Make a month of klines.

    Args:
        files: archive files by interval.
        rest: rows of the REST tail by interval.
        month: `YYYY-MM`.
        before: what the month held until now; its REST rows stay where nothing newer covers them. None if nothing.

    Raises:
        DataError: a file is damaged; nothing is to be written then.
    """
    span = _span(month)
    source = f"klines {month}"
    archived = [parse_klines(f.content, interval=name, file=f.name) for name, group in files.items() for f in group]
    tail = [klines_from_rest(rows, interval=name) for name, rows in rest.items()]
    return _join(
        combine_klines(archived, first=span.first, last=span.last, source=source),
        combine_klines(tail, first=span.first, last=span.last, source=source),
        key=KLINES_KEY,
        before=before,
    )


def make_raw_funding(
    files: Sequence[CsvFile],
    rest: Sequence[Mapping[str, object]],
    *,
    interval_hours: int | None,
    month: str,
    until: datetime,
    before: pl.DataFrame | None,
) -> RawMonth:
    """Make a month of funding rates.

    Args:
        files: archive files.
        rest: rows of the REST tail.
        interval_hours: interval in force at the venue; None only if there are no REST rows.
        month: `YYYY-MM`.
        until: settlements before this instant should have been published; later ones are not missed.
        before: as in `make_raw_klines`.

    Raises:
        DataError: a file is damaged; nothing is to be written then.
    """
    span = _span(month)
    source = f"funding rates {month}"
    archived = [parse_funding_rates(file.content, file=file.name) for file in files]
    tail = [funding_from_rest(rest, interval_hours=interval_hours)] if interval_hours else []
    joined = _join(
        combine_funding(archived, first=span.first, last=span.last, source=source),
        combine_funding(tail, first=span.first, last=span.last, source=source),
        key=FUNDING_KEY,
        before=before,
    )
    missing = missing_settlements(joined.frame, first=span.first, last=min(span.last, until))
    return RawMonth(frame=joined.frame, quarantine=joined.quarantine, differences=joined.differences, missing=missing)


def make_raw_open_interest(
    files: Sequence[CsvFile], rest: Sequence[Mapping[str, object]], *, month: str, before: pl.DataFrame | None
) -> RawMonth:
    """Make a month of open interest; see `make_raw_klines`."""
    span = _span(month)
    source = f"open interest {month}"
    archived = [parse_open_interest(file.content, file=file.name) for file in files]
    tail = [open_interest_from_rest(rest)]
    return _join(
        combine_open_interest(archived, first=span.first, last=span.last, source=source),
        combine_open_interest(tail, first=span.first, last=span.last, source=source),
        key=OPEN_INTEREST_KEY,
        before=before,
    )


def tail_window(last_row: datetime | None, *, step: timedelta, month: str, now: datetime) -> Window | None:
    """What the archive does not have yet of a month.

    Args:
        last_row: stamp of the last archive row; None if there is none.
        step: distance to the next row.
        month: `YYYY-MM`.
        now: rows are wanted up to here.

    Returns:
        None if the month is complete or has not begun.
    """
    span = _span(month)
    first = span.first if last_row is None else last_row + step
    last = min(span.last, now)
    return Window(first=first, last=last) if first < last else None


def _span(month: str) -> Window:
    return Window(first=month_start(month), last=month_start(next_month(month)))


def _join(archive: ParsedRows, rest: ParsedRows, *, key: Sequence[str], before: pl.DataFrame | None) -> RawMonth:
    tail = rest.frame
    if before is not None:
        tail, _ = merge_archive_over_rest(tail, before.filter(pl.col("source") == "rest"), key=key)
    frame, differences = merge_archive_over_rest(archive.frame, tail, key=key)
    return RawMonth(
        frame=frame,
        quarantine=pl.concat([archive.quarantined, rest.quarantined]),
        differences=differences,
        missing=pl.DataFrame(),
    )
