import json
from datetime import UTC, datetime, timedelta

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_pipeline.data.bars import make_bars
from helios_pipeline.data.klines import INTERVALS, RAW_KLINES_SCHEMA, combine_klines, parse_klines
from helios_pipeline.data.validate import BARS_SCHEMA

START = datetime(2024, 1, 1, tzinfo=UTC)
BAR = timedelta(minutes=15)


def klines(count: int, *, interval: str = "15m", start: datetime = START, close: float = 100.0) -> pl.DataFrame:
    """A quiet market: every kline is the same."""
    return pl.DataFrame(
        [
            {
                "opened_at": start + k * INTERVALS[interval],
                "interval": interval,
                "open": close,
                "high": close + 1,
                "low": close - 1,
                "close": close,
                "volume": 2.5,
                "quote_volume": 250.0,
                "trade_count": 3,
                "taker_buy_volume": 1.5,
                "taker_buy_quote_volume": 150.0,
                "source": "archive",
            }
            for k in range(count)
        ],
        schema=RAW_KLINES_SCHEMA,
    )


def changed(frame: pl.DataFrame, row: int, **values: float) -> pl.DataFrame:
    at = pl.int_range(pl.len()) == row
    return frame.with_columns(pl.when(at).then(pl.lit(v)).otherwise(pl.col(n)).alias(n) for n, v in values.items())


def bars_of(frame: pl.DataFrame, bars: int = 20):
    return make_bars(frame, first=START, last=START + bars * BAR)


def test_fifteen_minutes_make_one_bar() -> None:
    minutes = klines(15, interval="1m")
    minutes = changed(changed(changed(minutes, 0, open=99.5), 7, high=105.0), 11, low=95.0)
    minutes = changed(minutes, 14, close=100.75)

    result = bars_of(minutes, 1)

    assert result.bars.schema == BARS_SCHEMA
    assert result.bars.row(0) == (START, START + BAR, 99.5, 105.0, 95.0, 100.75, 37.5, 3750.0, 45, 22.5, "1m")
    assert result.gaps.is_empty()
    assert result.quarantine.is_empty()


def test_an_incomplete_quarter_of_an_hour_is_taken_from_the_exchange() -> None:
    minutes = klines(30, interval="1m").filter(pl.int_range(pl.len()) != 3)

    result = bars_of(pl.concat([minutes, klines(2)]), 2)

    assert result.bars["source"].to_list() == ["15m", "1m"]


def test_an_incomplete_quarter_of_an_hour_that_the_exchange_lacks_is_missing() -> None:
    minutes = klines(30, interval="1m").filter(pl.int_range(pl.len()) != 3)

    result = bars_of(minutes, 2)

    assert result.bars["opened_at"].to_list() == [START + BAR]
    assert result.gaps.rows() == [(START, START, 1, "missing")]


def test_a_damaged_minute_is_quarantined_and_its_bar_taken_from_the_exchange() -> None:
    minutes = changed(klines(30, interval="1m"), 4, low=-5.0)

    result = bars_of(pl.concat([minutes, klines(2)]), 2)

    assert result.bars["source"].to_list() == ["15m", "1m"]
    assert result.quarantine.select("opened_at", "reason", "source").rows() == [
        (START + timedelta(minutes=4), "negative_price", "raw_klines 1m")
    ]


def test_a_damaged_minute_without_replacement_is_the_cause_of_the_gap() -> None:
    result = bars_of(changed(klines(30, interval="1m"), 4, low=-5.0), 2)

    assert result.gaps.rows() == [(START, START, 1, "negative_price")]


def test_a_minute_without_trades_is_no_fault() -> None:
    quiet = changed(klines(15, interval="1m"), 4, high=100.0, low=100.0, volume=0.0)

    result = bars_of(quiet, 1)

    assert result.bars["volume"].to_list() == [35.0]
    assert result.quarantine.is_empty()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"open": float("nan")}, "not_finite"),
        ({"volume": float("inf")}, "not_finite"),
        ({"low": 0.0}, "negative_price"),
        ({"low": -1.0}, "negative_price"),
        ({"high": 99.5}, "crossed_ohlc"),
        ({"low": 100.5}, "crossed_ohlc"),
        ({"volume": -1.0}, "negative_volume"),
        ({"volume": 0.0}, "range_without_volume"),
        ({"volume": 0.0, "high": 100.0, "low": 100.0}, "no_trades"),
        ({"open": 10_000.0, "high": 10_100.0, "low": 9_900.0, "close": 10_000.0}, "scale_jump"),
        ({"open": 1.0, "high": 1.01, "low": 0.99, "close": 1.0}, "scale_jump"),
    ],
)
def test_a_bar_that_may_not_be_used_is_quarantined_with_the_reason(values: dict[str, float], reason: str) -> None:
    result = bars_of(changed(klines(20), 12, **values))

    at = START + 12 * BAR
    assert result.bars.height == 19
    assert at not in result.bars["opened_at"].to_list()
    assert result.quarantine.select("opened_at", "reason", "source").rows() == [(at, reason, "raw_klines 15m")]
    assert json.loads(result.quarantine["row"][0])["interval"] == "15m"
    assert result.gaps.rows() == [(at, at, 1, reason)]


