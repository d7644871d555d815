"""Real archive files to validated Parquet, against `unzip` alone; trades to bars, against DuckDB and reading alone.

    HELIOS_REAL_DATA=… .venv/bin/python benchmarks/ingest.py

Every figure is the fastest of several turns, in one process, with all libraries loaded; ratios are what counts.
"""

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl

from helios_pipeline.adapters.binance.archive import Archive, ArchiveSettings, open_archive
from helios_pipeline.adapters.binance.archive_layout import MonthRequest
from helios_pipeline.adapters.binance.archive_zip import unzip_csv
from helios_pipeline.adapters.lake.store import Lake
from helios_pipeline.data.bars import make_bars
from helios_pipeline.data.raw_month import CsvFile, make_raw_klines
from helios_pipeline.data.trades import aggregate_trades, parse_agg_trades

MINUTES = MonthRequest(kind="klines", symbol="LTCUSDT", month="2026-02", interval="1m")
FIRST, LAST = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
TRADES = "data/spot/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-01-01.zip"
COLUMNS = ["trade_id", "traded_at", "price", "quantity", "first_match_id", "last_match_id", "buyer_is_maker"]


def fastest(action: Callable[[], object], *, turns: int) -> float:
    """Seconds of the fastest turn; the first one only warms up."""
    action()
    seconds = []
    for _ in range(turns):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def klines_to_parquet(archive: Archive, lake: Lake) -> pl.DataFrame:
    files = archive.plan([MINUTES], today=date(2026, 5, 1))[MINUTES]
    csvs = [CsvFile(name=file.name, content=archive.read_csv(file)) for file in files]
    raw = make_raw_klines({"1m": csvs}, {}, month="2026-02", before=None)
    lake.replace("raw_klines", raw.frame, instrument="LTC", month="2026-02", version="v", facts=raw.facts())
    return raw.frame


def bars_to_parquet(klines: pl.DataFrame, lake: Lake) -> None:
    made = make_bars(klines, first=FIRST, last=LAST)
    lake.replace("bars_15m", made.bars, instrument="LTC", month="2026-02", version="v", facts=made.facts())


def duckdb_bars(parquet: Path) -> object:
    return duckdb.execute(
        """
        select time_bucket(interval 15 minutes, traded_at) as opened, arg_min(price, trade_id), max(price),
               min(price), arg_max(price, trade_id), sum(quantity), sum(quantity * price),
               sum(last_match_id - first_match_id + 1), sum(quantity) filter (not buyer_is_maker)
        from read_parquet(?) group by opened order by opened
        """,
        [str(parquet)],
    ).fetchall()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", default=os.environ.get("HELIOS_REAL_DATA"), help="folder of the real data")
    arguments.add_argument("--turns", type=int, default=7)
    chosen = arguments.parse_args()
    if not chosen.data:
        print("skipped: set HELIOS_REAL_DATA or --data to the folder of the real market data")
        return
    root = Path(chosen.data).resolve() / "binance_vision"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure_klines(root, folder, turns=chosen.turns)
        measure_trades(root, folder, turns=chosen.turns)


def measure_klines(root: Path, folder: Path, *, turns: int) -> None:
    settings = ArchiveSettings(
        base_url=root.as_uri(),
        cache_folder=folder / "archive",
        concurrency=4,
        attempts=1,
        backoff_seconds=1,
        timeout_seconds=10,
    )
    with open_archive(settings) as archive:
        lake = Lake(str(folder / "lake"))
        ours = fastest(lambda: klines_to_parquet(archive, lake), turns=turns)
        klines = klines_to_parquet(archive, lake)
    bars = fastest(lambda: bars_to_parquet(klines, lake), turns=turns)
    print(f"a month of 1-minute klines: zip -> verified Parquet {ours * 1e3:.1f} ms; to bars {bars * 1e3:.1f} ms more")
    if program := shutil.which("unzip"):
        command = [program, "-oq", str(root / str(MINUTES.monthly)), "-d", str(folder)]
        alone = fastest(lambda: subprocess.run(command, check=True), turns=turns)
        print(f"  unzip alone {alone * 1e3:.1f} ms: ratio {ours / alone:.2f}, budget 2")


def measure_trades(root: Path, folder: Path, *, turns: int) -> None:
    csv = unzip_csv((root / TRADES).read_bytes(), name=TRADES.rpartition("/")[2])
    parsing = fastest(lambda: parse_agg_trades(csv, file="trades"), turns=turns)
    trades = parse_agg_trades(csv, file="trades").frame
    parquet = folder / "trades.parquet"
    trades.write_parquet(parquet)
    ours = fastest(lambda: aggregate_trades(pl.read_parquet(parquet), "15m"), turns=turns)
    reading = fastest(lambda: pl.read_parquet(parquet, columns=COLUMNS), turns=turns)
    theirs = fastest(lambda: duckdb_bars(parquet), turns=turns)
    print(
        f"{trades.height:,} trades: CSV -> rows {parsing * 1e3:.0f} ms; Parquet -> 15-minute bars {ours * 1e3:.1f} ms"
    )
    print(f"  DuckDB on the same Parquet {theirs * 1e3:.1f} ms: ratio {ours / theirs:.2f}, budget 1")
    print(f"  reading the columns alone {reading * 1e3:.1f} ms: ratio {ours / reading:.2f}, budget 3")


if __name__ == "__main__":
    main()
