"""Whether a month of an asset may be stored: every verdict on one frame that is reached before it is written.

What is bad in a month was put into quarantine or left as a gap when it was made. These checks ask how much of that a
sound source could have published, and show the rows.
"""

from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.checks import CheckOutcome, CheckSpec
from helios_pipeline.core.expectations import SuiteResult
from helios_pipeline.core.monthly_checks import (
    COMPLETE,
    EVERY_SETTLEMENT,
    EXPECTATIONS,
    ONE_ROW_PER_BAR,
    SAME_SCALE,
    SOUND_PRICES,
    SOUND_ROWS,
    CheckLimits,
)
from helios_pipeline.data.bars import GAPS_SCHEMA

NO_TRADES = "no_trades"
"""Reason of a bar in which nobody traded: a fact about the market and no damage."""

WRONG_SCALE = "scale_jump"

NOT_THE_SOURCES_FAULT = frozenset({"interval_unknown"})
"""Reasons for which sound rows are put into quarantine: the next run, with the archive, takes them."""

SETTLEMENT_GRACE = timedelta(hours=1)
"""How long after it a settlement may be published."""


def check_sound_rows(quarantine: pl.DataFrame, limits: CheckLimits) -> CheckOutcome:
    """Judge the rows of a raw month that could not be used; `QUARANTINE_SCHEMA`."""
    refused = quarantine.filter(~pl.col("reason").is_in(NOT_THE_SOURCES_FAULT))
    return _check_refused(SOUND_ROWS, refused, limits)


def check_sound_prices(quarantine: pl.DataFrame, limits: CheckLimits) -> CheckOutcome:
    """Judge the klines and bars with impossible values; `QUARANTINE_SCHEMA`."""
    return _check_refused(SOUND_PRICES, quarantine.filter(~pl.col("reason").is_in([NO_TRADES, WRONG_SCALE])), limits)


def check_same_scale(quarantine: pl.DataFrame, limits: CheckLimits) -> CheckOutcome:
    """Judge the klines and bars far off the price before them; `QUARANTINE_SCHEMA`."""
    return _check_refused(SAME_SCALE, quarantine.filter(pl.col("reason") == WRONG_SCALE), limits)


def check_complete(gaps: pl.DataFrame, *, bars: int, limits: CheckLimits) -> CheckOutcome:
    """Judge the bars that are missing.

    Args:
        gaps: `GAPS_SCHEMA` of the month up to where it can be judged.
        bars: valid bars of the month; with the gaps they are all of its clock slots.
        limits: how many may be missing.

    Returns:
        Failures: the gaps other than those without trades, runs that touch joined under all of their causes.
    """
    slots = bars + int(gaps["bars"].sum())
    damage = join_gaps(gaps.filter(pl.col("cause") != NO_TRADES))
    missing, longest = int(damage["bars"].sum()), int(damage["bars"].max() or 0)  # type: ignore[arg-type]
    allowed = limits.max_missing_fraction * slots
    passed = missing <= allowed and longest <= limits.max_gap_bars and (bars > 0 or slots == 0)
    facts = {"slots": slots, "bars": bars, "missing": missing, "no_trades": slots - bars - missing, "longest": longest}
    share = f"{missing / slots:.2%}" if slots else "0%"
    return CheckOutcome(
        check=COMPLETE.name,
        passed=passed,
        severity="error",
        summary=f"{missing:,} of {slots:,} bars are missing, {share} ({limits.max_missing_fraction:.2%} allowed); the "
        f"longest run has {longest:,} ({limits.max_gap_bars:,} allowed). In {facts['no_trades']:,} nobody traded.",
        failures=pl.DataFrame() if passed else damage,
        facts=facts,
    )


