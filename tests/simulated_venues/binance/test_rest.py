import time
from decimal import Decimal

import pytest

from simulated_venues.clock import instant
from simulated_venues.faults import Fault
from simulated_venues.source import BOOK_STEP_MS, UPDATES_PER_STEP
from tests.simulated_venues.conftest import BTC

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
PAST = 1_710_072_000_000
"""2024-03-10 12:00."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def klines(binance, **query):
    return binance.get("/fapi/v1/klines", **{"symbol": "BTCUSDT", "interval": "1m"} | query)


def last_trade(binance, symbol):
    return binance.get("/fapi/v1/trades", symbol=symbol, limit=1)[0]["id"]


def of_aggregates(trades):
    """A kline's cells from open to taker's quote volume, out of aggregate trades."""
    price, quantity = [Decimal(each["p"]) for each in trades], [Decimal(each["q"]) for each in trades]
    quote = [p * q for p, q in zip(price, quantity, strict=True)]
    bought = [k for k, each in enumerate(trades) if not each["m"]]
    sums = sum(quantity), sum(quote), len(trades), sum(quantity[k] for k in bought), sum(quote[k] for k in bought)
    return price[0], max(price), min(price), price[-1], *sums


@pytest.mark.parametrize(("interval", "length"), [("1m", MINUTE), ("15m", 15 * MINUTE), ("1h", HOUR)])
def test_klines_are_the_sums_of_the_aggregate_trades(binance, interval, length):
    start = PAST - 2 * length

    rows = klines(binance, interval=interval, startTime=start, endTime=PAST - 1)

    for row in rows:
        found, first = [], row[0]
        while page := binance.get("/fapi/v1/aggTrades", symbol="BTCUSDT", startTime=first, endTime=row[6], limit=1000):
            found += page
            first = page[-1]["T"] + 1
        cells = [Decimal(row[k]) for k in (1, 2, 3, 4, 5, 7, 8, 9, 10)]
        assert tuple(cells) == of_aggregates(found)
    assert [row[0] for row in rows] == [start, start + length]
    assert [row[6] for row in rows] == [start + length - 1, start + 2 * length - 1]


def test_klines_start_at_or_after_the_start_and_end_with_the_open_one(binance):
    paged = klines(binance, startTime=PAST + 1, limit=3)
    at_end = klines(binance, endTime=PAST + 1, limit=3)
    before = now_ms()
    latest = klines(binance, limit=2)
    after = now_ms()

    assert [row[0] for row in paged] == [PAST + k * MINUTE for k in (1, 2, 3)]
    assert [row[0] for row in at_end] == [PAST - k * MINUTE for k in (2, 1, 0)]
    assert before // MINUTE * MINUTE <= latest[-1][0] <= after
    assert latest[-1][0] - latest[0][0] == MINUTE
    assert klines(binance, startTime=after + DAY) == []


def test_fifteen_hundred_klines_come_in_one_answer_and_without_a_hole(binance):
    rows = klines(binance, limit=1500, endTime=PAST)

    assert [row[0] for row in rows] == [PAST - k * MINUTE for k in range(1499, -1, -1)]


def test_the_open_kline_grows_with_the_trades(fast_binance):
    def latest():
        (row,) = klines(fast_binance, interval="15m", limit=1)
        return row[0], row[8], Decimal(row[5])

    before, last_id = latest(), last_trade(fast_binance, "BTCUSDT")
    while last_trade(fast_binance, "BTCUSDT") == last_id:
        pass
    after = latest()

    assert after > before


@pytest.mark.parametrize(
    ("path", "query", "status", "code", "text"),
    [
        ("klines", {"interval": "1m"}, 400, -1102, "Mandatory parameter 'symbol'"),
        ("klines", {"symbol": "BTCUSDT"}, 400, -1102, "Mandatory parameter 'interval'"),
        ("klines", {"symbol": "NOSUCH", "interval": "1m"}, 400, -1121, "Invalid symbol."),
        ("klines", {"symbol": "BTCUSDT", "interval": "7m"}, 400, -1120, "Invalid interval."),
        ("klines", {"symbol": "BTCUSDT", "interval": "1s"}, 400, -1120, "Invalid interval."),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "startTime": "x"}, 400, -1100, "Illegal characters"),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 1501}, 400, -1130, "'limit'"),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "startTime": PAST * 1_000}, 400, -1130, "'startTime'"),
        ("fundingRate", {"symbol": "BTCUSDT", "startTime": PAST * 10**6}, 400, -1130, "'startTime'"),
        ("aggTrades", {"symbol": "BTCUSDT", "endTime": PAST * 1_000}, 400, -1130, "'endTime'"),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "startTime": 2, "endTime": 1}, 400, -1023, "Start time"),
        ("depth", {"symbol": "BTCUSDT", "limit": 7}, 400, -4021, "7 is not valid depth limit"),
        ("aggTrades", {"symbol": "BTCUSDT", "startTime": 0, "endTime": HOUR + 1}, 400, -1127, "More than 1 hours"),
        ("order", {}, 404, -5000, "Path /fapi/v1/order, Method GET is invalid"),
    ],
)
def test_a_wrong_request_is_refused_in_the_venues_words(binance, path, query, status, code, text):
    found = binance.refused(f"/fapi/v1/{path}", **query)

    assert found[:2] == (status, code)
    assert text in found[2]


def test_statistics_older_than_thirty_days_are_refused(binance):
    query = {"symbol": "BTCUSDT", "period": "5m", "startTime": now_ms() - 31 * DAY}

    assert binance.refused("/futures/data/openInterestHist", **query)[1:] == (
        -1130,
        "parameter 'startTime' is invalid.",
    )


def test_trades_are_found_by_id_by_time_and_from_the_end(binance):
    def ask(**query):
        return binance.get("/fapi/v1/aggTrades", symbol="BTCUSDT", **query)

    by_time = ask(startTime=PAST, limit=5)
    by_id = ask(fromId=by_time[0]["a"], limit=5)
    at_end = ask(endTime=by_time[-1]["T"], limit=5)
    before = now_ms()
    latest = ask(limit=1000)

    assert by_time == by_id == at_end
    assert [each["a"] for each in by_time] == list(range(by_time[0]["a"], by_time[0]["a"] + 5))
    assert by_time[0]["T"] >= PAST
    assert [each["a"] for each in latest] == list(range(latest[0]["a"], latest[0]["a"] + 1000))
    assert before - 10 * MINUTE < latest[-1]["T"] <= now_ms()
    old = binance.get("/fapi/v1/historicalTrades", symbol="BTCUSDT", fromId=by_time[0]["a"], limit=5)
    assert [(each["id"], each["price"], each["qty"]) for each in old] == [
        (each["a"], each["p"], each["q"]) for each in by_time
    ]


def test_the_depth_snapshot_is_the_book_of_the_last_completed_step(binance):
    before = now_ms()
    found = binance.get("/fapi/v1/depth", symbol="BTCUSDT", limit=20)

    step = found["lastUpdateId"] // UPDATES_PER_STEP
    assert found["lastUpdateId"] == step * UPDATES_PER_STEP
    assert before // BOOK_STEP_MS <= step <= now_ms() // BOOK_STEP_MS
    assert found["T"] == step * BOOK_STEP_MS <= found["E"]
    book = binance.source.book(BTC, instant(step * BOOK_STEP_MS))
    instrument = binance.source.instruments[0]
    for side, levels in (("bids", book.bids), ("asks", book.asks)):
        assert [(Decimal(p), Decimal(q)) for p, q in found[side]] == [
            (p * instrument.tick, q * instrument.lot)
            for p, q in zip(levels.price[:20].tolist(), levels.quantity[:20].tolist(), strict=True)
        ]


def test_funding_rates_come_first_first_from_a_start_and_last_without_one(binance):
    def ask(**query):
        return binance.get("/fapi/v1/fundingRate", **query)

    ever = ask(symbol="BTCUSDT", startTime=PAST, limit=7)
    again = ask(symbol="BTCUSDT", startTime=ever[2]["fundingTime"], endTime=ever[4]["fundingTime"])
    after = ask(symbol="BTCUSDT", startTime=ever[2]["fundingTime"] + 1, endTime=ever[4]["fundingTime"] - 1)
    latest = ask(symbol="BTCUSDT")
    both = ask(limit=4)

    assert [each["fundingTime"] // MINUTE * MINUTE for each in ever] == [PAST + (4 + 8 * k) * HOUR for k in range(7)]
    assert (again, after) == (ever[2:5], ever[3:4])
    assert len(latest) == 100
    assert now_ms() - 8 * HOUR < latest[-1]["fundingTime"] <= now_ms()
    assert [each["symbol"] for each in both].count("ETHUSDT") == 2
    assert [each["fundingTime"] for each in both] == sorted(each["fundingTime"] for each in both)


def test_the_estimated_funding_rate_becomes_the_settled_one(listen, market):
    """Just before a settlement: all samples of the premium but those of the last minute's end are known."""
    settles = now_ms() // (8 * HOUR) * 8 * HOUR + 8 * HOUR
    with listen(market, ahead_ms=settles - now_ms() - 20_000) as before:
        estimate = before.get("/fapi/v1/premiumIndex", symbol="BTCUSDT")
    with listen(market, ahead_ms=settles - now_ms() + 1_000) as after:
        (settled,) = after.get("/fapi/v1/fundingRate", symbol="BTCUSDT", limit=1)

    assert estimate["nextFundingTime"] == settles
    assert settled["fundingTime"] // 1_000 * 1_000 == settles
    assert estimate["lastFundingRate"] == settled["fundingRate"]


