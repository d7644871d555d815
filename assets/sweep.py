"""One optimization round: every parameter set with its metrics and verdict."""

from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from assets.columns import column_schema
from assets.features import funding_features
from assets.partitions import QUARTERLY, ROUNDS
from assets.pictures import picture, rows_table
from assets.research import Research
from assets.rounds import RoundPlan, load_inputs, market_data_versions, plan_named_round
from helios_pipeline.adapters.postgres.ledger import LedgerStore
from helios_pipeline.adapters.postgres.rounds import RoundStore, SweepRound
from helios_pipeline.core.version import content_version
from helios_pipeline.reports.figures import draw_distribution, draw_heat_map
from helios_pipeline.reports.luck import luck_sharpe
from helios_pipeline.reports.sensitivity import influential_parameters
from helios_pipeline.sweep.grid import PARAMETER_NAMES
from helios_pipeline.sweep.ledger import ledger_entries
from helios_pipeline.sweep.narrowing import propose_next_grid
from helios_pipeline.sweep.rounds import RoundResult, judge_round
from helios_pipeline.sweep.run import Workers, open_pool, run_sweep

CODE_VERSION = "1"
CHUNK_SIZE = 256
"""Sets in one task: some tenths of a second of work, so that price scores are shared and progress still moves."""

BEST_SHOWN = 20
METRICS_SHOWN = ("proscore2", "sharpe", "net_return", "max_drawdown", "win_rate", "round_trips", "failed_constraints")


def sweep_version(research: Research, plan: RoundPlan) -> str:
    """Version that the round's results would have if it ran now."""
    return content_version(
        "sweep_results",
        CODE_VERSION,
        round=plan.name,
        market_data=market_data_versions(research, plan, plan.window.last),
    )


def run_round(research: Research, plan: RoundPlan) -> RoundResult:
    """Evaluate and judge every set of the round on its window."""
    inputs = load_inputs(research, plan, plan.window)
    with open_pool(inputs, research.settings.research.workers) as pool:
        workers = Workers(
            executor=pool,
            chunk_size=CHUNK_SIZE,
            progress=lambda done, total: research.progress("sweep_results", done, total),
        )
        sweep = run_sweep(inputs, plan.grid, start=inputs.first_slot, stop=len(inputs.opened_at), workers=workers)
    return judge_round(plan.name, sweep, grid=plan.grid, window=plan.window, constraints=plan.constraints)


def store_round(research: Research, plan: RoundPlan, result: RoundResult, version: str) -> dict[str, Any]:
    """Ledger first, results after: a set that anyone could have seen has been counted."""
    summary = {**result.summary(), "next_round": propose_next_grid(result).summary()}
    entries = ledger_entries(result, plan.context, market_data=research.market_data)
    LedgerStore(research.database()).record(entries)
    RoundStore(research.database()).replace_sweep(
        SweepRound(
            round=plan.name,
            market_data=research.market_data,
            instruments=[instrument.instrument_id for instrument in plan.context.instruments],
            window=plan.window,
            grid={"values": summary["grid"], "next_round": summary["next_round"]},
            sets=summary["sets"],
            passed=summary["passed"],
            best=summary["best"],
            distribution=summary["distributions"],
            input_version=version,
        )
    )
    packed = [block.tobytes() for block in np.ascontiguousarray(result.blocks, dtype="<f8")]
    frame = result.metrics.with_columns(pl.Series("blocks", packed, dtype=pl.Binary))
    research.lake.replace_named(
        "sweep_results", plan.name, frame, version=version, facts={**summary, "best_row": result.best}
    )
    return summary


def load_round(research: Research, plan: RoundPlan) -> RoundResult:
    """A stored round as it was judged.

    Raises:
        DataError: it has not run.
    """
    frame = research.lake.read_named("sweep_results", plan.name)
    blocks = np.frombuffer(b"".join(frame["blocks"]), "<f8").reshape(frame.height, -1, 3)
    metrics = frame.drop("blocks")
    best = research.lake.facts_named("sweep_results", plan.name)["best_row"]
    return RoundResult(
        name=plan.name,
        grid=plan.grid,
        window=plan.window,
        constraints=plan.constraints,
        metrics=metrics,
        blocks=blocks,
        best=int(str(best)),
    )


@dg.asset(
    # Which months a round reads is part of its name, so any of them may be meant.
    deps=[dg.AssetDep(funding_features, partition_mapping=dg.AllPartitionMapping())],
    partitions_def=ROUNDS,
    group_name="research",
    kinds={"polars", "parquet", "postgres"},
    owners=["team:research"],
    tags={"stage": "sweep"},
    code_version=CODE_VERSION,
    freshness_policy=QUARTERLY,
    description="Every parameter set of a round with its metrics, verdict and ProScore2; counted in the ledger.",
)
def sweep_results(context: dg.AssetExecutionContext, research: dg.ResourceParam[Research]) -> dg.MaterializeResult[Any]:
    """Every parameter set of a round."""
    plan = plan_named_round(research, context.partition_key)
    with research.lock("sweep_results", plan.name):
        version = sweep_version(research, plan)
        result = run_round(research, plan)
        summary = store_round(research, plan, result, version)
        ids = [instrument.instrument_id for instrument in plan.context.instruments]
        trials = LedgerStore(research.database()).count_trials(research.market_data, ids, plan.window)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(version),
        metadata={
            "dagster/row_count": summary["sets"],
            "dagster/column_schema": column_schema(result.metrics.schema),
            **_pictures(research, result, trials),
            "best_sets": _best_sets(result),
            "trials": trials,
            "passed": summary["passed"],
            "failed": dg.MetadataValue.json(summary["failed"]),
            "best": dg.MetadataValue.json(summary["best"]),
            "edge_warnings": dg.MetadataValue.json(summary["edge_warnings"]),
            "next_round": dg.MetadataValue.json(summary["next_round"]),
            "window": dg.MetadataValue.json(summary["window"]),
        },
    )


def _pictures(research: Research, result: RoundResult, trials: int) -> dict[str, dg.MarkdownMetadataValue]:
    """Where in the grid the Sharpe ratio is high, and how much of it luck could have shown."""
    metrics, names = result.metrics, influential_parameters(result.metrics)
    best, days = float(metrics["sharpe"][result.best]), int(metrics["days"][result.best])
    figure = draw_distribution(metrics["sharpe"].to_numpy(), best=best, luck=luck_sharpe(trials, days), needed=None)
    where = f"sweep_results/{result.name}"
    shown = {
        "sharpe_distribution": picture(research, f"{where}/sharpe", figure, f"Sharpe ratio of {metrics.height} sets")
    }
    if len(names) > 1:
        words = f"Sharpe ratio, {names[1]} against {names[0]}"
        shown["heat_map"] = picture(research, f"{where}/heat_map", draw_heat_map(metrics, names[0], names[1]), words)
    return shown


def _best_sets(result: RoundResult) -> dg.TableMetadataValue:
    ranked = result.metrics.sort("passed", "proscore2", "sharpe", descending=True, nulls_last=True)
    return rows_table(ranked.select(*PARAMETER_NAMES, *METRICS_SHOWN), limit=BEST_SHOWN)
