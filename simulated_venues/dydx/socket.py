"""The indexer's WebSocket: channels, what a subscriber gets first, and what follows.

Source of the forms: v4-chain, `indexer/services/comlink/public/websocket-documentation.md` and
`indexer/services/socks/src/`. Messages of a connection are counted, so one that a fault loses leaves a gap.
"""

import asyncio
import itertools
import math
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import cast

import msgspec
from aiohttp import web

from simulated_venues.clock import VenueClock
from simulated_venues.dydx.candles import RESOLUTION_MS, candle_message
from simulated_venues.dydx.documents import Json, name_uuid
from simulated_venues.dydx.indexer import Indexer, Seen
from simulated_venues.dydx.ledger import PARENTS
from simulated_venues.dydx.orderbooks import Orderbooks
from simulated_venues.dydx.records import SubaccountId
from simulated_venues.faults import Fault, Faults
from simulated_venues.source import BOOK_STEP_MS
from simulated_venues.websocket import Client, Hub, Lifetime

VERSIONS = MappingProxyType(
    {
        "v4_subaccounts": "3.0.0",
        "v4_parent_subaccounts": "3.0.0",
        "v4_orderbook": "1.0.0",
        "v4_trades": "2.1.0",
        "v4_markets": "1.0.0",
        "v4_candles": "1.0.0",
        "v4_block_height": "1.0.0",
    }
)
"""Channels, and the version of their messages."""

_PARENT = "v4_parent_subaccounts"
_WITHOUT_ID = ("v4_markets", "v4_block_height")
_OPEN_ORDERS = ("OPEN", "UNTRIGGERED", "BEST_EFFORT_OPENED")
_LIFETIME = Lifetime(connection_seconds=math.inf, ping_seconds=30.0, pong_seconds=45.0)
_FIRST_TRADES, _FIRST_CANDLES = 100, 100


class _RefusedError(Exception):
    """What a client asks for does not exist; the message is for the client."""


class _OfSubaccount(msgspec.Struct, rename="camel"):
    """What a subaccount's parent is told: whose contents these are stands beside them."""

    contents: msgspec.Raw
    subaccount_number: int


@dataclass(slots=True)
class _Connection:
    """Counts messages and writes them as this client wants them.

    Attributes:
        connection_id: a version 5 uuid.
        batched: streams that are wanted as lists of contents.
    """

    connection_id: str
    batched: set[str] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def encode(self, stream: str, contents: str) -> str:
        """Contents of a stream, JSON text, as a message; those for parents are of `_OfSubaccount`."""
        channel, _, name = stream.partition("/")
        batched = stream in self.batched
        whose: Json = {}
        if channel == _PARENT:
            told = msgspec.json.decode(contents, type=_OfSubaccount)
            contents, whose = bytes(told.contents).decode(), {"subaccountNumber": told.subaccount_number}
        body = {
            "type": "channel_batch_data" if batched else "channel_data",
            "connection_id": self.connection_id,
            "message_id": next(self._numbers),
            **({} if channel == "v4_markets" else {"id": name}),
            "channel": channel,
            "version": VERSIONS[channel],
            "contents": msgspec.Raw(f"[{contents}]".encode() if batched else contents.encode()),
            **whose,
        }
        return msgspec.json.encode(body).decode()

    def answer(self, kind: str, **fields: object) -> str:
        """A message that is of no stream."""
        body = {"type": kind, "connection_id": self.connection_id, "message_id": next(self._numbers), **fields}
        return msgspec.json.encode(body).decode()

    def error(self, message: str) -> str:
        """An error message, its text first as the venue has it."""
        body = {"message": message, "connection_id": self.connection_id, "message_id": next(self._numbers)}
        return msgspec.json.encode({"type": "error", **body}).decode()


