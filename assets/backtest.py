"""The round's finalists in a second engine: NautilusTrader has to agree with the kernel to the last quantum."""

import os
from dataclasses import asdict
from typing import Any

import dagster as dg
import polars as pl

from assets.columns import column_schema
from assets.finalists import Allowance, choose_finalists, compare_finalists, refuse_disagreement, summarise_agreement
from assets.partitions import QUARTERLY, ROUNDS
from assets.pictures import picture, rows_table
from assets.research import Research
from assets.rounds import RoundPlan, load_inputs, plan_named_round
from assets.sweep import load_round, sweep_results
from helios_pipeline.adapters.postgres.rounds import RoundStore
from helios_pipeline.core.version import content_version
from helios_pipeline.reports.figures import draw_equity
from helios_pipeline.reports.performance import NO_EQUITY

SHOWN = ("parameters", "fills", "difference", "nautilus_seconds", "peak_mb")
CODE_VERSION = "2"


def backtest_version(research: Research, plan: RoundPlan) -> str:
    """Version that the round's report would have if it ran now."""
    return content_version(
        "backtest_report",
        CODE_VERSION,
        sweep=research.lake.version_named("sweep_results", plan.name),
        sets=research.settings.gates.agreement_sets,
    )


def disagreement_version(version: str) -> str:
    """Version that a disagreement is stored under: never a report's, so the next run looks again, and stops again."""
    return content_version("disagreement", "1", of=version)


def allowance_of(research: Research) -> Allowance:
    """What the settings grant the finalists."""
    granted = research.settings.research
    return Allowance(workers=granted.workers or os.cpu_count() or 1, memory_mb=granted.backtest_memory_mb)


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
    """Finalists in NautilusTrader.

    Raises:
        SimulationError: an engine traded something else; the report is stored first.
    """
    plan = plan_named_round(research, context.partition_key)
    with research.lock("backtest_report", plan.name):
        version = backtest_version(research, plan)
        finalists = choose_finalists(load_round(research, plan), research.settings.gates.agreement_sets)
        results = compare_finalists(
            load_inputs(research, plan, plan.window),
            finalists,
            allowance_of(research),
            lambda done, total: research.progress("backtest_report", done, total),
        )
        agreement = asdict(summarise_agreement(results))
        stored_as = disagreement_version(version) if agreement["differences"] else version
        rows = [{name: getattr(result, name) for name in SHOWN} for result in results]
        report = {"agreement": agreement, "finalists": rows}
        round_trips = pl.concat(
            result.round_trips.with_columns(parameters=pl.lit(result.parameters)) for result in results
        )
        research.lake.replace_named("backtest_report", plan.name, round_trips, version=stored_as, facts=report)
        RoundStore(research.database()).replace_backtest(plan.name, report, stored_as)
    refuse_disagreement(results)
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
