"""A round killed at random, again and again, ends with exactly what an undisturbed one stores.

    .venv/bin/python benchmarks/sweep_kills.py --kills 20

`helios sweep` is killed with SIGKILL after a random share of the time that an undisturbed round took, and started
again, until it was killed so often; then it is left alone. A round that ends before its kill is forgotten and begun
anew. Ends with code 1 if the file in the lake differs by a byte, or the ledger or the round's summary by a value
other than the time at which it was written.
"""

import argparse
import random
import subprocess
import sys
import time
from pathlib import Path

import psycopg

from benchmarks.sweep_round import prepared_home, settings_for
from helios_pipeline.adapters.postgres.connection import open_database
from tests.helios_home import BTC, HeliosHome

TABLES = ("ledger_entries", "sweep_rounds")
type Stored = tuple[dict[str, bytes], list[list[tuple[object, ...]]]]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kills", type=int, default=20)
    arguments.add_argument("--sets", type=int, default=20_736)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    chance = random.Random(given.seed)
    with prepared_home(settings_for([BTC], given.sets)) as home, open_database(home.home, None) as database:
        run(home, None)
        forget(home, database.urls.owner)
        seconds = run(home, None)
        undisturbed = stored(home, database.urls.owner)
        forget(home, database.urls.owner)
        kills = with_chunks = rounds = 0
        while kills < given.kills:
            if run(home, chance.uniform(0.0, seconds)) is None:
                kills += 1
                with_chunks += any(chunks(home))
                print(f"kill {kills}: {len(chunks(home))} chunks are stored", flush=True)
                continue
            rounds += 1
            equal(stored(home, database.urls.owner), undisturbed)
            forget(home, database.urls.owner)
        run(home, None)
        equal(stored(home, database.urls.owner), undisturbed)
    print(
        f"{kills} kills, {with_chunks} of them with chunks stored; {rounds + 1} rounds ended, each with the "
        f"{sum(map(len, undisturbed[0].values())):,} bytes and {sum(map(len, undisturbed[1])):,} rows of the "
        "undisturbed one"
    )


def run(home: HeliosHome, kill_after: float | None) -> float | None:
    """Seconds of `helios sweep`; None if it was killed."""
    began = time.perf_counter()
    with home.started("sweep", said=subprocess.DEVNULL) as process:
        try:
            code = process.wait(kill_after)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            home.left_after(0.0)
            return None
    if code != 0:
        sys.exit(f"helios sweep ended with code {code}")
    return time.perf_counter() - began


def stored(home: HeliosHome, owner_url: str) -> Stored:
    """The round's files, and the rows in the database without the times at which they were written."""
    rows = []
    with psycopg.connect(owner_url) as connection:
        for table in TABLES:
            kept = f"select (to_jsonb(t) - 'recorded_at' - 'created_at')::text from {table} t order by 1"
            rows.append(connection.execute(kept.encode()).fetchall())
    files = {str(path): path.read_bytes() for path in sorted((home.home / "lake").rglob("sweep_*/**/*.parquet"))}
    return files, rows


def equal(found: Stored, expected: Stored) -> None:
    for name, one, other in (("files", found[0], expected[0]), ("rows", found[1], expected[1])):
        if one != other:
            sys.exit(f"{name} of a killed round differ from those of an undisturbed one")


def forget(home: HeliosHome, owner_url: str) -> None:
    """Remove what the round stored."""
    for path in (home.home / "lake").rglob("sweep_results/*.parquet"):
        path.unlink()
    with psycopg.connect(owner_url, autocommit=True) as connection:
        for table in TABLES:
            connection.execute(f"delete from {table}".encode())


def chunks(home: HeliosHome) -> list[Path]:
    return sorted((home.home / "lake").rglob("sweep_chunks/*/*.parquet"))


if __name__ == "__main__":
    main()
