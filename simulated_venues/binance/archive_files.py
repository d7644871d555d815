"""Which files the public archive has of a source at an instant, and what is in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from helios_pipeline.core.calendar import month_start, months_between, next_month
from simulated_venues.archive_csv import (
    KLINE_HEADER,
    aggregate_trades_csv,
    funding_csv,
    klines_csv,
    metrics_csv,
    metrics_span,
    rows_of,
    trades_csv,
)
from simulated_venues.binance.fair import fair_kline_rows
from simulated_venues.binance.intervals import served_intervals
from simulated_venues.binance.klines import closed_bars
from simulated_venues.binance.symbols import listed_ms, symbols
from simulated_venues.clock import instant
from simulated_venues.columns import to_milliseconds
from simulated_venues.settings import SimulatedInstrument
from simulated_venues.source import MarketSource

UM = "data/futures/um"
_DAY_MS = 86_400_000
_KLINES = {
    "klines": "",
    "indexPriceKlines": "index_price",
    "markPriceKlines": "mark_price",
    "premiumIndexKlines": "premium",
}
"""Kinds of klines, and the column of `FairPrices` that they are of; the first is of trades."""

_TRADES = ("aggTrades", "trades")
KINDS = {"daily": (*_TRADES, *_KLINES, "metrics"), "monthly": (*_TRADES, "fundingRate", *_KLINES)}
"""What is published of each period."""


@dataclass(frozen=True, slots=True)
class ArchiveFolder:
    """A folder of zips.

    Attributes:
        period: `daily` or `monthly`.
        kind: of `KINDS`.
        symbol: Binance's name of the contract.
        interval: of klines; empty for the other kinds.
    """

    period: str
    kind: str
    symbol: str
    interval: str

    @property
    def path(self) -> str:
        """Where it lies below the root, with a slash at the end."""
        inner = f"{self.interval}/" if self.interval else ""
        return f"{UM}/{self.period}/{self.kind}/{self.symbol}/{inner}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFile:
    """One published zip.

    Attributes:
        folder: where it lies.
        when: the day or month that it covers, `YYYY-MM-DD` or `YYYY-MM`.
    """

    folder: ArchiveFolder
    when: str

    @property
    def stem(self) -> str:
        """Its name without `.zip`."""
        return f"{self.folder.symbol}-{self.folder.interval or self.folder.kind}-{self.when}"

    @property
    def path(self) -> str:
        """Its path below the root."""
        return f"{self.folder.path}{self.stem}.zip"

    @property
    def span(self) -> tuple[datetime, datetime]:
        """What it covers, half open."""
        if self.folder.period == "monthly":
            return month_start(self.when), month_start(next_month(self.when))
        day = datetime.fromisoformat(self.when).replace(tzinfo=UTC)
        return day, day + timedelta(days=1)

    def days_ms(self) -> list[tuple[int, int]]:
        """Starts and ends of the days that it covers, milliseconds since 1970."""
        first, last = (to_milliseconds(at) for at in self.span)
        return [(day, day + _DAY_MS) for day in range(first, last, _DAY_MS)]


_PATH = re.compile(
    rf"{UM}/(?P<period>daily|monthly)/(?P<kind>\w+)/(?P<symbol>\w+)/(?:(?P<interval>\w+)/)?"
    r"(?P=symbol)-\w+-(?P<when>\d{4}-\d\d(?:-\d\d)?)\.zip"
)


def find_file(source: MarketSource, path: str, now_ms: int) -> ArchiveFile | None:
    """The file at a path, if it is published at an instant."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    when = match["when"]
    folder = ArchiveFolder(match["period"], match["kind"], match["symbol"], match["interval"] or "")
    exists = (
        folder.symbol in symbols(source)
        and folder.kind in KINDS[folder.period]
        and folder.interval in intervals_of(source, folder.kind)
        and when in published(source, folder.period, now_ms)
    )
    file = ArchiveFile(folder=folder, when=when)
    return file if exists and file.path == path else None


def intervals_of(source: MarketSource, kind: str) -> list[str]:
    """Folders of intervals of a kind; one without a name for kinds that have none."""
    return list(served_intervals(source.raw_interval_ms)) if kind in _KLINES else [""]


def published(source: MarketSource, period: str, now_ms: int) -> tuple[str, ...]:
    """Days or months that are over at an instant and of which the source has all, in order."""
    first, last = listed_ms(source), now_ms if source.span_ms is None else min(now_ms, source.span_ms[1])
    return _whole(period, -(-first // _DAY_MS), last // _DAY_MS)


@lru_cache(maxsize=16)
def _whole(period: str, first_day: int, last_day: int) -> tuple[str, ...]:
    """Days, or whole months, from one day since 1970 up to another, the last excluded."""
    if period == "daily":
        return tuple(f"{instant(day * _DAY_MS):%Y-%m-%d}" for day in range(first_day, last_day))
    start, end = instant(first_day * _DAY_MS), instant(last_day * _DAY_MS)
    month = f"{start:%Y-%m}" if start.day == 1 else next_month(f"{start:%Y-%m}")
    return tuple(months_between(month, next_month(f"{end:%Y-%m}", -1)))


def csv_parts(source: MarketSource, file: ArchiveFile) -> Iterator[bytes]:
    """The content of a file, most kinds day by day, so that a month of trades need not be held at once."""
    instrument, kind = symbols(source)[file.folder.symbol], file.folder.kind
    if kind == "fundingRate":
        yield funding_csv(source.settlements(instrument.instrument_id, *file.span))
        return
    if kind == "metrics":
        span = metrics_span(file.span[0])
        yield metrics_csv(source.open_interest(instrument.instrument_id, *span), instrument)
        return
    make = _day_of_klines if kind in _KLINES else _day_of_trades
    for k, day_ms in enumerate(file.days_ms()):
        csv = make(source, file.folder, instrument, day_ms)
        yield rows_of(csv) if k else csv


def _day_of_klines(
    source: MarketSource, folder: ArchiveFolder, instrument: SimulatedInstrument, day_ms: tuple[int, int]
) -> bytes:
    interval, column = served_intervals(source.raw_interval_ms)[folder.interval], _KLINES[folder.kind]
    if not column:
        return klines_csv(closed_bars(source, instrument.instrument_id, interval, *day_ms), instrument)
    rows = fair_kline_rows(source, instrument.instrument_id, column, interval, day_ms)
    return "\n".join([KLINE_HEADER, *(",".join(map(str, row)) for row in rows), ""]).encode()


def _day_of_trades(
    source: MarketSource, folder: ArchiveFolder, instrument: SimulatedInstrument, day_ms: tuple[int, int]
) -> bytes:
    trades = source.trades(instrument.instrument_id, *(instant(at) for at in day_ms))
    return (aggregate_trades_csv if folder.kind == "aggTrades" else trades_csv)(trades, instrument)
