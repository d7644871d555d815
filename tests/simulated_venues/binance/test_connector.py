"""Binance's own connector against the venue, told its address and nothing else."""

import pytest
from binance.error import ClientError
from binance.um_futures import UMFutures

MINUTE = 60_000
PAST = 1_710_072_000_000


@pytest.fixture(scope="module")
def client(binance):
    connector = UMFutures(key="needed for old trades", base_url=binance.url, show_limit_usage=True)
    yield connector
    connector.session.close()


def test_the_venue_answers_and_says_how_much_weight_is_used(client):
    before = client.time()
    after = client.klines("BTCUSDT", "1m", limit=99)

    used = [int(answer["limit_usage"]["x-mbx-used-weight-1m"]) for answer in (before, after)]
    assert client.ping()["data"] == {}
    assert before["data"]["serverTime"] > PAST
    assert used[1] > used[0] or used[1] == 1


def test_prices_of_every_kind(client):
    klines = client.klines("BTCUSDT", "15m", startTime=PAST, limit=5)["data"]
    trades = client.agg_trades("BTCUSDT", startTime=PAST, limit=5)["data"]

    assert [row[0] for row in klines] == [PAST + k * 15 * MINUTE for k in range(5)]
    assert klines == client.continuous_klines("BTCUSDT", "PERPETUAL", "15m", startTime=PAST, limit=5)["data"]
    assert klines[0][1] == trades[0]["p"]
    assert client.historical_trades("BTCUSDT", fromId=trades[0]["a"], limit=5)["data"][0]["price"] == trades[0]["p"]
    assert len(client.trades("BTCUSDT", limit=7)["data"]) == 7
    for ask in (client.mark_price_klines, client.index_price_klines):
        (row,) = ask("BTCUSDT", "15m", startTime=PAST, limit=1)["data"]
        assert float(row[1]) == pytest.approx(float(klines[0][1]), rel=0.01)
    assert len(client.depth("BTCUSDT", limit=10)["data"]["bids"]) == 10


def test_contracts_funding_and_tickers(client):
    symbols = client.exchange_info()["data"]["symbols"]
    everything = {
        "mark": client.mark_price(),
        "price": client.ticker_price(),
        "book": client.book_ticker(),
        "day": client.ticker_24hr_price_change(),
    }

    assert [each["symbol"] for each in symbols] == ["BTCUSDT", "ETHUSDT"]
    assert all(len(answer["data"]) == len(symbols) for answer in everything.values())
    assert client.ticker_price("ETHUSDT")["data"]["symbol"] == "ETHUSDT"
    assert len(client.funding_rate("BTCUSDT", startTime=PAST, limit=3)["data"]) == 3
    assert float(client.open_interest("BTCUSDT")["data"]["openInterest"]) > 0
    assert client.index_info()["data"][0]["baseAssetList"]


def test_statistics(client):
    for ask in (
        client.open_interest_hist,
        client.top_long_short_account_ratio,
        client.top_long_short_position_ratio,
        client.long_short_account_ratio,
        client.taker_long_short_ratio,
    ):
        first, second = ask("BTCUSDT", "5m", limit=2)["data"]
        assert second["timestamp"] - first["timestamp"] == 5 * MINUTE


def test_a_refusal_is_the_connectors_error(client):
    with pytest.raises(ClientError) as refusal:
        client.klines("NOSUCH", "1m")

    assert (refusal.value.status_code, refusal.value.error_code) == (400, -1121)
    assert refusal.value.error_message == "Invalid symbol."