def test_a_bar_off_the_grid_is_quarantined() -> None:
    frame = klines(20).with_columns(
        opened_at=pl.when(pl.int_range(pl.len()) == 3)
        .then(pl.col("opened_at") + timedelta(seconds=1))
        .otherwise(pl.col("opened_at"))
    )

    result = bars_of(frame)

    assert result.quarantine["reason"].to_list() == ["misaligned"]
    assert result.gaps.rows() == [(START + 3 * BAR, START + 3 * BAR, 1, "misaligned")]


@pytest.mark.parametrize("at", [1, 18, 19])
def test_a_wrong_scale_is_seen_at_the_edges_too(at: int) -> None:
    result = bars_of(changed(klines(20), at, open=1e6, high=1e6, low=1e6, close=1e6))

    assert result.gaps.rows() == [(START + at * BAR, START + at * BAR, 1, "scale_jump")]


def test_the_first_bar_of_a_span_is_judged_by_the_day_before() -> None:
    frame = changed(klines(20), 8, open=1e6, high=1e6, low=1e6, close=1e6)

    result = make_bars(frame, first=START + 8 * BAR, last=START + 20 * BAR)

    assert result.gaps.rows() == [(START + 8 * BAR, START + 8 * BAR, 1, "scale_jump")]
    assert result.quarantine.height == 1


@settings(deadline=None)
@given(
    closes=st.lists(st.sampled_from([20.0, 45.0, 100.0, 230.0, 500.0]), min_size=2, max_size=24), cut=st.integers(1, 23)
)
def test_no_bar_is_judged_by_a_later_one(closes: list[float], cut: int) -> None:
    frame = klines(len(closes)).with_columns(*(pl.Series(name, closes) for name in ("open", "high", "low", "close")))

    whole, known = bars_of(frame, len(closes)), bars_of(frame.head(cut), min(cut, len(closes)))

    assert whole.bars.filter(pl.col("opened_at") < START + cut * BAR).equals(known.bars)


def test_four_bars_of_wrong_scale_in_a_row_are_seen() -> None:
    frame = klines(20)
    for at in (8, 9, 10, 11):
        frame = changed(frame, at, open=1.0, high=1.0, low=1.0, close=1.0)

    result = bars_of(frame)

    assert result.gaps.rows() == [(START + 8 * BAR, START + 11 * BAR, 4, "scale_jump")]


def test_a_level_that_lasts_an_hour_is_no_wrong_scale() -> None:
    before, after = klines(10), klines(10, start=START + 10 * BAR, close=33.0)

    result = bars_of(pl.concat([before, after]))

    assert result.gaps.rows() == [(START + 10 * BAR, START + 13 * BAR, 4, "scale_jump")]


def test_a_crash_that_trades_through_every_price_is_no_wrong_scale() -> None:
    crash = {"open": 100.0, "high": 100.0, "low": 30.0, "close": 40.0}
    recovery = {"open": 40.0, "high": 100.0, "low": 40.0, "close": 95.0}

    result = bars_of(changed(changed(klines(20), 9, **crash), 10, **recovery))

    assert result.bars.height == 20


def test_gaps_are_listed_and_never_filled() -> None:
    frame = klines(20).filter(~pl.int_range(pl.len()).is_in([0, 5, 6, 7, 19]))
    frame = changed(frame, 4, volume=0.0, high=100.0, low=100.0)  # the bar of slot 8, right after a hole

    result = bars_of(frame)

    assert result.bars.height == 14
    assert result.gaps.rows() == [
        (START, START, 1, "missing"),
        (START + 5 * BAR, START + 7 * BAR, 3, "missing"),
        (START + 8 * BAR, START + 8 * BAR, 1, "no_trades"),
        (START + 19 * BAR, START + 19 * BAR, 1, "missing"),
    ]


def test_nothing_at_all_is_one_gap() -> None:
    result = bars_of(klines(0))

    assert result.bars.is_empty()
    assert result.bars.schema == BARS_SCHEMA
    assert result.gaps.rows() == [(START, START + 19 * BAR, 20, "missing")]
    assert result.cross_check.compared == 0


def test_bars_outside_the_span_are_left_out() -> None:
    result = make_bars(klines(20), first=START + 4 * BAR, last=START + 6 * BAR)

    assert result.bars["opened_at"].to_list() == [START + 4 * BAR, START + 5 * BAR]


def test_the_cross_check_names_every_difference() -> None:
    published = klines(2).with_columns(volume=37.5)
    published = changed(changed(published, 1, high=101.5), 0, volume=37.5 + 1e-9)

    result = bars_of(pl.concat([klines(30, interval="1m"), published]), 2)

    assert result.cross_check.compared == 2
    assert result.cross_check.different == 1
    assert result.cross_check.differences.rows() == [(START + BAR, "high", 101.0, 101.5)]
    assert result.bars["high"].to_list() == [101.0, 101.0]


