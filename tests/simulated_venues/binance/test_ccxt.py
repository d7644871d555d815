"""ccxt against the venue: its own client, told another address and nothing else."""

import asyncio
import itertools
from decimal import Decimal

import ccxt
import ccxt.async_support
import pytest

SYMBOL = "BTC/USDT:USDT"
HOUR = 3_600_000


def options(exchange, url: str) -> dict:
    """Every address of the exchange at the venue's, the path kept."""
    addresses = exchange().urls["api"]
    own = ("https://fapi.binance.com", "https://dapi.binance.com")
    moved = {name: _moved(each, own, url) for name, each in addresses.items() if isinstance(each, str)}
    return {"urls": {"api": moved}, "enableRateLimit": False}


def _moved(address: str, hosts: tuple[str, ...], url: str) -> str:
    for host in hosts:
        address = address.replace(host, url)
    return address


@pytest.fixture(scope="module")
def exchange(binance):
    client = ccxt.binanceusdm(options(ccxt.binanceusdm, binance.url))
    client.load_markets()
    yield client
    client.session.close()


def test_markets_have_the_ticks_and_lots_of_the_source(exchange, binance):
    assert set(exchange.markets) == {"BTC/USDT:USDT", "ETH/USDT:USDT"}
    for instrument in binance.source.instruments:
        market = exchange.markets_by_id[instrument.symbol][0]
        assert (market["swap"], market["linear"], market["active"]) == (True, True, True)
        assert Decimal(str(market["precision"]["price"])) == instrument.tick
        assert Decimal(str(market["precision"]["amount"])) == instrument.lot


def test_the_clock_is_the_venues(exchange):
    assert abs(exchange.fetch_time() - exchange.milliseconds()) < 5_000


def test_bars_trades_and_ticker_agree(exchange):
    bars = exchange.fetch_ohlcv(SYMBOL, "15m", limit=1000)
    since = bars[-2][0]
    trades = []
    while trades == [] or trades[-1]["timestamp"] < bars[-1][0]:
        page = exchange.fetch_trades(SYMBOL, since=since if not trades else trades[-1]["timestamp"] + 1, limit=1000)
        if not page:
            break
        trades += page
    closed = [trade for trade in trades if since <= trade["timestamp"] < bars[-1][0]]
    ticker = exchange.fetch_ticker(SYMBOL)

    assert len(bars) == 1000
    assert {after[0] - before[0] for before, after in itertools.pairwise(bars)} == {900_000}
    assert bars[-2][1:5] == [
        closed[0]["price"],
        max(trade["price"] for trade in closed),
        min(trade["price"] for trade in closed),
        closed[-1]["price"],
    ]
    assert bars[-2][5] == pytest.approx(sum(trade["amount"] for trade in closed))
    assert ticker["low"] <= ticker["last"] <= ticker["high"]
    assert exchange.fetch_tickers().keys() == exchange.markets.keys()


def test_the_order_book_is_ordered_and_not_crossed(exchange):
    for limit in (5, 100, 1000):
        book = exchange.fetch_order_book(SYMBOL, limit)

        assert book["bids"] == sorted(book["bids"], reverse=True)
        assert book["asks"] == sorted(book["asks"])
        assert book["bids"][0][0] < book["asks"][0][0]
        assert 5 <= len(book["bids"]) <= limit
    assert exchange.fetch_bids_asks([SYMBOL])[SYMBOL]["bid"] > 0


def test_funding_mark_price_and_open_interest(exchange):
    now = exchange.fetch_funding_rate(SYMBOL)
    history = exchange.fetch_funding_rate_history(SYMBOL, limit=5)
    interest = exchange.fetch_open_interest(SYMBOL)
    interests = exchange.fetch_open_interest_history(SYMBOL, "5m", limit=10)
    marks = exchange.fetch_mark_ohlcv(SYMBOL, "1h", limit=3)

    assert now["markPrice"] == pytest.approx(now["indexPrice"], rel=0.01)
    assert history[-1]["timestamp"] // HOUR * HOUR + 8 * HOUR == now["fundingTimestamp"]
    assert [each["timestamp"] for each in history] == sorted(each["timestamp"] for each in history)
    assert len(history) == 5
    assert exchange.fetch_funding_rates().keys() == exchange.markets.keys()
    assert interests[-1]["openInterestAmount"] == interest["openInterestAmount"]
    assert len(interests) == 10
    assert len(marks) == 3
    assert exchange.fetch_funding_intervals()[SYMBOL]["interval"] == "8h"
    assert exchange.fetch_long_short_ratio_history(SYMBOL, "1h", limit=2)[-1]["longShortRatio"] > 0


def test_refusals_arrive_as_ccxts_errors(exchange):
    with pytest.raises(ccxt.BadSymbol):
        exchange.fapiPublicGetKlines({"symbol": "NOSUCH", "interval": "1m"})
    with pytest.raises(ccxt.BadRequest):
        exchange.fapiPublicGetKlines({"symbol": "BTCUSDT", "interval": "7m"})


def test_the_asynchronous_client_gets_the_same(exchange, binance):
    async def ask():
        client = ccxt.async_support.binanceusdm(options(ccxt.async_support.binanceusdm, binance.url))
        try:
            await client.load_markets()
            since = client.milliseconds() - 3 * HOUR
            return await asyncio.gather(
                client.fetch_ohlcv(SYMBOL, "1m", since=since, limit=60),
                client.fetch_trades(SYMBOL, since=since, limit=50),
                client.fetch_order_book(SYMBOL, 20),
                client.fetch_funding_rate_history(SYMBOL, limit=3),
                client.fetch_ticker(SYMBOL),
                client.fetch_funding_rate(SYMBOL),
                client.fetch_open_interest(SYMBOL),
                client.fetch_time(),
            ), since
        finally:
            await client.close()

    (bars, trades, book, funding, *_), since = asyncio.run(ask())

    assert bars == exchange.fetch_ohlcv(SYMBOL, "1m", since=since, limit=60)
    assert [each["id"] for each in trades] == [each["id"] for each in exchange.fetch_trades(SYMBOL, since, limit=50)]
    assert funding == exchange.fetch_funding_rate_history(SYMBOL, limit=3)
    assert len(book["asks"]) == 20
