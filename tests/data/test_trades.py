import json
from datetime import UTC, datetime, timedelta

import duckdb
import polars as pl
import pytest

from helios_pipeline.core.errors import DataError
from helios_pipeline.data.trades import RAW_TRADES_SCHEMA, aggregate_trades, parse_agg_trades
from helios_pipeline.data.validate import BARS_SCHEMA

HEADER = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
DAY = datetime(2024, 1, 1, tzinfo=UTC)
OPENED = 1704067200000

# Klines of BTCUSDT spot as Binance published them: open, high, low, close, volume, then where recorded
# turnover, trades, taker volume.
PUBLISHED_FIVE_MINUTES = (42283.58, 42397.23, 42261.02, 42397.23, 155.25731, 6572925.8325696, 6350, 106.05732)
PUBLISHED_SECOND_FIVE_MINUTES = (42397.22, 42432.74, 42385.26, 42409.96, 141.31102, 5993374.7027678, 5134, 69.45156)
PUBLISHED_HALF_HOURS = (
    (42283.58, 42554.57, 42261.02, 42419.73, 823.95971),
    (42419.73, 42490.74, 42354.19, 42475.23, 447.72137),
)
PUBLISHED_HOUR = (42283.58, 42554.57, 42261.02, 42475.23, 1271.68108, 53957248.973789, 47134, 682.57581)
PUBLISHED_DAY = (42283.58, 44184.10, 42180.77, 44179.55, 27174.29903)


def trade(k: int, *, price: str = "100.5", at: int = OPENED, maker: str = "true") -> str:
    return f"{k},{price},0.25,{2 * k},{2 * k + 1},{at},{maker}"


def csv(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def values(bars: pl.DataFrame, row: int = 0) -> tuple[object, ...]:
    columns = ["open", "high", "low", "close", "volume", "quote_volume", "trade_count", "taker_buy_volume"]
    return bars.select(columns).row(row)


def test_futures_and_spot_files_read_alike_in_ms_and_microseconds() -> None:
    futures = parse_agg_trades(csv(HEADER, trade(1), trade(2, maker="false")), file="f.csv").frame
    spot = parse_agg_trades(
        csv(trade(1, at=OPENED * 1000, maker="True") + ",True", trade(2, at=OPENED * 1000, maker="False") + ",True"),
        file="f.csv",
    ).frame

    assert futures.schema == RAW_TRADES_SCHEMA
    assert futures.equals(spot)
    assert futures.row(0) == (1, DAY, 100.5, 0.25, 2, 3, True)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (trade(2, price="-1"), "not_positive"),
        (trade(2, price="nan"), "not_finite"),
        (trade(2, maker="maybe"), "maker_flag"),
        ("2,100,1,9,8,1704067200000,true", "match_ids"),
        ("2,100,1", "wrong_columns"),
        (trade(2, price="x"), "unparsable"),
        (trade(1), "duplicate"),
    ],
)
def test_a_bad_trade_goes_to_quarantine(line: str, reason: str) -> None:
    parsed = parse_agg_trades(csv(HEADER, trade(1), line, trade(3)), file="f.csv")

    assert parsed.frame["trade_id"].to_list() == [1, 3]
    assert parsed.quarantined["reason"].to_list() == [reason]
    assert json.loads(parsed.quarantined["row"][0])


def test_a_file_that_is_cut_off_is_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"aggTrades\.csv.*cut off"):
        parse_agg_trades(csv(HEADER, trade(1), trade(2))[:-20], file="aggTrades.csv")


def test_trades_of_one_instant_keep_the_order_of_their_ids() -> None:
    shuffled = csv(HEADER, trade(3, price="103"), trade(1, price="101"), trade(2, price="102"))

    bars = aggregate_trades(parse_agg_trades(shuffled, file="f.csv").frame, "15m")

    assert values(bars) == (101.0, 103.0, 101.0, 103.0, 0.75, 76.5, 6, 0.0)
    assert bars.row(0, named=True)["closed_at"] == DAY + timedelta(minutes=15)
    assert bars.schema == BARS_SCHEMA


def test_intervals_without_trades_make_no_bar() -> None:
    lines = csv(HEADER, trade(1), trade(2, at=OPENED + 7_200_000))

    bars = aggregate_trades(parse_agg_trades(lines, file="f.csv").frame, "1h")

    assert bars["opened_at"].to_list() == [DAY, DAY + timedelta(hours=2)]


@pytest.fixture(scope="module")
def day(read_csv) -> pl.DataFrame:
    content = read_csv("spot/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-01-01.zip")
    parsed = parse_agg_trades(content, file="BTCUSDT-aggTrades-2024-01-01.csv")
    assert parsed.quarantined.is_empty()
    return parsed.frame


def test_a_real_day_of_trades_is_whole(day) -> None:
    matched_before = day["last_match_id"].shift()

    assert day.height == 863_403
    assert day["trade_id"].diff().drop_nulls().unique().to_list() == [1]
    assert (day["first_match_id"] - matched_before).drop_nulls().unique().to_list() == [1]


def test_a_real_day_of_trades_makes_the_published_klines(day) -> None:
    hours, whole_day = aggregate_trades(day, "1h"), aggregate_trades(day, "1d")

    assert hours.height == 24
    assert values(hours) == PUBLISHED_HOUR
    assert values(whole_day)[:5] == PUBLISHED_DAY
    assert values(aggregate_trades(day, "5m")) == PUBLISHED_FIVE_MINUTES
    assert values(aggregate_trades(day, "5m"), 1) == PUBLISHED_SECOND_FIVE_MINUTES
    assert [values(aggregate_trades(day, "30m"), k)[:5] for k in (0, 1)] == list(PUBLISHED_HALF_HOURS)


def test_every_hour_of_a_real_day_equals_that_of_an_independent_engine(day) -> None:
    database = duckdb.connect()
    database.execute("set timezone = 'UTC'")
    database.register("trades", day.to_arrow())
    expected = database.execute(
        """
        with exact as (
            select *, cast(price as decimal(12, 2)) as p, cast(quantity as decimal(18, 8)) as q from trades
        )
        select epoch_ms(date_trunc('hour', traded_at)) as opened,
               arg_min(price, trade_id), max(price), min(price), arg_max(price, trade_id),
               cast(sum(q) as double), cast(sum(p * q) as double),
               cast(sum(last_match_id - first_match_id + 1) as bigint),
               cast(sum(q) filter (not buyer_is_maker) as double)
        from exact group by opened order by opened
        """
    ).fetchall()

    hours = aggregate_trades(day, "1h")

    rows = [(at, *values(hours, k)) for k, at in enumerate(hours["opened_at"].dt.epoch("ms"))]
    assert rows == expected
