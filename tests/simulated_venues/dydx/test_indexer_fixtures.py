"""Every recorded answer and message of the indexer has its like here, with the same keys and types.

Keys that a sample lacks and ours have are named below, with where they come from: another sample of the same thing,
or the indexer's own types (v4-chain, `indexer/services/comlink/src/types.ts`,
`indexer/packages/kafka/src/websocket-helper.ts`, `indexer/services/comlink/public/websocket-documentation.md`).
"""

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from simulated_venues.dydx.records import OrderFlags, Side, SubaccountId, TimeInForce
from simulated_venues.market import SimulatedMarket
from simulated_venues.venue import embedded
from tests.simulated_venues.dydx.background import order
from tests.simulated_venues.dydx.indexer_venue import IndexerVenue

FIXTURES = Path(os.environ.get("HELIOS_REAL_DATA", "")) / "fixtures" / "dydx_v4"
pytestmark = pytest.mark.skipif(not FIXTURES.is_dir(), reason="HELIOS_REAL_DATA names no folder with recorded messages")
ALICE = SubaccountId(owner="dydx1alice", number=0)

MORE = {
    # `OrderResponseObject` of the indexer: an order that is not short-term has a time instead of a block.
    "order": {"goodTilBlockTime", "goodTilBlock", "triggerPrice"},
    # `OrderSubaccountMessageContents`.
    "order message": {"ticker", "removalReason", "totalOptimisticFilled", "goodTilBlock", "goodTilBlockTime"},
    # `FillSubaccountMessageContents`: it has the market as `ticker`; see `documents.fill_message`.
    "fill message": {"ticker", "clobPairId", "quoteAmount", "eventId", "transactionHash"},
    # `PerpetualPositionResponseObject`, and recorded in `http_get_subaccount`'s documentation.
    "position": {"createdAtHeight", "subaccountNumber"},
    "balance": {"subaccountNumber"},
    # The initial response is REST's subaccount and its open orders (websocket-documentation.md, "Subaccounts").
    "subaccounts subscribed": {"orders", "blockHeight"},
    "subaccounts update": {"perpetualPositions", "assetPositions", "transfers", "blockHeight"},
    # In REST's recorded candles.
    "candle": {"orderbookMidPriceOpen", "orderbookMidPriceClose"},
    # In REST's recorded markets, and `volume24H` in recorded_channels.json.
    "market": {
        "volume24H",
        "trades24H",
        "marketType",
        "openInterestLowerCap",
        "openInterestUpperCap",
        "baseOpenInterest",
        "defaultFundingRate1H",
    },
    # `TransferResponseObject` calls them `size` and `symbol`, the recorded answer `amount` and `asset`.
    "transfer": {"size", "symbol"},
    # In the recorded subscription; the update in recorded_channels.json lacks it.
    "trade": {"createdAtHeight"},
    # `TradingPerpetualMarketMessage`.
    "trading": {"id", "priceChange24H", "volume24H", "trades24H", "nextFundingRate", "openInterest"},
}


def sample(name):
    return json.loads((FIXTURES / f"{name}.json").read_text())


def same(ours, theirs, more=""):
    """The same type and, of an object, the same keys with values of the same type."""
    if theirs is None or ours is None:
        return True
    assert type(ours) is type(theirs) or {type(ours), type(theirs)} == {int, float}, (ours, theirs)
    if isinstance(theirs, dict):
        assert set(theirs) - MISSING.get(more, set()) <= set(ours), (more, set(theirs) - set(ours))
        assert set(ours) - set(theirs) <= MORE.get(more, set()), (more, set(ours) - set(theirs))
        for key in set(theirs) & set(ours):
            if not isinstance(theirs[key], dict | list):
                assert same(ours[key], theirs[key])
    return True


MISSING = {
    # An order has one of the two ends; hand-written sample: the market of a fill is in `ticker`.
    "order": {"goodTilBlock"},
    "order message": {"goodTilBlockTime", "goodTilBlock"},
    "fill message": {"market", "marketType"},
    # Statistics are told when they change; a status never does.
    "trading": {"status", "openInterest", "nextFundingRate"},
}


@pytest.fixture(name="told", scope="module")
def told_fixture(make_settings):
    """REST answers by path, and WebSocket messages of an account that trades, deposits and has a resting order."""
    venue = IndexerVenue(SimulatedMarket(replace(make_settings(), raw_interval_ms=1_000)))
    with embedded(venue):
        return asyncio.run(_listen(venue))


