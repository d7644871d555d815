"""Writes the simulated market as Binance's public archive (data.binance.vision) lays out USD-M futures.

Monthly zips of 1m and 15m klines and of funding rates, daily zips of metrics, each with its `.CHECKSUM` in `sha256sum`
format. `SIMULATED.json` at the root says what made it, so that nobody takes the prices for real ones.
"""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

from helios_pipeline.core.calendar import days_of_month, month_start, months_between, next_month
from helios_pipeline.core.errors import DataError
from simulated_venues.bars import Bars, aggregate_bars
from simulated_venues.decimal_csv import decimal_csv
from simulated_venues.market import SimulatedMarket
from simulated_venues.settings import (
    RAW_BARS_PER_BAR,
    RAW_BARS_PER_FUNDING,
    RAW_BARS_PER_METRICS,
    SimulatedInstrument,
)

MARKER = "SIMULATED.json"
DESCRIPTION = "simulated market, not real prices"

KLINE_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
FUNDING_HEADER = "calc_time,funding_interval_hours,last_funding_rate"
METRICS_HEADER = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio"
)
_UM = Path("data", "futures", "um")
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_ZIP_LEVEL = 4

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
    settings, marker = market.settings, root / MARKER
    stated = {"seed": settings.seed, "edge": settings.edge, "description": DESCRIPTION, "settings": settings.digest}
    if not marker.exists():
        if (root / "data").exists():
            raise DataError(
                f"simulated archive: expected {root} to be empty or a simulated archive, found data without {MARKER}. "
                "Choose another folder; nothing was written."
            )
        root.mkdir(parents=True, exist_ok=True)
        _replace(marker, (json.dumps(stated, indent=2) + "\n").encode())
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
        settlements = market.settlements(instrument.instrument_id, *span)
        hours = np.full_like(settlements.rate_e8, RAW_BARS_PER_FUNDING // 60)
        yield decimal_csv(FUNDING_HEADER, [settlements.published_at_ms, hours, settlements.rate_e8], [0, 0, 8])

    path = _UM / "monthly" / "fundingRate" / symbol / f"{symbol}-fundingRate-{month}.zip"
    return _Job(paths=(path,), make=make)


def _metrics_job(market: SimulatedMarket, instrument: SimulatedInstrument, day: date) -> _Job:
    path = _UM / "daily" / "metrics" / instrument.symbol / f"{instrument.symbol}-metrics-{day:%Y-%m-%d}.zip"
    return _Job(paths=(path,), make=lambda: [metrics_csv(market, instrument, day)])


def klines_csv(bars: Bars, instrument: SimulatedInstrument) -> bytes:
    """A klines file: twelve columns, milliseconds, prices and quantities with every decimal of tick and lot."""
    price, quantity = instrument.price_decimals, instrument.quantity_decimals
    columns = {
        "open_time": (bars.opened_at_ms, 0),
        "open": (bars.open, price),
        "high": (bars.high, price),
        "low": (bars.low, price),
        "close": (bars.close, price),
        "volume": (bars.volume, quantity),
        "close_time": (bars.opened_at_ms + bars.interval_ms - 1, 0),
        "quote_volume": (bars.quote_volume, price + quantity),
        "count": (bars.trade_count, 0),
        "taker_buy_volume": (bars.taker_buy_volume, quantity),
        "taker_buy_quote_volume": (bars.taker_buy_quote_volume, price + quantity),
        "ignore": (np.zeros_like(bars.volume), 0),
    }
    return decimal_csv(KLINE_HEADER, [values for values, _ in columns.values()], [d for _, d in columns.values()])


def metrics_csv(market: SimulatedMarket, instrument: SimulatedInstrument, day: date) -> bytes:
    """A metrics file: 288 rows from 00:05 of the day to 00:00 of the next, as the archive cuts its days."""
    first = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=RAW_BARS_PER_METRICS)
    metrics = market.open_interest(instrument.instrument_id, first, first + timedelta(days=1))
    lines = [METRICS_HEADER]
    for k, measured_at in enumerate(metrics.measured_at_ms):
        stamp = datetime.fromtimestamp(int(measured_at) / 1_000, UTC)
        quantity = int(metrics.open_interest[k]) * instrument.lot
        value = float(quantity) * metrics.mark_price[k]
        ratios = (
            metrics.top_accounts_ratio[k],
            metrics.top_positions_ratio[k],
            metrics.accounts_ratio[k],
            metrics.taker_ratio[k],
        )
        lines.append(
            f"{stamp:%Y-%m-%d %H:%M:%S},{instrument.symbol},{quantity:.16f},{value:.16f},"
            + ",".join(f"{ratio:.8f}" for ratio in ratios)
        )
    return ("\n".join(lines) + "\n").encode()


def _write_job(root: Path, job: _Job) -> None:
    for path, csv in zip(job.paths, job.make(), strict=True):
        target = root / path
        zipped = _zip(path.with_suffix(".csv").name, csv)
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, zipped)
        _replace(_checksum_of(target), f"{hashlib.sha256(zipped).hexdigest()}  {path.name}\n".encode())


def _zip(name: str, content: bytes) -> bytes:
    """A zip of one file, without a clock or a platform in its bytes."""
    buffer = io.BytesIO()
    member = zipfile.ZipInfo(name, _ZIP_TIME)
    member.compress_type, member.create_system, member.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member, content, compresslevel=_ZIP_LEVEL)
    return buffer.getvalue()


def _is_complete(path: Path) -> bool:
    """The checksum is written last, so a file with one is whole."""
    return path.exists() and _checksum_of(path).exists()


def _checksum_of(path: Path) -> Path:
    return path.with_name(path.name + ".CHECKSUM")


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    temporary.replace(path)
