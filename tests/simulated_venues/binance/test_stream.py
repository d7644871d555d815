import asyncio
import json
import os
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest
import websockets

from simulated_venues.binance import stream_messages
from simulated_venues.binance.fair import fair_price
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.stream import MAX_STREAMS
from simulated_venues.binance.stream_liquidations import liquidation
from simulated_venues.clock import instant
from tests.simulated_venues.binance.fast_world import (
    SECONDS,
    ask,
    connected,
    fast_market,
    get,
    receive,
    receive_until,
    serving,
)
from tests.simulated_venues.conftest import BTC

RECORDED = {
    "agg_trade_stream": "btcusdt@aggTrade",
    "book_ticker_stream": "btcusdt@bookTicker",
    "depth_update_stream": "btcusdt@depth",
    "kline_stream_closed": "btcusdt@kline_1s",
    "kline_stream_open": "btcusdt@kline_1m",
    "mark_price_stream": "btcusdt@markPrice@1s",
    "ticker_stream": "btcusdt@ticker",
    "trade_stream": "btcusdt@trade",
}


def shape(value):
    """Keys and types of a message; of a list, of its first element."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(value[0])] if isinstance(value, list) else type(value).__name__


def is_final(message):
    return message["data"]["k"]["x"]


@pytest.fixture(scope="module")
def recorded():
    folder = os.environ.get("HELIOS_REAL_DATA")
    if not folder:
        pytest.skip("HELIOS_REAL_DATA is not set: no recorded messages here")
    return {path.stem: json.loads(path.read_text()) for path in (Path(folder) / "fixtures/binance_ws").glob("*.json")}


def test_every_message_has_the_keys_and_types_of_the_recorded_one(recorded):
    async def run():
        async with (
            serving() as venue,
            connected(f"{venue.ws_url}/stream?streams={'/'.join(RECORDED.values())}") as socket,
        ):
            return await receive_until(
                socket,
                lambda messages: (
                    {message["stream"] for message in messages} == set(RECORDED.values())
                    and any(is_final(message) for message in messages if message["stream"].endswith("kline_1s"))
                ),
            )

    messages = asyncio.run(run())

    for name, stream in RECORDED.items():
        heard = [message for message in messages if message["stream"] == stream]
        if name == "kline_stream_closed":
            heard = list(filter(is_final, heard))
        assert shape(heard[0]["data"]) == shape(recorded[name]), name


def test_liquidations_are_large_trades_that_run_with_the_price_and_look_as_recorded(recorded):
    market = fast_market()
    found = [each for second in range(600) if (each := liquidation(market, market.instruments[0], second * 1_000))]

    assert 1 <= len(found) <= 60
    for trade in found:
        before = market.trades(BTC, instant(trade.at_ms - 5_000), instant(trade.at_ms)).price[0]
        assert trade.price < before if trade.buyer_is_maker else trade.price > before
    message = stream_messages.force_order(market.instruments[0], found[0], found[0].at_ms)
    assert shape(message) == shape(recorded["liquidation_stream"])


def test_raw_paths_send_payloads_and_combined_ones_wrap_them():
    async def run():
        async with serving() as venue:
            url = venue.ws_url
            async with connected(f"{url}/ws/btcusdt@aggTrade/ethusdt@aggTrade") as raw:
                plain = [await receive(raw) for _ in range(2)]
            async with connected(f"{url}/stream?streams=btcusdt@bookTicker") as combined:
                return plain, await receive(combined)

    plain, wrapped = asyncio.run(run())

    assert {message["e"] for message in plain} == {"aggTrade"}
    assert wrapped["stream"] == "btcusdt@bookTicker"
    assert wrapped["data"]["e"] == "bookTicker"


@pytest.mark.parametrize(
    ("prefix", "served"),
    [
        ("", {"aggTrade", "markPriceUpdate", "bookTicker", "depthUpdate"}),
        ("/market", {"aggTrade", "markPriceUpdate"}),
        ("/public", {"bookTicker", "depthUpdate"}),
        ("/private", set()),
    ],
)
def test_a_path_sends_the_streams_that_belong_to_it_and_accepts_the_others(prefix, served):
    names = ["btcusdt@aggTrade", "btcusdt@bookTicker", "btcusdt@depth10@100ms", "btcusdt@markPrice@1s"]

    async def run():
        async with serving() as venue, connected(f"{venue.ws_url}{prefix}/ws/{'/'.join(names)}") as socket:
            listed = await ask(socket, {"method": "LIST_SUBSCRIPTIONS", "id": 1})
            heard = await receive_until(socket, lambda messages: {each["e"] for each in messages} >= served)
            return listed["result"], {each["e"] for each in heard}, venue.describe()["counters"]["messages"]

    listed, heard, count = asyncio.run(run())

    assert listed == names
    assert heard == served
    assert bool(count) is bool(served)


def test_subscriptions_and_properties_are_changed_and_listed():
    async def run():
        async with serving() as venue, connected(f"{venue.ws_url}/ws") as socket:
            names = ["btcusdt@aggTrade", "ethusdt@depth"]
            answers = [
                await ask(socket, {"method": "SUBSCRIBE", "params": names, "id": 1}),
                await ask(socket, {"method": "LIST_SUBSCRIPTIONS", "id": 2}),
                await ask(socket, {"method": "UNSUBSCRIBE", "params": names[:1], "id": 3}),
                await ask(socket, {"method": "LIST_SUBSCRIPTIONS", "id": "four"}),
                await ask(socket, {"method": "GET_PROPERTY", "params": ["combined"], "id": 5}),
                await ask(socket, {"method": "SET_PROPERTY", "params": ["combined", True], "id": 6}),
            ]
            return answers, await receive(socket)

    answers, message = asyncio.run(run())

    assert answers == [
        {"result": None, "id": 1},
        {"result": ["btcusdt@aggTrade", "ethusdt@depth"], "id": 2},
        {"result": None, "id": 3},
        {"result": ["ethusdt@depth"], "id": "four"},
        {"result": False, "id": 5},
        {"result": None, "id": 6},
    ]
    assert message["stream"] == "ethusdt@depth"


@pytest.mark.parametrize(
    ("request_text", "code", "number"),
    [
        ("{nonsense", 3, None),
        ("[1]", 2, None),
        ('{"id": 1}', 2, 1),
        ('{"method": "LISTEN", "id": 2}', 2, 2),
        ('{"method": "SUBSCRIBE", "params": "btcusdt@depth", "id": 3}', 2, 3),
        ('{"method": "SUBSCRIBE", "params": [1], "id": 4}', 2, 4),
        ('{"method": "SUBSCRIBE", "params": [], "id": 1.5}', 2, 1.5),
        ('{"method": "SET_PROPERTY", "params": ["combined", 1], "id": 6}', 1, 6),
        ('{"method": "SET_PROPERTY", "params": ["single", true], "id": 7}', 0, 7),
        ('{"method": "GET_PROPERTY", "params": [], "id": 8}', 2, 8),
        ('{"method": "GET_PROPERTY", "params": ["combined", 1], "id": 9}', 2, 9),
    ],
)
def test_a_wrong_request_is_refused_by_its_code_and_the_connection_stays(request_text, code, number):
    async def run():
        async with serving() as venue, connected(f"{venue.ws_url}/ws") as socket:
            refusal = await ask(socket, request_text)
            return refusal, await ask(socket, {"method": "LIST_SUBSCRIPTIONS", "id": 10})

    refusal, answer = asyncio.run(run())

    assert refusal["error"]["code"] == code
    assert refusal["id"] == number
    assert answer == {"result": [], "id": 10}


def test_a_connection_has_no_more_streams_than_the_limit():
    names = [f"x{number:x}" for number in range(MAX_STREAMS + 1)]

    async def run():
        async with serving() as venue:
            async with connected(f"{venue.ws_url}/ws") as socket:
                first = await ask(socket, {"method": "SUBSCRIBE", "params": names[:-1], "id": 1})
                second = await ask(socket, {"method": "SUBSCRIBE", "params": names[-1:], "id": 2})
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with connected(f"{venue.ws_url}/stream?streams={'/'.join(names)}"):
                    pass
            return first, second, refused.value.status

    first, second, status = asyncio.run(run())

    assert first == {"result": None, "id": 1}
    assert second["error"]["code"] == 2
    assert status == 400
    assert MAX_STREAMS == 1_024


def test_a_client_that_sends_more_than_ten_messages_a_second_is_disconnected():
    async def run():
        async with serving() as venue, connected(f"{venue.ws_url}/ws") as socket:
            for number in range(11):
                await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
            received = [await socket.receive(timeout=SECONDS) for _ in range(11)]
            return [message.type for message in received], socket.close_code

    kinds, code = asyncio.run(run())

    assert aiohttp.WSMsgType.CLOSE in kinds
    assert code == 1008


def test_pings_are_answered_and_the_venue_pings():
    async def run():
        async with serving(BinanceSettings(ping_seconds=0.1)) as venue:
            async with websockets.connect(f"{venue.ws_url}/ws", proxy=None) as socket:
                await (await socket.ping(b"hello"))
            async with connected(f"{venue.ws_url}/ws", autoping=False) as socket:
                return await socket.receive(timeout=SECONDS)

    assert asyncio.run(run()).type is aiohttp.WSMsgType.PING


def test_a_client_that_does_not_pong_is_closed_and_one_that_does_is_kept():
    async def run():
        async with serving(BinanceSettings(ping_seconds=0.5)) as venue:
            silent = connected(f"{venue.ws_url}/ws", autoping=False)
            lively = connected(f"{venue.ws_url}/ws/btcusdt@aggTrade")
            async with silent as silent, lively as lively:
                messages = asyncio.create_task(receive_until(lively, lambda messages: len(messages) > 20))
                while not silent.closed:
                    await silent.receive(timeout=SECONDS)
                return silent.close_code, len(await messages)

    code, count = asyncio.run(run())

    assert code == 1008
    assert count > 20


def test_a_connection_ends_after_its_time():
    async def run():
        async with serving(BinanceSettings(connection_seconds=0.2)) as venue, connected(f"{venue.ws_url}/ws") as socket:
            await socket.receive(timeout=SECONDS)
            return socket.close_code

    assert asyncio.run(run()) == 1001


def test_events_come_in_the_order_of_the_markets_time_and_none_is_missing():
    streams = "btcusdt@aggTrade/btcusdt@bookTicker"

    async def run():
        async with serving() as venue, connected(f"{venue.ws_url}/stream?streams={streams}") as socket:
            return await receive_until(socket, lambda messages: len(messages) > 100)

    events = [message["data"] for message in asyncio.run(run())]
    trades = [event for event in events if event["e"] == "aggTrade"]

    assert all(event["T"] <= event["E"] for event in events)
    for before, event in pairwise(events):
        assert before["T"] <= event["T"]
        assert before["E"] <= event["E"]
        if event["e"] == "aggTrade":
            assert before["e"] == "bookTicker"
            assert event["p"] == (before["b"] if event["m"] else before["a"])
    for before, trade in pairwise(trades):
        assert trade["a"] == before["a"] + 1


def test_a_closed_kline_is_rests_row_and_the_sum_of_the_streamed_trades():
    streams = "btcusdt@aggTrade/btcusdt@kline_1s"

    async def run():
        async with serving() as venue, connected(f"{venue.ws_url}/stream?streams={streams}") as socket:
            messages = await receive_until(
                socket, lambda messages: sum("k" in each["data"] and is_final(each) for each in messages) > 4
            )
            klines = [each["data"]["k"] for each in messages if "k" in each["data"]]
            first, last = klines[0]["t"], klines[-1]["t"]
            query = {"symbol": "BTCUSDT", "interval": "1s", "startTime": first, "endTime": last}
            return messages, await get(f"{venue.url}/fapi/v1/klines", **query)

    messages, rows = asyncio.run(run())
    finals = [each["data"] for each in messages if "k" in each["data"] and is_final(each)]
    trades = [each["data"] for each in messages if each["data"]["e"] == "aggTrade"]

    assert [row_of(final["k"]) for final in finals] == [row for row in rows if row[6] <= finals[-1]["k"]["T"]][
        -len(finals) :
    ]
    for final in finals[1:]:
        inside = [trade for trade in trades if final["k"]["t"] <= trade["T"] <= final["k"]["T"]]
        assert len(inside) == final["k"]["n"]
        assert (inside[0]["p"], inside[-1]["p"]) == (final["k"]["o"], final["k"]["c"])
        assert (inside[0]["a"], inside[-1]["a"]) == (final["k"]["f"], final["k"]["L"])
        assert final["E"] >= final["k"]["T"] + 1


def row_of(kline):
    """A kline of the stream as REST's row."""
    return [kline[key] for key in ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q")] + ["0"]


def test_the_expected_funding_rate_is_at_last_the_one_that_is_settled():
    market = fast_market()
    settlements = market.settlements(BTC, instant(0), instant(1_440_000))

    expected = [fair_price(market, BTC, at_ms - 1).rate_e8 for at_ms in settlements.settled_at_ms.tolist()]

    assert expected == settlements.rate_e8.tolist()


def test_all_marks_come_in_one_message_and_agree_with_rest():
    async def run():
        async with serving() as venue, connected(f"{venue.ws_url}/ws/!markPrice@arr@1s") as socket:
            message = await receive(socket)
            return message, await get(f"{venue.url}/fapi/v1/premiumIndex")

    marks, index = asyncio.run(run())

    assert [each["s"] for each in marks] == ["BTCUSDT", "ETHUSDT"] == [each["symbol"] for each in index]
    assert [each["T"] for each in marks] == [each["nextFundingTime"] for each in index]