async def _listen(venue):
    messages, rest = [], {}
    async with aiohttp.ClientSession() as session, session.ws_connect(venue.ws_url) as socket:
        venue.deposit(ALICE, 100_000)
        name = f"{ALICE.owner}/0"

        async def until(found):
            while not found():
                messages.append(json.loads((await asyncio.wait_for(socket.receive(), 10)).data))

        await _until_rest(session, venue, f"/v4/addresses/{ALICE.owner}")
        market = venue.listing.markets[0]
        price = venue.listing.oracle_e8(market, venue.moment.at_ms) // 10**8
        end = venue.moment.at_ms // 1_000 + 3_600
        await _subscribe(socket, "v4_subaccounts", name)
        venue.place(order(1, Side.BUY, 500, price * 11 // 10, time_in_force=TimeInForce.IOC, end=2**31, market=market))
        venue.place(order(2, Side.BUY, 50, price * 8 // 10, flags=OrderFlags.LONG_TERM, end=end, market=market))
        for channel, wanted in (
            ("v4_trades", "BTC-USD"),
            ("v4_orderbook", "BTC-USD"),
            ("v4_candles", "BTC-USD/1MIN"),
            ("v4_markets", None),
            ("v4_block_height", None),
            ("v4_nothing", "x"),
        ):
            await _subscribe(socket, channel, wanted)
        venue.deposit(ALICE, 5)

        def has(channel, key=None):
            updates = [m for m in messages if m["type"] == "channel_data" and m.get("channel") == channel]
            return any(key is None or key in m["contents"] for m in updates)

        channels = ("v4_trades", "v4_orderbook", "v4_candles", "v4_markets", "v4_block_height")
        await until(
            lambda: (
                all(map(has, channels))
                and has("v4_subaccounts", "fills")
                and has("v4_subaccounts", "transfers")
                and has("v4_markets", "trading")
                and has("v4_markets", "oraclePrices")
                and any(m["type"] == "error" for m in messages)
            )
        )
        await _subscribe(socket, "v4_subaccounts", name, kind="unsubscribe")
        await _subscribe(socket, "v4_subaccounts", name)
        await until(lambda: len([m for m in messages if _is(m, "subscribed", "v4_subaccounts")]) == 2)
        for path in (
            "height",
            "time",
            "perpetualMarkets",
            "orderbooks/perpetualMarket/BTC-USD",
            "trades/perpetualMarket/BTC-USD",
            "candles/perpetualMarkets/BTC-USD?resolution=1MIN&limit=3",
            "historicalFunding/BTC-USD?limit=3",
            f"addresses/{ALICE.owner}/subaccountNumber/0",
            *(
                f"{path}?address={ALICE.owner}&subaccountNumber=0"
                for path in ("orders", "fills", "transfers", "perpetualPositions")
            ),
        ):
            async with session.get(f"{venue.url}/v4/{path}") as response:
                assert response.status == 200, path
                rest[path.partition("?")[0]] = await response.json()
    return rest, messages


async def _until_rest(session, venue, path):
    while True:
        async with session.get(venue.url + path) as response:
            if response.status == 200:
                return
        await asyncio.sleep(0.05)


async def _subscribe(socket, channel, name, kind="subscribe"):
    await socket.send_json({"type": kind, "channel": channel, **({} if name is None else {"id": name})})


def _is(message, kind, channel):
    return message["type"] == kind and message.get("channel") == channel


def _rest(name):
    found = sample(name)
    return found.get("result", found)


@pytest.mark.parametrize(
    ("name", "path", "keys", "more"),
    [
        ("http_get_block_height", "height", (), ""),
        ("http_get_time", "time", (), ""),
        ("http_get_perpetual_markets", "perpetualMarkets", ("markets", "BTC-USD"), ""),
        ("http_get_orderbook", "orderbooks/perpetualMarket/BTC-USD", ("bids", 0), ""),
        ("http_get_trades", "trades/perpetualMarket/BTC-USD", ("trades", 0), ""),
        ("http_get_candles", "candles/perpetualMarkets/BTC-USD", ("candles", 0), ""),
        ("http_get_historical_funding", "historicalFunding/BTC-USD", ("historicalFunding", 0), ""),
        ("http_get_subaccount", "addresses/dydx1alice/subaccountNumber/0", ("subaccount",), ""),
        ("http_get_orders", "orders", (0,), "order"),
        ("http_get_fills", "fills", ("fills", 0), ""),
        ("http_get_transfers", "transfers", ("transfers", 0), "transfer"),
    ],
)
def test_rest_has_the_recorded_keys_and_types(told, name, path, keys, more):
    ours, theirs = told[0][path], _rest(name)
    assert same(ours, theirs)
    for key in keys:
        ours, theirs = ours[key], theirs[key]
    assert same(ours, theirs, more)
    if name == "http_get_transfers":
        assert same(ours["sender"], theirs["sender"])
    if name == "http_get_subaccount":
        assert same(ours["assetPositions"]["USDC"], theirs["assetPositions"]["USDC"])


def test_every_market_of_the_recorded_list_that_trades_here_has_its_parameters(told):
    theirs = _rest("http_get_perpetual_markets")["markets"]
    moving = {"oraclePrice", "priceChange24H", "volume24H", "trades24H", "nextFundingRate", "status"}
    moving |= {"openInterest", "baseOpenInterest"}
    for ticker, ours in told[0]["perpetualMarkets"]["markets"].items():
        assert {k: v for k, v in ours.items() if k not in moving} == {
            k: v for k, v in theirs[ticker].items() if k not in moving
        }


@pytest.mark.parametrize(
    ("name", "kind", "keys", "more"),
    [
        ("ws_block_height_subscribed", "subscribed", (), ""),
        ("ws_block_height_update", "channel_data", (), ""),
        ("ws_candles_subscribed", "subscribed", ("candles", 0), "candle"),
        ("ws_candles_update", "channel_data", (), "candle"),
        ("ws_error", "error", None, ""),
        ("ws_markets_subscribed", "subscribed", ("markets", "BTC-USD"), "market"),
        ("ws_markets_update", "channel_data", ("oraclePrices", "BTC-USD"), ""),
        ("ws_markets_status_update", "channel_data", ("trading", "BTC-USD"), "trading"),
        ("ws_orderbook_subscribed", "subscribed", ("bids", 0), ""),
        ("ws_orderbook_update", "channel_data", ("bids", 0), ""),
        ("ws_subaccounts_subscribed", "subscribed", ("subaccount",), ""),
        ("ws_subaccounts_subscribed", "subscribed", ("subaccount", "openPerpetualPositions", "BTC-USD"), "position"),
        ("ws_subaccounts_subscribed", "subscribed", ("subaccount", "assetPositions", "USDC"), "balance"),
        ("ws_subaccounts_update", "channel_data", ("orders", 0), "order message"),
        ("ws_subaccounts_update", "channel_data", ("fills", 0), "fill message"),
        ("ws_trades_subscribed", "subscribed", ("trades", 0), ""),
        ("ws_trades_update", "channel_data", ("trades", 0), "trade"),
    ],
)
def test_the_websocket_has_the_recorded_keys_and_types(told, name, kind, keys, more):
    theirs = sample(name)
    alike = [m for m in told[1] if _is(m, kind, theirs.get("channel")) and (not keys or keys[0] in m["contents"])]
    ours = alike[-1]
    assert same(ours, theirs)
    if keys is None:
        return
    ours, theirs = ours["contents"], theirs["contents"]
    if keys:
        assert set(ours) - set(theirs) <= MORE.get(name.removeprefix("ws_").replace("_", " "), set())
    for key in keys:
        ours, theirs = ours[key], theirs[key]
    assert same(ours, theirs, more)


def test_recorded_channels_have_their_like(told):
    for theirs in sample("recorded_channels"):
        kind, channel = theirs["type"], theirs["channel"]
        (key, inner), *_ = theirs["contents"].items()
        alike = [m for m in told[1] if _is(m, kind, channel) and key in m["contents"]]
        assert alike, theirs
        ours = alike[-1]
        assert same(ours, theirs)
        assert ours.get("version") == theirs.get("version")
        mine = ours["contents"][key]
        if isinstance(inner, list):
            assert same(mine[0], inner[0], "trade")
        else:
            ticker = next(iter(inner))
            mine = mine.get(ticker) or next(iter(mine.values()))
            assert same(mine, inner[ticker], {"trading": "trading", "markets": "market"}.get(key, ""))


def test_messages_of_a_connection_are_counted_without_a_gap(told):
    assert [message["message_id"] for message in told[1]] == list(range(len(told[1])))
    assert len({message["connection_id"] for message in told[1]}) == 1
    assert told[1][0]["type"] == "connected"
