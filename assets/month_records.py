"""What Dagster is told about months: a materialization of each, and the verdict of every check."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import polars as pl

from assets.months import Judged, Month, MonthlyAsset
from assets.partitions import month_key
from assets.pictures import picture, rows_table
from assets.research import Research
from helios_pipeline.core.checks import CheckOutcome, CheckSpec

INPUTS_CHECK = CheckSpec(
    name="inputs", description="Every month that was asked for could be made, from whole and verified inputs."
)

SHOWN_REASONS = 3
"""Months that a message spells out."""

ROWS_KEPT = 100
"""Of an outcome, in the event log."""


def check_specs(asset: MonthlyAsset) -> list[dg.AssetCheckSpec]:
    """Dagster's form of an asset's checks."""
    return [
        dg.AssetCheckSpec(name=spec.name, asset=asset.name, description=f"{spec.description} Else it is not stored.")
        for spec in asset.checks
    ] + [dg.AssetCheckSpec(name=INPUTS_CHECK.name, asset=asset.name, description=INPUTS_CHECK.description)]


@dataclass(slots=True, kw_only=True)
class Progress:
    """What became of the months of a run so far.

    Attributes:
        stored: how many were made and stored.
        warned: checks that failed without stopping their month.
        refused: months that checks keep from being stored, with those checks.
        failed: months that could not be made, and why.
        blocked: months that were not attempted, because of an earlier asset's.
    """

    stored: int = 0
    warned: list[tuple[Month, CheckOutcome]] = field(default_factory=list)
    refused: dict[Month, list[CheckOutcome]] = field(default_factory=dict)
    failed: dict[Month, str] = field(default_factory=dict)
    blocked: dict[Month, str] = field(default_factory=dict)

    def left_out(self, asset: MonthlyAsset) -> dict[Month, str]:
        """Months that the run did not make, each with what a person is told of it."""
        refused = {
            month: f"{asset.name} of {month[0]} {month[1]}: "
            + "; ".join(f"refused by {outcome.check}: {outcome.summary}" for outcome in outcomes)
            for month, outcomes in self.refused.items()
        }
        return refused | self.failed | self.blocked


def materialization(
    asset: MonthlyAsset, month: Month, version: str, metadata: Mapping[str, Any]
) -> dg.AssetMaterialization:
    """The event that a month is stored in a version."""
    return dg.AssetMaterialization(
        asset_key=asset.name,
        partition=month_key(*month),
        metadata={"version": version, **metadata},
        tags={"dagster/data_version": version, "dagster/code_version": asset.code_version},
    )


def shown_month(research: Research, asset: MonthlyAsset, month: Month, judged: Judged) -> dict[str, Any]:
    """Metadata of a month that was made just now: its rows, its picture, what was counted, and pages about it."""
    made = judged.made
    shown: dict[str, Any] = {
        "dagster/row_count": made.frame.height,
        "picture": picture(
            research,
            f"{asset.name}/{month[0]}/{month[1]}",
            asset.draw(research, month, made),
            f"{asset.name} of {month[0]} in {month[1]}",
        ),
        **shown_facts({**made.facts, "quarantined_rows": 0 if made.quarantine is None else made.quarantine.height}),
    }
    links = {outcome.check: outcome.facts["page"] for outcome in judged.outcomes if "page" in outcome.facts}
    return shown | {name: dg.MetadataValue.url(str(url)) for name, url in links.items()}


def shown_facts(facts: Mapping[str, object]) -> dict[str, Any]:
    """Metadata of what was counted while a month was made."""
    return {name: _shown(value) for name, value in facts.items() if name not in ("made_from", "checks")}


def _shown(value: object) -> Any:  # noqa: ANN401 - whatever Dagster takes as metadata
    """Dagster metadata of a fact: a list of rows becomes a table."""
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        return rows_table(value)
    return dg.MetadataValue.json(value) if isinstance(value, list | dict) else value


def check_results(
    research: Research, asset: MonthlyAsset, progress: Progress, asked: int
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
            "left_out": dg.MetadataValue.json([[*month, why] for month, why in progress.left_out(asset).items()]),
            **({"failures": rows_table(rows)} if rows else {}),
        },
    )


def _check_result(
    asset: MonthlyAsset, spec: CheckSpec, standing: Mapping[Month, pl.DataFrame], progress: Progress
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
        for row in outcome.failures.head(ROWS_KEPT).iter_rows(named=True)
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
