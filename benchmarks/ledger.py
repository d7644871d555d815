"""How long a round's trials take to be recorded in the ledger.

    .venv/bin/python benchmarks/ledger.py [--sets 20736]

The trials are written to the embedded PostgreSQL, in a home of its own, beside a plain COPY of keys and blocks in the
same run. Ends with 1 if the ledger takes two seconds or more for 20,736 sets, the best of three.
"""

import argparse
import hashlib
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psycopg

from helios_pipeline.adapters.postgres.connection import open_database
from helios_pipeline.adapters.postgres.ledger import LedgerStore
from helios_pipeline.core.ledger import LedgerEntry
from helios_pipeline.core.records import Window

ROUND = 20_736
BUDGET_SECONDS = 2.0
TIMES = 3
BLOCKS = np.zeros((16, 3))
WINDOW = Window(first=datetime(2024, 1, 1, tzinfo=UTC), last=datetime(2025, 1, 1, tzinfo=UTC))


def entries(count: int, market_data: str) -> list[LedgerEntry]:
    """Trials of one round."""
    return [
        LedgerEntry(
            key=hashlib.sha256(str(number).encode()).hexdigest(),
            market_data=market_data,
            strategy_version="mean_reversion_funding/1",
            instruments=["BTCUSDT-PERP.BINANCE"],
            costs={"fee_fraction": "0.0005"},
            vol_target=0.2,
            parameters={"entry_z": 2.0, "lookback_bars": number},
            window=WINDOW,
            round="benchmark",
            round_trips=number,
            blocks=BLOCKS,
        )
        for number in range(count)
    ]


def plain_copy(url: str, count: int) -> float:
    """Seconds of a COPY of as many keys and blocks, without index or constraint."""
    row = (hashlib.sha256(b"").hexdigest(), BLOCKS.tobytes())
    began = time.perf_counter()
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("create temporary table plain (key text, blocks bytea)")
        with cursor.copy("copy plain from stdin (format binary)") as copy:
            copy.set_types(["text", "bytea"])
            for _ in range(count):
                copy.write_row(row)
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=ROUND)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="helios-ledger-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        with open_database(Path(folder), None) as database:
            ledger, seconds = LedgerStore(database.urls.pipeline), []
            for attempt in range(TIMES):
                trials = entries(given.sets, f"simulated seed {attempt}")
                began = time.perf_counter()
                assert ledger.record(trials) == given.sets
                seconds.append(time.perf_counter() - began)
            bare = min(plain_copy(database.urls.pipeline, given.sets) for _ in range(TIMES))
    best, budget = min(seconds), BUDGET_SECONDS * given.sets / ROUND
    print(f"{given.sets:,} trials: {best:.2f} s, the best of {TIMES}; a plain COPY {bare:.2f} s, {best / bare:.1f} ×")
    print(f"{'met' if best < budget else 'missed'}: {budget:.2f} s")
    return 0 if best < budget else 1


if __name__ == "__main__":
    sys.exit(main())
