"""Reports that people read: one of each round, one on the market data, one on each network's champion."""

from dataclasses import asdict
from typing import Any, get_args

import dagster as dg

from assets.backtest import backtest_report
from assets.bars import bars_15m
from assets.champion_record import CHAMPION_REPORT_VERSION, champion_report_version, gather_champion
from assets.features import funding_features
from assets.market_data import raw_funding_rates, raw_klines, raw_open_interest
from assets.partitions import DAILY, ROUNDS
from assets.pictures import picture, rows_table
from assets.promotion import promoted_parameters
from assets.quality_record import DATA_QUALITY_VERSION, data_quality_version, gather_data_quality
from assets.research import OWNER, Research
from assets.round_record import ROUND_REPORT_VERSION, gather_round, round_report_version
from assets.rounds import plan_named_round, plan_round
from assets.walk_forward import walk_forward_report
from helios_pipeline.adapters.reports.store import ReportStore, StoredReport
from helios_pipeline.core.keys import PIPELINE_NETWORK, Network
from helios_pipeline.promotion.decision import gate_rows
from helios_pipeline.reports.champion_page import champion_verdict, render_champion
from helios_pipeline.reports.data_quality_page import data_quality_verdict, render_data_quality
from helios_pipeline.reports.figures import draw_coverage, draw_equity
from helios_pipeline.reports.page import Verdict
from helios_pipeline.reports.performance import NO_EQUITY, set_equity
from helios_pipeline.reports.round_page import render_round, round_verdict

STAGE = {"stage": "report"}


def report_store(research: Research) -> ReportStore:
    """Where this home's reports are."""
    return ReportStore(research.settings.home / "reports")


def market_name(research: Research) -> str:
    """The market as a part of a file's name."""
    return research.market_data.replace(" ", "-")


def has_round_report(research: Research) -> bool:
    """Whether the report of the round in force would be made the same now."""
    plan = plan_round(research)
    return report_store(research).find("round", plan.name, version=round_report_version(research, plan)) is not None


def has_data_quality_report(research: Research) -> bool:
    """Whether the report on market data would be made the same now."""
    version = data_quality_version(research)
    return report_store(research).find("data-quality", market_name(research), version=version) is not None


def has_champion_report(research: Research) -> bool:
    """Whether the report on the paper champion would be made the same now."""
    version = champion_report_version(research, PIPELINE_NETWORK)
    return report_store(research).find("champion", PIPELINE_NETWORK, version=version) is not None


def _every(asset: dg.AssetsDefinition) -> dg.AssetDep:
    return dg.AssetDep(asset, partition_mapping=dg.AllPartitionMapping())


def _stored_metadata(stored: StoredReport, verdict: Verdict) -> dict[str, Any]:
    return {
        "report": dg.MetadataValue.url(stored.address),
        "path": dg.MetadataValue.path(stored.path),
        "version": stored.version,
        "verdict": f"{verdict.word} {verdict.sentence}",
    }


@dg.asset(
    # The decision is shown if there is one, so it comes first where both are made.
    deps=[walk_forward_report, backtest_report, promoted_parameters],
    partitions_def=ROUNDS,
    group_name="reports",
    kinds={"html"},
    owners=[OWNER],
    tags=STAGE,
    code_version=ROUND_REPORT_VERSION,
    description="A round on one page: verdict, equity, parameters, luck, folds, costs, round trips.",
)
def round_report(context: dg.AssetExecutionContext, research: dg.ResourceParam[Research]) -> dg.MaterializeResult[Any]:
    """A round on one page."""
    plan = plan_named_round(research, context.partition_key)
    with research.lock("round_report", plan.name):
        report = gather_round(research, plan)
        stored = report_store(research).replace("round", plan.name, render_round(report), version=report.version)
    decision = report.decision
    gates = report.gates if decision is None or not decision.current else decision.gates
    equity = draw_equity(set_equity(report.simulation), report.out_of_sample)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(report.version),
        metadata={
            **_stored_metadata(stored, round_verdict(report)),
            "equity": picture(
                research, f"round_report/{plan.name}", equity, "Equity in sample and of walk-forward out of sample"
            ),
            "gates": rows_table([asdict(row) for row in gate_rows(gates)]),
        },
    )


@dg.asset(
    deps=[_every(each) for each in (raw_klines, raw_funding_rates, raw_open_interest, bars_15m, funding_features)],
    group_name="reports",
    kinds={"html"},
    owners=[OWNER],
    tags=STAGE,
    code_version=DATA_QUALITY_VERSION,
    freshness_policy=DAILY,
    description="The stored market data on one page: coverage, gaps, quarantine, cross-checks, freshness, checks.",
)
def data_quality_report(research: dg.ResourceParam[Research]) -> dg.MaterializeResult[Any]:
    """The stored market data on one page."""
    with research.lock("data_quality_report"):
        report = gather_data_quality(research)
        html = render_data_quality(report)
        stored = report_store(research).replace("data-quality", market_name(research), html, version=report.version)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(report.version),
        metadata={
            **_stored_metadata(stored, data_quality_verdict(report)),
            "days": picture(
                research,
                f"data_quality_report/{market_name(research)}",
                draw_coverage(report.days),
                "Bars per day and instrument",
            ),
            "coverage": rows_table(report.coverage),
        },
    )


@dg.asset(
    deps=[_every(promoted_parameters)],
    group_name="reports",
    kinds={"html"},
    owners=[OWNER],
    tags=STAGE,
    code_version=CHAMPION_REPORT_VERSION,
    description="What each network may trade on one page: who signed it, on what evidence; or why there is nothing.",
)
def champion_report(research: dg.ResourceParam[Research]) -> dg.MaterializeResult[Any]:
    """What each network may trade."""
    networks: tuple[Network, ...] = get_args(Network)
    with research.lock("champion_report"):
        reports = {network: gather_champion(research, network) for network in networks}
        store = report_store(research)
        stored = {
            network: store.replace("champion", network, render_champion(report), version=report.version)
            for network, report in reports.items()
            # A network on which nothing was ever decided has no report.
            if network == PIPELINE_NETWORK or report.history or report.refusal
        }
    shown = reports[PIPELINE_NETWORK]
    history = [{"network": network, **asdict(reign)} for network, each in reports.items() for reign in each.history]
    metadata = {
        **_stored_metadata(stored[PIPELINE_NETWORK], champion_verdict(shown)),
        **{f"report {network}": dg.MetadataValue.url(each.address) for network, each in stored.items()},
        "champions": rows_table(history),
    }
    if shown.simulation is not None:
        equity = draw_equity(set_equity(shown.simulation), NO_EQUITY)
        metadata["equity"] = picture(
            research, f"champion_report/{PIPELINE_NETWORK}", equity, "Equity of the champion on its round's window"
        )
    return dg.MaterializeResult(data_version=dg.DataVersion(shown.version), metadata=metadata)
