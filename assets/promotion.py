"""The champion: a signed manifest, or a refusal that names the gate."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import dagster as dg

from assets.backtest import backtest_report
from assets.current import PARTS, require_current
from assets.partitions import QUARTERLY, ROUNDS
from assets.pictures import rows_table
from assets.recount import recount_round
from assets.research import Research
from assets.rounds import RoundPlan, load_inputs, market_data_versions, plan_named_round
from assets.search_statistics import count_trials as trials_on
from assets.search_statistics import ledger_statistics
from assets.sweep import load_round
from assets.walk_forward import walk_forward_report
from helios_pipeline.adapters.champion.files import write_champion
from helios_pipeline.adapters.keys.files import load_key, new_key
from helios_pipeline.adapters.postgres.holdout import HoldoutStore
from helios_pipeline.adapters.postgres.promotions import Decision as Record
from helios_pipeline.adapters.postgres.promotions import PromotionStore
from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.errors import ManifestError
from helios_pipeline.core.keys import PIPELINE_NETWORK, SigningKey
from helios_pipeline.core.manifest import Approval, Provenance, SignedManifest, TradingTerms, sign_manifest
from helios_pipeline.core.selection import AgreementSummary, GateResult, Gates, HoldoutRules, WalkForwardSummary
from helios_pipeline.core.version import content_version
from helios_pipeline.promotion.decision import Decision, decide_promotion, gate_rows, make_manifest
from helios_pipeline.promotion.evidence import Evidence, gather_evidence
from helios_pipeline.promotion.holdout import HoldoutRequest, look_at_holdout
from helios_pipeline.promotion.luck import beside_luck
from helios_pipeline.simulation.kernel import simulate
from helios_pipeline.sweep.ledger import ledger_key

CODE_VERSION = "3"


def decision_version(research: Research, plan: RoundPlan) -> str:
    """Version that the decision would have if it were made now: evidence, thresholds and the ledger's count."""
    settings = research.settings
    return content_version(
        "promoted_parameters",
        CODE_VERSION,
        evidence={
            name: research.lake.version_named(name, plan.name)
            for name in ("sweep_results", "walk_forward_report", "backtest_report")
        },
        gates=settings.gates.model_dump(),
        statistics=settings.statistics.model_dump(),
        holdout=settings.holdout.model_dump(),
        trials=count_trials(research, plan),
    )


def count_trials(research: Research, plan: RoundPlan) -> int:
    """N: distinct sets ever evaluated on bars of this window."""
    return trials_on(research, plan, plan.window)


def collect_evidence(research: Research, plan: RoundPlan) -> Evidence:
    """Everything the gates read, out of lake and ledger.

    Raises:
        DataError: a part of the round has not run on what is stored and set now, or the ledger lacks its trials.
    """
    require_current(research, plan, "evidence", list(PARTS))
    backtest = research.lake.facts_named("backtest_report", plan.name)["agreement"]
    summary = research.lake.facts_named("walk_forward_report", plan.name)["summary"]
    result = load_round(research, plan)
    compared = ledger_statistics(research, plan, result)
    return gather_evidence(
        result,
        trials=count_trials(research, plan),
        pbo=compared.pbo,
        walk_forward=WalkForwardSummary(**_numbers(summary)),
        agreement=AgreementSummary(**dict(backtest)),
        effective_trials=compared.effective_trials,
        reality_check=compared.reality_check,
    )


def decide(research: Research, plan: RoundPlan) -> Decision:
    """Judge every gate; the holdout is looked at only for a candidate that passed all others."""
    settings = research.settings
    evidence = collect_evidence(research, plan)
    gates = Gates(**settings.gates.model_dump(exclude={"agreement_sets"}))
    return decide_promotion(
        evidence, constraints=plan.constraints, gates=gates, look=lambda: _look(research, plan, evidence)
    )


def record_decision(research: Research, plan: RoundPlan, decision: Decision, version: str) -> dict[str, Any]:
    """Store the decision; a promotion is signed and becomes the network's champion, in the database and as a file."""
    settings = research.settings
    signed = _sign(research, plan, decision) if decision.promoted else None
    report = {"version": version, "summary": decision.summary, "gates": [asdict(gate) for gate in decision.gates]}
    PromotionStore(research.database()).record(
        Record(
            network=PIPELINE_NETWORK,
            decision="promoted" if signed else "refused",
            round=plan.name,
            candidate=None if decision.candidate is None else asdict(decision.candidate),
            gates=report,
            manifest=None if signed is None else signed.content,
            signature=None if signed is None else signed.signature.hex(),
            key_id=None if signed is None else signed.key_id,
        )
    )
    if signed is not None:
        write_champion(settings.home, PIPELINE_NETWORK, signed)
    return report


