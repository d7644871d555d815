"""Which bars of which days are there."""

from datetime import UTC, datetime

import polars as pl

from helios_pipeline.reports.coverage import GAPS_SCHEMA, SPANS_SCHEMA, days_covered

BTC = "BTCUSDT-PERP.BINANCE"


def at(day, hour=0, minute=0):
    return datetime(2025, 1, day, hour, minute, tzinfo=UTC)


def spans(*rows):
    return pl.DataFrame(list(rows), schema=SPANS_SCHEMA, orient="row")


def gaps(*rows):
    return pl.DataFrame(list(rows), schema=GAPS_SCHEMA, orient="row")


def test_a_gap_over_midnight_counts_on_both_days():
    days = days_covered(spans((BTC, at(1), at(4))), gaps((BTC, at(1, 23, 30), at(2, 0, 15), 4, "missing")))

    assert days["missing"].to_list() == [2, 2, 0]
    assert days["quarantined"].to_list() == [0, 0, 0]


def test_quarantined_bars_are_told_from_missing_ones():
    days = days_covered(spans((BTC, at(1), at(2))), gaps((BTC, at(1, 5), at(1, 5, 30), 3, "no_trades"),
                                                         (BTC, at(1, 9), at(1, 9), 1, "missing")))  # fmt: skip

    assert days.select("missing", "quarantined").row(0) == (1, 3)


def test_a_day_that_is_not_over_is_one_of_the_days():
    days = days_covered(spans((BTC, at(1), at(2, 10))), gaps())

    assert days["day"].to_list() == [at(1), at(2)]


def test_nothing_stored_is_no_day():
    assert days_covered(spans(), gaps()).height == 0
