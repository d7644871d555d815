import json
from datetime import UTC, datetime, timedelta

import pytest

from helios_pipeline.core.errors import DataError
from helios_pipeline.core.records import Window
from helios_pipeline.data.bars import make_bars
from helios_pipeline.data.raw_month import (
    CsvFile,
    make_raw_funding,
    make_raw_klines,
    make_raw_open_interest,
    tail_window,
)

START = datetime(2024, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY_MS = 86_400_000
START_MS = 1709251200000


def kline(k: int, *, close: str = "100", length: int = 60_000) -> list[object]:
    opened = START_MS + k * length
    return [opened, "100", "101", "99", close, "2", opened + length - 1, "200", 3, "1", "100", "0"]


def csv(*rows: list[object], name: str = "f.csv") -> CsvFile:
    return CsvFile(name=name, content="".join(",".join(map(str, row)) + "\n" for row in rows).encode())


def test_the_tail_follows_the_archive() -> None:
    month = make_raw_klines(
        {"1m": [csv(kline(0), kline(1)), csv(kline(2))]}, {"1m": [kline(3)]}, month="2024-03", before=None
    )

    assert month.frame["source"].to_list() == ["archive"] * 3 + ["rest"]
    assert month.facts() == {
        "rows": 4,
        "sources": {"archive": 3, "rest": 1},
        "quarantined": {},
        "differences": 0,
        "missing": [],
    }


def test_the_archive_replaces_the_tail_later_and_differences_are_recorded() -> None:
    early = make_raw_klines({}, {"1m": [kline(0), kline(1), kline(2, close="99.5")]}, month="2024-03", before=None)

    late = make_raw_klines({"1m": [csv(kline(1), kline(2))]}, {}, month="2024-03", before=early.frame)

    assert late.frame["source"].to_list() == ["rest", "archive", "archive"]
    assert late.differences.rows() == [("1m", START + 2 * MINUTE, "close", 100.0, 99.5)]


def test_a_newer_tail_replaces_an_older_one() -> None:
    early = make_raw_klines({}, {"1m": [kline(0, close="99.5")]}, month="2024-03", before=None)

    late = make_raw_klines({}, {"1m": [kline(0), kline(1)]}, month="2024-03", before=early.frame)

    assert late.frame["close"].to_list() == [100.0, 100.0]


def test_rows_of_another_month_are_quarantined() -> None:
    month = make_raw_klines({"1m": [csv(kline(0), kline(31 * 1440))]}, {}, month="2024-03", before=None)

    assert month.frame.height == 1
    assert month.quarantine["reason"].to_list() == ["outside_partition"]


def test_one_damaged_file_stops_the_month_and_is_named() -> None:
    whole = csv(kline(0), kline(1), name="BTCUSDT-1m-2024-03-02.csv")
    damaged = CsvFile(name=whole.name, content=whole.content[:-30])

    with pytest.raises(DataError, match=r"BTCUSDT-1m-2024-03-02\.csv"):
        make_raw_klines({"1m": [csv(kline(0)), damaged]}, {}, month="2024-03", before=None)


def test_a_month_without_any_file_is_empty_and_one_gap() -> None:
    month = make_raw_klines({}, {}, month="2024-03", before=None)

    result = make_bars(month.frame, first=START, last=START + timedelta(days=31))
    assert month.frame.is_empty()
    assert [gap["bars"] for gap in result.facts()["gaps"]] == [31 * 96]


def test_a_missing_month_in_the_middle_is_one_gap() -> None:
    def bars_of(k: int) -> list[object]:
        return kline(k, length=900_000)

    march = make_raw_klines({"15m": [csv(*map(bars_of, range(31 * 96)))]}, {}, month="2024-03", before=None)
    may = make_raw_klines({"15m": [csv(*map(bars_of, range(61 * 96, 92 * 96)))]}, {}, month="2024-05", before=None)

    result = make_bars(march.frame.vstack(may.frame), first=START, last=START + timedelta(days=92))

    april = datetime(2024, 4, 1, tzinfo=UTC)
    last = datetime(2024, 4, 30, 23, 45, tzinfo=UTC)
    assert result.gaps.rows() == [(april, last, 30 * 96, "missing")]


def test_facts_of_bars_are_plain_json() -> None:
    rows = [kline(k, length=900_000) for k in range(8)]
    rows[3][5] = "0"
    month = make_raw_klines({"15m": [csv(*rows)]}, {}, month="2024-03", before=None)

    facts = make_bars(month.frame, first=START, last=START + timedelta(hours=2)).facts()

    at = (START + timedelta(minutes=45)).isoformat()
    assert json.loads(json.dumps(facts)) == {
        "bars": 7,
        "sources": {"15m": 7},
        "quarantined": {"range_without_volume": 1},
        "gaps": [{"first": at, "last": at, "bars": 1, "cause": "range_without_volume"}],
        "cross_check": {"compared": 0, "different": 0, "differences": []},
    }


def test_funding_that_was_due_and_is_not_there_is_listed() -> None:
    file = csv([START_MS, 8, "0.0001"], [START_MS + DAY_MS, 8, "0.0001"])
    rest = [{"fundingTime": START_MS + DAY_MS + DAY_MS // 3, "fundingRate": "0.0002", "markPrice": "100"}]

    month = make_raw_funding(
        [file], rest, interval_hours=8, month="2024-03", until=START + timedelta(hours=41), before=None
    )

    assert month.frame["source"].to_list() == ["archive", "archive", "rest"]
    assert month.facts()["missing"] == [(START + timedelta(hours=h)).isoformat() for h in (8, 16, 40)]


def test_open_interest_comes_from_both_sources() -> None:
    file = CsvFile(name="f.csv", content=b"2024-03-01 00:05:00,BTCUSDT,1,10,,,,\n")
    rest = [{"timestamp": START_MS + 600_000, "sumOpenInterest": "2", "sumOpenInterestValue": "20"}]

    month = make_raw_open_interest([file], rest, month="2024-03", before=None)

    assert month.frame["open_interest"].to_list() == [1.0, 2.0]
    assert make_raw_open_interest([], [], month="2024-03", before=None).frame.is_empty()


@pytest.mark.parametrize(
    ("last_row", "now", "expected"),
    [
        (None, START + MINUTE, Window(first=START, last=START + MINUTE)),
        (START, START + 5 * MINUTE, Window(first=START + MINUTE, last=START + 5 * MINUTE)),
        (START, START + timedelta(days=99), Window(first=START + MINUTE, last=START + timedelta(days=31))),
        (START + timedelta(days=31) - MINUTE, START + timedelta(days=99), None),
        (None, START, None),
    ],
)
def test_the_tail_is_what_the_archive_lacks(last_row, now, expected) -> None:
    assert tail_window(last_row, step=MINUTE, month="2024-03", now=now) == expected
