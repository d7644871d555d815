"""One optimization round: every parameter set with its metrics and verdict."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import polars as pl

from assets.columns import column_schema
from assets.features import funding_features
from assets.pace import Pace
from assets.partitions import QUARTERLY, ROUNDS
from assets.pictures import picture, rows_table
from assets.research import Research
from assets.round_run import chunks_of, run_round
from assets.rounds import RoundPlan, market_data_versions, plan_named_round
from assets.search_statistics import count_trials, price_of_proposal, price_of_round
from assets.sweep_chunks import block_column, blocks_of
from helios_pipeline.adapters.postgres.rounds import RoundStore, SweepRound
from helios_pipeline.core.version import content_version
from helios_pipeline.promotion.luck import beside_luck, luck_sharpe, price_rows
from helios_pipeline.reports.figures import draw_distribution, draw_heat_map
from helios_pipeline.reports.sensitivity import influential_parameters
from helios_pipeline.sweep.grid import PARAMETER_NAMES
from helios_pipeline.sweep.narrowing import propose_next_grid
from helios_pipeline.sweep.positions import snap_to_grid
from helios_pipeline.sweep.rounds import RoundResult, json_value

CODE_VERSION = "2"
SETS_IN_ROW_GROUP = 65_536
"""Sets that are written together, so that a million take no second place in memory."""

BEST_SHOWN = 20
METRICS_SHOWN = (
    "proscore2",
    "sharpe",
    "noise_would_score",
    "net_return",
    "max_drawdown",
    "win_rate",
    "round_trips",
    "failed_constraints",
)


def sweep_version(research: Research, plan: RoundPlan) -> str:
    """Version that the round's results would have if it ran now."""
    return content_version(
        "sweep_results",
        CODE_VERSION,
        round=plan.name,
        market_data=market_data_versions(research, plan, plan.window.last),
    )


def store_round(research: Research, plan: RoundPlan, result: RoundResult, version: str) -> dict[str, Any]:
    """Summary to PostgreSQL, every set to the lake; the round's trials are in the ledger already."""
    proposal = propose_next_grid(result, purge_bars=research.settings.walk_forward.purge_bars)
    summary = {**result.summary(), "next_round": proposal.summary()}
    record_summary(research, plan, summary, version)
    research.lake.replace_streamed(
        "sweep_results", plan.name, _portions(result), version=version, facts={**summary, "best_row": result.best}
    )
    chunks_of(research, plan, version).remove()
    return summary


def record_summary(research: Research, plan: RoundPlan, summary: Mapping[str, Any], version: str) -> None:
    """The round's row, from its summary."""
    RoundStore(research.database()).replace_sweep(
        SweepRound(
            round=plan.name,
            market_data=research.market_data,
            instruments=[instrument.instrument_id for instrument in plan.context.instruments],
            window=plan.window,
            grid={"values": summary["grid"], "search": summary["search"], "next_round": summary["next_round"]},
            sets=summary["sets"],
            passed=summary["passed"],
            trials=count_trials(research, plan, plan.window),
            best=summary["best"],
            distribution=summary["distributions"],
            input_version=version,
        )
    )


def _portions(result: RoundResult) -> Iterator[pl.DataFrame]:
    for first in range(0, result.metrics.height, SETS_IN_ROW_GROUP):
        blocks = result.blocks[first : first + SETS_IN_ROW_GROUP]
        yield result.metrics.slice(first, SETS_IN_ROW_GROUP).with_columns(block_column(blocks))


def load_round(research: Research, plan: RoundPlan) -> RoundResult:
    """A stored round as it was judged.

    Raises:
        DataError: it has not run.
    """
    frame = research.lake.read_named("sweep_results", plan.name)
    metrics, blocks = frame.drop("blocks"), blocks_of(frame)
    facts: dict[str, Any] = research.lake.facts_named("sweep_results", plan.name)
    return RoundResult(
        name=plan.name,
        grid=plan.grid,
        window=plan.window,
        constraints=plan.constraints,
        metrics=metrics,
        blocks=blocks,
        best=facts["best_row"],
        search=plan.search,
        warnings=tuple(facts["warnings"]),
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
        pace = Pace(context.log.info, "sets")

        def tell(done: int, total: int) -> None:
            research.progress("sweep_results", done, total)
            pace(done, total)

        price = price_of_round(research, plan)
        if price is not None:
            context.log.info(price.sentence())
        result = run_round(research, plan, version, tell)
        summary = store_round(research, plan, result, version)
        trials = count_trials(research, plan, plan.window)
        next_price = price_of_proposal(research, plan, summary["next_round"])
    return dg.MaterializeResult(
        data_version=dg.DataVersion(version),
        metadata={
            "dagster/row_count": summary["sets"],
            "dagster/column_schema": column_schema(result.metrics.schema),
            **_pictures(research, result, trials),
            "best_sets": best_sets(result, trials),
            "trials": trials,
            "best_sharpe": _best_sharpe(result, trials),
            "passed": summary["passed"],
            "failed": dg.MetadataValue.json(summary["failed"]),
            "best": dg.MetadataValue.json(summary["best"] | {"noise_would_score": _luck_of_best(result, trials)}),
            "warnings": dg.MetadataValue.json(summary["warnings"]),
            "next_round": dg.MetadataValue.json(summary["next_round"]),
            **({} if next_price is None else {"next_round_price": rows_table(price_rows(next_price))}),
            "window": dg.MetadataValue.json(summary["window"]),
        },
    )


def _pictures(research: Research, result: RoundResult, trials: int) -> dict[str, dg.MarkdownMetadataValue]:
    """Where in the grid the Sharpe ratio is high, and how much of it luck could have shown."""
    # Sets between the grid's values are shown with the nearest: a picture has no row for each of them.
    metrics = snap_to_grid(result.grid, result.metrics)
    names = influential_parameters(metrics)
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


def _best_sharpe(result: RoundResult, trials: int) -> str:
    best = result.metrics.row(result.best, named=True)
    return beside_luck(best["sharpe"], trials=trials, days=int(best["days"]))


def _luck_of_best(result: RoundResult, trials: int) -> float | None:
    luck: float | None = json_value(luck_sharpe(trials, int(result.metrics["days"][result.best])))
    return luck


def best_sets(result: RoundResult, trials: int) -> dg.TableMetadataValue:
    """The first of the sets: those that passed, then by ProScore2 and Sharpe ratio, those without one last.

    Args:
        result: of the round.
        trials: N of the ledger, for the Sharpe ratio that noise would have scored.
    """
    # A NaN would stand above every number.
    metrics = result.metrics.with_columns(pl.col("sharpe").fill_nan(None))
    ranked = metrics.sort("passed", "proscore2", "sharpe", descending=True, nulls_last=True)
    shown = ranked.head(BEST_SHOWN)
    luck = pl.Series("noise_would_score", [luck_sharpe(trials, days) for days in shown["days"]])
    return rows_table(shown.with_columns(luck).select(*PARAMETER_NAMES, *METRICS_SHOWN))
