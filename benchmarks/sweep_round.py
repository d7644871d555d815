"""One round from process start to stored results: how long it takes, where the time goes, and how much memory.

    .venv/bin/python benchmarks/sweep_round.py                      # 20,736 sets on an instrument-year, cold and warm
    .venv/bin/python benchmarks/sweep_round.py --markets 1 3        # and on three
    .venv/bin/python benchmarks/sweep_round.py --sets 1000000       # memory of a million sets

Each round is `helios sweep` in a fresh process on an embedded PostgreSQL that runs already. The market is simulated;
every round has costs of its own, so none finds its trials in the ledger. Cold: with no machine code on disk. Ends
with code 1 where a budget is missed. What the processor did is printed beside the clock: on a busy machine the clock
says little.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from helios_pipeline.adapters.postgres.connection import open_database
from helios_pipeline.core.calendar import BAR_INTERVAL, month_start, months_between, next_month
from helios_pipeline.core.records import Window
from simulated_venues.frames import funding_frame, klines_frame, open_interest_frame
from tests.helios_home import BTC, ETH, SOL, HeliosHome, new_home, small_market

MONTHS = ("2024-01", "2025-03")
HOLDOUT_DAYS = 90
GRID = {
    "grid.lookback_bars": [48, 64, 96, 128, 192, 256, 384, 512],
    "grid.funding_weight": [0.0, 0.25, 0.5],
    "grid.entry_z": [1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5],
    "grid.exit_z": [0.0, 0.25, 0.5],
    "grid.max_holding_bars": [96, 192, 288],
    "grid.cooldown_bars": [0, 8],
    "grid.stop_atr": [0.0, 4.0, 6.0, 8.0, 10.0, 12.0],
}
"""20,736 sets."""

CHILD = Path(__file__).with_name("sweep_round_child.py")

COLD_SECONDS, WARM_SECONDS, MEMORY_BYTES = 15.0, 8.0, 2e9
MARKETS_RATIO = 3.5


@dataclass(frozen=True, kw_only=True)
class Round:
    """One measured round."""

    seconds: float
    stored_after: float
    processor_seconds: float
    peak_bytes: int
    spans: list[tuple[str, float, float, float]]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--markets", type=int, nargs="+", default=[1], choices=[1, 2, 3])
    arguments.add_argument("--sets", type=int, default=20_736, help="at least so many: the grid grows along entry_z")
    arguments.add_argument("--repeat", type=int, default=2, help="warm rounds")
    arguments.add_argument("--cluster", help="a Dask scheduler, as for `helios sweep`")
    given = arguments.parse_args()
    options = ["--cluster", given.cluster] if given.cluster else []
    kept, warm = [], {}
    for markets in given.markets:
        settings = settings_for([BTC, ETH, SOL][:markets], given.sets)
        with prepared_home(settings) as home, tempfile.TemporaryDirectory() as cache:
            rounds = [measure_round(home, settings, cache, number, options) for number in range(1 + given.repeat)]
            for name, each in zip(["cold", *["warm"] * given.repeat], rounds, strict=True):
                show(f"{markets} market{'s' * (markets > 1)}, {name}", each)
            warm[markets] = min(rounds[1:], key=lambda each: each.stored_after)
            if given.sets == 20_736 and markets == 1:
                kept.append(judge("cold, until stored", rounds[0].stored_after, COLD_SECONDS, "s"))
                kept.append(judge("warm, until stored", warm[1].stored_after, WARM_SECONDS, "s"))
            kept.append(judge("memory", max(each.peak_bytes for each in rounds) / 1e9, MEMORY_BYTES / 1e9, "GB"))
    if 1 in warm and 3 in warm:
        kept.append(judge("three markets over one", warm[3].stored_after / warm[1].stored_after, MARKETS_RATIO, "×"))
    sys.exit(0 if all(kept) else 1)


def judge(what: str, found: float, budget: float, unit: str) -> bool:
    print(
        f"{what}: {found:.2f} {unit}, budget {budget:g} {unit}: {'within' if found <= budget else 'MISSED'}", flush=True
    )
    return found <= budget


def show(title: str, measured: Round) -> None:
    """Print a round as a timeline."""
    print(
        f"{title}: {measured.stored_after:.2f} s from process start to stored results, {measured.seconds:.2f} s to its "
        f"end, {measured.processor_seconds:.2f} s of processor, at most {measured.peak_bytes / 1e9:.2f} GB over its "
        "processes"
    )
    for name, began, ended, processor in measured.spans:
        print(f"  {began:7.2f} to {ended:7.2f} s  {ended - began:6.2f} s, {processor:6.2f} s of processor  {name}")


def settings_for(instruments: Sequence[str], sets: int) -> dict[str, Any]:
    return (
        GRID
        | grown(sets)
        | {
            "research.instruments": list(instruments),
            "research.from": MONTHS[0],
            "research.to": MONTHS[1],
            "research.workers": 0,
            "holdout.days": HOLDOUT_DAYS,
            "walk_forward.purge_bars": 288,
            "limits.max_open": len(instruments),
        }
    )


@contextmanager
def prepared_home(settings: dict[str, Any]) -> Iterator[HeliosHome]:
    """A home with fifteen months of each instrument in its lake, and its PostgreSQL running."""
    with new_home(None, **settings) as home:
        home.archive = home.folder / "archive"
        home.archive.mkdir()
        began = time.perf_counter()
        store_market(home, settings["research.instruments"])
        print(f"simulated market made in {time.perf_counter() - began:.1f} s", flush=True)
        with open_database(home.home, None):
            yield home


def grown(sets: int) -> dict[str, Any]:
    """More values of entry_z, until the grid has enough sets."""
    others = 20_736 // 8
    values = -(-sets // others)
    return {} if values == 8 else {"grid.entry_z": [round(1.0 + 2.5 * k / values, 6) for k in range(values)]}


def store_market(home: HeliosHome, instruments: Sequence[str]) -> None:
    """Put bars, features and funding into the lake as the assets would."""
    from helios_pipeline.data.bars import make_bars
    from helios_pipeline.definitions import build_research
    from helios_pipeline.features.frame import make_features
    from helios_pipeline.settings import load_settings

    settings = load_settings(home.folder / "helios.toml", home.environment)
    research = build_research(settings, database_url=None)
    market = small_market(edge=0.5, instruments=instruments)
    window = Window(first=month_start(MONTHS[0]), last=month_start(next_month(MONTHS[1])))
    for name in instruments:
        bars = make_bars(
            klines_frame(market, name, window.first, window.last, raw_bars=15), first=window.first, last=window.last
        ).bars
        funding = funding_frame(market, name, window.first, window.last)
        features = make_features(
            bars, funding, open_interest_frame(market, name, window.first, window.first), settings.feature_settings,
            instrument_id=name, interval=BAR_INTERVAL,
        )  # fmt: skip
        for month in months_between(*MONTHS):
            first, last = month_start(month), month_start(next_month(month))
            for asset, frame, stamp in (
                ("bars_15m", bars, "opened_at"),
                ("funding_features", features, "opened_at"),
                ("raw_funding_rates", funding, "settled_at"),
                ("raw_klines", bars, "opened_at"),
            ):
                inside = frame.filter(frame[stamp].is_between(first, last, closed="left"))
                facts = {"covers_until": last.isoformat()}
                research.lake.replace(asset, inside, instrument=name, month=month, version="1", facts=facts)


def measure_round(home: HeliosHome, settings: dict[str, Any], cache: str, number: int, options: Sequence[str]) -> Round:
    """`helios sweep` in a process of its own, at costs that no round had before."""
    home.configure(**settings, **{"costs.slippage_bps": 0.5 + number / 1000})
    report = home.folder / "spans.json"
    environment = home.environment | {"NUMBA_CACHE_DIR": cache, "PYTHONPATH": str(Path(__file__).parents[1])}
    began = time.perf_counter()
    # The kernel's own time of birth is told in seconds since a boot that is known to a second.
    command = [sys.executable, str(CHILD), str(report), str(time.time()), *options]
    with psutil.Popen(command, cwd=home.folder, env=environment) as process:
        memory = MemoryWatch(process)
        code = process.wait()
        seconds = time.perf_counter() - began
    if code != 0:
        sys.exit(f"helios sweep ended with code {code}")
    told = json.loads(report.read_text())
    (stored_after,) = (ended for name, _, ended, _ in told["spans"] if name == "round stored")
    return Round(
        seconds=seconds,
        stored_after=stored_after,
        processor_seconds=told["processor"],
        peak_bytes=memory.stop(),
        spans=told["spans"],
    )


class MemoryWatch:
    """The highest memory that a process and its children held together; what they share is counted for each.

    To count it once, the kernel would have to stop them and walk through all pages: that costs seconds of a round.
    """

    def __init__(self, process: psutil.Process) -> None:
        self._process, self._peak, self._over = process, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        self._over.set()
        self._thread.join()
        return self._peak

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            held = 0
            try:
                for each in [self._process, *self._process.children(recursive=True)]:
                    held += each.memory_info().rss
            except psutil.Error:
                continue
            self._peak = max(self._peak, held)


if __name__ == "__main__":
    main()
