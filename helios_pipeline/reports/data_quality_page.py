"""The report on market data: what is there, what is not, what was put aside, and which checks said so."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from helios_pipeline.reports.figures import draw_coverage
from helios_pipeline.reports.page import (
    Block,
    Page,
    Picture,
    Section,
    Text,
    Verdict,
    render_page,
    show,
    simulated_warning,
    table_of,
)

ROWS_SHOWN = 200
"""Of a table that could have thousands; the page says how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataQualityReport:
    """What is known about the stored market data.

    Attributes:
        market_data: identity of the market.
        days: `DAYS_SCHEMA`.
        coverage: one row per instrument: instrument, months, first, until, bars, from_1m, missing, quarantined,
            compared, different.
        gaps: `GAPS_SCHEMA`.
        quarantined: asset, instrument, reason, rows.
        differences: instrument, opened_at, column, from_1m, from_15m.
        rest_differences: asset, instrument, month, values: REST's values that the archive has otherwise.
        missing_settlements: instrument, settled_at.
        freshness: asset, instrument, months, last_row, age_hours (before `made_at`), from_rest (rows of the last
            month).
        checks: asset, check, months, passed, warnings.
        failed_checks: asset, instrument, month, check, severity, summary; of stored months.
        refused: asset, instrument, month, check, summary; months that were refused and not stored since.
        version: of the report.
        made_at: UTC.
    """

    market_data: str
    days: pl.DataFrame
    coverage: pl.DataFrame
    gaps: pl.DataFrame
    quarantined: pl.DataFrame
    differences: pl.DataFrame
    rest_differences: pl.DataFrame
    missing_settlements: pl.DataFrame
    freshness: pl.DataFrame
    checks: pl.DataFrame
    failed_checks: pl.DataFrame
    refused: pl.DataFrame
    version: str
    made_at: datetime


def render_data_quality(report: DataQualityReport) -> str:
    """The page on market data."""
    return render_page(data_quality_page(report))


def data_quality_page(report: DataQualityReport) -> Page:
    """The state of the data as sections, the verdict first."""
    return Page(
        kind="data quality",
        title=f"Market data: {report.market_data}",
        verdict=data_quality_verdict(report),
        warning=simulated_warning(report.market_data),
        facts=(
            ("instruments", show(report.coverage.height)),
            ("bars", show(int(report.coverage["bars"].sum()))),
            ("missing bars", show(int(report.coverage["missing"].sum()))),
            ("newest row", show(report.freshness["last_row"].max())),
        ),
        sections=(
            Section(
                "Coverage", (Picture(draw_coverage(report.days), "Bars per day and instrument"), _coverage(report))
            ),
            Section("Checks", _checks(report)),
            Section("Gaps", _listed(report.gaps, "Every bar of every stored month is there.")),
            Section("Quarantine", _listed(report.quarantined, "No row was put aside.")),
            Section("1-minute against 15-minute klines", _cross_check(report)),
            Section("Archive against REST", _rest(report)),
            Section("Funding settlements", _settlements(report)),
            Section("Freshness", _listed(report.freshness, "Nothing is stored.", {"age_hours": ",.1f"})),
        ),
        version=report.version,
        made_at=report.made_at,
    )


def data_quality_verdict(report: DataQualityReport) -> Verdict:
    """Whether all stored months may be used, and what stands out."""
    missing, different = (int(report.coverage[name].sum()) for name in ("missing", "different"))
    warnings = report.failed_checks.height
    found = (
        f"{missing:,} of {int(report.coverage['bars'].sum()) + missing:,} bars are not there, none was filled; "
        f"{different:,} bars differ between 1-minute and 15-minute klines; "
        f"{report.missing_settlements.height:,} settlements are missing; {warnings:,} checks of stored months failed."
    )
    if report.refused.height:
        months = report.refused.select("asset", "instrument", "month").unique().height
        return Verdict(word="Refused months.", sentence=f"{months:,} months were not stored. {found}", tone="bad")
    if report.coverage.is_empty():
        return Verdict(word="No data.", sentence="No bars are stored yet.", tone="open")
    if missing or different or warnings or report.missing_settlements.height:
        return Verdict(word="Usable, with remarks.", sentence=found, tone="open")
    return Verdict(word="Complete.", sentence=found, tone="good")


def _coverage(report: DataQualityReport) -> Block:
    return table_of(report.coverage)


def _checks(report: DataQualityReport) -> tuple[Block, ...]:
    blocks: list[Block] = [table_of(report.checks)] if report.checks.height else [Text("No check is on record.")]
    if report.refused.height:
        blocks += _listed(report.refused, "", caption="months that were refused, and not stored since")
    if report.failed_checks.height:
        blocks += _listed(report.failed_checks, "", caption="failed checks of months that are stored")
    return tuple(blocks)


def _cross_check(report: DataQualityReport) -> tuple[Block, ...]:
    compared = int(report.coverage["compared"].sum())
    said = f"{compared:,} bars exist both ways: aggregated from minutes, and as the venue publishes them."
    return (Text(said), *_listed(report.differences, "They are equal."))


def _rest(report: DataQualityReport) -> tuple[Block, ...]:
    return _listed(report.rest_differences, "No value that came from REST differs from the archive's.")


def _settlements(report: DataQualityReport) -> tuple[Block, ...]:
    return _listed(report.missing_settlements, "None is missing.")


def _listed(
    rows: pl.DataFrame, none: str, forms: dict[str, str] | None = None, *, caption: str | None = None
) -> tuple[Block, ...]:
    """The first rows as a table, or a sentence if there are none."""
    if rows.is_empty():
        return (Text(none),)
    more = f"the first {ROWS_SHOWN:,} of {rows.height:,}" if rows.height > ROWS_SHOWN else None
    heading = ", ".join(part for part in (caption, more) if part) or None
    return (table_of(rows.head(ROWS_SHOWN), forms, caption=heading),)
