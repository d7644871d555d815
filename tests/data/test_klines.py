import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_pipeline.core.errors import DataError
from helios_pipeline.data.klines import (
    INTERVALS,
    RAW_KLINES_SCHEMA,
    combine_klines,
    klines_from_rest,
    parse_klines,
)

HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
START = datetime(2024, 1, 1, tzinfo=UTC)
NUMBERS = ["open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"]


def line(k: int, *, close: str = "101.5", interval: str = "1m", unit: str = "ms") -> str:
    length = INTERVALS[interval]
    per_second = 1_000 if unit == "ms" else 1_000_000
    opened = int((START + k * length).timestamp()) * per_second
    closed = opened + int(length.total_seconds()) * per_second - 1
    return f"{opened},100.5,102,99.25,{close},12.5,{closed},1262.5,42,6.25,631.25,0"


def csv(*lines: str, header: bool = True) -> bytes:
    return "".join(f"{row}\n" for row in ([HEADER, *lines] if header else lines)).encode()


def test_a_kline_has_the_values_of_its_line() -> None:
    parsed = parse_klines(csv(line(0)), interval="1m", file="f.csv")

    assert parsed.frame.schema == RAW_KLINES_SCHEMA
    assert parsed.frame.row(0) == (
        *(START, "1m", 100.5, 102.0, 99.25, 101.5, 12.5, 1262.5, 42, 6.25, 631.25, "archive"),
    )
    assert parsed.quarantined.is_empty()


def test_header_and_unit_of_the_stamps_make_no_difference() -> None:
    variants = [
        csv(*(line(k, unit=unit) for k in range(20)), header=header)
        for header in (True, False)
        for unit in ("ms", "us")
    ]

    frames = [parse_klines(variant, interval="1m", file="f.csv").frame for variant in variants]

    assert all(frame.equals(frames[0]) for frame in frames)
    assert frames[0].height == 20


def test_line_ends_of_windows_make_no_difference() -> None:
    unix = csv(line(0), line(1))

    parsed = parse_klines(unix.replace(b"\n", b"\r\n"), interval="1m", file="f.csv")

    assert parsed.frame.equals(parse_klines(unix, interval="1m", file="f.csv").frame)


price = st.decimals(min_value="0.00000001", max_value="9999999", places=8).map(str)
amount = st.decimals(min_value="0", max_value="999999", places=8).map(str)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(price, price, price, price, amount, amount, st.integers(0, 10**9), amount, amount),
        min_size=1,
        max_size=30,
    ),
    first=st.integers(0, 10**6),
    header=st.booleans(),
    unit=st.sampled_from([("ms", 1_000), ("us", 1)]),
)
def test_whatever_is_written_is_read_back(rows, first, header, unit) -> None:
    _, divisor = unit
    minute = 60_000_000 // divisor
    start = 1_704_067_200_000_000 // divisor + first * minute
    lines = []
    for k, (opening, high, low, close, volume, quote, count, taker, taker_quote) in enumerate(rows):
        opened = start + k * minute
        cells = [opened, opening, high, low, close, volume, opened + minute - 1, quote, count, taker, taker_quote, 0]
        lines.append(",".join(map(str, cells)))

    parsed = parse_klines(csv(*lines, header=header), interval="1m", file="f.csv")

    beside_a_bad_line = parse_klines(csv(*lines, "bad", lines[0], header=header), interval="1m", file="f.csv")
    assert beside_a_bad_line.frame.equals(parsed.frame)
    assert parsed.quarantined.is_empty()
    assert parsed.frame["opened_at"].to_list() == [START + timedelta(minutes=first + k) for k in range(len(rows))]
    for column, index in (("open", 0), ("high", 1), ("low", 2), ("close", 3), ("volume", 4)):
        assert parsed.frame[column].to_list() == [float(row[index]) for row in rows]
    unrecorded = [float(row[5]) == 0 and float(row[4]) > 0 for row in rows]
    counts = [None if absent else row[6] for absent, row in zip(unrecorded, rows, strict=True)]
    assert parsed.frame["trade_count"].to_list() == counts


