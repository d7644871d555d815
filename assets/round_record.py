"""What a round's report is made of, out of lake and database."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from assets.promotion import collect_evidence, count_trials, decision_version
from assets.research import Research
from assets.rounds import RoundPlan, load_inputs
from assets.search_statistics import interval_of, price_of_proposal
from assets.sweep import load_round
from helios_pipeline.adapters.postgres.promotions import PromotionStore, StoredDecision
from helios_pipeline.adapters.postgres.round_history import RoundHistory
from helios_pipeline.core.errors import DataError
from helios_pipeline.core.keys import PIPELINE_NETWORK
from helios_pipeline.core.selection import GateResult, Gates
from helios_pipeline.core.version import content_version
from helios_pipeline.promotion.gates import judge_gates
from helios_pipeline.promotion.hurdle import measure_hurdle
from helios_pipeline.promotion.search_statistics import search_statistics
from helios_pipeline.reports.round_page import RecordedDecision, RoundReport
from helios_pipeline.simulation.kernel import simulate
from helios_pipeline.simulation.record import Simulation
from helios_pipeline.strategy.parameters import ParameterSet

ROUND_REPORT_VERSION = "3"
INPUTS = ("sweep_results", "walk_forward_report", "backtest_report")


def round_report_version(research: Research, plan: RoundPlan) -> str:
    """Version that the round's report would have if it were made now."""
    decision = newest_decision(research, plan)
    return content_version(
        "round_report",
        ROUND_REPORT_VERSION,
        inputs={name: research.lake.version_named(name, plan.name) for name in INPUTS},
        gates=research.settings.gates.model_dump(),
        statistics=research.settings.statistics.model_dump(),
        trials=count_trials(research, plan),
        decision=None if decision is None else decision.promotion_id,
    )


def gather_round(research: Research, plan: RoundPlan) -> RoundReport:
    """Everything a round's report shows; the holdout is not looked at.

    Raises:
        DataError: a part of the round has not run.
    """
    versions = _input_versions(research, plan)
    result, evidence = load_round(research, plan), collect_evidence(research, plan)
    gates = Gates(**research.settings.gates.model_dump(exclude={"agreement_sets"}))
    hurdle = measure_hurdle(evidence, gates)
    simulation = simulate_set(research, plan, result.best_parameters)
    summary = research.lake.facts_named("sweep_results", plan.name)
    walk_forward = research.lake.facts_named("walk_forward_report", plan.name)
    backtest = research.lake.facts_named("backtest_report", plan.name)
    return RoundReport(
        name=plan.name,
        market_data=research.market_data,
        instruments=plan.context.instruments,
        costs=plan.context.costs,
        window=plan.window,
        holdout=plan.holdout,
        summary=summary,
        metrics=result.metrics,
        folds=research.lake.read_named("walk_forward_report", plan.name),
        stability=walk_forward["stability"],
        efficiency=walk_forward["efficiency"],
        out_of_sample=growth_of(walk_forward["equity"]),
        simulation=simulation,
        initial_equity_quote=float(research.settings.research.initial_equity_quote),
        agreement=backtest["agreement"],
        finalists=backtest["finalists"],
        gates=judge_gates(evidence, constraints=plan.constraints, gates=gates, hurdle=hurdle),
        hurdle=hurdle,
        statistics=search_statistics(evidence, hurdle, interval_of(research, simulation.daily_returns)),
        rounds=tuple(RoundHistory(research.database()).until(plan.name)),
        next_price=price_of_proposal(research, plan, summary["next_round"]),
        decision=_recorded(research, plan),
        input_versions=versions,
        version=round_report_version(research, plan),
        made_at=research.now,
    )


def simulate_set(research: Research, plan: RoundPlan, parameters: ParameterSet) -> Simulation:
    """One set over the round's window, with everything that happened."""
    inputs = load_inputs(research, plan, plan.window)
    return simulate(inputs, parameters, start=inputs.first_slot, stop=len(inputs.opened_at))


def growth_of(equity: Mapping[str, Any]) -> pl.DataFrame:
    """`at`, the end of each out-of-sample day, and `growth`, of a walk-forward report as it is stored."""
    return pl.DataFrame(
        {"at": equity["day"], "growth": equity["growth"]}, schema={"at": pl.String, "growth": pl.Float64}
    ).with_columns(pl.col("at").str.to_datetime(time_unit="us", time_zone="UTC").dt.offset_by("1d"))


def newest_decision(research: Research, plan: RoundPlan) -> StoredDecision | None:
    """The newest decision about the round on record."""
    decisions = PromotionStore(research.database()).decisions(PIPELINE_NETWORK, limit=100)
    return next((stored for stored in decisions if stored.decision.round == plan.name), None)


def gates_on_record(stored: StoredDecision) -> tuple[GateResult, ...]:
    """The gates of a decision, as they were judged."""
    report: Any = stored.decision.gates
    return tuple(GateResult(**gate) for gate in report["gates"])


def _recorded(research: Research, plan: RoundPlan) -> RecordedDecision | None:
    stored = newest_decision(research, plan)
    if stored is None:
        return None
    report: Any = stored.decision.gates
    return RecordedDecision(
        outcome=stored.decision.decision,
        decided_at=stored.decided_at,
        summary=report["summary"],
        gates=gates_on_record(stored),
        current=report["version"] == decision_version(research, plan),
    )


def _input_versions(research: Research, plan: RoundPlan) -> dict[str, str]:
    versions = {name: research.lake.version_named(name, plan.name) for name in INPUTS}
    for name, version in versions.items():
        if version is None:
            raise DataError(f"round_report: expected {name} of round {plan.name}, found none. Run `helios research`.")
    return {name: str(version) for name, version in versions.items()}
