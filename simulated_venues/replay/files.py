"""Reads recorded bars, funding rates and open interest from files laid out as Binance's public archive.

Zips or plain CSV files, monthly or daily, with or without a header row. Prices and volumes become whole ticks and lots;
nothing is filled in: a missing file, a gap between bars or a price off the grid is refused.
"""

import hashlib
import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from helios_pipeline.core.errors import DataError, SettingsError
from simulated_venues.bars import Bars
from simulated_venues.settings import decimals_of

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

MINUTE_MS = 60_000
DAY_MS = 1_440 * MINUTE_MS
INTERVAL_MINUTES = {"1m": 1, "15m": 15}
_KLINE_COLUMNS, _FUNDING_COLUMNS, _METRICS_COLUMNS = 12, 3, 8
_UM = Path("data", "futures", "um")
_OFF_GRID, _FLOAT_ERROR = 1e-3, 1e-15


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedInstrument:
    """What is replayed under an instrument's id.

    Attributes:
        instrument_id: NautilusTrader's id.
        symbol: the archive's name for it, e.g. `BTCUSDT`.
        tick, lot: steps of price and quantity in the recording, powers of ten.
    """

    instrument_id: str
    symbol: str
    tick: Decimal
    lot: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Recorded open interest, one element a measurement, in order of time.

    Attributes:
        measured_at_ms: int64.
        open_interest: int64, lots.
        ratios: float64[4, n], long over short of the top traders' accounts and positions, of all accounts, and lots
            bought over lots sold by takers.
    """

    measured_at_ms: Integers
    open_interest: Integers
    ratios: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Recording:
    """One instrument's recorded history over whole UTC days.

    Attributes:
        instrument: what is replayed.
        bars: as recorded, without a gap; the three columns of money and takers and the count are 0 in a bar with
            volume whose file does not have them.
        funded_at_ms: int64, when each funding rate was published.
        rate_e8: int64, the rate, in units of 1e-8; both are empty where the archive has none.
        metrics: open interest; empty where the archive has none.
        digest: of the contents of every file read, 16 hexadecimal digits.
    """

    instrument: RecordedInstrument
    bars: Bars
    funded_at_ms: Integers
    rate_e8: Integers
    metrics: Metrics
    digest: str

    @property
    def first_ms(self) -> int:
        """Start of the first day."""
        return int(self.bars.opened_at_ms[0])

    @property
    def days(self) -> int:
        """Recorded days."""
        return len(self.bars) * self.bars.interval_ms // DAY_MS


def read_recording(root: Path, instrument: RecordedInstrument, interval: str, first: date, last: date) -> Recording:
    """One instrument's recording.

    Args:
        root: the folder that holds `data/futures/um`.
        instrument: what to read.
        interval: `1m` or `15m`.
        first: first day, UTC.
        last: day after the last.

    Raises:
        DataError: a file is missing or damaged, bars have a gap, or a number is off the instrument's grid.
        SettingsError: the span or the interval can't be read.
    """
    if interval not in INTERVAL_MINUTES or first >= last:
        raise SettingsError(
            f"recorded bars: expected an interval of {', '.join(INTERVAL_MINUTES)} and a first day before the last, "
            f"found {interval!r}, {first} and {last}. Correct the recording's settings."
        )
    files = _Files(root=root, symbol=instrument.symbol, first=first, last=last)
    klines = files.table("klines", interval, _KLINE_COLUMNS)
    if klines is None:
        raise files.missing("klines", interval, first)
    funding = files.table("fundingRate", "", _FUNDING_COLUMNS)
    metrics = files.table("metrics", "", _METRICS_COLUMNS, partly=True)
    empty = np.empty(0, np.int64)
    return Recording(
        instrument=instrument,
        bars=_bars_of(klines, instrument, INTERVAL_MINUTES[interval] * MINUTE_MS, (first, last)),
        funded_at_ms=empty if funding is None else _whole(funding, 0, 0, "calc_time"),
        rate_e8=empty if funding is None else _whole(funding, 2, 8, "last_funding_rate"),
        metrics=_metrics_of(metrics, instrument),
        digest=files.digest,
    )


class _Files:
    """The archive's files of one symbol over a span of days, and the digest of what was read of them."""

    def __init__(self, *, root: Path, symbol: str, first: date, last: date) -> None:
        self._root, self._symbol, self._first, self._last = root, symbol, first, last
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()[:16]

    def table(self, kind: str, interval: str, columns: int, *, partly: bool = False) -> pl.DataFrame | None:
        """All rows of a kind of file that lie in the span; None where there is no such file at all.

        Some files may be missing where `partly` says so; their rows are then missing too.
        """
        found = list(self._paths(kind, interval))
        if all(path is None for _, path in found):
            return None
        tables = []
        for day, path in found:
            if path is None:
                if partly:
                    continue
                raise self.missing(kind, interval, day)
            content = _content(path)
            self._hash.update(f"{kind}/{interval}/{day}/{len(content)}\n".encode() + content)
            tables.append(_parsed(content, columns, path))
        table = pl.concat(tables).unique(subset="0", keep="first", maintain_order=True)
        first_ms, end_ms = _stamp_ms(self._first), _stamp_ms(self._last)
        return table.filter(pl.col("0").is_between(first_ms, end_ms, closed="left"))

    def missing(self, kind: str, interval: str, day: date) -> DataError:
        monthly, daily = (self._path(kind, interval, step, day) for step in ("monthly", "daily"))
        return DataError(
            f"recorded {kind}: expected {monthly}.zip or {daily}.zip (or .csv) for {day}, found neither under "
            f"{self._root}. Shorten the span, choose the other interval, or fetch the file."
        )

    def _paths(self, kind: str, interval: str) -> Iterator[tuple[date, Path | None]]:
        """Files in order of time, each with its first day: the month's own, else one for each day."""
        day = self._first
        while day < self._last:
            following = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
            monthly = self._existing(kind, interval, "monthly", day)
            if monthly is not None:
                yield day, monthly
                day = following
                continue
            while day < min(following, self._last):
                yield day, self._existing(kind, interval, "daily", day)
                day += timedelta(days=1)

    def _existing(self, kind: str, interval: str, step: str, day: date) -> Path | None:
        stem = self._root / self._path(kind, interval, step, day)
        candidates = (stem.with_name(stem.name + suffix) for suffix in (".zip", ".csv"))
        return next((path for path in candidates if path.exists()), None)

    def _path(self, kind: str, interval: str, step: str, day: date) -> Path:
        """Path below the root, without its suffix."""
        stamp = f"{day:%Y-%m}" if step == "monthly" else f"{day:%Y-%m-%d}"
        name = "-".join((self._symbol, interval or kind, stamp))
        return _UM / step / kind / self._symbol / interval / name


