"""The WebSocket: it tells what REST shows, as each client wants it, and faults strike its streams by name."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest

from simulated_venues.dydx.records import Side, SubaccountId, TimeInForce
from simulated_venues.faults import Fault
from simulated_venues.market import SimulatedMarket
from simulated_venues.venue import embedded
from tests.simulated_venues.dydx.background import order
from tests.simulated_venues.dydx.indexer_venue import IndexerVenue

CHILD = SubaccountId(owner="dydx1carol", number=128)


@pytest.fixture(name="venue", scope="module")
def venue_fixture(make_settings):
    with embedded(IndexerVenue(SimulatedMarket(replace(make_settings(), raw_interval_ms=1_000)))) as venue:
        yield venue


class Ears:
    def __init__(self, socket):
        self.socket, self.messages = socket, []

    async def send(self, **message):
        await self.socket.send_json(message)

    async def subscribe(self, channel, name=None, **more):
        await self.send(type="subscribe", channel=channel, **({"id": name} if name else {}), **more)
        return await self.until(lambda m: m["type"] in ("subscribed", "error"))

    async def until(self, holds, seconds=20):
        async with asyncio.timeout(seconds):
            while True:
                message = json.loads((await self.socket.receive()).data)
                self.messages.append(message)
                if holds(message):
                    return message


@asynccontextmanager
async def listening(venue):
    async with aiohttp.ClientSession() as session, session.ws_connect(venue.ws_url) as socket:
        yield Ears(socket)


async def rest(venue, path):
    async with aiohttp.ClientSession() as session, session.get(f"{venue.url}/v4/{path}") as response:
        return await response.json()


def test_a_book_kept_by_a_client_is_the_venues_book(venue):
    async def run():
        async with listening(venue) as ears:
            first = await ears.subscribe("v4_orderbook", "BTC-USD")
            book = {
                side: {each["price"]: each["size"] for each in first["contents"][side]} for side in ("bids", "asks")
            }
            for _ in range(25):
                update = await ears.until(lambda m: m["type"] == "channel_data")
                for side, levels in update["contents"].items():
                    for price, size in levels:
                        if size == "0":
                            del book[side][price]
                        else:
                            book[side][price] = size
                assert max(map(int, book["bids"])) < min(map(int, book["asks"]))
            again = await rest(venue, "orderbooks/perpetualMarket/BTC-USD")
            shown = {side: {each["price"]: each["size"] for each in again[side]} for side in ("bids", "asks")}
            while book != shown:
                update = await ears.until(lambda m: m["type"] == "channel_data")
                for side, levels in update["contents"].items():
                    book[side] |= dict(levels)
                    book[side] = {price: size for price, size in book[side].items() if size != "0"}

    asyncio.run(run())


def test_trades_and_candles_of_the_stream_are_those_of_rest(venue):
    async def run():
        async with listening(venue) as ears:
            first = await ears.subscribe("v4_trades", "BTC-USD")
            await ears.subscribe("v4_candles", "BTC-USD/1MIN")
            for _ in range(8):
                await ears.until(lambda m: m.get("channel") == "v4_candles" and m["type"] == "channel_data")
            streamed = [
                trade
                for m in ears.messages
                if m.get("channel") == "v4_trades" and m["type"] == "channel_data"
                for trade in m["contents"]["trades"]
            ]
            everything = (await rest(venue, "trades/perpetualMarket/BTC-USD?limit=1000"))["trades"][::-1]
            known = first["contents"]["trades"][::-1] + streamed
            start = next(i for i, trade in enumerate(everything) if trade["id"] == known[0]["id"])
            assert everything[start : start + len(known)] == known
            assert len(streamed) >= 8
            candles = [m["contents"] for m in ears.messages if m.get("channel") == "v4_candles"][1:]
            assert [c["startedAt"] for c in candles] == sorted(c["startedAt"] for c in candles)
            last = candles[-1]
            mine = [t for t in known if t["createdAt"] >= last["startedAt"]]
            if known[0]["createdAt"] < last["startedAt"]:
                assert last["trades"] <= len(mine)

    asyncio.run(run())


def test_a_batched_subscriber_gets_lists(venue):
    async def run():
        async with listening(venue) as ears:
            await ears.subscribe("v4_orderbook", "ETH-USD", batched=True)
            update = await ears.until(lambda m: m["type"] != "subscribed")

        assert update["type"] == "channel_batch_data"
        assert isinstance(update["contents"], list)
        assert set(update["contents"][0]) <= {"bids", "asks"}

    asyncio.run(run())


def test_pings_errors_and_unsubscribing_are_answered_and_counted(venue):
    async def run():
        async with listening(venue) as ears:
            await ears.until(lambda m: m["type"] == "connected")
            await ears.send(type="ping", id=7)
            assert (await ears.until(lambda m: True))["type"] == "pong"
            for message, answer in (
                ({"type": "subscribe", "channel": "v4_trades", "id": "NO-USD"}, "Invalid subscription id for channel"),
                ({"type": "subscribe", "channel": "v4_candles", "id": "BTC-USD/2MIN"}, "Invalid subscription id"),
                ({"type": "subscribe", "channel": "v4_subaccounts", "id": "x"}, "Invalid subscription id"),
                ({"type": "subscribe", "channel": "v4_moons"}, "Invalid channel: v4_moons"),
                ({"type": "sing"}, "Invalid message type: sing"),
            ):
                await ears.send(**message)
                error = await ears.until(lambda m: True)
                assert error["type"] == "error"
                assert error["message"].startswith(answer)
            await ears.socket.send_str("{")
            assert (await ears.until(lambda m: True))["message"] == "Invalid message: could not parse"
            await ears.subscribe("v4_block_height")
            assert (await ears.subscribe("v4_block_height"))["type"] == "error"
            await ears.send(type="unsubscribe", channel="v4_block_height")
            await ears.until(lambda m: m["type"] == "unsubscribed")
            await ears.send(type="ping")
            assert (await ears.until(lambda m: True))["type"] == "pong"
            assert [m["message_id"] for m in ears.messages] == list(range(len(ears.messages)))

    asyncio.run(run())


def test_a_parent_hears_of_its_subaccounts(venue):
    async def run():
        async with listening(venue) as ears:
            first = await ears.subscribe("v4_parent_subaccounts", f"{CHILD.owner}/0")
            venue.deposit(CHILD, 1_000)
            market = venue.listing.markets[0]
            price = venue.listing.oracle_e8(market, venue.moment.at_ms) // 10**8
            far = venue.moment.height + 1_000
            taking = order(1, Side.BUY, 50, price * 11 // 10, who=CHILD, time_in_force=TimeInForce.IOC, end=far)
            venue.place(replace(taking, order_id=replace(taking.order_id, clob_pair_id=market.clob_pair_id)))
            update = await ears.until(lambda m: "fills" in m["contents"])

        assert first["contents"]["subaccount"]["childSubaccounts"] == []
        assert update["subaccountNumber"] == 128
        assert "subaccountNumber" not in update["contents"]
        assert update["contents"]["fills"][0]["side"] == "BUY"

    asyncio.run(run())


def test_who_leaves_while_a_subscription_waits_is_not_subscribed(venue, monkeypatch):
    monkeypatch.setattr(venue.sockets, "seen", lambda address: True)

    async def run():
        async with listening(venue) as ears:
            await ears.send(type="subscribe", channel="v4_subaccounts", id="dydx1leaves/0")
        async with listening(venue) as ears:
            await ears.subscribe("v4_subaccounts", "dydx1stays/0")
            return venue.sockets.hub.streams()

    assert asyncio.run(run()) == {"v4_subaccounts/dydx1stays/0"}


def test_faults_strike_streams_by_channel_and_id(venue):
    async def run():
        async with listening(venue) as ears:
            await ears.subscribe("v4_trades", "BTC-USD")
            await ears.subscribe("v4_block_height")
            number = venue.faults.start(Fault(kind="drop_messages", where="v4_trades/*"))
            before = len(ears.messages)
            first = await ears.until(lambda m: m.get("channel") == "v4_block_height")
            await ears.until(lambda m: m["message_id"] - first["message_id"] > len(ears.messages) - before + 2)
            lost = ears.messages[before + 1 :]
            venue.faults.stop(number)
            await ears.until(lambda m: m.get("channel") == "v4_trades")
            venue.faults.start(Fault(kind="disconnect", count=1))
            ended = await ears.socket.receive()
            while ended.type is aiohttp.WSMsgType.TEXT:
                ended = await ears.socket.receive()

        assert not [m for m in lost if m.get("channel") == "v4_trades"]
        assert ended.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        venue.faults.stop_all()

    asyncio.run(run())


def test_wrong_requests_are_answered_as_the_indexer_does(venue):
    async def run():
        found = {}
        async with aiohttp.ClientSession() as session:
            for path in (
                "orderbooks/perpetualMarket/NO-USD",
                "candles/perpetualMarkets/BTC-USD?resolution=2MIN",
                "orders?address=dydx1carol",
                "fills?address=dydx1carol&subaccountNumber=0&limit=0",
                "addresses/dydx1nobody/subaccountNumber/0",
                "orders/00000000-0000-0000-0000-000000000000",
                "moons",
            ):
                async with session.get(f"{venue.url}/v4/{path}") as response:
                    found[path] = response.status, (await response.json())["errors"][0]
        return found

    found = asyncio.run(run())

    assert [status for status, _ in found.values()] == [400, 400, 400, 400, 404, 404, 404]
    assert found["orderbooks/perpetualMarket/NO-USD"][1] == {
        "msg": "ticker must be a valid ticker (BTC-USD, etc)",
        "param": "ticker",
        "location": "params",
    }
    assert found["orders?address=dydx1carol"][1]["param"] == "subaccountNumber"


def test_what_clients_ask_for_beside_accounts_is_there(venue):
    async def run():
        lines = await rest(venue, "sparklines?timePeriod=ONE_DAY")
        screen = await rest(venue, "screen?address=dydx1carol")
        compliance = await rest(venue, "compliance/screen/dydx1carol")
        one = await rest(venue, "perpetualMarkets?ticker=ETH-USD")
        page = await rest(venue, "trades/perpetualMarket/BTC-USD?limit=3&page=2")
        both = await rest(venue, "trades/perpetualMarket/BTC-USD?limit=3")
        return lines, screen, compliance, one, page, both

    lines, screen, compliance, one, page, both = asyncio.run(run())

    assert {ticker: len(line) for ticker, line in lines.items()} == {"BTC-USD": 24, "ETH-USD": 24}
    assert (screen, compliance["status"], list(one["markets"])) == ({"restricted": False}, "COMPLIANT", ["ETH-USD"])
    assert len(page["trades"]) == len(both["trades"]) == 3
    assert page["trades"][0]["createdAt"] <= both["trades"][-1]["createdAt"] or page["offset"] == 3
