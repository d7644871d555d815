"""ccxt at the simulated dYdX, unmodified but for its addresses."""

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import ccxt
import ccxt.pro
import pytest
from dydx_v4_client.key_pair import KeyPair

from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.dydx.venue import DydxVenue
from simulated_venues.market import SimulatedMarket
from simulated_venues.venue import embedded
from tests.simulated_venues.conftest import make_settings
from tests.simulated_venues.dydx.trader import BUY, FIRST_WORDS, IOC, Trader

SYMBOL = "BTC/USDC:USDC"


@pytest.fixture(name="venue", scope="module")
def venue_fixture(tmp_path_factory):
    source = SimulatedMarket(replace(make_settings(), raw_interval_ms=1_000))
    settings = DydxSettings(state_folder=tmp_path_factory.mktemp("chain"), block_ms=100)
    with embedded(DydxVenue(source, settings)) as venue:
        yield venue


def urls(venue):
    return {"api": {"indexer": f"{venue.url}/v4", "nodeRpc": venue.url, "nodeRest": venue.url, "ws": venue.ws_url}}


@pytest.fixture(name="client", scope="module")
def client_fixture(venue):
    client = ccxt.dydx({"urls": urls(venue)})
    client.load_markets()
    return client


def test_markets_have_the_protocols_steps_and_margins(client):
    market = client.market(SYMBOL)

    assert (market["precision"]["price"], market["precision"]["amount"]) == (1, 0.0001)
    assert market["info"]["initialMarginFraction"] == "0.02"
    assert {each["id"] for each in client.markets.values()} == {"BTC-USD", "ETH-USD"}
    # ccxt gives the venue's seconds as they are.
    assert abs(client.fetch_time() - time.time()) < 2


def test_the_order_book_does_not_cross_and_trades_are_inside_it(client):
    book = client.fetch_order_book(SYMBOL)
    trades = client.fetch_trades(SYMBOL, limit=20)

    assert len(book["bids"]) > 20
    assert book["bids"][0][0] < book["asks"][0][0]
    assert [trade["timestamp"] for trade in trades] == sorted(trade["timestamp"] for trade in trades)
    assert len(trades) == 20


def test_candles_are_whole_and_in_order(client):
    candles = client.fetch_ohlcv(SYMBOL, "1m", limit=5)
    since = client.fetch_ohlcv(SYMBOL, "5m", since=candles[0][0] - 3_600_000, limit=100)

    assert [candle[0] % 60_000 for candle in candles] == [0] * 5
    assert all(low <= min(first, last) <= max(first, last) <= high for _, first, high, low, last, _ in candles)
    assert 12 <= len(since) <= 14


def test_funding_history_has_one_rate_an_interval(client):
    rates = client.fetch_funding_rate_history(SYMBOL, limit=10)

    stamps = [rate["timestamp"] for rate in rates]
    assert len(rates) == 10
    assert all(58_000 < later - earlier < 62_000 for earlier, later in pairwise(stamps))


def test_orders_are_signed_taken_filled_and_cancelled(venue):
    # The chain learns a public key from its owner's first transaction, and ccxt asks for it before it can send one.
    trader = Trader(venue.addresses)
    trader.wait_for(trader.place(BUY, 0.001, int(trader.best()[1]) + 500, time_in_force=IOC), "FILLED")
    key = KeyPair.from_mnemonic(FIRST_WORDS).key.to_hex()
    program = Path(__file__).with_name("ccxt_trading.py")
    run = subprocess.run(
        [sys.executable, program, venue.url, f"0x{key}", trader.address], capture_output=True, text=True, timeout=90
    )

    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert (found["taken"]["status"], found["taken"]["filled"]) == ("closed", 0.01)
    assert [(order["side"], order["amount"], order["remaining"]) for order in found["opened"]] == [("buy", 0.02, 0.02)]
    assert (found["position"]["side"], found["position"]["contracts"]) == ("long", 0.011)
    assert {order["status"] for order in found["orders"]} == {"closed", "canceled"}
    assert 90_000 < found["balance"]["USDC"]["free"] < 100_000
    assert found["deposits"][0]["amount"] == 100_000
    assert [account["id"] for account in found["accounts"]] == ["0"]
    assert "collateral" in found["refused"].lower()


def test_the_streams_carry_book_trades_and_candles(venue):
    async def watch():
        client = ccxt.pro.dydx({"urls": urls(venue)})
        try:
            await client.load_markets()
            books = [await client.watch_order_book(SYMBOL) for _ in range(20)]
            best = [(book["bids"][0][0], book["asks"][0][0]) for book in books]
            trades = [await client.watch_trades(SYMBOL) for _ in range(3)]
            candles = [await client.watch_ohlcv(SYMBOL, "1m") for _ in range(3)]
            return best, trades[-1], candles[-1]
        finally:
            await client.close()

    best, trades, candles = asyncio.run(watch())

    assert all(bid < ask for bid, ask in best)
    assert {trade["symbol"] for trade in trades} == {SYMBOL}
    assert candles[-1][0] % 60_000 == 0