@dataclass(slots=True)
class Sockets:
    """All WebSocket connections of the indexer.

    Attributes:
        indexer: hears of its blocks.
        books: order books.
        clock, faults: the venue's.
        seen: called with the address of every subaccount that is subscribed to and unknown.
        hub: the connections.
    """

    indexer: Indexer
    books: Orderbooks
    clock: VenueClock
    faults: Faults
    seen: Seen
    hub: Hub = field(default_factory=Hub)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.indexer.audience = self

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """`/v4/ws`."""
        if self.faults.take("refuse_connections"):
            return web.Response(status=503)
        socket = web.WebSocketResponse(compress=False, autoping=False)
        await socket.prepare(request)
        connection = _Connection(name_uuid("connection", next(self._numbers)))
        name = request.headers.get("User-Agent", "unknown client")
        client = Client(socket, self.faults, connection.encode, name, request.transport)
        client.answer(connection.answer("connected"))
        await self.hub.serve(client, lambda text: self._receive(client, connection, text), _LIFETIME)
        return socket

    async def run(self) -> None:
        """Tell of changes in order books at every step, and obey `disconnect`, until cancelled."""
        loop = asyncio.get_running_loop()

        def close(fault: Fault) -> None:
            if fault.kind == "disconnect":
                loop.call_soon_threadsafe(lambda: self._start(self.hub.close_all()))

        self.faults.listeners.append(close)
        try:
            while True:
                await self.clock.sleep_until((self.clock.now_ms() // BOOK_STEP_MS + 1) * BOOK_STEP_MS)
                self.step()
        finally:
            self.faults.listeners.remove(close)

    def step(self) -> None:
        """Tell of what has changed in the order books that somebody follows."""
        for ticker in self.books.followed():
            stream = f"v4_orderbook/{ticker}"
            if not self.hub.listeners(stream):
                self.books.leave(ticker)
                continue
            contents = self.books.changes(self.indexer.markets.by_ticker[ticker])
            if contents:
                self.hub.publish(stream, _json(contents))

    def hear(self, channel: str, name: str, contents: Json) -> None:
        """Pass on what the indexer tells."""
        if channel == "v4_subaccounts":
            self._tell_parent(name, contents)
        stream = f"{channel}/{name}"
        if self.hub.listeners(stream):
            self.hub.publish(stream, _json(contents))

    def traded(self, ticker: str, since_ms: int) -> None:
        """Tell of candles that have changed: the open one, and those that ended since."""
        market = self.indexer.markets.by_ticker[ticker]
        for resolution, length in RESOLUTION_MS.items():
            stream = f"v4_candles/{ticker}/{resolution}"
            if self.hub.listeners(stream):
                first = since_ms // length * length
                span = (first, self.indexer.markets.until_ms(market))
                candles = self.indexer.markets.read_candles(market, resolution, span, _FIRST_CANDLES)
                for candle in reversed(candles):
                    self.hub.publish(stream, _json(candle_message(candle)))

    async def close_all(self) -> None:
        """Close every connection."""
        await self.hub.close_all()

    def _tell_parent(self, name: str, contents: Json) -> None:
        owner, _, number = name.rpartition("/")
        stream = f"{_PARENT}/{owner}/{int(number) % PARENTS}"
        if self.hub.listeners(stream):
            self.hub.publish(stream, _json({"contents": contents, "subaccountNumber": int(number)}))

    def _receive(self, client: Client, connection: _Connection, text: str) -> None:
        try:
            message = msgspec.json.decode(text)
        except msgspec.DecodeError:
            client.answer(connection.error("Invalid message: could not parse"))
            return
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "ping":
            named = {"id": message["id"]} if "id" in message else {}
            client.answer(connection.answer("pong", **named))
        elif kind in ("subscribe", "unsubscribe"):
            self._start(self._change(client, connection, cast("Json", message)))
        else:
            client.answer(connection.error(f"Invalid message type: {kind}"))

    async def _change(self, client: Client, connection: _Connection, message: Json) -> None:
        """Subscribe or unsubscribe."""
        channel = str(message.get("channel"))
        if channel not in VERSIONS:
            client.answer(connection.error(f"Invalid channel: {channel}"))
            return
        name = channel if channel in _WITHOUT_ID else str(message.get("id", ""))
        stream = f"{channel}/{name}"
        shown: Json = {"channel": channel} if channel == "v4_markets" else {"channel": channel, "id": name}
        if message["type"] == "unsubscribe":
            self.hub.unsubscribe(client, stream)
            connection.batched.discard(stream)
            client.answer(connection.answer("unsubscribed", **shown))
            return
        if stream in client.streams:
            client.answer(connection.error(f"Invalid subscribe message: already subscribed ({stream})"))
            return
        try:
            contents = await self._first(channel, name)
        except _RefusedError as error:
            client.answer(connection.error(str(error)))
            return
        if client not in self.hub.clients:
            return
        if message.get("batched") is True:
            connection.batched.add(stream)
        client.answer(connection.answer("subscribed", **shown, contents=contents))
        self.hub.subscribe(client, stream)

    async def _first(self, channel: str, name: str) -> Json:
        """What a subscriber gets first; nothing is awaited after it is made, but for candles, so what follows fits."""
        if channel == "v4_markets":
            return {"markets": self.indexer.markets.market_documents()}
        if channel == "v4_block_height":
            return self.indexer.height_document()
        if channel in ("v4_subaccounts", _PARENT):
            await self.indexer.wait_for_account(name.rpartition("/")[0], self.seen)
            return self._first_of_account(channel, name)
        ticker, _, resolution = name.partition("/")
        market = self.indexer.markets.by_ticker.get(ticker)
        if market is None or (resolution not in RESOLUTION_MS if channel == "v4_candles" else resolution):
            raise _RefusedError(f"Invalid subscription id for channel: ({channel}-{name})")
        if channel == "v4_orderbook":
            self.books.follow(market)
            return self.books.document(market)
        until = self.indexer.markets.until_ms(market)
        if channel == "v4_trades":
            return {"trades": self.indexer.markets.latest_trades(market, _FIRST_TRADES, until)}
        candles = await asyncio.to_thread(
            self.indexer.markets.read_candles, market, resolution, (0, until), _FIRST_CANDLES
        )
        return {"candles": [candle_message(candle) for candle in candles]}

    def _first_of_account(self, channel: str, name: str) -> Json:
        owner, _, number = name.rpartition("/")
        if not owner or not number.isdecimal():
            raise _RefusedError(f"Invalid subscription id for channel: ({channel}-{name})")
        ledger, height = self.indexer.ledger, self.indexer.applied.height
        if channel == "v4_subaccounts":
            account = ledger.accounts.get(SubaccountId(owner=owner, number=int(number)))
            if account is None:
                return {}
            accounts = [account]
            subaccount = ledger.subaccount_document(account, self.indexer.oracle_e8, height)
        else:
            accounts = ledger.of_parent(owner, int(number))
            subaccount = ledger.parent_document(owner, int(number), self.indexer.oracle_e8, height)
        orders = [each for account in accounts for each in account.orders.values() if each["status"] in _OPEN_ORDERS]
        return {"subaccount": subaccount, "orders": orders, "blockHeight": str(height)}

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _json(contents: Json) -> str:
    return msgspec.json.encode(contents).decode()
