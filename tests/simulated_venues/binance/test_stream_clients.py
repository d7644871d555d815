import asyncio
import json
import logging
import queue
from itertools import pairwise

import ccxt.pro
import pytest
from binance.websocket.um_futures.websocket_client import UMFuturesWebsocketClient

from benchmarks.live_equals_history import compare
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.venue import BinanceVenue
from simulated_venues.clock import instant
from simulated_venues.faults import Fault
from simulated_venues.source import BOOK_STEP_MS, UPDATES_PER_STEP
from simulated_venues.venue import embedded
from tests.simulated_venues.binance.fast_world import SECONDS, fast_market, serving
from tests.simulated_venues.conftest import BTC

PERPETUAL = "BTC/USDT:USDT"


@pytest.fixture
def connector():
    """Binance's own client, and what it received."""
    with embedded(BinanceVenue(fast_market(), BinanceSettings(ping_seconds=2.0))) as venue:
        received: queue.Queue[dict] = queue.Queue()
        client = UMFuturesWebsocketClient(
            stream_url=venue.ws_url, on_message=lambda _, message: received.put(json.loads(message))
        )
        try:
            yield client, received
        finally:
            client.stop()
            client.socket_manager.ws.shutdown()  # its socket stays open otherwise


def test_binances_own_client_subscribes_receives_and_unsubscribes(connector):
    client, received = connector
    wanted = {"aggTrade", "bookTicker", "depthUpdate", "kline", "markPriceUpdate", "24hrTicker", "24hrMiniTicker"}

    client.agg_trade("BTCUSDT", id=1)
    client.book_ticker("BTCUSDT", id=2)
    client.diff_book_depth("BTCUSDT", speed=100, id=3)
    client.kline("BTCUSDT", "1m", id=4)
    client.mark_price("BTCUSDT", speed=1, id=5)
    client.ticker("BTCUSDT", id=6)
    client.mini_ticker("BTCUSDT", id=7)
    answers, kinds = [], set()
    while kinds != wanted:
        message = received.get(timeout=SECONDS)
        if "id" in message:
            answers.append(message)
        else:
            kinds.add(message["e"])
    client.unsubscribe("btcusdt@bookTicker", id=8)
    while answers[-1]["id"] != 8:
        message = received.get(timeout=SECONDS)
        if "id" in message:
            answers.append(message)
    later = [received.get(timeout=SECONDS).get("e") for _ in range(50)]

    assert answers == [{"result": None, "id": number} for number in range(1, 9)]
    assert "bookTicker" not in later


def ccxt_client(venue):
    client = ccxt.pro.binanceusdm({"options": {"fetchMarkets": {"types": ["linear"]}}})
    client.urls["api"] = {
        name: url.replace("https://fapi.binance.com", venue.url) if isinstance(url, str) else url
        for name, url in client.urls["api"].items()
    }
    client.urls["api"]["ws"] = {"linear": f"{venue.ws_url}/ws"}
    return client


def test_ccxt_keeps_the_venues_book_even_after_a_gap():
    async def run():
        async with serving() as venue:
            client = ccxt_client(venue)
            try:
                await asyncio.wait_for(client.watch_order_book(PERPETUAL), SECONDS)
                venue.faults.start(Fault(kind="depth_gap", where="BTCUSDT", count=1))
                with pytest.raises(ccxt.ChecksumError):
                    await asyncio.wait_for(_watch_for_ever(client), SECONDS)
                seen = []
                async with asyncio.timeout(SECONDS):
                    while len(seen) < 5:
                        book = await client.watch_order_book(PERPETUAL)
                        step, inside = divmod(book["nonce"], UPDATES_PER_STEP)
                        truth = venue.source.book(BTC, instant(step * BOOK_STEP_MS))
                        if not inside:
                            seen.append((book["bids"][0][0], book["asks"][0][0]))
                            assert seen[-1] == (truth.bids.price[0] / 10, truth.asks.price[0] / 10)
            finally:
                await client.close()

    asyncio.run(run())


async def _watch_for_ever(client):
    while True:
        await client.watch_order_book(PERPETUAL)


def test_ccxt_watches_trades_and_klines():
    async def run():
        async with serving() as venue:
            client = ccxt_client(venue)
            try:
                async with asyncio.timeout(SECONDS):
                    trades = []
                    while len(trades) < 10:
                        trades += await client.watch_trades(PERPETUAL)
                    return trades, await client.watch_ohlcv(PERPETUAL, "1m")
            finally:
                await client.close()

    trades, klines = asyncio.run(run())

    ids = sorted({int(trade["id"]) for trade in trades})
    assert all(after == before + 1 for before, after in pairwise(ids))
    assert klines[-1][0] % 60_000 == 0
    assert klines[-1][3] <= klines[-1][4] <= klines[-1][2]


def test_what_is_streamed_is_what_rest_and_the_archive_tell_later(caplog):
    with caplog.at_level(logging.ERROR):
        count, differences = asyncio.run(compare(fast_market(), seconds=5))

    assert differences == []
    assert count >= 24
    assert not caplog.records
