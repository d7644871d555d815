"""A round's finalists in both engines, side by side, in no more memory than was granted."""

from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context

import polars as pl

from helios_pipeline.core.errors import SimulationError
from helios_pipeline.core.selection import AgreementSummary
from helios_pipeline.simulation.inputs import SimulationInputs
from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.sweep.grid import parameters_of
from helios_pipeline.sweep.rounds import RoundResult
from helios_pipeline.sweep.run import end_with_parent

PROCESS_BYTES = 600_000_000
"""What a process takes that has loaded both engines: 575 MB were measured."""

SLOT_BYTES = 1_500
"""What a market's slot adds, its quotes and bar as NautilusTrader's objects among it: 820 bytes were measured."""

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalistResult:
    """One finalist in both engines.

    Attributes:
        parameters: canonical text.
        fills: compared.
        difference: the first thing that was not equal, in words; None if all was.
        kernel_seconds: wall time of the kernel.
        nautilus_seconds: wall time of NautilusTrader's run.
        peak_mb: most memory that its process held, in megabytes.
        round_trips: the round trips, as the kernel records them.
        equity: `at` and `growth` of 1 at each bar close.
    """

    parameters: str
    fills: int
    difference: str | None
    kernel_seconds: float
    nautilus_seconds: float
    peak_mb: int
    round_trips: pl.DataFrame
    equity: pl.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What finalists may take of the machine. Changes no result.

    Attributes:
        workers: most processes at once.
        memory_mb: memory of all of them together, in megabytes.
    """

    workers: int
    memory_mb: int

    def in_flight(self, inputs: SimulationInputs) -> int:
        """Finalists that run at once: as many as fit, and always one."""
        each = PROCESS_BYTES + SLOT_BYTES * inputs.slots.size
        return max(1, min(self.workers, self.memory_mb * MEGABYTE // each))


def choose_finalists(result: RoundResult, count: int) -> list[ParameterSet]:
    """The round's best set, which would be promoted, and the other passing sets with the highest ProScore2."""
    passing = result.metrics.filter("passed").sort("proscore2", "sharpe", descending=True).head(count)
    # Sets that traded alike share a score, so the best set may not be among the first of the sorted rows.
    others = [parameters_of(row) for row in passing.iter_rows(named=True)]
    return [result.best_parameters, *(one for one in others if one != result.best_parameters)][:count]


def run_finalist(inputs: SimulationInputs, parameters: ParameterSet) -> FinalistResult:
    """Run one set in both engines over the whole window; called in a worker process."""
    import resource
    import time

    from helios_pipeline.reports.performance import set_equity
    from helios_pipeline.simulation.kernel import simulate
    from helios_pipeline.simulation.nautilus import compare, run_backtest

    span = {"start": inputs.first_slot, "stop": len(inputs.opened_at)}
    simulate(inputs, parameters, start=inputs.first_slot, stop=inputs.first_slot + 1)  # loads the compiled kernel
    began = time.perf_counter()
    kernel = simulate(inputs, parameters, **span)
    kernel_seconds = time.perf_counter() - began
    nautilus = run_backtest(inputs, parameters, **span)
    return FinalistResult(
        parameters=parameters.canonical,
        fills=kernel.fills.height,
        difference=compare(kernel, nautilus),
        kernel_seconds=kernel_seconds,
        nautilus_seconds=nautilus.run_seconds,
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // MEGABYTE,
        round_trips=kernel.round_trips,
        equity=set_equity(kernel),
    )


def compare_finalists(
    inputs: SimulationInputs,
    finalists: Sequence[ParameterSet],
    allowance: Allowance,
    progress: Callable[[int, int], None],
) -> list[FinalistResult]:
    """Run the finalists side by side, each in a process of its own, whose memory ends with it.

    Args:
        inputs: the whole window.
        finalists: in the order in which results are wanted.
        allowance: decides how many run at once.
        progress: called with the finished ones and all, after each.

    Raises:
        SimulationError: a process ended without an answer.
    """
    at_once = min(allowance.in_flight(inputs), len(finalists))
    results: dict[int, FinalistResult] = {}
    try:
        with ProcessPoolExecutor(
            at_once, mp_context=get_context("forkserver"), max_tasks_per_child=1, initializer=end_with_parent
        ) as pool:
            pending = {pool.submit(run_finalist, inputs, one): index for index, one in enumerate(finalists)}
            for future in as_completed(pending):
                results[pending[future]] = future.result()
                progress(len(results), len(finalists))
    except BrokenExecutor as error:
        raise SimulationError(
            f"backtest: expected every finalist's process to answer, but one ended with {len(results)} of "
            f"{len(finalists)} done, {at_once} running at once ({error}). Nothing was stored. Most likely it was "
            "killed or memory ran out: lower research.backtest_memory_mb in helios.toml and run it again."
        ) from error
    return [results[index] for index in range(len(finalists))]


def summarise_agreement(results: Sequence[FinalistResult]) -> AgreementSummary:
    """How many finalists agreed, and the first difference if one did not."""
    differences = [result.difference for result in results if result.difference is not None]
    return AgreementSummary(
        sets=len(results),
        fills=sum(result.fills for result in results),
        differences=len(differences),
        first_difference=differences[0] if differences else None,
    )


def refuse_disagreement(results: Sequence[FinalistResult]) -> None:
    """Stop where the engines differ: one of them is wrong, so nothing of the round can be relied on.

    Raises:
        SimulationError: names the set and the first fill that differs.
    """
    differing = [result for result in results if result.difference is not None]
    if differing:
        first = differing[0]
        raise SimulationError(
            f"backtest: expected NautilusTrader to trade what the kernel did, found another result in "
            f"{len(differing)} of {len(results)} finalists. The first, {first.parameters}: {first.difference}. The "
            "report is stored and the agreement gate refuses this round; do not trade a champion of it before the "
            "engines agree."
        )