def _content(path: Path) -> bytes:
    if path.suffix == ".csv":
        return path.read_bytes()
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = archive.namelist()
            return archive.read(name)
    except (zipfile.BadZipFile, ValueError) as error:
        raise DataError(f"{path}: expected a zip of one CSV file, found {error}. Fetch the file again.") from error


def _parsed(content: bytes, columns: int, path: Path) -> pl.DataFrame:
    """Rows as float64, columns named by their number, the first a stamp in milliseconds; symbols are left as text."""
    header, dated = not content[:1].isdigit(), columns == _METRICS_COLUMNS
    try:
        table = pl.read_csv(io.BytesIO(content), has_header=False, skip_rows=int(header), infer_schema_length=None)
        table.columns = [str(k) for k in range(table.width)]
        if dated:
            stamps = pl.col("0").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="ms").dt.epoch("ms")
            table = table.with_columns(stamps)
        numbers = [name for name in table.columns if not (dated and name == "1")]
        table = table.with_columns(pl.col(numbers).cast(pl.Float64))
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"{path}: expected rows of {columns} numbers, found {str(error).splitlines()[0]}. Fetch the file again."
        ) from error
    if table.width != columns:
        raise DataError(f"{path}: expected rows of {columns} columns, found {table.width}. Fetch the file again.")
    return table


