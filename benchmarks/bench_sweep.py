"""vectorbt 1.2, NautilusTrader and Helios on the same market and strategy: are the trades equal, and how fast is each?

    .venv/bin/python benchmarks/bench_sweep.py [--sweep 20736] [--sets 256] [--months 2024-01 2025-01]

The first month only warms lookbacks. `common_strategy.py` says what all engines trade; vectorbt runs with its Numba and
its Rust engine, in an environment of its own that this command makes. Helios runs the whole sweep, before and after
each of the others; vectorbt, whose time is proportional to sets, some of them, three times, and NautilusTrader a few.
Every engine gets one thread; seconds are processor seconds, so that other programs on the machine disturb little. Then
Helios alone, with funding, stops, holding limits, cooldown and spread: how time and memory grow. Exit code 1 when an
engine disagrees with the kernel.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil

from benchmarks.common_strategy import (
    FILL,
    NOTIONAL,
    SYMBOLS,
    Months,
    common_inputs,
    common_sets,
    full_inputs,
    full_sets,
    load_months,
    write_market,
)
from benchmarks.vectorbt_env.environment import make_environment
from helios_pipeline.core.records import Window
from helios_pipeline.simulation.arrays import Records
from helios_pipeline.simulation.inputs import SLOT_MILLISECONDS, SimulationInputs
from helios_pipeline.simulation.kernel import evaluate, simulate
from helios_pipeline.sweep.points import parameter_sets
from helios_pipeline.sweep.pools import open_threads
from helios_pipeline.sweep.run import Workers, run_sweep

warnings.filterwarnings("ignore", "The 'generic' unit for NumPy timedelta", DeprecationWarning)

SCRIPT = Path(__file__).parent / "vectorbt_env" / "run_vectorbt.py"
COLUMNS = 8
TURNS = 3
"""Runs of each of vectorbt's engines, so that a change of the machine's clock does not decide."""

BUDGETS = {"vectorbt": 100, "NautilusTrader": 5_000}
ORDERS_OF = 64
"""Sets whose every order is compared with vectorbt's; of the others the four metrics are."""
METRICS = ("round_trips", "win_rate", "max_drawdown", "sharpe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """One engine's run.

    Attributes:
        engine: name and version.
        sets: run.
        seconds: processor time for all of them.
        peak_bytes: most memory that its process held; None where it shares one with others.
        compared: what was compared with the kernel, in words.
        difference: the first, in words; None if all was equal.
    """

    engine: str
    sets: int
    seconds: float
    peak_bytes: int | None
    compared: str
    difference: str | None

    @property
    def rate(self) -> float:
        """Sets per second and core."""
        return self.sets / self.seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", nargs=2, default=["2024-01", "2025-01"], metavar=("WARM_UP", "LAST"))
    parser.add_argument("--sets", type=int, default=256, help="of them, that vectorbt runs")
    parser.add_argument("--sweep", type=int, default=20_736, help="sets that Helios runs")
    parser.add_argument("--without", nargs="*", default=[], choices=["vectorbt", "nautilus", "scaling"])
    options = parser.parse_args()
    months = load_months(*options.months)
    window, sweep = months.window, common_sets(options.sweep)
    records = sweep[: options.sets]
    inputs = common_inputs(months, SYMBOLS[:1], window)
    print(
        f"{inputs.instruments[0].instrument_id}, {months.source}, {window.first:%Y-%m-%d} to {window.last:%Y-%m-%d}: "
        f"{len(inputs.opened_at) - inputs.first_slot:,} bars; price score, no stop, no funding, {NOTIONAL:,} USDT an "
        f"entry\n{len(sweep):,} sets, of which {len(records):,} are compared; one thread each, processor seconds; "
        f"{psutil.cpu_count()} cores, load average {psutil.getloadavg()[0]:.1f}",
        flush=True,
    )
    engines: list[Callable[[], Speed]] = []
    if "vectorbt" not in options.without:
        engines += [partial(run_vectorbt, inputs, records, engine) for engine in ("numba", "rust")] * TURNS
    if "nautilus" not in options.without:
        engines += [partial(run_nautilus, inputs, records), partial(run_product, inputs, records)]
    helios, others = [run_helios(inputs, sweep)], list[Speed]()
    for run in engines:
        others.append(run())
        # The machine's clock changes while this runs: each engine is compared with Helios just before and after it.
        helios.append(run_helios(inputs, sweep))
    show_speeds(helios, others)
    if "scaling" not in options.without:
        show_scaling(months, options.sweep)
    return 1 if any(each.difference for each in others) else 0


def run_helios(inputs: SimulationInputs, records: Records) -> Speed:
    """The kernel on the whole sweep, of two seconds at least."""
    seconds, passes, peak = evaluate_apart(inputs, records, 2.0)
    return Speed(
        engine="Helios",
        sets=passes * len(records),
        seconds=seconds,
        peak_bytes=peak,
        compared="",
        difference=None,
    )


def evaluate_for(inputs: SimulationInputs, records: Records, least: float) -> tuple[float, int, int]:
    """Evaluate the sets until so many processor seconds have passed: seconds, passes, and the process's peak memory."""
    span = {"start": inputs.first_slot, "stop": len(inputs.opened_at)}
    evaluate(inputs, records[:1], **span)  # loads the compiled kernel
    began, passes = time.process_time(), 0
    while passes == 0 or time.process_time() - began < least:
        evaluate(inputs, records, **span)
        passes += 1
    seconds = time.process_time() - began
    return seconds, passes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def evaluate_apart(inputs: SimulationInputs, records: Records, least: float) -> tuple[float, int, int]:
    """`evaluate_for` in a process of its own, so that its memory is nobody else's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(evaluate_for, inputs, records, least).result()


def run_vectorbt(inputs: SimulationInputs, records: Records, engine: str) -> Speed:
    """vectorbt in its own environment, compared set by set."""
    python = make_environment()
    with tempfile.TemporaryDirectory(prefix="bench-sweep-") as name:
        folder = Path(name)
        write_market(inputs, records, folder)
        command = [python, str(SCRIPT), name, engine, str(COLUMNS)]
        said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        with np.load(folder / f"{engine}.npz") as found:
            metrics, orders = found["metrics"], found["orders"]
    compared = f"metrics of {len(records):,} sets, {len(orders):,} orders: those of {min(ORDERS_OF, len(records))} sets"
    return Speed(
        engine=f"vectorbt {said['version']}, {engine}",
        sets=len(records),
        seconds=said["seconds"],
        peak_bytes=said["peak_bytes"],
        compared=compared,
        difference=different_metrics(inputs, records, metrics) or different_orders(inputs, records, orders),
    )


def different_metrics(inputs: SimulationInputs, records: Records, metrics: np.ndarray) -> str | None:
    """The first set whose metrics differ: round trips at all, the others by more than rounding."""
    ours = evaluate(inputs, records, start=inputs.first_slot, stop=len(inputs.opened_at)).metrics
    ours = ours.select(METRICS).to_numpy()
    equal = np.isclose(ours, metrics, rtol=1e-9, atol=1e-9, equal_nan=True)
    equal[:, 0] = ours[:, 0] == metrics[:, 0]
    rows, columns = np.nonzero(~equal)
    if len(rows) == 0:
        return None
    k, column = rows[0], columns[0]
    return f"{records[k]}: {METRICS[column]} is {ours[k, column]} in the kernel, {metrics[k, column]} in vectorbt"


def different_orders(inputs: SimulationInputs, records: Records, orders: np.ndarray) -> str | None:
    """The first order that differs from the kernel's fill, among some of the sets."""
    instrument = inputs.instruments[0]
    for k in range(min(ORDERS_OF, len(records))):
        own = orders[orders["col"] == k]
        theirs = np.zeros(len(own), FILL)
        theirs["row"], theirs["side"] = own["idx"], np.where(own["side"] == 0, 1, -1)
        theirs["lots"] = np.rint(own["size"] / float(instrument.lot))
        theirs["ticks"] = np.rint(own["price"] / float(instrument.tick))
        theirs["fee"] = np.rint(own["fees"] * 1e8)
        ours = kernel_fills(inputs, records, k)
        if len(ours) == len(theirs):  # a fee in floating point may round to the next quantum of 1e-8
            theirs["fee"] -= np.clip(theirs["fee"] - ours["fee"], -1, 1)
        if difference := first_difference(ours, theirs):
            return f"{records[k]}: {difference}"
    return None


def kernel_fills(inputs: SimulationInputs, records: Records, k: int) -> np.ndarray:
    """The kernel's fills of one set, as `FILL`."""
    span = {"start": inputs.first_slot, "stop": len(inputs.opened_at)}
    fills = simulate(inputs, parameter_sets(records[k : k + 1])[0], **span).fills
    found = np.zeros(len(fills), FILL)
    opened = int(inputs.opened_at[inputs.first_slot]) * 1_000_000
    found["row"] = (fills["filled_at_ns"].to_numpy() - opened) // (SLOT_MILLISECONDS * 1_000_000)
    for name, column in (("side", "side"), ("lots", "lots"), ("ticks", "price_ticks"), ("fee", "fee_quanta")):
        found[name] = fills[column].to_numpy()
    return found


def first_difference(ours: np.ndarray, theirs: np.ndarray) -> str | None:
    for row, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one != other:
            return f"fill {row} {FILL.names} is {one} in the kernel, {other} there"
    return None if len(ours) == len(theirs) else f"{len(ours)} fills in the kernel, {len(theirs)} there"


def run_nautilus(inputs: SimulationInputs, records: Records) -> Speed:
    """The bare strategy in NautilusTrader: three of the sets."""
    # Imported where it is used: processes whose memory is measured import this module too.
    from benchmarks.bare_backtest import bare_events, run_bare
    from helios_pipeline.simulation.nautilus import Markets

    markets = Markets(inputs)
    events = bare_events(inputs, markets)
    chosen = sorted({0, len(records) // 2, len(records) - 1})
    seconds, fills, difference = 0.0, 0, None
    for k in chosen:
        run = run_bare(inputs, markets, events, parameter_sets(records[k : k + 1])[0], NOTIONAL)
        seconds += run.seconds
        fills += len(run.fills)
        difference = difference or first_difference(kernel_fills(inputs, records, k), run.fills)
    return Speed(
        engine="NautilusTrader, bare",
        sets=len(chosen),
        seconds=seconds,
        peak_bytes=None,
        compared=f"{fills:,} fills of {len(chosen)} sets",
        difference=difference,
    )


def run_product(inputs: SimulationInputs, records: Records) -> Speed:
    """The strategy that trades live, in NautilusTrader, as finalists run in it."""
    from helios_pipeline.simulation.nautilus import compare, run_backtest

    parameters = parameter_sets(records[len(records) // 2 :][:1])[0]
    span = {"start": inputs.first_slot, "stop": len(inputs.opened_at)}
    began, processor = time.perf_counter(), time.process_time()
    backtest = run_backtest(inputs, parameters, **span)
    # The call also makes the engine's data; of the processor's time the engine had its share of the time that passed.
    share = backtest.run_seconds / (time.perf_counter() - began)
    seconds = share * (time.process_time() - processor)
    return Speed(
        engine="NautilusTrader, live strategy",
        sets=1,
        seconds=seconds,
        peak_bytes=None,
        compared=f"{len(backtest.fills):,} fills of 1 set",
        difference=compare(simulate(inputs, parameters, **span), backtest),
    )


def together(runs: Sequence[Speed]) -> Speed:
    """Some runs of one engine as one."""
    difference = next((run.difference for run in runs if run.difference), None)
    return replace(
        runs[0], sets=sum(run.sets for run in runs), seconds=sum(run.seconds for run in runs), difference=difference
    )


def show_speeds(helios: Sequence[Speed], others: Sequence[Speed]) -> None:
    """The table, then whether the trades agree.

    Args:
        helios: its runs before, between and after those of the others.
        others: their runs, one or more of each.
    """
    print(f"  {'engine':<30} {'sets':>8} {'seconds':>8} {'sets/s':>10} {'memory':>9}  Helios is")
    rows: list[tuple[Speed, Speed | None]] = [(together(helios), None)]
    for engine in dict.fromkeys(run.engine for run in others):
        turns = [k for k, run in enumerate(others) if run.engine == engine]
        beside = together([run for k in turns for run in helios[k : k + 2]])
        rows.append((together([others[k] for k in turns]), beside))
    for each, beside in rows:
        memory = "" if each.peak_bytes is None else f"{each.peak_bytes / 1e6:,.0f} MB"
        ratio = "" if beside is None else f"{beside.rate / each.rate:,.0f} ×"
        budget = next((least for name, least in BUDGETS.items() if each.engine.startswith(name)), None)
        needed = "" if budget is None else f" (budget {budget:,} ×)"
        print(
            f"  {each.engine:<30} {each.sets:>8,} {each.seconds:>8.2f} {each.rate:>10,.1f} {memory:>9}  {ratio}{needed}"
        )
    for each, _ in rows[1:]:
        print(f"  {each.engine}: {each.compared}; {each.difference or 'all equal to the kernel'}", flush=True)


def show_scaling(months: Months, count: int) -> None:
    """Time against bars, markets, sets and workers, everything on."""
    records, window = full_sets(count), months.window
    inputs = full_inputs(months, SYMBOLS[:1], window)
    print(f"Helios with everything on, {len(records):,} sets unless said otherwise; one thread, processor seconds")
    for fraction in (8, 4, 2, 1):
        part = records[: len(records) // fraction]
        measure(f"{len(part):>7,} sets", inputs, part)
    some = records[: len(records) // 8]
    print(f"  and with {len(some):,} sets:")
    for part in (4, 2, 1):
        days = (window.last - window.first).days // part
        shorter = Window(first=window.last - timedelta(days=days), last=window.last)
        measure(f"{days * 96:>7,} bars", full_inputs(months, SYMBOLS[:1], shorter), some)
    for number in range(1, len(SYMBOLS) + 1):
        measure(f"{number:>7} markets", full_inputs(months, SYMBOLS[:number], window), some)
    print("  wall seconds of all sets:")
    for workers in (1, 2, 4)[: 1 + (psutil.cpu_count() or 1) // 2]:
        print(f"    {workers} threads: {swept_in(inputs, records, workers):.2f}", flush=True)


def measure(what: str, inputs: SimulationInputs, records: Records) -> None:
    seconds, passes, peak = evaluate_apart(inputs, records, 0.0)
    rate = passes * len(records) / seconds
    print(f"    {what}: {seconds / passes:>7.2f} s, {rate:>8,.0f} sets/s, {peak / 1e6:,.0f} MB", flush=True)


def swept_in(inputs: SimulationInputs, records: Records, workers: int) -> float:
    """Wall seconds of a sweep on that many threads, after the kernel was loaded."""
    span = {"start": inputs.first_slot, "stop": len(inputs.opened_at)}
    with open_threads(workers) as executor:
        chosen = Workers(executor=executor, chunk_size=512, progress=hear_nothing)
        run_sweep(inputs, records[:64], **span, workers=chosen)
        began = time.perf_counter()
        run_sweep(inputs, records, **span, workers=chosen)
        return time.perf_counter() - began


def hear_nothing(done: int, total: int) -> None:
    """Nobody waits."""


if __name__ == "__main__":
    sys.exit(main())
