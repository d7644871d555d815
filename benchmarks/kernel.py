"""How far a sweep is from the machine's limit, and what threads and processes make of two cores.

    .venv/bin/python benchmarks/kernel.py [--sets 20736] [--workers 1 2] [--months 2024-01 2024-12]

A year of BTCUSDT, real with HELIOS_REAL_DATA, else simulated, with funding, stops, sizing and costs. The limit is a
compiled loop that reads each slot's prices and features once for each set and does nothing else: no simulation that
looks at every bar is faster. Ends with code 1 if threads and processes do not give the same bytes.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager
from multiprocessing import get_context
from pathlib import Path

import numba
import numpy as np

from benchmarks.parity import market_inputs, real_frames, simulated_frames
from benchmarks.sweep_round import GRID
from helios_pipeline.core.calendar import month_start, months_between, next_month
from helios_pipeline.core.records import Window
from helios_pipeline.features.windows import Floats
from helios_pipeline.simulation.arrays import Records
from helios_pipeline.simulation.inputs import SimulationInputs
from helios_pipeline.simulation.kernel import PriceScores, evaluate
from helios_pipeline.simulation.skips import fill_scores, price_skips
from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.run import Workers, run_sweep

CHUNK = 512
READ_SETS = 64


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def read_features(slots: Records, z_price: Floats, z_funding: Floats, sets: int) -> float:
    """Read what a simulation reads of every bar, once for each set."""
    total = 0.0
    for _ in range(sets):
        for i in range(len(slots)):
            slot = slots[i, 0]
            total += z_price[i, 0] + z_funding[i, 0]
            total += slot.bid + slot.ask + slot.low + slot.high + slot.close + slot.settlement
            total += slot.volatility + slot.atr
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", nargs=2, default=["2024-01", "2024-12"], metavar=("FIRST", "LAST"))
    parser.add_argument("--sets", type=int, default=20_736)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    inputs = year(*options.months)
    grid = Grid.from_values({name.removeprefix("grid."): values for name, values in GRID.items()})
    records = grid.records()[:: max(1, grid.size // options.sets)]
    stop = len(inputs.opened_at)
    began = time.perf_counter()
    evaluate(inputs, records[:1], start=0, stop=stop)
    print(f"{stop:,} bars, {len(records):,} sets; compiled or loaded in {time.perf_counter() - began:.2f} s")
    show_tables(inputs, [int(lookback) for lookback in np.unique(records["lookback_bars"])])
    scores = np.zeros_like(inputs.z_funding)
    read_features(inputs.slots, scores, inputs.z_funding, 1)
    limit = shortest(lambda: read_features(inputs.slots, scores, inputs.z_funding, READ_SETS)) / READ_SETS
    alone = shortest(lambda: evaluate(inputs, records, start=0, stop=stop), times=2) / len(records)
    trips = evaluate(inputs, records, start=0, stop=stop).metrics["round_trips"].mean()
    print(
        f"one thread: {1 / alone:,.0f} sets/s, {trips:,.0f} round trips a set; only reading every bar: "
        f"{1 / limit:,.0f} sets/s; {limit / alone:.2f} × the speed of reading"
    )
    found = set()
    for workers in options.workers:
        for kind, opened in (("threads", ThreadPoolExecutor(workers)), ("processes", processes(workers))):
            seconds, result = whole_sweep(inputs, records, opened)
            found.add(result)
            print(
                f"{workers} {kind}: {seconds:.2f} s from their start to their end, {len(records) / seconds:,.0f} sets/s"
            )
    return 0 if len(found) == 1 else 1


def year(first: str, last: str) -> SimulationInputs:
    """The inputs of BTCUSDT."""
    window = Window(first=month_start(first), last=month_start(next_month(last)))
    data = os.environ.get("HELIOS_REAL_DATA")
    frames = real_frames(Path(data), months_between(first, last)) if data else simulated_frames(window)
    return market_inputs(*frames, window)


def show_tables(inputs: SimulationInputs, lookbacks: list[int]) -> None:
    """What a chunk makes once for all its sets."""
    stop = len(inputs.opened_at)
    skips, scores = price_skips(inputs.slots, 0, 96), PriceScores(inputs, 0, stop)
    fill_scores(skips, scores.market(lookbacks[0]), 0.5, 0, stop)
    parts = {"tables of prices": shortest(lambda: price_skips(inputs.slots, 0, 96))}
    for lookback in (lookbacks[0], lookbacks[-1]):
        parts[f"price scores of {lookback} bars"] = shortest(lambda n=lookback: PriceScores(inputs, 0, stop).market(n))  # type: ignore[misc]
    market = scores.market(lookbacks[-1])
    parts["tables of a signal"] = shortest(lambda: fill_scores(skips, market, 0.5, 0, stop))
    print("once a chunk: " + ", ".join(f"{name} {seconds * 1e3:.1f} ms" for name, seconds in parts.items()))


def shortest(work: Callable[[], object], times: int = 3) -> float:
    """Processor seconds of this thread, the least of a few turns."""
    turns = []
    for _ in range(times):
        began = time.thread_time()
        work()
        turns.append(time.thread_time() - began)
    return min(turns)


def processes(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=get_context("forkserver"))


def whole_sweep(
    inputs: SimulationInputs, records: Records, opened: AbstractContextManager[Executor]
) -> tuple[float, bytes]:
    """Seconds of a sweep, and its results; the start and the end of the workers are included."""
    began = time.perf_counter()
    with opened as executor:
        workers = Workers(executor=executor, chunk_size=CHUNK, progress=lambda *_: None)
        sweep = run_sweep(inputs, records, start=0, stop=len(inputs.opened_at), workers=workers)
    return time.perf_counter() - began, sweep.blocks.tobytes()


if __name__ == "__main__":
    sys.exit(main())
