"""How often do all gates together promote skill, and luck? Fixed seeds, three years of search, a fresh ledger each.

    .venv/bin/python benchmarks/calibration.py [--seeds 100] [--years 30] [--levels "noise" "4.5"] [--compare 10]

Each market is searched as a round is: 480 sets over three years, walk-forward, every gate, and a holdout after the
searched window. The best set of a level is the one with the highest mean over its searches; what it truly earns is
measured on years under other seeds. Promotions are run in NautilusTrader too, of each level as many as --compare says.
Finished rows are kept in a file named by the settings, so that a stopped run goes on where it was; --report prints what
is there. Exit code 1 if a claim fails.
"""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from calibration_market import (
    HOLDOUT_DAYS,
    SEARCHED,
    Level,
    calibration_settings,
    compare_engines,
    judge_market,
    measure_year,
    start_worker,
)

from helios_pipeline.core.version import content_version
from helios_pipeline.settings import Settings
from helios_pipeline.sweep.grid import Grid

CODE_VERSION = "1"
LEVELS = (
    Level(name="noise", edge=0.0),
    Level(name="noise, no costs", edge=0.0, free=True),
    Level(name="2", edge=0.38),
    Level(name="3", edge=0.47),
    Level(name="4.5", edge=0.65),
    Level(name="6", edge=0.78),
)
CLAIMED_LEVEL, CLAIMED_SHARPE, CLAIMED_PROMOTED, CLAIMED_REFUSED = "4.5", 4.5, 0.80, 0.97
FIRST_MARKET, FIRST_YEAR = 40_000, 50_000
"""Seeds of the searched markets, and of the years on which true Sharpe ratios are measured."""

type Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Work for one process: `run(settings, *arguments)` gives the rows of `keys`."""

    keys: frozenset[tuple[str, str, int]]
    run: Callable[..., list[Row]]
    arguments: tuple[Any, ...]


class Store:
    """Rows in a file of JSON lines, each on disk before the next one is waited for."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.rows: dict[tuple[str, str, int], Row] = {}
        path.touch()
        self._file = path.open("r+b")
        kept = self._file.read()
        self._file.truncate(self._file.seek(kept.rfind(b"\n") + 1))  # a killed process may have left half a line
        for line in kept.splitlines(keepends=True):
            if line.endswith(b"\n"):
                self._hold(json.loads(line))

    def add(self, rows: list[Row]) -> None:
        self._file.write("".join(json.dumps(row) + "\n" for row in rows).encode())
        self._file.flush()
        os.fsync(self._file.fileno())
        for row in rows:
            self._hold(row)

    def of(self, kind: str, key: str) -> list[Row]:
        return [row for (*found, _), row in sorted(self.rows.items()) if found == [kind, key]]

    def _hold(self, row: Row) -> None:
        self.rows[row["kind"], row["level"], row["seed"]] = row


def searches_and_years(levels: list[Level], seeds: int, years: int) -> Iterator[Task]:
    """Seed by seed over all levels, so that a run that is stopped early has some of each."""
    for k in range(max(seeds, years)):
        for _, same in groupby(levels, key=lambda level: level.edge):
            markets = list(same)
            if k < seeds:
                keys = frozenset(("verdict", level.key, FIRST_MARKET + k) for level in markets)
                yield Task(keys=keys, run=judge_market, arguments=(markets, FIRST_MARKET + k))
            for level in markets if k < years else ():
                key = ("year", level.key, FIRST_YEAR + k)
                yield Task(keys=frozenset([key]), run=measure_year, arguments=(level, FIRST_YEAR + k))


def comparisons(store: Store, levels: list[Level], most: int) -> Iterator[Task]:
    """Promotions that NautilusTrader has to agree with, the first of each level."""
    for level in levels:
        promotions = [row for row in store.of("verdict", level.key) if any(row["promoted"].values())]
        for row in promotions[:most]:
            key = ("agreement", level.key, row["seed"])
            yield Task(keys=frozenset([key]), run=compare_engines, arguments=(level, row["seed"], row["best"]))


def run_tasks(store: Store, settings: Settings, tasks: Iterator[Task], workers: int) -> None:
    """Do what is not in the store yet."""
    missing = [task for task in tasks if not task.keys <= store.rows.keys()]
    if not missing:
        return
    began = time.monotonic()
    context = get_context("forkserver")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=start_worker) as pool:
        pending: list[Future[list[Row]]] = [pool.submit(task.run, settings, *task.arguments) for task in missing]
        try:
            for done, future in enumerate(as_completed(pending), start=1):
                store.add(future.result())
                left = (time.monotonic() - began) / done * (len(missing) - done)
                print(f"  {done} of {len(missing)}, {left / 60:.0f} minutes left", file=sys.stderr, flush=True)
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strength:
    """What a level's sets truly earn. Sharpe ratios are annualised, net; NaN where nothing was measured.

    Attributes:
        best: of the set that is best over all searches, on other years.
        error: standard error of `best`.
        years: measured.
        winners: mean over the searches of what their own winners truly earn.
        in_sample: mean over the searches of their winners' Sharpe ratio in sample.
    """

    best: float
    error: float
    years: int
    winners: float
    in_sample: float