def test_statistics_of_a_day_are_those_of_its_klines_and_trades(binance):
    found = binance.get("/fapi/v1/ticker/24hr", symbol="BTCUSDT")

    rows = klines(binance, startTime=found["openTime"], endTime=found["closeTime"], limit=1500)
    closed = rows[:-1]
    since = binance.get(
        "/fapi/v1/aggTrades", symbol="BTCUSDT", startTime=rows[-1][0], endTime=found["closeTime"], limit=1000
    )
    assert found["openTime"] == (found["closeTime"] - DAY) // MINUTE * MINUTE
    assert Decimal(found["volume"]) == sum(Decimal(row[5]) for row in closed) + sum(
        Decimal(each["q"]) for each in since
    )
    assert found["count"] == sum(row[8] for row in closed) + len(since) == found["lastId"] - found["firstId"] + 1
    assert Decimal(found["openPrice"]) == Decimal(rows[0][1])
    assert Decimal(found["highPrice"]) == max(
        *(Decimal(row[2]) for row in closed), *(Decimal(each["p"]) for each in since)
    )
    average = Decimal(found["quoteVolume"]) / Decimal(found["volume"])
    assert abs(Decimal(found["weightedAvgPrice"]) - average) <= Decimal("0.05")
    assert Decimal(found["priceChange"]) == Decimal(found["lastPrice"]) - Decimal(found["openPrice"])


