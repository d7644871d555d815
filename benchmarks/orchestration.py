"""What Dagster adds to the computation: a backfill and a daily refresh against the same work called directly.

    .venv/bin/python benchmarks/orchestration.py

Both sides read the same simulated archive, apply the same checks and write the same files, on this machine, in this
run. "Bare" is a process of its own from its start to its end, with neither Dagster's daemon nor its records. A run
through Dagster may take 3 × bare + 20 s, from the schedule's instant or the click on "Launch backfill" to the end of
the last run. Then what is served costs while nothing happens. Ends with code 1 where a budget is missed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from helios_pipeline.core.calendar import months_between, next_month
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.venue import BinanceVenue
from simulated_venues.venue import embedded
from tests.helios_home import (
    BNB,
    BTC,
    ETH,
    SOL,
    XRP,
    HeliosHome,
    await_end,
    new_home,
    small_market,
    write_simulated_archive,
)
from tests.served_dagster import ENDED, MARKET_DATA, NO_DAILY_REFRESH, ServedDagster, month_keys, served

TIMES, SECONDS = 3.0, 20.0
"""The budget: that many times the bare computation, and that many seconds per run."""

FROM_RAW = ("bars_15m", "funding_features")
EVERY_MINUTE = "* * * * *"
IDLE_SECONDS = 60.0
SERVED = {
    "code server": "dagster api grpc",
    "web interface": "helios_pipeline.cli.web",
    "daemon": "dagster._daemon",
    "helios dagster": "/helios dagster",
    "PostgreSQL": "postgres",
}
"""Process → what its command line holds."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--months", type=int, default=24, help="of each of three instruments, for the backfill")
    arguments.add_argument("--idle-seconds", type=float, default=IDLE_SECONDS)
    arguments.add_argument("--bare", nargs="+", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.bare:
        make_bare(chosen.bare)
        return
    kept = [measure_backfill(chosen.months, idle_seconds=chosen.idle_seconds), measure_refresh()]
    sys.exit(0 if all(kept) else 1)


def make_bare(assets: Sequence[str]) -> None:
    """Make months as the assets do, without Dagster: plan, fetch, make, judge and store every month of the settings."""
    from helios_pipeline.definitions import build_research
    from helios_pipeline.settings import load_settings
    from jobs.research import MONTHLY

    settings = load_settings(Path(os.environ["HELIOS_CONFIG"]), os.environ)
    research = build_research(settings, database_url=None)
    span = months_between(settings.research.first_month, settings.research.last_month)
    months = [(instrument, month) for instrument in settings.research.instruments for month in span]
    for name in assets:
        _, asset = MONTHLY[name]
        plans = asset.compare(research, months)
        asset.prepare(research, plans)
        refused = [month for month, plan in plans.items() if not asset.replace(research, month, plan).stored]
        assert len(plans) == len(months), f"{name}: expected {len(months)} months to make, found {len(plans)}"
        assert refused == [], f"{name}: expected no month to be refused, found {refused}"


def bare(home: HeliosHome, assets: Sequence[str]) -> float:
    """Seconds of the bare computation as a process."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, __file__, "--bare", *assets],
        env=home.environment | {"HELIOS_HOME": str(home.folder / "bare")},
        cwd=home.folder,
        check=True,
    )
    return time.perf_counter() - began


def measure_backfill(count: int, *, idle_seconds: float) -> bool:
    instruments, first = [BTC, ETH, SOL], "2024-01"
    last = next_month(first, count - 1)
    months = months_between(first, last)
    settings = {
        "research.instruments": instruments,
        "research.from": first,
        "research.to": last,
        "dagster.daily_refresh_cron": NO_DAILY_REFRESH,
    }
    with tempfile.TemporaryDirectory() as folder, new_home(None, **settings) as home:
        home.archive = Path(folder)
        write_simulated_archive(home.archive, edge=0.0, months=(first, last), instruments=instruments)
        done = home.run("ingest", seconds=1800)
        assert done.code == 0, done.err
        shutil.copytree(home.home / "lake", home.folder / "bare" / "lake")
        alone = bare(home, FROM_RAW)
        with served(home) as dagster:
            began = time.perf_counter()
            backfill = dagster.backfill(FROM_RAW, month_keys(instruments, months))
            runs = dagster.await_backfill(backfill, runs=len(instruments), within=1800)
            seconds = time.perf_counter() - began
            made = len(dagster.materialized(runs))
            assert made == 2 * len(instruments) * count, f"{made} months recorded"
            for run in runs:
                print(f"  a run of {run['endTime'] - run['startTime']:.1f} s: {run['status']}")
            kept = judge(
                f"{count} months × {len(instruments)} instruments, bars and features", alone, seconds, len(runs)
            )
            measure_idle(dagster, idle_seconds)
    return kept


def measure_refresh() -> bool:
    instruments = [BTC, ETH, SOL, BNB, XRP]
    month = f"{datetime.now(UTC):%Y-%m}"
    settings = {
        "research.instruments": instruments,
        "research.from": next_month(month, -1),
        "research.to": month,
        "dagster.daily_refresh_cron": EVERY_MINUTE,
    }
    market = small_market(edge=0.0, instruments=instruments)
    with (
        embedded(BinanceVenue(market, BinanceSettings())) as venue,
        new_home(None, **settings) as home,
    ):
        home.variables = {"HELIOS_ARCHIVE_URL": venue.url, "HELIOS_REST_URL": venue.url}
        alone = bare(home, MARKET_DATA)
        with served(home) as dagster:
            (run, *_) = dagster.await_answer(
                lambda: dagster.runs(pipelineName="daily_refresh"), lambda runs: runs and runs[0]["status"] in ENDED
            )
            assert run["status"] == "SUCCESS", run
            assert len(dagster.materialized([run])) == len(MARKET_DATA) * 2 * len(instruments)
    due = {tag["key"]: tag["value"] for tag in run["tags"]}["dagster/run_key"].partition(" ")[2]
    seconds = run["endTime"] - datetime.fromisoformat(f"{due}Z").timestamp()
    print(f"  a run of {run['endTime'] - run['startTime']:.1f} s")
    return judge(f"daily refresh of {len(instruments)} instruments through the schedule", alone, seconds, 1)


def judge(what: str, alone: float, seconds: float, runs: int) -> bool:
    """Print a measurement against its budget."""
    budget = TIMES * alone + SECONDS * runs
    word = "within" if seconds <= budget else "MISSED"
    print(
        f"{what}: bare {alone:.1f} s, through Dagster {seconds:.1f} s in {runs} run{'s' * (runs > 1)}, "
        f"ratio {seconds / alone:.2f}; budget {TIMES:.0f} × bare + {SECONDS:.0f} s a run = {budget:.1f} s: {word}",
        flush=True,
    )
    return seconds <= budget


def measure_idle(dagster: ServedDagster, seconds: float) -> None:
    """Print memory and processor time of each process while nothing is asked of it."""
    settled = dagster.runs(statuses=["QUEUED", "NOT_STARTED", "STARTING", "STARTED"])
    if settled:
        dagster.await_answer(
            lambda: dagster.runs(statuses=["QUEUED", "NOT_STARTED", "STARTING", "STARTED"]), lambda runs: not runs
        )
    processes = {pid: psutil.Process(pid) for pid in dagster.home.processes()}
    before = {pid: processor_seconds(process) for pid, process in processes.items()}
    assert not await_end(dagster.process.pid, seconds), "helios dagster ended"
    for name, mark in SERVED.items():
        of_it = [pid for pid, said in dagster.home.processes().items() if mark in said and pid in before]
        used = sum(processor_seconds(processes[pid]) - before[pid] for pid in of_it)
        memory = [processes[pid].memory_full_info() for pid in of_it]
        rss, pss = sum(each.rss for each in memory), sum(each.pss for each in memory)
        print(
            f"idle {name}: RSS {rss / 2**20:.0f} MiB, PSS {pss / 2**20:.0f} MiB, "
            f"{used / seconds * 60:.1f} s of processor a minute ({len(of_it)} process{'es' * (len(of_it) > 1)})"
        )


def processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
