from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_pipeline.core.errors import DataError
from helios_pipeline.data.funding import (
    RAW_FUNDING_SCHEMA,
    combine_funding,
    funding_from_rest,
    missing_settlements,
    parse_funding_rates,
)

START = datetime(2024, 10, 1, tzinfo=UTC)
HOUR_MS = 3_600_000
FIRST_MS = 1727740800000


def csv(*rows: tuple[int, int, str], header: bool = True) -> bytes:
    lines = ["calc_time,funding_interval_hours,last_funding_rate"] if header else []
    return "".join(f"{line}\n" for line in [*lines, *(",".join(map(str, row)) for row in rows)]).encode()


def settlements(*hours: tuple[int, int]) -> pl.DataFrame:
    rows = [(FIRST_MS + hour * HOUR_MS, interval, "0.0001") for hour, interval in hours]
    return parse_funding_rates(csv(*rows), file="f.csv").frame


@pytest.mark.parametrize("header", [True, False])
def test_a_rate_keeps_its_interval_and_its_published_stamp(header: bool) -> None:
    parsed = parse_funding_rates(csv((FIRST_MS + 137, 8, "-0.00001596"), header=header), file="f.csv")

    assert parsed.frame.schema == RAW_FUNDING_SCHEMA
    assert parsed.frame.row(0) == (START, START + timedelta(milliseconds=137), -0.00001596, 8, None, "archive")


@given(jitter=st.lists(st.integers(0, 999), min_size=6, max_size=6))
def test_jitter_below_a_second_moves_no_settlement(jitter: list[int]) -> None:
    rows = [(FIRST_MS + 8 * k * HOUR_MS + delay, 8, "0.0001") for k, delay in enumerate(jitter)]

    frame = parse_funding_rates(csv(*rows), file="f.csv").frame

    assert frame["settled_at"].to_list() == [START + timedelta(hours=8 * k) for k in range(6)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((FIRST_MS + HOUR_MS, 0, "0.0001"), "interval"),
        ((FIRST_MS + HOUR_MS, 25, "0.0001"), "interval"),
        ((FIRST_MS + HOUR_MS, 8, "nan"), "not_finite"),
        ((FIRST_MS + HOUR_MS, 8, ""), "unparsable"),
    ],
)
def test_a_bad_rate_goes_to_quarantine(row: tuple[int, int, str], reason: str) -> None:
    parsed = parse_funding_rates(csv((FIRST_MS, 8, "0.0001"), row, (FIRST_MS + 8 * HOUR_MS, 8, "0.0001")), file="f.csv")

    assert parsed.frame.height == 2
    assert parsed.quarantined["reason"].to_list() == [reason]


def test_two_rates_in_one_hour_contradict_each_other() -> None:
    parsed = parse_funding_rates(csv((FIRST_MS, 8, "0.0001"), (FIRST_MS, 8, "0.0002")), file="f.csv")

    assert parsed.frame.is_empty()
    assert parsed.quarantined["reason"].to_list() == ["conflicting_rows"] * 2


def test_a_file_without_the_interval_is_refused_because_it_can_not_be_known() -> None:
    with pytest.raises(DataError, match=r"f\.csv: expected the header calc_time,funding_interval_hours"):
        parse_funding_rates(b"calc_time,last_funding_rate\n1727740800000,0.0001\n", file="f.csv")


def test_a_file_that_is_cut_off_is_refused_even_inside_the_rate() -> None:
    with pytest.raises(DataError, match=r"f\.csv.*cut off"):
        parse_funding_rates(csv((FIRST_MS, 8, "0.00012"))[:-2], file="f.csv")


def test_a_whole_stretch_misses_nothing() -> None:
    frame = settlements((0, 8), (8, 8), (16, 8))

    assert missing_settlements(frame, first=START, last=START + timedelta(days=1)).is_empty()


def test_settlements_that_the_interval_asks_for_are_listed() -> None:
    frame = settlements((8, 8), (32, 8))

    missing = missing_settlements(frame, first=START, last=START + timedelta(days=2))

    assert missing["settled_at"].to_list() == [START + timedelta(hours=h) for h in (0, 16, 24, 40)]


def test_an_interval_that_changes_is_followed() -> None:
    frame = settlements((0, 8), (8, 8), (12, 4), (20, 4))

    missing = missing_settlements(frame, first=START, last=START + timedelta(days=1))

    assert missing.rows() == [(START + timedelta(hours=16), 4)]


def test_without_rows_nothing_is_known() -> None:
    empty = RAW_FUNDING_SCHEMA.to_frame()

    assert missing_settlements(empty, first=START, last=START + timedelta(days=1)).is_empty()
    assert combine_funding([], first=START, last=START + timedelta(days=1), source="x").frame.is_empty()


def test_rest_rates_carry_the_mark_price() -> None:
    rows = [
        {"symbol": "BTCUSDT", "fundingTime": FIRST_MS + 3, "fundingRate": "0.00010000", "markPrice": "63309.12"},
        {"symbol": "BTCUSDT", "fundingTime": FIRST_MS + 8 * HOUR_MS, "fundingRate": "-0.0002", "markPrice": ""},
    ]

    frame = funding_from_rest(rows, interval_hours=8).frame

    assert frame.schema == RAW_FUNDING_SCHEMA
    assert frame["mark_price"].to_list() == [63309.12, None]
    assert frame["source"].to_list() == ["rest", "rest"]
    assert funding_from_rest([], interval_hours=8).frame.is_empty()


def test_rest_rates_from_before_a_change_of_interval_are_not_guessed() -> None:
    hours = (0, 8, 16, 20, 24)
    rows = [{"fundingTime": FIRST_MS + hour * HOUR_MS, "fundingRate": "0.0001"} for hour in hours]

    parsed = funding_from_rest(rows, interval_hours=4)

    assert parsed.quarantined["reason"].to_list() == ["interval_unknown"] * 2
    assert parsed.frame["settled_at"].to_list() == [START + timedelta(hours=h) for h in (0, 20, 24)]


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "SOLUSDT"])
def test_eighteen_real_months_of_rates_are_whole(read_csv, symbol: str) -> None:
    months = [f"{2024 + k // 12}-{k % 12 + 1:02d}" for k in range(18)]
    parts = [
        parse_funding_rates(
            read_csv(f"futures/um/monthly/fundingRate/{symbol}/{symbol}-fundingRate-{month}.zip"), file=month
        )
        for month in months
    ]
    first, last = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC)

    funding = combine_funding(parts, first=first, last=last, source=symbol)

    assert funding.quarantined.is_empty()
    assert missing_settlements(funding.frame, first=first, last=last).is_empty()
    assert funding.frame.height == (last - first).days * 3
