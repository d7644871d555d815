from datetime import UTC, datetime, timedelta

import pytest

from helios_pipeline.core.errors import DataError
from helios_pipeline.data.open_interest import (
    RAW_OPEN_INTEREST_SCHEMA,
    combine_open_interest,
    open_interest_from_rest,
    parse_open_interest,
)

HEADER = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio"
)
DAY = datetime(2026, 5, 1, tzinfo=UTC)


def csv(*lines: str, header: bool = True) -> bytes:
    return "".join(f"{line}\n" for line in ([HEADER, *lines] if header else lines)).encode()


@pytest.mark.parametrize("header", [True, False])
def test_a_measurement_is_read_even_where_the_ratios_are_empty(header: bool) -> None:
    parsed = parse_open_interest(csv("2026-05-01 00:05:00,BTCUSDT,95352.448,7289000096.8,,,,", header=header), file="f")

    assert parsed.frame.schema == RAW_OPEN_INTEREST_SCHEMA
    assert parsed.frame.rows() == [(DAY + timedelta(minutes=5), 95352.448, 7289000096.8, "archive")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2026-05-01T00:10:00,BTCUSDT,1,1,,,,", "time_stamp"),
        ("2026-05-01 00:10:00,BTCUSDT,-1,1,,,,", "negative"),
        ("2026-05-01 00:10:00,BTCUSDT,nan,1,,,,", "not_finite"),
        ("2026-05-01 00:10:00,BTCUSDT,,1,,,,", "unparsable"),
        ("2026-05-01 00:10:00,BTCUSDT,1", "wrong_columns"),
        ("2026-05-01 00:10:00,BTCUSDT,1,7", "wrong_columns"),
        ("2026-05-01 00:05:00,BTCUSDT,1,1,,,,", "duplicate"),
    ],
)
def test_a_bad_measurement_goes_to_quarantine(line: str, reason: str) -> None:
    good = [f"2026-05-01 00:{minute:02d}:00,BTCUSDT,1,1,,,," for minute in (5, 15)]

    parsed = parse_open_interest(csv(good[0], line, good[1]), file="f.csv")

    assert parsed.frame.height == 2
    assert parsed.quarantined["reason"].to_list() == [reason]


def test_a_file_that_is_cut_off_is_refused_by_name() -> None:
    whole = csv("2026-05-01 00:05:00,BTCUSDT,1,1,0.5,0.5,0.5,0.5")

    with pytest.raises(DataError, match=r"metrics\.csv.*cut off"):
        parse_open_interest(whole[:-3], file="metrics.csv")


def test_a_partition_ends_with_the_midnight_its_last_file_ends_with() -> None:
    parsed = parse_open_interest(
        csv("2026-05-01 00:00:00,BTCUSDT,1,1,,,,", "2026-05-02 00:00:00,BTCUSDT,2,2,,,,"), file="f.csv"
    )

    joined = combine_open_interest([parsed], first=DAY, last=DAY + timedelta(days=1), source="2026-05")

    assert joined.frame["measured_at"].to_list() == [DAY + timedelta(days=1)]
    assert joined.quarantined["reason"].to_list() == ["outside_partition"]
    assert combine_open_interest([], first=DAY, last=DAY, source="x").frame.is_empty()


def test_rest_measurements_are_read() -> None:
    rows = [
        {"symbol": "LTCUSDT", "sumOpenInterest": "1.5", "sumOpenInterestValue": "90.25", "timestamp": 1777593600000}
    ]

    frame = open_interest_from_rest(rows).frame

    assert frame.rows() == [(DAY, 1.5, 90.25, "rest")]
    assert open_interest_from_rest([]).frame.schema == RAW_OPEN_INTEREST_SCHEMA


def test_a_real_day_of_open_interest_is_read(read_csv) -> None:
    content = read_csv("futures/um/daily/metrics/BTCUSDT/BTCUSDT-metrics-2026-05-01.zip")

    parsed = parse_open_interest(content, file="BTCUSDT-metrics-2026-05-01.csv")

    assert parsed.frame.height == 288
    assert parsed.frame.row(0)[:2] == (DAY + timedelta(minutes=5), 95352.448)
    assert parsed.frame["measured_at"].max() == DAY + timedelta(days=1)
    assert parsed.quarantined.is_empty()
