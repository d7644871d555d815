"""Months of an archive with one kind of damage each, published as if they were sound."""

import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from simulated_venues.archive_zip import checksum_of, zip_csv

type Rows = list[list[str]]

OPEN_TIME, OPEN, HIGH, LOW, CLOSE, VOLUME = range(6)
NOON = timedelta(days=9, hours=12)
"""Of the tenth day: where rows are damaged."""


def damage(archive: Path, instrument: str, month: str, change: Callable[[Rows, int], Rows]) -> Callable[[], None]:
    """Publish a month's klines with some of their rows changed, all files of the month in the same way.

    Args:
        archive: folder that is changed.
        instrument: whose month.
        month: `YYYY-MM`.
        change: given the rows of a file, and the stamp in milliseconds at which to damage them.

    Returns:
        What repairs it: the same files are published as before.
    """
    symbol = instrument.partition("-")[0]
    start = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC) + NOON
    paths = sorted(archive.glob(f"data/futures/um/*/klines/{symbol}/*/{symbol}-*-{month}.zip"))
    assert paths
    before = {file: file.read_bytes() for path in paths for file in (path, path.with_name(f"{path.name}.CHECKSUM"))}
    for path in paths:
        header, rows = _read(path)
        lines = [*header, *(",".join(row) for row in change(rows, round(start.timestamp() * 1000)))]
        zipped = zip_csv(f"{path.stem}.csv", [("\n".join(lines) + "\n").encode()])
        path.write_bytes(zipped)
        path.with_name(f"{path.name}.CHECKSUM").write_bytes(checksum_of(path.name, zipped))

    def repair() -> None:
        for file, content in before.items():
            file.write_bytes(content)

    return repair


def negative_price(rows: Rows, at: int) -> Rows:
    """One low below zero."""
    return [_with(row, LOW, f"-{row[LOW]}") if int(row[OPEN_TIME]) == at else row for row in rows]


def crossed_ohlc(rows: Rows, at: int) -> Rows:
    """One high that is the low, and the other way round."""
    return [_with(_with(row, HIGH, row[LOW]), LOW, row[HIGH]) if int(row[OPEN_TIME]) == at else row for row in rows]


def conflicting_duplicate(rows: Rows, at: int) -> Rows:
    """One kline twice, with two volumes."""
    (row,) = [row for row in rows if int(row[OPEN_TIME]) == at]
    return [*rows, _with(row, VOLUME, f"1{row[VOLUME]}")]


def gap_of_a_day(rows: Rows, at: int) -> Rows:
    """Nothing for twenty-four hours."""
    return [row for row in rows if not at <= int(row[OPEN_TIME]) < at + 86_400_000]


def wrong_scale(rows: Rows, at: int) -> Rows:
    """Half an hour of prices a hundred times too high."""
    scaled = []
    for row in rows:
        inside = at <= int(row[OPEN_TIME]) < at + 1_800_000
        prices = [str(float(row[k]) * 100) if inside else row[k] for k in (OPEN, HIGH, LOW, CLOSE)]
        scaled.append([row[OPEN_TIME], *prices, *row[VOLUME:]])
    return scaled


def _with(row: list[str], column: int, cell: str) -> list[str]:
    return [*row[:column], cell, *row[column + 1 :]]


def _read(path: Path) -> tuple[list[str], Rows]:
    with zipfile.ZipFile(path) as packed:
        (name,) = packed.namelist()
        lines = packed.read(name).decode().splitlines()
    header = [] if lines[0][:1].isdigit() else lines[:1]
    return header, [line.split(",") for line in lines[len(header) :]]
