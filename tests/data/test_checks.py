"""Verdicts on a month before it is written: the right check stops it, and the rows are shown."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from helios_pipeline.core.checks import CheckOutcome
from helios_pipeline.core.expectations import UNEXPECTED_SCHEMA, SuiteResult
from helios_pipeline.core.monthly_checks import (
    ACCEPTABLE,
    EXPECTATIONS,
    MONTHLY_CHECKS,
    SCHEMA,
    CheckLimits,
)
from helios_pipeline.data.bars import GAPS_SCHEMA
from helios_pipeline.data.checks import (
    accept,
    check_complete,
    check_every_settlement,
    check_expectations,
    check_one_row_per_bar,
    check_same_scale,
    check_sound_prices,
    check_sound_rows,
    join_gaps,
    not_reached,
)
from helios_pipeline.data.quarantine import QUARANTINE_SCHEMA, STAMP

START = datetime(2024, 3, 1, tzinfo=UTC)
BAR = timedelta(minutes=15)
NOTHING = CheckLimits(max_refused_rows=0, max_missing_fraction=0.0, max_gap_bars=0)
SOME = CheckLimits(max_refused_rows=2, max_missing_fraction=0.1, max_gap_bars=3)


def quarantine(*reasons: str) -> pl.DataFrame:
    rows = [(START + k * BAR, reason, "f.csv", '{"open":-1.0}') for k, reason in enumerate(reasons)]
    return pl.DataFrame(rows, schema=QUARANTINE_SCHEMA, orient="row")


def gaps(*runs: tuple[int, int, str]) -> pl.DataFrame:
    """Gaps by their first slot, their length and their cause."""
    rows = [(START + at * BAR, START + (at + bars - 1) * BAR, bars, cause) for at, bars, cause in runs]
    return pl.DataFrame(rows, schema=GAPS_SCHEMA, orient="row")


OF_RAW_ROWS = "duplicate conflicting_rows unparsable wrong_columns not_finite misaligned close_time outside_partition"


@pytest.mark.parametrize("reason", [*OF_RAW_ROWS.split(), "interval", "negative", "time_stamp"])
def test_a_row_that_no_sound_source_publishes_stops_a_raw_month_and_is_shown(reason: str) -> None:
    outcome = check_sound_rows(quarantine(reason), NOTHING)

    assert (outcome.check, outcome.passed, outcome.severity) == ("sound_rows", False, "error")
    assert outcome.summary == f"1 such rows, {reason} 1 (0 allowed)."
    assert outcome.failures.equals(quarantine(reason))
    assert outcome.facts == {"refused": {reason: 1}}


def test_a_rate_whose_interval_is_not_known_yet_is_not_the_sources_fault() -> None:
    assert check_sound_rows(quarantine("interval_unknown"), NOTHING).passed


def test_as_many_rows_as_the_settings_allow_may_be_refused() -> None:
    assert check_sound_rows(quarantine("duplicate", "duplicate"), SOME).passed
    assert not check_sound_rows(quarantine("duplicate", "duplicate", "misaligned"), SOME).passed


@pytest.mark.parametrize(
    ("reason", "stopped_by"),
    [
        ("negative_price", ["sound_prices"]),
        ("crossed_ohlc", ["sound_prices"]),
        ("negative_volume", ["sound_prices"]),
        ("range_without_volume", ["sound_prices"]),
        ("not_finite", ["sound_prices"]),
        ("misaligned", ["sound_prices"]),
        ("scale_jump", ["same_scale"]),
        ("no_trades", []),
    ],
)
def test_each_kind_of_bad_bar_is_stopped_by_one_check(reason: str, stopped_by: list[str]) -> None:
    outcomes = [check(quarantine(reason), NOTHING) for check in (check_sound_prices, check_same_scale)]

    assert [outcome.check for outcome in outcomes if not outcome.passed] == stopped_by
    assert [outcome.failures.height for outcome in outcomes if not outcome.passed] == [1] * len(stopped_by)


def test_bars_without_trades_are_not_missing() -> None:
    outcome = check_complete(gaps((20, 4, "no_trades")), bars=92, limits=NOTHING)

    assert outcome.passed
    assert outcome.facts == {"slots": 96, "bars": 92, "missing": 0, "no_trades": 4, "longest": 0}


@pytest.mark.parametrize(
    ("runs", "bars", "passed"),
    [
        ([], 100, True),
        ([(5, 3, "missing")], 97, True),
        ([(5, 4, "missing")], 96, False),  # too long a run
        ([(5, 3, "missing"), (8, 1, "negative_price")], 96, False),  # one run of two causes
        ([(5, 3, "missing"), (9, 1, "negative_price")], 96, True),
        ([(k * 10, 2, "missing") for k in range(5)], 90, True),
        ([(k * 10, 2, "missing") for k in range(5)] + [(70, 1, "missing")], 89, False),  # too many in all
        ([(0, 100, "no_trades")], 0, False),
    ],
)
def test_a_month_may_lack_as_much_as_the_settings_allow(runs, bars: int, passed: bool) -> None:
    outcome = check_complete(gaps(*runs), bars=bars, limits=SOME)

    assert outcome.passed is passed
    assert outcome.failures.is_empty() or not passed


def test_the_gaps_that_stop_a_month_are_shown() -> None:
    found = gaps((5, 3, "missing"), (8, 1, "negative_price"), (20, 4, "no_trades"))

    outcome = check_complete(found, bars=92, limits=SOME)

    assert outcome.failures.rows() == [(START + 5 * BAR, START + 8 * BAR, 4, "missing, negative_price")]
    assert outcome.summary == (
        "4 of 100 bars are missing, 4.00% (10.00% allowed); the longest run has 4 (3 allowed). In 4 nobody traded."
    )


def test_a_month_that_has_just_begun_lacks_nothing() -> None:
    outcome = check_complete(gaps(), bars=0, limits=NOTHING)

    assert outcome.passed
    assert "0 of 0 bars" in outcome.summary


def test_gaps_that_touch_are_one() -> None:
    joined = join_gaps(gaps((0, 2, "missing"), (2, 1, "missing"), (3, 1, "scale_jump"), (5, 1, "missing")))

    assert joined.schema == GAPS_SCHEMA
    assert joined.rows() == [
        (START, START + 3 * BAR, 4, "missing, scale_jump"),
        (START + 5 * BAR, START + 5 * BAR, 1, "missing"),
    ]


def test_a_missing_settlement_is_named_once_it_must_be_published() -> None:
    missing = pl.Series("settled_at", [START, START + timedelta(hours=8)], STAMP)
    now = START + timedelta(hours=8, minutes=30)

    outcome = check_every_settlement(missing, settlements=4, now=now)

    assert (outcome.passed, outcome.failures["settled_at"].to_list()) == (False, [START])
    assert outcome.facts == {"settlements": 4, "missing": [START.isoformat()]}
    assert check_every_settlement(missing.tail(1), settlements=4, now=now).passed


def test_a_bar_without_features_and_features_without_a_bar_are_shown() -> None:
    bars = pl.Series("opened_at", [START, START + BAR], STAMP)

    outcome = check_one_row_per_bar(bars, pl.Series("opened_at", [START + BAR, START + 2 * BAR], STAMP))

    assert outcome.failures.rows() == [(START, "a bar without features"), (START + 2 * BAR, "features without a bar")]
    assert not outcome.passed
    assert check_one_row_per_bar(bars, bars).passed
    assert not check_one_row_per_bar(bars, pl.concat([bars, bars.tail(1)])).passed


def test_what_great_expectations_found_is_told_with_its_page() -> None:
    unexpected = pl.DataFrame([("low is above zero", "x", "low -1.0")], schema=UNEXPECTED_SCHEMA, orient="row")

    outcome = check_expectations(SuiteResult(evaluated=9, unmet=1, unexpected=unexpected, page="/reports/x.html"))

    assert (outcome.passed, outcome.severity, outcome.summary) == (False, "error", "8 of 9 expectations hold.")
    assert outcome.facts["page"] == "/reports/x.html"
    assert outcome.failures.equals(unexpected)


def test_a_check_that_was_not_reached_says_why_and_stops_nothing() -> None:
    outcome = not_reached(EXPECTATIONS, because_of=SCHEMA)

    assert (outcome.check, outcome.passed, outcome.severity) == ("expectations", False, "warning")
    assert outcome.summary == "Not reached, because schema failed."


def test_what_a_person_accepts_stays_a_failure_with_its_rows_but_stops_nothing() -> None:
    outcome = check_sound_prices(quarantine("negative_price"), NOTHING)

    accepted = accept(outcome, "looked at, one bad tick")

    assert (accepted.passed, accepted.severity) == (False, "warning")
    assert accepted.failures.equals(outcome.failures)
    assert accepted.summary.endswith("Accepted in helios.toml: looked at, one bad tick")
    assert accepted.facts["accepted"] == "looked at, one bad tick"
    assert accept(outcome, None) is outcome


def test_there_is_nothing_to_accept_in_what_passed() -> None:
    passed = CheckOutcome(check="complete", passed=True, severity="error", summary="All there.")

    assert accept(passed, "no need") is passed


def test_checks_have_names_of_their_own_and_are_described() -> None:
    for specs in MONTHLY_CHECKS.values():
        assert len({spec.name for spec in specs}) == len(specs)
        assert [spec.name for spec in specs if not spec.description.endswith(".")] == []
    assert "bars_15m:complete" in ACCEPTABLE
    assert [name for name in ACCEPTABLE if name.endswith((":schema", ":expectations", ":one_row_per_bar"))] == []