def test_turnover_of_zero_with_volume_means_not_recorded() -> None:
    opened, *_ = line(0).split(",")
    row = f"{opened},1,1,1,1,5,{int(opened) + 59_999},0,0,0,0,0"

    frame = parse_klines(csv(row), interval="1m", file="f.csv").frame

    assert frame.select("quote_volume", "trade_count", "taker_buy_volume", "taker_buy_quote_volume").row(0) == (
        *(None, None, None, None),
    )


def test_a_minute_without_trades_has_a_turnover_of_zero() -> None:
    opened, *_ = line(0).split(",")
    row = f"{opened},1,1,1,1,0,{int(opened) + 59_999},0,0,0,0,0"

    frame = parse_klines(csv(row), interval="1m", file="f.csv").frame

    assert frame.select("quote_volume", "trade_count").row(0) == (0.0, 0)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("1704067260000,1,2", "wrong_columns"),
        (line(1)[:-4], "wrong_columns"),
        (line(1) + ",7", "wrong_columns"),
        ("", "wrong_columns"),
        (line(1).replace("102", "1o2"), "unparsable"),
        (line(1).replace("102,", ","), "unparsable"),
        (line(1).replace("102", "inf"), "not_finite"),
        (line(1).replace("102", "nan"), "not_finite"),
        (line(1).replace("1704067260000", "1704067260001"), "misaligned"),
        (line(1).replace("1704067319999", "1704067319998"), "close_time"),
    ],
)
def test_a_bad_line_goes_to_quarantine_and_the_others_stay(bad: str, reason: str) -> None:
    parsed = parse_klines(csv(line(0), bad, line(2)), interval="1m", file="f.csv")

    assert parsed.frame["opened_at"].to_list() == [START, START + timedelta(minutes=2)]
    assert parsed.quarantined.select("reason", "source").rows() == [(reason, "f.csv")]
    assert json.loads(parsed.quarantined["row"][0])


def test_bytes_that_are_no_text_spoil_one_line_only() -> None:
    damaged = csv(line(0), line(1), line(2)).replace(b"1704067260000", b"17040\xff7260000")

    parsed = parse_klines(damaged, interval="1m", file="f.csv")

    assert parsed.frame.height == 2
    assert parsed.quarantined["reason"].to_list() == ["unparsable"]


def test_of_identical_rows_one_is_kept() -> None:
    parsed = parse_klines(csv(line(1), line(0), line(1), line(1)), interval="1m", file="f.csv")

    assert parsed.frame["opened_at"].to_list() == [START, START + timedelta(minutes=1)]
    assert parsed.quarantined.select("opened_at", "reason").rows() == [
        (START + timedelta(minutes=1), "duplicate"),
        (START + timedelta(minutes=1), "duplicate"),
    ]


def test_of_contradicting_rows_none_is_kept() -> None:
    parsed = parse_klines(csv(line(0), line(1), line(1, close="99.5"), line(2)), interval="1m", file="f.csv")

    assert parsed.frame["opened_at"].to_list() == [START, START + timedelta(minutes=2)]
    assert parsed.quarantined["reason"].to_list() == ["conflicting_rows", "conflicting_rows"]
    assert [json.loads(row)["close"] for row in parsed.quarantined["row"]] == [101.5, 99.5]


def test_a_copy_of_contradicting_rows_is_contested_too() -> None:
    parsed = parse_klines(csv(line(0), line(0), line(0, close="99.5")), interval="1m", file="f.csv")

    assert parsed.frame.is_empty()
    assert parsed.quarantined["reason"].to_list() == ["conflicting_rows"] * 3


@pytest.mark.parametrize("cut", [1, 2, 9, 40, 70])
def test_a_file_that_is_cut_off_is_refused_by_name(cut: int) -> None:
    whole = csv(line(0), line(1))

    with pytest.raises(DataError, match=r"BTCUSDT-1m-2024-01\.csv.*cut off"):
        parse_klines(whole[:-cut], interval="1m", file="BTCUSDT-1m-2024-01.csv")


