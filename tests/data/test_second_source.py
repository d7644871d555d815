"""Stored bars against the same bars asked for a second time."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from helios_pipeline.core.records import Window
from helios_pipeline.data.bars import make_bars
from helios_pipeline.data.klines import klines_from_rest
from helios_pipeline.data.second_source import compare_with_second_source, day_window, sample, sample_days

START = datetime(2024, 3, 1, tzinfo=UTC)
BAR = timedelta(minutes=15)
SPAN = Window(first=START, last=START + 8 * BAR)
BTC = "BTCUSDT-PERP.BINANCE"


def kline(k: int, *, close: str = "100.5", volume: str = "2.5") -> list[object]:
    opened = round((START + k * BAR).timestamp() * 1000)
    high, low = ("101", "99") if float(volume) else (close, close)
    open_ = "100" if float(volume) else close
    return [opened, open_, high, low, close, volume, opened + 899_999, "250", 3, "1.5", "150", "0"]


def klines(*rows: list[object]) -> pl.DataFrame:
    return klines_from_rest(rows, interval="15m").frame


@pytest.fixture
def stored() -> pl.DataFrame:
    return make_bars(klines(*map(kline, range(8))), first=SPAN.first, last=SPAN.last).bars


def test_equal_bars_are_equal(stored: pl.DataFrame) -> None:
    result = compare_with_second_source(stored, klines(*map(kline, range(8))), span=SPAN)

    assert result.compared == 8
    assert result.disagreements.rows() == []


def test_every_value_that_differs_is_named(stored: pl.DataFrame) -> None:
    other = [kline(k) for k in range(8)]
    other[2], other[5] = kline(2, close="100.49"), kline(5, volume="2.6")

    result = compare_with_second_source(stored, klines(*other), span=SPAN)

    assert result.disagreements.rows() == [
        (START + 2 * BAR, "close", 100.5, 100.49),
        (START + 5 * BAR, "volume", 2.5, 2.6),
    ]


def test_a_bar_that_only_one_source_has_is_named(stored: pl.DataFrame) -> None:
    fewer = stored.filter(pl.col("opened_at") != START)

    result = compare_with_second_source(fewer, klines(*map(kline, range(7))), span=SPAN)

    assert result.compared == 6
    assert result.disagreements.rows() == [(START, "bar", None, 100.5), (START + 7 * BAR, "bar", 100.5, None)]


def test_a_bar_in_which_nobody_traded_is_missing_on_both_sides(stored: pl.DataFrame) -> None:
    quiet = [kline(k, volume="0" if k == 3 else "2.5") for k in range(8)]

    result = compare_with_second_source(
        stored.filter(pl.col("opened_at") != START + 3 * BAR), klines(*quiet), span=SPAN
    )

    assert (result.compared, result.disagreements.height) == (7, 0)


def test_bars_outside_the_span_are_not_compared(stored: pl.DataFrame) -> None:
    shorter = Window(first=START + 2 * BAR, last=START + 4 * BAR)

    result = compare_with_second_source(stored, klines(*map(kline, range(2, 4))), span=shorter)

    assert (result.compared, result.disagreements.height) == (2, 0)


def test_the_same_days_are_chosen_again_and_others_for_another_instrument() -> None:
    until = datetime(2024, 3, 20, 12, tzinfo=UTC)
    months = ["2024-01", "2024-03"]

    days = sample_days(BTC, months, count=5, until=until)

    assert days == sample_days(BTC, months, count=5, until=until) == sorted(days)
    assert len(set(days)) == 5
    assert days != sample_days("ETHUSDT-PERP.BINANCE", months, count=5, until=until)
    every = sample_days(BTC, months, count=1000, until=until)
    assert len(every) == 31 + 19
    assert {day.month for day in every} == {1, 3}
    assert max(every) == date(2024, 3, 19)


def test_a_month_more_keeps_most_of_a_sample() -> None:
    few, more = (sample([f"2024-{m:02d}" for m in range(1, last)], count=3, salt=BTC) for last in (12, 13))

    assert len(set(few) & set(more)) >= 2


def test_a_day_is_a_utc_day() -> None:
    assert day_window(date(2024, 2, 29)) == Window(
        first=datetime(2024, 2, 29, tzinfo=UTC), last=datetime(2024, 3, 1, tzinfo=UTC)
    )
