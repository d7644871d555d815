"""The round's finalists in a second engine: NautilusTrader has to agree with the kernel to the last quantum."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import Any

import dagster as dg
import polars as pl

from assets.columns import column_schema
from assets.partitions import QUARTERLY, ROUNDS
from assets.pictures import picture, rows_table
from assets.research import Research
from assets.rounds import RoundPlan, load_inputs, plan_named_round
from assets.sweep import load_round, sweep_results
from helios_pipeline.adapters.postgres.rounds import RoundStore
from helios_pipeline.core.selection import AgreementSummary
from helios_pipeline.core.version import content_version
from helios_pipeline.reports.figures import draw_equity
from helios_pipeline.reports.performance import NO_EQUITY
from helios_pipeline.simulation.inputs import SimulationInputs
from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.sweep.grid import parameters_of
from helios_pipeline.sweep.rounds import RoundResult

CODE_VERSION = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalistResult:
    """One finalist in both engines.

    Attributes:
        parameters: canonical text.
        fills: compared.
        difference: the first thing that was not equal, in words; None if all was.
        kernel_seconds: wall time of the kernel.
        nautilus_seconds: wall time of NautilusTrader's run.
        round_trips: the round trips, as the kernel records them.
        equity: `at` and `growth` of 1 at each bar close.
    """

    parameters: str
    fills: int
    difference: str | None
    kernel_seconds: float
    nautilus_seconds: float
    round_trips: pl.DataFrame
    equity: pl.DataFrame


def backtest_version(research: Research, plan: RoundPlan) -> str:
    """Version that the round's report would have if it ran now."""
    return content_version(
        "backtest_report",
        CODE_VERSION,
        sweep=research.lake.version_named("sweep_results", plan.name),
        sets=research.settings.gates.agreement_sets,
    )


def choose_finalists(result: RoundResult, count: int) -> list[ParameterSet]:
    """The round's best set, which would be promoted, and the other passing sets with the highest ProScore2."""
    passing = result.metrics.filter("passed").sort("proscore2", "sharpe", descending=True).head(count)
    # Sets that traded alike share a score, so the best set may not be among the first of the sorted rows.
    others = [parameters_of(row) for row in passing.iter_rows(named=True)]
    return [result.best_parameters, *(one for one in others if one != result.best_parameters)][:count]


def run_finalist(inputs: SimulationInputs, parameters: ParameterSet) -> FinalistResult:
    """Run one set in both engines over the whole window; called in a worker process."""
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
        round_trips=kernel.round_trips,
        equity=set_equity(kernel),
    )


def compare_finalists(
    research: Research, inputs: SimulationInputs, finalists: Sequence[ParameterSet]
) -> list[FinalistResult]:
    """Run the finalists side by side, each in a process of its own, since NautilusTrader holds one engine's memory."""
    workers = min(research.settings.research.workers or 2, len(finalists))
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver"), max_tasks_per_child=1) as pool:
        pending = [pool.submit(run_finalist, inputs, parameters) for parameters in finalists]
        results = []
        for future in pending:
            results.append(future.result())
            research.progress("backtest_report", len(results), len(finalists))
        return results


def summarise_agreement(results: Sequence[FinalistResult]) -> AgreementSummary:
    """How many finalists agreed, and the first difference if one did not."""
    differences = [result.difference for result in results if result.difference is not None]
    return AgreementSummary(
        sets=len(results),
        fills=sum(result.fills for result in results),
        differences=len(differences),
        first_difference=differences[0] if differences else None,
    )


@dg.asset(
    deps=[sweep_results],
    partitions_def=ROUNDS,
    group_name="research",
    kinds={"postgres"},
    owners=["team:research"],
    tags={"stage": "backtest"},
    code_version=CODE_VERSION,
    freshness_policy=QUARTERLY,
    description="The round's finalists re-run in NautilusTrader: every fill, fee and payment compared with the kernel.",
)
def backtest_report(
    context: dg.AssetExecutionContext, research: dg.ResourceParam[Research]
) -> dg.MaterializeResult[Any]:
    """Finalists in NautilusTrader."""
    plan = plan_named_round(research, context.partition_key)
    with research.lock("backtest_report", plan.name):
        version = backtest_version(research, plan)
        finalists = choose_finalists(load_round(research, plan), research.settings.gates.agreement_sets)
        results = compare_finalists(research, load_inputs(research, plan, plan.window), finalists)
        agreement = asdict(summarise_agreement(results))
        rows = [
            {name: getattr(result, name) for name in ("parameters", "fills", "difference", "nautilus_seconds")}
            for result in results
        ]
        report = {"agreement": agreement, "finalists": rows}
        round_trips = pl.concat(
            result.round_trips.with_columns(parameters=pl.lit(result.parameters)) for result in results
        )
        research.lake.replace_named("backtest_report", plan.name, round_trips, version=version, facts=report)
        RoundStore(research.database()).replace_backtest(plan.name, report, version)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(version),
        metadata={
            "dagster/row_count": round_trips.height,
            "dagster/column_schema": column_schema(round_trips.schema),
            "agreement": dg.MetadataValue.json(agreement),
            "finalists": rows_table(rows),
            "equity": picture(
                research,
                f"backtest_report/{plan.name}",
                draw_equity(results[0].equity, NO_EQUITY),
                "Equity of the first finalist, in sample",
            ),
        },
    )