def pipeline_key(research: Research) -> SigningKey:
    """The pipeline's own key, made on first use; it may sign for paper only."""
    path = research.settings.home / "keys" / "pipeline.json"
    if not path.exists():
        new_key(path, "pipeline")
    return load_key(path)


@dg.asset(
    deps=[backtest_report, walk_forward_report],
    partitions_def=ROUNDS,
    group_name="research",
    kinds={"postgres"},
    owners=["team:research"],
    tags={"stage": "promotion"},
    code_version=CODE_VERSION,
    freshness_policy=QUARTERLY,
    description="The champion as a signed manifest, or a refusal that names the gate that failed.",
)
def promoted_parameters(
    context: dg.AssetExecutionContext, research: dg.ResourceParam[Research]
) -> dg.MaterializeResult[Any]:
    """The champion, or a refusal."""
    plan = plan_named_round(research, context.partition_key)
    with research.lock("promoted_parameters", plan.name):
        require_current(research, plan, "promoted_parameters", list(PARTS))
        recount_round(research, plan)
        version = decision_version(research, plan)
        decision = decide(research, plan)
        report = record_decision(research, plan, decision, version)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(version),
        metadata={
            "promoted": decision.promoted,
            "summary": report["summary"],
            "verdict": "promoted" if decision.promoted else "refused",
            "sharpe": beside_luck(
                decision.hurdle.observed_sharpe, trials=decision.hurdle.trials, days=decision.hurdle.days
            ),
            "would_have_needed": decision.hurdle.sentence(),
            "gates": rows_table([asdict(row) for row in gate_rows(decision.gates)]),
        },
    )


def _look(research: Research, plan: RoundPlan, evidence: Evidence) -> GateResult:
    candidate = evidence.candidate
    if candidate is None:
        raise ManifestError("holdout: expected a candidate, found none; without one no look may be taken.")
    settings = research.settings.holdout

    def daily_returns() -> Any:  # noqa: ANN401 - float64 array
        inputs = load_inputs(research, plan, plan.holdout)
        return simulate(inputs, candidate, start=inputs.first_slot, stop=len(inputs.opened_at)).daily_returns

    return look_at_holdout(
        HoldoutStore(research.database()),
        HoldoutRequest(
            market_data=research.market_data,
            instruments=tuple(instrument.instrument_id for instrument in plan.context.instruments),
            window=plan.holdout,
            candidate_key=ledger_key(plan.context, candidate.canonical),
        ),
        rules=HoldoutRules(**settings.model_dump(exclude={"days"})),
        searched=trials_on(research, plan, plan.holdout),
        daily_returns=daily_returns,
    )


def _sign(research: Research, plan: RoundPlan, decision: Decision) -> SignedManifest:
    settings = research.settings
    rates = research.lake.read(
        "raw_funding_rates", instrument=plan.context.instruments[0].instrument_id, month=plan.months[-1]
    )
    terms = TradingTerms(
        strategy_version=plan.context.strategy_version,
        bar_seconds=int(BAR_INTERVAL.total_seconds()),
        funding_interval_seconds=int(rates["interval_hours"][-1]) * 3600,
        instruments=plan.context.instruments,
        costs=plan.context.costs,
        limits=plan.context.limits,
        features=plan.context.feature_settings,
    )
    provenance = Provenance(
        market_data=research.market_data,
        data_hashes={
            name: str(version) for name, version in market_data_versions(research, plan, plan.holdout.last).items()
        },
        round_id=plan.name,
        trials=decision.hurdle.trials,
    )
    approval = Approval(
        network=PIPELINE_NETWORK,
        approver="pipeline",
        created_at=research.now,
        expires_at=research.now + timedelta(days=settings.promotion.valid_days),
    )
    manifest = make_manifest(decision, terms=terms, provenance=provenance, approval=approval)
    return sign_manifest(manifest, pipeline_key(research))


def _numbers(values: object) -> dict[str, Any]:
    """Figures as stored: null stands for none, which is NaN in arithmetic."""
    if not isinstance(values, dict):
        raise TypeError(f"figures: expected names and numbers, found {type(values).__name__}")
    return {name: float("nan") if value is None else value for name, value in values.items()}