def check_every_settlement(missing: pl.Series, *, settlements: int, now: datetime) -> CheckOutcome:
    """Judge the settlements that are missing.

    Args:
        missing: instants, up to now.
        settlements: how many are there.
        now: a settlement of the last hour may not be published yet.

    Returns:
        Failures: settled_at of those that are missing.
    """
    late = missing.to_frame("settled_at").filter(pl.col("settled_at") < now - SETTLEMENT_GRACE)
    return CheckOutcome(
        check=EVERY_SETTLEMENT.name,
        passed=late.is_empty(),
        severity="error",
        summary=f"{settlements:,} settlements are there, {late.height:,} are missing.",
        failures=late,
        facts={"settlements": settlements, "missing": [at.isoformat() for at in late["settled_at"]]},
    )


def check_one_row_per_bar(bars: pl.Series, rows: pl.Series) -> CheckOutcome:
    """Compare the openings of a month's bars with those that have features."""
    of_bars, of_rows = bars.to_frame("opened_at"), rows.to_frame("opened_at")
    failures = pl.concat(
        [
            of_bars.join(of_rows, on="opened_at", how="anti").with_columns(found=pl.lit("a bar without features")),
            of_rows.join(of_bars, on="opened_at", how="anti").with_columns(found=pl.lit("features without a bar")),
        ]
    )
    return CheckOutcome(
        check=ONE_ROW_PER_BAR.name,
        passed=failures.is_empty() and len(bars) == len(rows),
        severity="error",
        summary=f"{len(bars):,} bars, {len(rows):,} rows of features, {failures.height:,} without their counterpart.",
        failures=failures.sort("opened_at"),
        facts={"bars": len(bars), "rows": len(rows)},
    )


def check_expectations(result: SuiteResult) -> CheckOutcome:
    """Judge what Great Expectations found; its page is linked."""
    return CheckOutcome(
        check=EXPECTATIONS.name,
        passed=result.unmet == 0,
        severity="error",
        summary=f"{result.evaluated - result.unmet} of {result.evaluated} expectations hold.",
        failures=result.unexpected,
        facts={"evaluated": result.evaluated, "unmet": result.unmet, "page": result.page},
    )


def not_reached(check: CheckSpec, *, because_of: CheckSpec) -> CheckOutcome:
    """The outcome of a check that makes no sense after another one failed."""
    return CheckOutcome(
        check=check.name,
        passed=False,
        severity="warning",
        summary=f"Not reached, because {because_of.name} failed.",
        facts={"not_reached": True},
    )


def accept(outcome: CheckOutcome, reason: str | None) -> CheckOutcome:
    """A failure that a person accepts for a reason stays one and keeps its rows, but stops nothing any more."""
    if outcome.passed or reason is None:
        return outcome
    return replace(
        outcome,
        severity="warning",
        summary=f"{outcome.summary} Accepted in helios.toml: {reason}",
        facts={**outcome.facts, "accepted": reason},
    )


def join_gaps(gaps: pl.DataFrame) -> pl.DataFrame:
    """Gaps with those that touch made one, their causes joined by commas; `GAPS_SCHEMA`."""
    apart = pl.col("first") != pl.col("last").shift() + BAR_INTERVAL
    return (
        gaps.sort("first")
        .with_columns(run=apart.fill_null(value=True).cum_sum())
        .group_by("run", maintain_order=True)
        .agg(
            first=pl.col("first").first(),
            last=pl.col("last").last(),
            bars=pl.col("bars").sum(),
            cause=pl.col("cause").unique(maintain_order=True).str.join(", "),
        )
        .select(list(GAPS_SCHEMA))
    )


def _check_refused(spec: CheckSpec, refused: pl.DataFrame, limits: CheckLimits) -> CheckOutcome:
    reasons = dict(refused["reason"].value_counts().sort("reason").rows())
    passed = refused.height <= limits.max_refused_rows
    named = "".join(f", {reason} {count:,}" for reason, count in reasons.items())
    return CheckOutcome(
        check=spec.name,
        passed=passed,
        severity="error",
        summary=f"{refused.height:,} such rows{named} ({limits.max_refused_rows:,} allowed).",
        failures=pl.DataFrame() if passed else refused.sort("opened_at", maintain_order=True),
        facts={"refused": reasons},
    )