def test_taker_statistics_are_those_of_the_klines_that_end_there(binance):
    for found in binance.get("/futures/data/takerlongshortRatio", symbol="BTCUSDT", period="15m", limit=3):
        (row,) = klines(binance, interval="15m", startTime=found["timestamp"] - 15 * MINUTE, limit=1)

        assert Decimal(found["buyVol"]) == Decimal(row[9])
        assert Decimal(found["sellVol"]) == Decimal(row[5]) - Decimal(row[9])


def test_the_basis_is_the_last_price_over_the_index(binance):
    for found in binance.get("/futures/data/basis", pair="BTCUSDT", contractType="PERPETUAL", period="5m", limit=3):
        at = found["timestamp"]
        (traded,) = klines(binance, startTime=at - MINUTE, limit=1)
        (index,) = binance.get("/fapi/v1/indexPriceKlines", pair="BTCUSDT", interval="1m", startTime=at, limit=1)

        assert (found["futuresPrice"], found["indexPrice"]) == (traded[4], index[1])
        assert float(found["basis"]) == pytest.approx(float(traded[4]) - float(index[1]), abs=1e-6)


def test_a_market_that_stands_still_stays_where_it_was(fast_binance):
    number = fast_binance.venue.faults.start(Fault(kind="stale_prices", where="BTCUSDT"))
    stood_at, last_id = now_ms(), last_trade(fast_binance, "ETHUSDT")
    trades = fast_binance.get("/fapi/v1/trades", symbol="BTCUSDT", limit=3)
    while last_trade(fast_binance, "ETHUSDT") == last_id:
        pass
    later = fast_binance.get("/fapi/v1/trades", symbol="BTCUSDT", limit=3)
    fast_binance.venue.faults.stop(number)

    assert later == trades
    assert trades[-1]["time"] <= stood_at