def measure_strength(store: Store, level: Level) -> Strength:
    """Truth beside what the searches saw."""
    verdicts, years = store.of("verdict", level.key), store.of("year", level.key)
    seen = np.array([row["sharpes"] for row in verdicts])
    chosen = [row["best"] for row in verdicts]
    true = np.array([row["sharpes"] for row in years]).reshape(len(years), seen.shape[1])
    best = true[:, seen.mean(axis=0).argmax()]
    return Strength(
        best=float(best.mean()) if len(years) else math.nan,
        error=float(best.std(ddof=1) / math.sqrt(len(years))) if len(years) > 1 else math.nan,
        years=len(years),
        winners=float(true[:, chosen].mean()) if len(years) else math.nan,
        in_sample=float(seen[np.arange(len(chosen)), chosen].mean()),
    )


def promoted(store: Store, level: Level, days: int) -> set[int]:
    """Seeds of the searches that every gate promoted; where NautilusTrader was asked, it agreed."""
    found = {row["seed"] for row in store.of("verdict", level.key) if row["promoted"][str(days)]}
    return found - {row["seed"] for row in store.of("agreement", level.key) if row["differences"]}


def table(store: Store, levels: list[Level]) -> list[list[str]]:
    """Gates down, levels across."""
    columns = [_column(store, level) for level in levels]
    return [["", *(level.name for level in levels)]] + [
        [name, *(column[name] for column in columns)] for name in columns[0]
    ]


def _column(store: Store, level: Level) -> dict[str, str]:
    verdicts, strength = store.of("verdict", level.key), measure_strength(store, level)
    compared = store.of("agreement", level.key)
    agreed = sum(row["differences"] == 0 for row in compared)
    gates = list(verdicts[0]["gates"])
    return {
        "edge": f"{level.edge:g}",
        "true Sharpe of the best set": f"{strength.best:.2f} ± {strength.error:.2f}",
        "true Sharpe of the winners": f"{strength.winners:.2f}",
        "their Sharpe in sample": f"{strength.in_sample:.2f}",
        "searches": f"{len(verdicts)}",
        **{name.replace("_", " "): f"{sum(bool(row['gates'][name]) for row in verdicts)}" for name in gates},
        **{
            f"holdout of {days} days": f"{sum(bool(row['holdouts'][str(days)]) for row in verdicts)}"
            for days in HOLDOUT_DAYS
        },
        **{f"all gates, holdout of {days} days": f"{len(promoted(store, level, days))}" for days in HOLDOUT_DAYS},
        "in NautilusTrader equal": f"{agreed} of {len(compared)}" if compared else "not asked",
    }


def claims(store: Store, levels: list[Level]) -> list[tuple[str, bool]]:
    """What the gates are held to: noise by every length of the holdout, skill by the longest."""
    judged = []
    for level in levels:
        count = len(store.of("verdict", level.key))
        if level.edge == 0:
            refused = count - len(set().union(*(promoted(store, level, days) for days in HOLDOUT_DAYS)))
            text = f"{level.name}: {refused} of {count} winners refused ({CLAIMED_REFUSED:.0%} needed)"
            judged.append((text, refused >= CLAIMED_REFUSED * count))
        elif level.name == CLAIMED_LEVEL:
            found, passed = measure_strength(store, level), len(promoted(store, level, max(HOLDOUT_DAYS)))
            text = (
                f"true Sharpe {found.best:.2f} ± {found.error:.2f} on {found.years} years ({CLAIMED_SHARPE} needed): "
                f"{passed} of {count} promoted with a holdout of {max(HOLDOUT_DAYS)} days ({CLAIMED_PROMOTED:.0%} "
                "needed)"
            )
            judged.append((text, passed >= CLAIMED_PROMOTED * count and found.best >= CLAIMED_SHARPE))
    return judged


def report(store: Store, levels: list[Level]) -> int:
    """Print table and claims; 1 if a claim does not hold."""
    levels = [level for level in levels if store.of("verdict", level.key)]
    for row in table(store, levels) if levels else ():
        print(f"| {' | '.join(row)} |")
        if not row[0]:
            print(f"| --- |{' ---: |' * len(levels)}")
    judged = claims(store, levels)
    for text, holds in judged:
        print(f"{'holds' if holds else 'fails'}: {text}")
    return 0 if judged and all(holds for _, holds in judged) else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("helios.toml"))
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--years", type=int, default=30)
    parser.add_argument("--levels", nargs="+", choices=[level.name for level in LEVELS])
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--compare", type=int, default=100, help="promotions of each level run in NautilusTrader")
    parser.add_argument("--report", action="store_true")
    given = parser.parse_args()
    levels = [level for level in LEVELS if level.name in (given.levels or {one.name for one in LEVELS})]
    settings = calibration_settings(given.config)
    store = Store(settings.home / "calibration" / f"{_version(settings)}.jsonl")
    grid = Grid.from_values(settings.grid.model_dump())
    print(f"{grid.size} sets, {SEARCHED.first:%Y-%m-%d} to {SEARCHED.last:%Y-%m-%d}; rows in {store.path}")
    if not given.report:
        run_tasks(store, settings, searches_and_years(levels, given.seeds, given.years), given.workers)
        run_tasks(store, settings, comparisons(store, levels, given.compare), given.workers)
    return report(store, levels)


def _version(settings: Settings) -> str:
    """Of everything that a row depends on."""
    sections = ("research", "costs", "features", "limits", "grid", "constraints", "walk_forward", "gates", "holdout")
    stated = {name: getattr(settings, name).model_dump() for name in (*sections, "simulated_market")}
    return content_version("calibration", CODE_VERSION, **stated)[:12]


if __name__ == "__main__":
    sys.exit(main())
