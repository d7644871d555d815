"""The main job, run in this process: every step against the same Dagster instance that the UI shows.

Each partition is compared with what it would be made from now; what is equal is left alone.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import dagster as dg

from assets.backtest import backtest_report, backtest_version
from assets.bars import BARS_15M, bars_15m
from assets.current import require_current
from assets.features import FUNDING_FEATURES, funding_features
from assets.market_data import (
    RAW_FUNDING_RATES,
    RAW_KLINES,
    RAW_OPEN_INTEREST,
    raw_funding_rates,
    raw_klines,
    raw_open_interest,
)
from assets.months import MonthlyAsset
from assets.partitions import INSTRUMENTS, ROUNDS, month_key
from assets.promotion import decision_version, promoted_parameters
from assets.recount import is_on_record, recount_round
from assets.reports import (
    champion_report,
    data_quality_report,
    has_champion_report,
    has_data_quality_report,
    has_round_report,
    round_report,
)
from assets.research import Research
from assets.rounds import RoundPlan, plan_round
from assets.sweep import sweep_results, sweep_version
from assets.walk_forward import walk_forward_report, walk_forward_version
from helios_pipeline.adapters.postgres.promotions import PromotionStore, StoredDecision
from helios_pipeline.core.calendar import month_start, months_between, next_month
from helios_pipeline.core.errors import DataError, SettingsError
from helios_pipeline.core.keys import PIPELINE_NETWORK
from jobs.abandoned import end_abandoned_runs, run_tags

MONTHLY: dict[str, tuple[dg.AssetsDefinition, MonthlyAsset]] = {
    "raw_klines": (raw_klines, RAW_KLINES),
    "raw_funding_rates": (raw_funding_rates, RAW_FUNDING_RATES),
    "raw_open_interest": (raw_open_interest, RAW_OPEN_INTEREST),
    "bars_15m": (bars_15m, BARS_15M),
    "funding_features": (funding_features, FUNDING_FEATURES),
}
OF_ROUND: dict[str, tuple[dg.AssetsDefinition, Callable[[Research, RoundPlan], str]]] = {
    "sweep_results": (sweep_results, sweep_version),
    "walk_forward_report": (walk_forward_report, walk_forward_version),
    "backtest_report": (backtest_report, backtest_version),
}
REPORTS: dict[str, tuple[dg.AssetsDefinition, Callable[[Research], bool]]] = {
    "data_quality_report": (data_quality_report, has_data_quality_report),
    "round_report": (round_report, has_round_report),
    "champion_report": (champion_report, has_champion_report),
}
"""Each report, and whether the one there is would be made the same now."""

STEPS = (*MONTHLY, *OF_ROUND, "promoted_parameters", *REPORTS)
ALL_ASSETS = [
    *(asset for asset, _ in (*MONTHLY.values(), *OF_ROUND.values(), *REPORTS.values())),
    promoted_parameters,
]

# Dagster's own account of a run belongs in its UI; the terminal shows Helios's.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """What one step did.

    Attributes:
        step: the asset.
        made: partitions made now.
        unchanged: partitions left as they were, because nothing they are made from has changed.
        seconds: wall time.
    """

    step: str
    made: int
    unchanged: int
    seconds: float


def run_steps(
    research: Research,
    instance: dg.DagsterInstance,
    steps: Sequence[str],
    *,
    announce: Callable[[str], None] = lambda _: None,
) -> Iterator[StepOutcome]:
    """Run some of `STEPS` in order, each as Dagster runs that show in its UI.

    Args:
        research: settings, lake and database.
        instance: that the runs are recorded in.
        steps: names.
        announce: called with each step's name before it begins.

    Raises:
        SettingsError: the last month has not begun.
        HeliosError: whatever stops a step; what was finished before stays.
    """
    last = research.settings.research.last_month
    if month_start(last) > research.now:
        raise SettingsError(
            f"research.to: expected a month that has begun, {research.now:%Y-%m} at the latest, found {last}."
        )
    end_abandoned_runs(instance)
    instance.add_dynamic_partitions(str(INSTRUMENTS.name), list(research.settings.research.instruments))
    for step in steps:
        announce(step)
        began = time.monotonic()
        made, unchanged = _run_step(research, instance, step)
        yield StepOutcome(step=step, made=made, unchanged=unchanged, seconds=time.monotonic() - began)


def current_decision(research: Research, plan: RoundPlan) -> StoredDecision | None:
    """The decision on record that was made from exactly the present evidence, thresholds and ledger."""
    version = decision_version(research, plan)
    for stored in PromotionStore(research.database()).decisions(PIPELINE_NETWORK, limit=100):
        report = stored.decision.gates
        if stored.decision.round == plan.name and isinstance(report, dict) and report.get("version") == version:
            return stored
    return None


def _run_step(research: Research, instance: dg.DagsterInstance, step: str) -> tuple[int, int]:
    if step in MONTHLY:
        return _run_months(research, instance, step)
    return _run_report(research, instance, step) if step in REPORTS else _run_of_round(research, instance, step)


def _run_report(research: Research, instance: dg.DagsterInstance, step: str) -> tuple[int, int]:
    report, is_current = REPORTS[step]
    if is_current(research):
        return 0, 1
    _materialize(
        research, instance, report, partition_key=plan_round(research).name if report is round_report else None
    )
    return 1, 0


def _run_months(research: Research, instance: dg.DagsterInstance, step: str) -> tuple[int, int]:
    asset, monthly = MONTHLY[step]
    settings = research.settings.research
    wanted = [
        (instrument, month)
        for instrument in settings.instruments
        for month in months_between(settings.first_month, settings.last_month)
    ]
    _require_inputs(research, step, wanted)
    stale = list(monthly.compare(research, wanted))
    for instrument, months in _contiguous(stale):
        first, last = (month_key(instrument, month) for month in (months[0], months[-1]))
        tags = {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}
        _materialize(research, instance, asset, tags=tags)
    return len(stale), len(wanted) - len(stale)


def _require_inputs(research: Research, step: str, wanted: Sequence[tuple[str, str]]) -> None:
    """Name the first missing input, and the command that makes it."""
    needs = {"bars_15m": ["raw_klines"], "funding_features": ["bars_15m", "raw_funding_rates", "raw_open_interest"]}
    makers = {"bars_15m": "helios bars"}
    for need in needs.get(step, []):
        for instrument, month in wanted:
            if research.lake.version(need, instrument=instrument, month=month) is None:
                raise DataError(
                    f"{step}: expected {need} of {instrument} {month}, found none. "
                    f"Run `{makers.get(need, 'helios ingest')}` for these months first."
                )


def _run_of_round(research: Research, instance: dg.DagsterInstance, step: str) -> tuple[int, int]:
    plan = plan_round(research)
    instance.add_dynamic_partitions(str(ROUNDS.name), [plan.name])
    if step == "promoted_parameters":
        require_current(research, plan, step, list(OF_ROUND))
        if current_decision(research, plan) is not None:
            return 0, 1
        _materialize(research, instance, promoted_parameters, partition_key=plan.name)
        return 1, 0
    asset, version = OF_ROUND[step]
    if step != "sweep_results":
        require_current(research, plan, step, ["sweep_results"])
    if research.lake.version_named(step, plan.name) == version(research, plan):
        if not is_on_record(research, plan):
            recount_round(research, plan)
        return 0, 1
    _materialize(research, instance, asset, partition_key=plan.name)
    return 1, 0


def _contiguous(months: Sequence[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
    """Cut (instrument, month) pairs into runs of following months: one Dagster run covers each."""
    run: list[tuple[str, str]] = []
    for instrument, month in months:
        if run and (run[-1][0] != instrument or next_month(run[-1][1]) != month):
            yield run[0][0], [each for _, each in run]
            run = []
        run.append((instrument, month))
    if run:
        yield run[0][0], [each for _, each in run]


def _materialize(
    research: Research,
    instance: dg.DagsterInstance,
    asset: dg.AssetsDefinition,
    *,
    partition_key: str | None = None,
    tags: dict[str, str] | None = None,
) -> None:
    try:
        dg.materialize(
            ALL_ASSETS,
            selection=[asset],
            instance=instance,
            resources={"research": research},
            partition_key=partition_key,
            tags=run_tags() | (tags or {}),
            run_config=QUIET,
        )
    except dg.Failure as failure:
        raise failure.__cause__ or failure from None
