import asyncio
import json

import pytest
from aiohttp import web

from helios_pipeline.adapters.dydx.stream import DydxStream, Heard, read_message


def test_messages_that_matter_are_read():
    block = {"type": "channel_data", "channel": "v4_block_height", "contents": {"blockHeight": "7"}}
    assert read_message(block, gap=False) == Heard(height=7)
    prices = {
        "type": "channel_data",
        "channel": "v4_markets",
        "contents": {"oraclePrices": {"A": {"oraclePrice": "2"}}},
    }
    assert read_message(prices, gap=False) == Heard(oracle_prices={"A": "2"})
    own = {"type": "channel_data", "channel": "v4_subaccounts", "contents": {"fills": [{"id": "f"}]}}
    assert read_message(own, gap=True) == Heard(fills=[{"id": "f"}], gap=True)
    assert read_message({"type": "connected"}, gap=False) is None


def test_a_new_subscription_means_that_something_may_have_been_missed():
    assert read_message({"type": "subscribed", "channel": "v4_subaccounts", "contents": {}}, gap=False).gap


@pytest.mark.parametrize(
    "nonsense", ["{", "[]", '{"type": "channel_data", "channel": "v4_block_height", "contents": {}}', "7"]
)
def test_nonsense_is_a_gap_and_the_stream_goes_on(nonsense):
    block = {"type": "channel_data", "channel": "v4_block_height", "contents": {"blockHeight": "7"}, "message_id": 5}
    asked = []

    async def serve(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(nonsense)
        await socket.send_str(json.dumps(block))
        async for message in socket:
            asked.append(json.loads(message.data)["channel"])
        return socket

    async def scenario():
        application = web.Application()
        application.router.add_get("/ws", serve)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        heard, complete = [], asyncio.Event()

        def tell(news):
            heard.append(news)
            if news.height:
                complete.set()

        port = site._server.sockets[0].getsockname()[1]
        stream = DydxStream(f"ws://127.0.0.1:{port}/ws", "dydx1/0", tell)
        running = asyncio.ensure_future(stream.run(lambda line: None))
        await asyncio.wait_for(complete.wait(), 10)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await runner.cleanup()
        return heard, stream

    heard, stream = asyncio.run(scenario())
    assert heard == [Heard(gap=True), Heard(height=7, gap=True)]
    assert stream.connections == 1
    assert set(asked) <= {"v4_block_height", "v4_markets", "v4_subaccounts"}
