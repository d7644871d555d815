"""The trial ledger at scale: how long a round's trials take to enter and to count, and what they take on disk.

    .venv/bin/python benchmarks/ledger.py                    # 20,736 sets
    .venv/bin/python benchmarks/ledger.py --sets 1000000     # a million

Made-up results are entered chunk by chunk as a round enters them, into an embedded PostgreSQL of the benchmark's own.
Ends with code 1 if the ledger counts anything but the sets that were entered, or counts one again that is entered
again, or takes two seconds or more for 20,736 sets.
"""

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psycopg

from assets.round_run import CHUNK_SIZE
from helios_pipeline.adapters.postgres.connection import open_database
from helios_pipeline.adapters.postgres.ledger import LedgerStore
from helios_pipeline.core.records import Window
from helios_pipeline.settings import load_settings
from helios_pipeline.simulation.arrays import Records
from helios_pipeline.simulation.kernel import Evaluation
from helios_pipeline.simulation.summary import BLOCKS, METRICS
from helios_pipeline.strategy.parameters import STRATEGY_VERSION
from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.ledger import TrialContext, TrialPlace, make_trials
from helios_pipeline.sweep.points import chunk_rows
from tests.helios_home import new_home

WINDOW = Window(first=datetime(2024, 1, 1, tzinfo=UTC), last=datetime(2025, 1, 1, tzinfo=UTC))
PLACE = TrialPlace(round="benchmark", window=WINDOW, market_data="made up")
BUDGET_SECONDS_PER_SET = 2.0 / 20_736
AGAIN = 10
"""One of so many chunks is entered a second time."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sets", type=int, default=20_736)
    sets = arguments.parse_args().sets
    with new_home(None) as home, open_database(home.home, None) as database:
        records, context = records_of_a_grid(sets), context_of(home.folder / "helios.toml")
        store = LedgerStore(database.urls.pipeline)
        chunks = chunk_rows(records, CHUNK_SIZE)
        began, used = time.perf_counter(), time.process_time()
        new = enter(store, records, chunks, context)
        seconds, used = time.perf_counter() - began, time.process_time() - used
        again = enter(store, records, chunks[::AGAIN], context)
        began = time.perf_counter()
        counted = store.count_trials(PLACE.market_data, ids(context), WINDOW)
        counting = time.perf_counter() - began
        with psycopg.connect(database.urls.pipeline) as connection:
            row = connection.execute("select pg_total_relation_size('public.ledger_entries')").fetchone()
    print(
        f"{new:,} trials entered in {seconds:.2f} s, {new / seconds:,.0f} a second ({used:.2f} s of processor in "
        f"Python); "
        f"{sum(map(len, chunks[::AGAIN])):,} entered again, {again} of them new; {counted:,} counted in "
        f"{counting:.2f} s; "
        f"{(row or [0])[0] / 1e6:,.0f} MB on disk"
    )
    budget = BUDGET_SECONDS_PER_SET * len(records)
    print(f"{'met' if seconds < budget else 'missed'}: {budget:.2f} s")
    sys.exit(0 if (new, again, counted) == (len(records), 0, len(records)) and seconds < budget else 1)


def enter(store: LedgerStore, records: Records, chunks: list, context: TrialContext) -> int:
    """Enter chunks with made-up results; returns how many of their trials were new."""
    numbers, new = np.random.Generator(np.random.Philox(1)), 0
    with store.recorder() as record:
        for rows in chunks:
            made = Evaluation(
                rows=np.ones((len(rows), len(METRICS))), blocks=numbers.normal(size=(len(rows), BLOCKS, 3))
            )
            new += record(make_trials(records[rows], made, context, PLACE))
    return new


def records_of_a_grid(sets: int) -> Records:
    """So many points, whose entry thresholds are all different."""
    lookbacks = tuple(range(48, 48 + 8))
    entries = tuple((1.0 + np.arange(-(-sets // len(lookbacks))) / sets).tolist())
    grid = Grid(
        lookback_bars=lookbacks, funding_weight=(0.0,), entry_z=entries, exit_z=(0.0,), max_holding_bars=(96,),
        cooldown_bars=(0,), stop_atr=(0.0,),
    )  # fmt: skip
    return grid.records()[:sets]


def context_of(settings_file: Path) -> TrialContext:
    settings = load_settings(settings_file, {})
    return TrialContext(
        strategy_version=STRATEGY_VERSION,
        instruments=settings.instrument_records,
        costs=settings.costs.record(),
        limits=settings.limits.record(),
        feature_settings=settings.feature_settings,
    )


def ids(context: TrialContext) -> list[str]:
    return [instrument.instrument_id for instrument in context.instruments]


if __name__ == "__main__":
    main()
