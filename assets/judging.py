"""The checks of each monthly asset, on its frame before it is stored."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import polars as pl

from assets.months import Made, Month
from assets.research import Research
from helios_pipeline.core.checks import CheckOutcome
from helios_pipeline.core.expectations import ExpectationSuite
from helios_pipeline.core.monthly_checks import EXPECTATIONS, MONTHLY_CHECKS, SCHEMA
from helios_pipeline.data.bars import gaps_from_facts
from helios_pipeline.data.checks import (
    accept,
    check_complete,
    check_every_settlement,
    check_expectations,
    check_one_row_per_bar,
    check_same_scale,
    check_sound_prices,
    check_sound_rows,
    not_reached,
)
from helios_pipeline.data.expectations import BARS_SUITE
from helios_pipeline.data.models import (
    bars_model,
    check_schema,
    raw_funding_rates_model,
    raw_klines_model,
    raw_open_interest_model,
)
from helios_pipeline.data.quarantine import STAMP, no_quarantine
from helios_pipeline.features.expectations import FEATURES_SUITE, features_model

RAW_KLINES_CHECKS = MONTHLY_CHECKS["raw_klines"]
RAW_FUNDING_RATES_CHECKS = MONTHLY_CHECKS["raw_funding_rates"]
RAW_OPEN_INTEREST_CHECKS = MONTHLY_CHECKS["raw_open_interest"]
BARS_15M_CHECKS = MONTHLY_CHECKS["bars_15m"]
FUNDING_FEATURES_CHECKS = MONTHLY_CHECKS["funding_features"]


def judge_raw_klines(research: Research, month: Month, made: Made) -> tuple[CheckOutcome, ...]:
    """The outcome of each of `RAW_KLINES_CHECKS`."""
    schema = check_schema(made.frame, raw_klines_model(), key="opened_at")
    rows = check_sound_rows(_quarantine(made), research.settings.checks.limits)
    return _accepted(research, "raw_klines", month, [schema, rows])


def judge_raw_funding_rates(research: Research, month: Month, made: Made) -> tuple[CheckOutcome, ...]:
    """The outcome of each of `RAW_FUNDING_RATES_CHECKS`."""
    schema = check_schema(made.frame, raw_funding_rates_model(), key="settled_at")
    rows = check_sound_rows(_quarantine(made), research.settings.checks.limits)
    missing = pl.Series("settled_at", [datetime.fromisoformat(at) for at in _listed(made, "missing")], STAMP)
    settlements = check_every_settlement(missing, settlements=made.frame.height, now=research.now)
    return _accepted(research, "raw_funding_rates", month, [schema, rows, settlements])


def judge_raw_open_interest(research: Research, month: Month, made: Made) -> tuple[CheckOutcome, ...]:
    """The outcome of each of `RAW_OPEN_INTEREST_CHECKS`."""
    schema = check_schema(made.frame, raw_open_interest_model(), key="measured_at")
    rows = check_sound_rows(_quarantine(made), research.settings.checks.limits)
    return _accepted(research, "raw_open_interest", month, [schema, rows])


def judge_bars_15m(research: Research, month: Month, made: Made) -> tuple[CheckOutcome, ...]:
    """The outcome of each of `BARS_15M_CHECKS`."""
    limits, quarantine = research.settings.checks.limits, _quarantine(made)
    schema = check_schema(made.frame, bars_model(), key="opened_at")
    outcomes = [
        schema,
        _expectations(research, month, made.frame, BARS_SUITE, schema),
        check_sound_prices(quarantine, limits),
        check_same_scale(quarantine, limits),
        check_complete(gaps_from_facts(_listed(made, "gaps")), bars=made.frame.height, limits=limits),
    ]
    return _accepted(research, "bars_15m", month, outcomes)


def judge_funding_features(research: Research, month: Month, made: Made) -> tuple[CheckOutcome, ...]:
    """The outcome of each of `FUNDING_FEATURES_CHECKS`."""
    bars = research.lake.read("bars_15m", instrument=month[0], month=month[1])
    schema = check_schema(made.frame, features_model(), key="opened_at")
    outcomes = [
        schema,
        _expectations(research, month, made.frame, FEATURES_SUITE, schema),
        check_one_row_per_bar(bars["opened_at"], made.frame["opened_at"]),
    ]
    return _accepted(research, "funding_features", month, outcomes)


def _expectations(
    research: Research, month: Month, frame: pl.DataFrame, suite: ExpectationSuite, schema: CheckOutcome
) -> CheckOutcome:
    """The suite's outcome; it can't be run on columns that are absent or of another type."""
    if not schema.passed:
        return not_reached(EXPECTATIONS, because_of=SCHEMA)
    return check_expectations(research.expectations.validate(frame, suite, instrument=month[0], month=month[1]))


def _accepted(
    research: Research, asset: str, month: Month, outcomes: Sequence[CheckOutcome]
) -> tuple[CheckOutcome, ...]:
    acceptance = research.settings.checks.acceptance
    return tuple(
        accept(outcome, acceptance(f"{asset}:{outcome.check}", instrument=month[0], month=month[1]))
        for outcome in outcomes
    )


def _quarantine(made: Made) -> pl.DataFrame:
    return no_quarantine() if made.quarantine is None else made.quarantine


def _listed(made: Made, fact: str) -> Sequence[Any]:
    facts: Any = made.facts[fact]
    return list(facts)
