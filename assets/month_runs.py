"""What one Dagster run does with many months of an asset: each is recorded as it is finished, and none stops another.

A month that is stored as it would be made now is left alone, so a run that was killed goes on where it was. A month
that a check refuses keeps its old partition and stops what depends on it; the other months, and the assets after this
one, go on. The run fails at its end, and says which months are missing.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import dagster as dg
import polars as pl
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

from assets.months import Judged, Month, MonthlyAsset, Plan
from assets.partitions import DAILY, MONTH_BY_INSTRUMENT, instrument_and_month, month_key
from assets.pictures import column_schema, picture, rows_table
from assets.research import OWNER, Research
from helios_pipeline.core.checks import CheckOutcome, CheckSpec
from helios_pipeline.core.errors import DataError, HeliosError, UnreachableError

type MonthEvents = Iterator[dg.AssetMaterialization | dg.AssetCheckResult | dg.MaterializeResult[Any]]

REFRESH_TAG = "helios/refresh"
"""Run tag: `true` asks the archive again even about months that are final."""

INPUTS_CHECK = CheckSpec(
    name="inputs", description="Every month that was asked for could be made, from whole and verified inputs."
)

EVENTS_ARE_EMITTED = {SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}
"""Metadata of an output whose materializations its asset has recorded one by one: Dagster adds none of its own.

Without it, a run over many months would record each of them again at its end, refused months among them.
"""

SHOWN_REASONS = 3
"""Months that an error message spells out."""

VERDICTS_SHOWN = 100

VENUE_POOL = "venue"
"""Steps that ask the venue: `dagster.venue_requests` of them run at once, whichever runs they belong to."""

VENUE_RETRIES = dg.RetryPolicy(max_retries=3, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""Each request is tried several times by itself; this is for a venue that is away for minutes."""


def check_specs(asset: MonthlyAsset) -> list[dg.AssetCheckSpec]:
    """Dagster's form of an asset's checks."""
    return [
        dg.AssetCheckSpec(name=spec.name, asset=asset.name, description=f"{spec.description} Else it is not stored.")
        for spec in asset.checks
    ] + [dg.AssetCheckSpec(name=INPUTS_CHECK.name, asset=asset.name, description=INPUTS_CHECK.description)]


def define_monthly_asset(
    asset: MonthlyAsset,
    *,
    group: str,
    schema: pl.Schema,
    description: str,
    deps: Sequence[dg.AssetsDefinition] = (),
    asks_venue: bool = False,
) -> dg.AssetsDefinition:
    """Dagster's asset of a monthly asset: month × instrument, one run over any range, checked before it is stored.

    Args:
        asset: how its months are made.
        group: in the graph.
        schema: of every month's rows.
        description: what it is, in a sentence.
        deps: the assets it reads.
        asks_venue: whether making it asks the venue: then it is tried again when that does not answer, and waits for a
            place among the runs that ask.
    """

    @dg.asset(
        name=asset.name,
        deps=deps,
        partitions_def=MONTH_BY_INSTRUMENT,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=group,
        kinds={"polars", "parquet"},
        owners=[OWNER],
        tags={"stage": group, "partitioned": "month_by_instrument"},
        code_version=asset.code_version,
        description=description,
        metadata={"dagster/column_schema": column_schema(schema.to_frame())},
        check_specs=check_specs(asset),
        pool=VENUE_POOL if asks_venue else None,
        retry_policy=VENUE_RETRIES if asks_venue else None,
        freshness_policy=DAILY,
    )
    def monthly(context: dg.AssetExecutionContext, research: dg.ResourceParam[Research]) -> MonthEvents:
        yield from replace_months(context, research, asset)

    return monthly


@dataclass(slots=True, kw_only=True)
class _Progress:
    """What became of the months of a run so far."""

    stored: int = 0
    warned: list[tuple[Month, CheckOutcome]] = field(default_factory=list)
    refused: dict[Month, list[CheckOutcome]] = field(default_factory=dict)
    failed: dict[Month, str] = field(default_factory=dict)
    blocked: dict[Month, str] = field(default_factory=dict)

    @property
    def left_out(self) -> list[Month]:
        return sorted({*self.refused, *self.failed, *self.blocked})


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
    progress = _Progress(
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
        yield from _check_results(research, asset, progress, len(keys))
    context.log.info(f"{progress.stored} made, {len(unchanged)} unchanged, {len(progress.left_out)} left out")
    yield dg.MaterializeResult(metadata=EVENTS_ARE_EMITTED)
    _raise_at_the_end(context, asset, progress, earlier)


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
    research: Research, asset: MonthlyAsset, month: Month, plan: Plan, progress: _Progress
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
    yield _materialization(asset, month, judged.version, _shown_month(research, asset, month, judged))


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
            yield _materialization(asset, month, version, _shown_facts(facts))


def _materialization(
    asset: MonthlyAsset, month: Month, version: str, metadata: Mapping[str, Any]
) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        asset_key=asset.name,
        partition=month_key(*month),
        metadata={"version": version, **metadata},
        tags={"dagster/data_version": version, "dagster/code_version": asset.code_version},
    )