def test_a_turnover_that_was_not_recorded_stays_unknown_in_the_sum() -> None:
    minutes = klines(15, interval="1m").with_columns(
        quote_volume=pl.when(pl.int_range(pl.len()) != 9).then(pl.col("quote_volume"))
    )

    result = bars_of(minutes, 1)

    assert result.bars["quote_volume"].to_list() == [None]
    assert result.bars["trade_count"].to_list() == [45]


@settings(max_examples=40, deadline=None)
@given(
    units=st.lists(st.integers(1, 10**13), min_size=30, max_size=30),
    decimals=st.integers(0, 8),
    order=st.randoms(use_true_random=False),
)
def test_volume_sums_are_exact_in_whatever_order_the_rows_come(units, decimals, order) -> None:
    minutes = klines(30, interval="1m").with_columns(volume=pl.Series([u / 10**decimals for u in units]))
    shuffled = list(range(30))
    order.shuffle(shuffled)

    result = bars_of(minutes[shuffled], 2)

    exact = [sum(units[:15]) / 10**decimals, sum(units[15:]) / 10**decimals]
    assert result.bars["volume"].to_list() == pytest.approx(exact, rel=4e-16, abs=0)
    assert result.bars.equals(bars_of(minutes, 2).bars)


def test_the_flat_bars_of_october_2024_are_quarantined_and_listed(read_csv) -> None:
    first, last = datetime(2024, 10, 1, tzinfo=UTC), datetime(2024, 11, 1, tzinfo=UTC)
    name = "BTCUSDT-15m-2024-10"
    parsed = parse_klines(
        read_csv(f"futures/um/monthly/klines/BTCUSDT/15m/{name}.zip"), interval="15m", file=f"{name}.csv"
    )

    result = make_bars(parsed.frame, first=first, last=last)

    flat = [datetime(2024, 10, 28, 20, minute, tzinfo=UTC) for minute in (0, 15, 30, 45)]
    assert result.gaps.rows() == [(flat[0], flat[-1], 4, "no_trades")]
    assert result.quarantine.select("opened_at", "reason").rows() == [(at, "no_trades") for at in flat]
    assert result.bars.height == 31 * 96 - 4


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "SOLUSDT"])
def test_real_minutes_of_may_2025_make_the_exchanges_own_bars(read_csv, real_archive, symbol: str) -> None:
    first, last = datetime(2025, 5, 1, tzinfo=UTC), datetime(2025, 6, 1, tzinfo=UTC)
    month = f"futures/um/monthly/klines/{symbol}/15m/{symbol}-15m-2025-05.zip"
    days = sorted((real_archive / f"futures/um/daily/klines/{symbol}/1m").glob(f"{symbol}-1m-2025-05-*.zip"))
    parts = [parse_klines(read_csv(month), interval="15m", file=month)]
    parts += [parse_klines(read_csv(str(day.relative_to(real_archive))), interval="1m", file=day.name) for day in days]

    result = make_bars(combine_klines(parts, first=first, last=last, source="2025-05").frame, first=first, last=last)

    assert len(days) == 27
    assert (result.cross_check.compared, result.cross_check.different) == (27 * 96, 0)
    assert dict(result.bars["source"].value_counts().rows()) == {"1m": 27 * 96, "15m": 4 * 96}
    assert result.gaps.is_empty()


def test_bars_of_a_real_month_equal_those_of_an_independent_engine(read_csv) -> None:
    csv = read_csv("futures/um/monthly/klines/LTCUSDT/1m/LTCUSDT-1m-2026-02.zip")
    minutes = parse_klines(csv, interval="1m", file="LTCUSDT-1m-2026-02.csv").frame

    result = make_bars(minutes, first=datetime(2026, 2, 1, tzinfo=UTC), last=datetime(2026, 3, 1, tzinfo=UTC))

    database = duckdb.connect()
    database.execute("set timezone = 'UTC'")
    database.register("minutes", minutes.to_arrow())
    expected = database.execute(
        """
        select epoch_ms(time_bucket(interval 15 minutes, opened_at)) as opened,
               arg_min(open, opened_at), max(high), min(low), arg_max(close, opened_at),
               cast(sum(cast(volume as decimal(18, 8))) as double),
               cast(sum(cast(quote_volume as decimal(28, 8))) as double),
               cast(sum(trade_count) as bigint),
               cast(sum(cast(taker_buy_volume as decimal(18, 8))) as double)
        from minutes group by opened order by opened
        """
    ).fetchall()
    columns = ["open", "high", "low", "close", "volume", "quote_volume", "trade_count", "taker_buy_volume"]
    assert result.bars.select(pl.col("opened_at").dt.epoch("ms"), *columns).rows() == expected
    assert len(expected) == 28 * 96
