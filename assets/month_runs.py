"""What one Dagster run does with many months of an asset: each is recorded as it is finished, and none stops another.

A month that is stored as it would be made now is left alone, so a run that was killed goes on where it was. A month
that a check refuses keeps its old partition and stops what depends on it; the other months, and the assets after this
one, go on. The run fails at its end, and says which months are missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

from assets.month_records import SHOWN_REASONS, Progress, check_results, materialization, shown_facts, shown_month
from assets.months import Month, MonthlyAsset, Plan
from assets.partitions import MONTH_BY_INSTRUMENT, instrument_and_month, month_key
from assets.research import Research
from helios_pipeline.core.errors import DataError, HeliosError, UnreachableError

type MonthEvents = Iterator[dg.AssetMaterialization | dg.AssetCheckResult | dg.MaterializeResult[Any]]

REFRESH_TAG = "helios/refresh"
"""Run tag: `true` asks the archive again even about months that are final."""

AFTER_A_REFUSAL = (
    " What was stored before stays. Look at the rows in the check's table; correct the source, or accept the month "
    "under [[checks.accepted]] in helios.toml."
)

EVENTS_ARE_EMITTED = {SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}
"""Metadata of an output whose materializations its asset has recorded one by one: Dagster adds none of its own.

Without it, a run over many months would record each of them again at its end, refused months among them.
"""


def replace_months(context: dg.AssetExecutionContext, research: Research, asset: MonthlyAsset) -> MonthEvents:
    """Replace every partition of a run that is not stored as it would be made now.

    Raises:
        dg.Failure: some months could not be made, or a check refused them; caused by the error that a person is shown.
            Where a later asset of the same run reads this one, that one raises instead, after the months that can be
            made. Only a source that does not answer is worth a retry, and only where nobody waits.
    """
    try:
        yield from _replace_all(context, research, asset)
    except Exception as error:  # the asset's retry policy would try again, for minutes, whatever is raised
        again = isinstance(error, UnreachableError) and research.unattended
        raise dg.Failure(str(error) or repr(error), allow_retries=again) from error


def _replace_all(context: dg.AssetExecutionContext, research: Research, asset: MonthlyAsset) -> MonthEvents:
    if context.run.tags.get(REFRESH_TAG) == "true":
        research = replace(research, refresh=True)
    keys = {instrument_and_month(key): str(key) for key in context.partition_keys}
    earlier = _left_out_earlier(context, asset)
    progress = Progress(
        blocked={month: reason for month in keys if (reason := _what_blocks(month, earlier)) is not None}
    )
    with research.lock(asset.name, *keys.values()):
        wanted = [month for month in keys if month not in progress.blocked]
        plans = asset.compare(research, wanted)
        _prepare(asset, research, plans)
        unchanged = [month for month in wanted if month not in plans]
        for month in unchanged:
            # The source was repaired to what had been stored before it was damaged.
            asset.forget_refusal(research, month)
        yield from _record_unrecorded(context, research, asset, unchanged)
        for done, (month, plan) in enumerate(plans.items(), start=1):
            yield from _replace_month(research, asset, month, plan, progress)
            research.progress(f"{asset.name} {month[0]}", done, len(plans))
        yield from check_results(research, asset, progress, len(keys))
    context.log.info(f"{progress.stored} made, {len(unchanged)} unchanged, {len(progress.left_out(asset))} left out")
    yield dg.MaterializeResult(metadata=EVENTS_ARE_EMITTED)
    _raise_at_the_end(context, asset, progress)


def _what_blocks(month: Month, left_out: Mapping[Month, str]) -> str | None:
    """The earliest month that earlier steps left out and that this one, which looks back, may be made from."""
    before = sorted(each for each in left_out if each[0] == month[0] and each[1] <= month[1])
    return left_out[before[0]] if before else None


def _prepare(asset: MonthlyAsset, research: Research, plans: Mapping[Month, Plan]) -> None:
    try:
        asset.prepare(research, plans)
    except UnreachableError:
        raise
    except DataError:
        # One damaged file: the month that needs it says so, and the others can be made.
        return


def _replace_month(
    research: Research, asset: MonthlyAsset, month: Month, plan: Plan, progress: Progress
) -> Iterator[dg.AssetMaterialization]:
    try:
        judged = asset.replace(research, month, plan)
    except UnreachableError:
        raise
    except HeliosError as error:
        progress.failed[month] = str(error)
        return
    if not judged.stored:
        progress.refused[month] = judged.refusals
        return
    progress.stored += 1
    progress.warned += [(month, outcome) for outcome in judged.outcomes if not outcome.passed]
    yield materialization(asset, month, judged.version, shown_month(research, asset, month, judged))


def _record_unrecorded(
    context: dg.AssetExecutionContext, research: Research, asset: MonthlyAsset, months: Sequence[Month]
) -> Iterator[dg.AssetMaterialization]:
    """Months that are stored but that Dagster does not know in that version: it was killed in between, or is new."""
    if not months:
        return
    known = context.instance.event_log_storage.get_latest_tags_by_partition(
        dg.AssetKey(asset.name),
        dg.DagsterEventType.ASSET_MATERIALIZATION,
        tag_keys=["dagster/data_version"],
        asset_partitions=[str(month_key(*month)) for month in months],
    )
    for month in months:
        version = str(asset.stored_version(research, month))
        if known.get(str(month_key(*month)), {}).get("dagster/data_version") != version:
            facts = research.lake.facts(asset.name, instrument=month[0], month=month[1])
            yield materialization(asset, month, version, shown_facts(facts))


def _left_out_earlier(context: dg.AssetExecutionContext, asset: MonthlyAsset) -> dict[Month, str]:
    """Months that earlier steps of this run left out of what this asset is made from, each with the first reason."""
    graph = context.job_def.asset_layer.asset_graph
    read = graph.get_ancestor_asset_keys(dg.AssetKey(asset.name))
    records = context.instance.event_log_storage.get_records_for_run(
        context.run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    left_out: dict[Month, str] = {}
    for record in records:
        event = record.event_log_entry.dagster_event
        evaluation: Any = event.event_specific_data if event else None
        listed = evaluation.metadata.get("left_out") if evaluation and evaluation.asset_key in read else None
        for instrument, month, why in listed.value if listed is not None else []:
            left_out.setdefault((instrument, month), why)
    return left_out


def _raise_at_the_end(context: dg.AssetExecutionContext, asset: MonthlyAsset, progress: Progress) -> None:
    # What an earlier step left out is told by the months that it blocks.
    reasons = list(dict.fromkeys(progress.left_out(asset).values()))
    if not reasons or _is_followed(context, asset):
        return
    more = f" and {len(reasons) - SHOWN_REASONS} more" if len(reasons) > SHOWN_REASONS else ""
    refused = any("refused by" in reason for reason in reasons)
    raise DataError(" | ".join(reasons[:SHOWN_REASONS]) + more + (AFTER_A_REFUSAL if refused else ""))


def _is_followed(context: dg.AssetExecutionContext, asset: MonthlyAsset) -> bool:
    """Whether a later step of this run makes months from this asset's, and so carries its failure to the run's end."""
    layer = context.job_def.asset_layer
    followers = layer.get(dg.AssetKey(asset.name)).child_keys & layer.selected_asset_keys
    return any(layer.get(key).partitions_def == MONTH_BY_INSTRUMENT for key in followers)
