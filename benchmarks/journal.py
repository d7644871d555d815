"""Records journalled a second, beside a bare write and fdatasync of the same bytes in the same run; and kills.

    .venv/bin/python benchmarks/journal.py [--folder .] [--seconds 10] [--kills 20]

A record counts when it is on disk, in the books, and `append` has returned. Turns of the bare file and of the journal
take each other's place every half second, so that both see the same disk. Then real processes that journal are killed
with SIGKILL. Ends with 1 below 2,000 records a second sustained, or if a record is lost or doubled.
"""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np

from helios_pipeline.adapters.postgres.connection import open_database
from helios_pipeline.adapters.postgres.journal_copy import JournalCopy
from helios_pipeline.core.trading import VenueFill
from live_engine.copier import Copier
from live_engine.journal import Journal
from tests.live_engine.killed_writer import kill_writers

ACCOUNT = "DYDX-paper"
LEAST_RATE = 2_000
THREADS = 4
TURN_SECONDS = 0.5


def one_fill(number: int) -> VenueFill:
    return VenueFill(
        account=ACCOUNT,
        instrument_id="BTC-USD-PERP.DYDX",
        venue_fill_id=f"7d1e0d0c-8d63-5a6c-9df4-{number:012x}",
        venue_order_id=f"0b1c8a53-55c1-5c7c-a4a9-{number:012x}",
        client_order_id=str(60_000_000 + number),
        side=1 if number % 2 else -1,
        quantity=Decimal("0.0123"),
        price=Decimal("61234.5"),
        fee=Decimal("0.37659218"),
        liquidity="taker",
        filled_at=datetime.now(UTC),
    )


class BareFile:
    """A file that bytes are appended to, each synced before the next."""

    def __init__(self, path: Path, size: int) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._data = bytes(size)

    def append(self, _: int) -> None:
        os.write(self._file, self._data)
        os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)


class Appender:
    """Appends of some threads, and how long each took."""

    def __init__(self, append: Callable[[int], object], threads: int) -> None:
        self._append, self._threads = append, threads
        self._number = iter(range(1 << 40))
        self.seconds: list[float] = []
        self.busy = 0.0

    def turn(self) -> None:
        began = time.perf_counter()
        threads = [threading.Thread(target=self._until, args=(began + TURN_SECONDS,)) for _ in range(self._threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.busy += time.perf_counter() - began

    @property
    def rate(self) -> float:
        return len(self.seconds) / self.busy

    def __str__(self) -> str:
        p50, p99 = (float(np.percentile(self.seconds, share)) * 1_000 for share in (50, 99))
        return f"{self.rate:,.0f}/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms"

    def _until(self, end: float) -> None:
        while (began := time.perf_counter()) < end:
            self._append(next(self._number))
            self.seconds.append(time.perf_counter() - began)


def measure(folder: Path, seconds: float, threads: int) -> float:
    """Records a second that some threads journal."""
    journal = Journal.open(folder / f"log-{threads}", ACCOUNT)
    journal.append(one_fill(-1))
    size = sum(path.stat().st_size for path in journal.folder.glob("*.log")) - journal.tail.size
    bare_file = BareFile(folder / f"bare-{threads}", size // 2)
    bare = Appender(bare_file.append, threads=1)
    ours = Appender(lambda number: journal.append(one_fill(number)), threads)
    while bare.busy + ours.busy < seconds:
        bare.turn()
        ours.turn()
    journal.close()
    bare_file.close()
    print(f"{threads} thread(s): {ours}; bare write + fdatasync: {bare}; ratio {ours.rate / bare.rate:.2f}")
    return ours.rate


def replay(folder: Path) -> Journal:
    began = time.perf_counter()
    journal = Journal.open(folder, ACCOUNT)
    print(f"start: {journal.sequence / (time.perf_counter() - began):,.0f} records/s read, checked and in the books")
    return journal


def copy(journal: Journal) -> None:
    with tempfile.TemporaryDirectory(prefix="helios-bench-") as home, open_database(Path(home), None) as database:
        copier = Copier(journal.folder, lambda: JournalCopy(database.urls.live))
        began = time.perf_counter()
        copier.start()
        while copier.copied_sequence < journal.sequence:
            time.sleep(0.005)
        print(f"copy: {journal.sequence / (time.perf_counter() - began):,.0f} records/s into PostgreSQL")
        copier.stop()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--folder", type=Path, default=Path(), help="on the disk that is measured")
    arguments.add_argument("--seconds", type=float, default=10.0)
    arguments.add_argument("--kills", type=int, default=20)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix=".journal-bench-", dir=chosen.folder) as name:
        folder = Path(name)
        measure(folder, chosen.seconds, 1)
        rate = measure(folder, chosen.seconds, THREADS)
        journal = replay(folder / f"log-{THREADS}")
        copy(journal)
        journal.close()
        verdict = kill_writers(folder / "killed", chosen.kills, seed=int(time.time()))
    print(
        f"{chosen.kills} kills: {len(verdict.told.acknowledged):,} records acknowledged, {verdict.lost} lost, "
        f"{verdict.doubled} doubled"
    )
    missed = rate < LEAST_RATE or verdict.lost or verdict.doubled
    print(f"{'MISSED' if missed else 'met'}: at least {LEAST_RATE:,} records/s, none lost, none doubled")
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