def _shown_month(research: Research, asset: MonthlyAsset, month: Month, judged: Judged) -> dict[str, Any]:
    made = judged.made
    shown: dict[str, Any] = {
        "dagster/row_count": made.frame.height,
        "picture": picture(asset.draw(research, month, made), f"{asset.name} of {month[0]} in {month[1]}"),
        **_shown_facts({**made.facts, "quarantined_rows": 0 if made.quarantine is None else made.quarantine.height}),
    }
    links = {outcome.check: outcome.facts["page"] for outcome in judged.outcomes if "page" in outcome.facts}
    return shown | {name: dg.MetadataValue.url(str(url)) for name, url in links.items()}


def _shown_facts(facts: Mapping[str, object]) -> dict[str, Any]:
    return {name: _shown(value) for name, value in facts.items() if name not in ("made_from", "checks")}


def _shown(value: object) -> Any:  # noqa: ANN401 - whatever Dagster takes as metadata
    """Dagster metadata of a fact: a list of rows becomes a table."""
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        return rows_table(value)
    return dg.MetadataValue.json(value) if isinstance(value, list | dict) else value


def _check_results(
    research: Research, asset: MonthlyAsset, progress: _Progress, asked: int
) -> Iterator[dg.AssetCheckResult]:
    """The verdict on the asset as it stands: a month that was refused counts until it is stored."""
    standing = asset.refused(research)
    for spec in asset.checks:
        yield _check_result(asset, spec, standing, progress)
    rows = [
        {"instrument": month[0], "month": month[1], "found": text}
        for month, text in (progress.failed | progress.blocked).items()
    ]
    yield dg.AssetCheckResult(
        asset_key=asset.name,
        check_name=INPUTS_CHECK.name,
        passed=not rows,
        description="; ".join(row["found"] for row in rows[:SHOWN_REASONS]) if rows else f"{asked} months asked for.",
        metadata={
            "left_out": dg.MetadataValue.json([[*month] for month in progress.left_out]),
            **({"failures": rows_table(rows)} if rows else {}),
        },
    )


def _check_result(
    asset: MonthlyAsset, spec: CheckSpec, standing: Mapping[Month, pl.DataFrame], progress: _Progress
) -> dg.AssetCheckResult:
    refused = {month: rows.filter(pl.col("check") == spec.name) for month, rows in standing.items()}
    refused = {month: rows for month, rows in refused.items() if rows.height}
    warned = [(month, outcome) for month, outcome in progress.warned if outcome.check == spec.name]
    summaries = [f"{month[0]} {month[1]}: {rows['summary'][0]}" for month, rows in refused.items()]
    summaries += [f"{month[0]} {month[1]}: {outcome.summary}" for month, outcome in warned]
    shown = [
        {"instrument": month[0], "month": month[1], **row}
        for month, rows in refused.items()
        for row in _decoded(rows["row"].drop_nulls())
    ] + [
        {"instrument": month[0], "month": month[1], **row}
        for month, outcome in warned
        for row in outcome.failures.head(VERDICTS_SHOWN).iter_rows(named=True)
    ]
    return dg.AssetCheckResult(
        asset_key=asset.name,
        check_name=spec.name,
        passed=not summaries,
        severity=dg.AssetCheckSeverity.ERROR if refused else dg.AssetCheckSeverity.WARN,
        description=" ".join(summaries[:SHOWN_REASONS]) or f"{progress.stored} months judged; none stands refused.",
        metadata={
            "judged": progress.stored + len(progress.refused),
            "refused": dg.MetadataValue.json([[*month] for month in refused]),
            **({"failures": rows_table(shown)} if shown else {}),
        },
    )


def _decoded(rows: pl.Series) -> list[dict[str, Any]]:
    return [json.loads(row) for row in rows]


def _left_out_earlier(context: dg.AssetExecutionContext, asset: MonthlyAsset) -> dict[Month, str]:
    """Months that earlier steps of this run left out of what this asset is made from, each with the first of them."""
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
        for instrument, month in listed.value if listed is not None else []:
            asset = evaluation.asset_key.to_user_string()
            left_out.setdefault((instrument, month), f"{asset} of {instrument} {month} was left out before")
    return left_out


def _raise_at_the_end(
    context: dg.AssetExecutionContext, asset: MonthlyAsset, progress: _Progress, earlier: Mapping[Month, str]
) -> None:
    reasons = [
        f"{asset.name} of {month[0]} {month[1]}: "
        + "; ".join(f"refused by {outcome.check}: {outcome.summary}" for outcome in outcomes)
        for month, outcomes in progress.refused.items()
    ]
    reasons += [*progress.failed.values(), *earlier.values()]
    if not reasons or _is_followed(context, asset):
        return
    more = f" and {len(reasons) - SHOWN_REASONS} more" if len(reasons) > SHOWN_REASONS else ""
    refused = (
        " What was stored before stays. Look at the rows in the check's table; correct the source, or accept the month "
        "under [[checks.accepted]] in helios.toml."
        if progress.refused
        else ""
    )
    raise DataError(" | ".join(reasons[:SHOWN_REASONS]) + more + refused)


def _is_followed(context: dg.AssetExecutionContext, asset: MonthlyAsset) -> bool:
    """Whether a later step of this run reads this asset, and so carries its failure to the run's end."""
    layer = context.job_def.asset_layer
    return any(key in layer.selected_asset_keys for key in layer.get(dg.AssetKey(asset.name)).child_keys)
