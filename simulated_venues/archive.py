"""Writes the simulated market as Binance's public archive (data.binance.vision) lays out USD-M futures.

Monthly zips of 1m and 15m klines and of funding rates, daily zips of metrics, each with its `.CHECKSUM` in `sha256sum`
format. `SIMULATED.json` at the root says what made it, so that nobody takes the prices for real ones.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from helios_pipeline.core.calendar import days_of_month, month_start, months_between, next_month
from helios_pipeline.core.errors import DataError
from simulated_venues.archive_csv import funding_csv, klines_csv, metrics_csv, metrics_span
from simulated_venues.archive_zip import MARKER, checksum_of, marker_bytes, stated_by_marker, zip_csv
from simulated_venues.bars import aggregate_bars
from simulated_venues.market import SimulatedMarket
from simulated_venues.settings import (
    RAW_BARS_PER_BAR,
    SimulatedInstrument,
)

_UM = Path("data", "futures", "um")

Progress = Callable[[int, int], None]
"""Called with the files done and the files in all, from the thread that called `write_archive`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveCount:
    """What `write_archive` did: files written now, and files that were there already."""

    written: int
    skipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """Files that come from the same days of the market, made together: their paths and how to make their CSVs."""

    paths: tuple[Path, ...]
    make: Callable[[], Iterable[bytes]]


def write_archive(
    root: Path,
    market: SimulatedMarket,
    instruments: Sequence[str],
    months: tuple[str, str],
    *,
    metrics_days: int,
    progress: Progress,
) -> ArchiveCount:
    """Write every file of the months that is not there yet.

    Equal settings give equal bytes. Each file appears whole or not at all, its `.CHECKSUM` after it; a run that was
    stopped is completed by the next one.

    Args:
        root: the folder an archive URL points at; made if absent.
        market: the market, at natural speed (raw bars of one minute).
        instruments: ids of the instruments to write.
        months: first and last month, `YYYY-MM`, both included.
        metrics_days: daily open-interest files for that many days at the end; 0 for none.
        progress: called after each group of files.

    Raises:
        DataError: `root` holds other data, or a market of other settings.
    """
    _claim(root, market)
    jobs = list(_jobs(market, instruments, months, metrics_days))
    open_jobs = [job for job in jobs if not all(_is_complete(root / path) for path in job.paths)]
    total = sum(len(job.paths) for job in jobs)
    done = skipped = total - sum(len(job.paths) for job in open_jobs)
    progress(done, total)
    with ThreadPoolExecutor(os.process_cpu_count()) as threads:
        pending = {threads.submit(_write_job, root, job): job for job in open_jobs}
        try:
            for future in as_completed(pending):
                future.result()
                done += len(pending[future].paths)
                progress(done, total)
        except BaseException:
            threads.shutdown(wait=True, cancel_futures=True)
            raise
    return ArchiveCount(written=total - skipped, skipped=skipped)


def _claim(root: Path, market: SimulatedMarket) -> None:
    """Mark the root as this market's, or refuse one that is something else's."""
    stated, marker = stated_by_marker(market), root / MARKER
    if not marker.exists():
        if (root / "data").exists():
            raise DataError(
                f"simulated archive: expected {root} to be empty or a simulated archive, found data without {MARKER}. "
                "Choose another folder; nothing was written."
            )
        root.mkdir(parents=True, exist_ok=True)
        _replace(marker, marker_bytes(market))
        return
    found = json.loads(marker.read_text())
    if found != stated:
        raise DataError(
            f"simulated archive: expected {marker} to state {stated}, found {found}. "
            "Delete that folder or choose another; nothing was written."
        )


def _jobs(
    market: SimulatedMarket, instruments: Sequence[str], months: tuple[str, str], metrics_days: int
) -> Iterator[_Job]:
    first, last = months
    every_day = [day for month in months_between(first, last) for day in days_of_month(month)]
    for month in months_between(first, last):
        for instrument_id in instruments:
            instrument = market.settings.instrument(instrument_id)
            yield _kline_job(market, instrument, month)
            yield _funding_job(market, instrument, month)
    for day in every_day[len(every_day) - min(metrics_days, len(every_day)) :]:
        for instrument_id in instruments:
            yield _metrics_job(market, market.settings.instrument(instrument_id), day)


def _kline_job(market: SimulatedMarket, instrument: SimulatedInstrument, month: str) -> _Job:
    symbol = instrument.symbol
    folder = _UM / "monthly" / "klines" / symbol

    def make() -> Iterator[bytes]:
        span = month_start(month), month_start(next_month(month))
        raw = market.bars(instrument.instrument_id, *span, raw_bars=1)
        yield klines_csv(raw, instrument)
        yield klines_csv(aggregate_bars(raw, RAW_BARS_PER_BAR), instrument)

    return _Job(paths=tuple(folder / i / f"{symbol}-{i}-{month}.zip" for i in ("1m", "15m")), make=make)


def _funding_job(market: SimulatedMarket, instrument: SimulatedInstrument, month: str) -> _Job:
    symbol = instrument.symbol

    def make() -> Iterator[bytes]:
        span = month_start(month), month_start(next_month(month))
        yield funding_csv(market.settlements(instrument.instrument_id, *span))

    path = _UM / "monthly" / "fundingRate" / symbol / f"{symbol}-fundingRate-{month}.zip"
    return _Job(paths=(path,), make=make)


def _metrics_job(market: SimulatedMarket, instrument: SimulatedInstrument, day: date) -> _Job:
    path = _UM / "daily" / "metrics" / instrument.symbol / f"{instrument.symbol}-metrics-{day:%Y-%m-%d}.zip"

    def make() -> Iterator[bytes]:
        metrics = market.open_interest(instrument.instrument_id, *metrics_span(day))
        yield metrics_csv(metrics, instrument)

    return _Job(paths=(path,), make=make)


def _write_job(root: Path, job: _Job) -> None:
    for path, csv in zip(job.paths, job.make(), strict=True):
        target = root / path
        zipped = zip_csv(path.with_suffix(".csv").name, [csv])
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, zipped)
        _replace(_checksum_of(target), checksum_of(path.name, zipped))


def _is_complete(path: Path) -> bool:
    """The checksum is written last, so a file with one is whole."""
    return path.exists() and _checksum_of(path).exists()


def _checksum_of(path: Path) -> Path:
    return path.with_name(path.name + ".CHECKSUM")


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    temporary.replace(path)