@pytest.mark.parametrize("content", [b"", b"\n", (HEADER + "\n").encode()])
def test_a_file_without_rows_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(DataError, match=r"f\.csv: expected rows, found none"):
        parse_klines(content, interval="1m", file="f.csv")


def test_a_file_of_another_kind_is_refused_by_name() -> None:
    other = b"calc_time,funding_interval_hours,last_funding_rate\n1727740800000,8,0.0001\n"

    with pytest.raises(DataError, match=r"f\.csv: expected the header open_time"):
        parse_klines(other, interval="1m", file="f.csv")
    with pytest.raises(DataError, match=r"f\.csv"):
        parse_klines(b"1727740800000,8,0.0001\n", interval="1m", file="f.csv")


@pytest.mark.parametrize("stamp", ["1704067200", "17040672000000", "1704067200000000000"])
def test_stamps_of_another_width_are_refused(stamp: str) -> None:
    row = line(0).replace("1704067200000", stamp)

    with pytest.raises(DataError, match=r"f\.csv: expected time stamps of 13 digits"):
        parse_klines(csv(row), interval="1m", file="f.csv")


def test_milliseconds_and_microseconds_in_one_file_are_refused() -> None:
    with pytest.raises(DataError, match=r"found widths \[13, 16\]"):
        parse_klines(csv(line(0), line(1, unit="us")), interval="1m", file="f.csv")


def test_files_of_a_partition_join_and_say_what_overlaps() -> None:
    days = [
        parse_klines(csv(line(0), line(1)), interval="1m", file="a.csv"),
        parse_klines(csv(line(1), line(2), line(3)), interval="1m", file="b.csv"),
    ]

    month = combine_klines(days, first=START, last=START + timedelta(minutes=3), source="2024-01")

    assert month.frame.height == 3
    assert month.quarantined.select("reason", "source").rows() == [
        ("outside_partition", "2024-01"),
        ("duplicate", "2024-01"),
    ]


def test_rest_rows_have_the_columns_of_the_archive() -> None:
    opened = 1704067200000
    row = [opened, "100.5", "102", "99.25", "101.5", "12.5", opened + 59_999, "1262.5", 42, "6.25", "631.25", "0"]

    parsed = klines_from_rest([row], interval="1m")

    archived = parse_klines(csv(line(0)), interval="1m", file="f.csv").frame
    assert parsed.frame.drop("source").equals(archived.drop("source"))
    assert parsed.frame["source"].to_list() == ["rest"]
    assert klines_from_rest([], interval="1m").frame.schema == RAW_KLINES_SCHEMA


def test_all_twelve_columns_of_a_real_month_are_read(read_csv) -> None:
    csv_bytes = read_csv("futures/um/monthly/klines/LTCUSDT/1m/LTCUSDT-1m-2026-02.zip")

    parsed = parse_klines(csv_bytes, interval="1m", file="LTCUSDT-1m-2026-02.csv")

    assert parsed.frame.height == 28 * 24 * 60
    assert parsed.quarantined.is_empty()
    assert parsed.frame.null_count().sum_horizontal().item() == 0
    assert parsed.frame.row(0)[2:11] == (59.49, 59.49, 59.42, 59.45, 1554.932, 92449.80017, 442, 832.674, 49507.33217)
    finite = parsed.frame.select(pl.all_horizontal(pl.col(NUMBERS).is_finite()).all())
    assert finite.item()


def test_a_real_spot_file_without_header_is_read(read_csv) -> None:
    csv_bytes = read_csv("spot/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2020-01-01.zip")

    parsed = parse_klines(csv_bytes, interval="1m", file="BTCUSDT-1m-2020-01-01.csv")

    assert parsed.frame.height == 24 * 60
    assert parsed.frame["opened_at"].min() == datetime(2020, 1, 1, tzinfo=UTC)
    assert parsed.frame["close"][0] == 7186.68