def _bars_of(table: pl.DataFrame, instrument: RecordedInstrument, interval_ms: int, days: tuple[date, date]) -> Bars:
    price, quantity = decimals_of(instrument.tick), decimals_of(instrument.lot)
    decimals = {
        "opened_at_ms": 0,
        "open": price,
        "high": price,
        "low": price,
        "close": price,
        "volume": quantity,
        "close_time": 0,
        "quote_volume": price + quantity,
        "trade_count": 0,
        "taker_buy_volume": quantity,
        "taker_buy_quote_volume": price + quantity,
    }
    columns = {name: _whole(table, k, places, name) for k, (name, places) in enumerate(decimals.items())}
    del columns["close_time"]
    bars = Bars(interval_ms=interval_ms, **columns)
    expected = np.arange(_stamp_ms(days[0]), _stamp_ms(days[1]), interval_ms, dtype=np.int64)
    if not np.array_equal(bars.opened_at_ms, expected):
        lacking = np.setdiff1d(expected, bars.opened_at_ms)
        at = datetime.fromtimestamp(int(lacking[0]) / 1_000, UTC).isoformat() if len(lacking) else "no place"
        raise DataError(
            f"recorded bars of {instrument.symbol}: expected {len(expected)} in order from {days[0]} to {days[1]}, "
            f"found {len(bars)}; the first gap is at {at}. Choose days that were recorded whole."
        )
    _check_prices(bars, instrument)
    return bars


def _check_prices(bars: Bars, instrument: RecordedInstrument) -> None:
    """Refuse bars that no trades can have made."""
    within = (bars.low <= np.minimum(bars.open, bars.close)) & (bars.high >= np.maximum(bars.open, bars.close))
    sound = within & (bars.low >= 1) & (bars.trade_count <= bars.volume) & (bars.taker_buy_volume <= bars.volume)
    if not sound.all():
        row = int(np.argmin(sound))
        opened_at = datetime.fromtimestamp(int(bars.opened_at_ms[row]) / 1_000, UTC).isoformat()
        raise DataError(
            f"recorded bars of {instrument.symbol}: expected low ≤ open, close ≤ high, and no more trades than lots, "
            f"found otherwise in the bar of {opened_at}. Fetch the file again, or choose other days."
        )


def _metrics_of(table: pl.DataFrame | None, instrument: RecordedInstrument) -> Metrics:
    if table is None:
        return Metrics(
            measured_at_ms=np.empty(0, np.int64), open_interest=np.empty(0, np.int64), ratios=np.empty((4, 0))
        )
    # The archive writes open interest with more decimals than a contract has: the nearest lot is meant.
    lots = np.rint(table["2"].to_numpy() / float(instrument.lot)).astype(np.int64)
    ratios: Sequence[Floats] = [table[str(k)].to_numpy() for k in range(4, 8)]
    return Metrics(measured_at_ms=_whole(table, 0, 0, "create_time"), open_interest=lots, ratios=np.stack(ratios))


def _whole(table: pl.DataFrame, column: int, decimals: int, name: str) -> Integers:
    """A column in units of 10^-decimals; exact up to 4e14 of them, beyond which money of a bar does not go."""
    values = table[str(column)].to_numpy() * 10.0**decimals
    whole = np.rint(values)
    wrong = ~(np.abs(values - whole) < np.maximum(_OFF_GRID, _FLOAT_ERROR * np.abs(values)))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"recorded {name}: expected multiples of 10^-{decimals}, found {values[row] / 10.0**decimals} in row "
            f"{row + 1}. Give the instrument the tick and lot that were recorded."
        )
    return whole.astype(np.int64)


def _stamp_ms(day: date) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1_000)
