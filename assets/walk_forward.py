"""Walk-forward: the round's procedure judged on bars it had not seen."""

import json
from collections.abc import Callable
from typing import Any

import dagster as dg
import polars as pl

from assets.columns import column_schema
from assets.fold_trials import keep_fold_trials
from assets.partitions import QUARTERLY, ROUNDS
from assets.pictures import picture, rows_table
from assets.research import Research
from assets.round_run import CHUNK_SIZE
from assets.rounds import RoundPlan, load_inputs, plan_named_round
from assets.sweep import sweep_results
from helios_pipeline.adapters.postgres.rounds import RoundStore
from helios_pipeline.core.records import Window
from helios_pipeline.core.version import content_version
from helios_pipeline.reports.figures import draw_choices, draw_equity, draw_folds
from helios_pipeline.reports.performance import NO_EQUITY
from helios_pipeline.sweep.run import Sweep, Workers
from helios_pipeline.walk_forward.folds import FoldLengths
from helios_pipeline.walk_forward.result import WalkForwardResult, in_sample_window
from helios_pipeline.walk_forward.run import plan_folds, run_walk_forward

CODE_VERSION = "2"


def walk_forward_version(research: Research, plan: RoundPlan) -> str:
    """Version that the round's report would have if it ran now."""
    return content_version(
        "walk_forward_report",
        CODE_VERSION,
        sweep=research.lake.version_named("sweep_results", plan.name),
        folds=research.settings.walk_forward.model_dump(),
        # Reports of before the sets of such folds were counted are made again.
        **({"trials": "counted"} if plan.search.adaptive else {}),
    )


def judge_procedure(research: Research, plan: RoundPlan, keep: Callable[[Window, Sweep], None]) -> WalkForwardResult:
    """Repeat the whole sweep in every fold and trade each fold's choice on the bars after it.

    Args:
        research: lake and settings.
        plan: the round.
        keep: given every batch of sets of every fold with its in-sample window.
    """
    inputs = load_inputs(research, plan, plan.window)
    lengths = FoldLengths(**research.settings.walk_forward.model_dump())
    folds = plan_folds(inputs, plan.grid, lengths, start=inputs.first_slot, stop=len(inputs.opened_at))
    with research.open_workers(inputs) as pool:
        workers = Workers(
            executor=pool,
            chunk_size=CHUNK_SIZE,
            progress=lambda done, total: research.progress("walk_forward_report", done, total),
        )
        return run_walk_forward(
            inputs,
            plan.grid,
            plan.search,
            folds=folds,
            constraints=plan.constraints,
            workers=workers,
            keep=lambda fold, sweep: keep(in_sample_window(inputs, fold), sweep),
        )


@dg.asset(
    deps=[sweep_results],
    partitions_def=ROUNDS,
    group_name="research",
    kinds={"polars", "postgres"},
    owners=["team:research"],
    tags={"stage": "walk_forward"},
    code_version=CODE_VERSION,
    freshness_policy=QUARTERLY,
    description="Fold by fold: what in-sample bars chose, and what that earned on the bars after an embargo.",
)
def walk_forward_report(
    context: dg.AssetExecutionContext, research: dg.ResourceParam[Research]
) -> dg.MaterializeResult[Any]:
    """Fold by fold results."""
    plan = plan_named_round(research, context.partition_key)
    with research.lock("walk_forward_report", plan.name):
        version = walk_forward_version(research, plan)
        with keep_fold_trials(research, plan, version) as keep:
            result = judge_procedure(research, plan, keep)
        report = result.report()
        research.lake.replace_named("walk_forward_report", plan.name, result.folds, version=version, facts=report)
        RoundStore(research.database()).replace_walk_forward(plan.name, report, version)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(version),
        metadata={
            "dagster/row_count": result.folds.height,
            "dagster/column_schema": column_schema(result.folds.schema),
            "summary": dg.MetadataValue.json(report["summary"] | {"efficiency": report["efficiency"]}),
            "equity": picture(
                research,
                f"walk_forward_report/{plan.name}/equity",
                draw_equity(NO_EQUITY, _growth(result)),
                "Equity and drawdown out of sample",
            ),
            "sharpe_by_fold": picture(
                research,
                f"walk_forward_report/{plan.name}/folds",
                draw_folds(result.folds),
                "Sharpe ratio in and out of sample per fold",
            ),
            "choices": picture(
                research,
                f"walk_forward_report/{plan.name}/choices",
                draw_choices(plan.grid.as_values(), _choices(result)),
                "Value of each parameter that each fold chose",
            ),
            "folds": rows_table(result.folds),
            "stability": rows_table(result.stability),
        },
    )


def _choices(result: WalkForwardResult) -> list[dict[str, float] | None]:
    return [None if text is None else json.loads(text) for text in result.folds["parameters"]]


def _growth(result: WalkForwardResult) -> pl.DataFrame:
    """What 1 had grown to at the end of each out-of-sample day."""
    return result.equity.select(at=pl.col("day").dt.offset_by("1d"), growth="growth")
