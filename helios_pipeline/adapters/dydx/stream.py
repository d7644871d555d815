"""The indexer's WebSocket: connects, subscribes, reads, and connects again until it is cancelled.

It only says what it heard and when it may have missed something. What is true is read by REST.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec

type Json = dict[str, Any]

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.2, 5.0
_HEARTBEAT_SECONDS = 10.0
_CONNECT_SECONDS, _CLOSE_SECONDS = 10.0, 0.2
_SILENT = "that it says nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a message says.

    Attributes:
        height: of a new block; None in other messages.
        fills, orders: documents of the subaccount.
        oracle_prices: ticker → price, as text.
        gap: whether messages before this one are missing, or it begins a subscription: REST knows what was missed.
        other: whether something else of the account changed: balance, transfers.
    """

    height: int | None = None
    fills: list[Json] = field(default_factory=list)
    orders: list[Json] = field(default_factory=list)
    oracle_prices: dict[str, str] = field(default_factory=dict)
    gap: bool = False
    other: bool = False


class DydxStream:
    """Hears one subaccount, blocks and oracle prices.

    Attributes:
        heard_at: when a block was heard of last, monotonic seconds; None while it never was.
        connections: how often it connected.
    """

    def __init__(self, url: str, subaccount: str, tell: Callable[[Heard], None]) -> None:
        """Prepare.

        Args:
            url: of the WebSocket.
            subaccount: `address/number`.
            tell: called with each message, in the loop that runs `run`.
        """
        self._url, self._subaccount, self._tell = url, subaccount, tell
        self._listening: asyncio.Future[None] | None = None
        self._next_number = 0
        self.heard_at: float | None = None
        self.connections = 0

    async def run(self, warn: Callable[[str], None]) -> None:
        """Listen until cancelled."""
        wait = _FIRST_WAIT_SECONDS
        async with aiohttp.ClientSession() as session:
            while True:
                connections = self.connections
                problem = await self._listen_once(session)
                wait = _FIRST_WAIT_SECONDS if self.connections > connections else min(2 * wait, _LONGEST_WAIT_SECONDS)
                warn(f"dYdX stream {self._url}: expected it to stay open, found {problem}. Next try in {wait} s.")
                await asyncio.sleep(wait)

    def renew(self) -> None:
        """Drop a connection that says nothing, so that another one is made."""
        if self._listening is not None:
            self._listening.cancel()

    async def _listen_once(self, session: aiohttp.ClientSession) -> str:
        """One connection, from its beginning to its end; why it ended."""
        listening = self._listening = asyncio.ensure_future(self._listen(session))
        try:
            await asyncio.wait({listening})
        finally:
            listening.cancel()
            self._listening = None
        if listening.cancelled():
            return _SILENT
        match listening.exception():
            case None:
                return "that the venue closed it"
            case aiohttp.ClientError() | OSError() | TimeoutError() as error:
                return f"{type(error).__name__}: {error}"
            case error:
                raise error

    async def _listen(self, session: aiohttp.ClientSession) -> None:
        # Who says nothing does not answer a close either.
        timeout = aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS)
        async with asyncio.timeout(_CONNECT_SECONDS):
            socket = await session.ws_connect(
                self._url, heartbeat=_HEARTBEAT_SECONDS, max_msg_size=0, compress=0, timeout=timeout
            )
        try:
            self._next_number = 0
            self.connections += 1
            for channel in ({"channel": "v4_block_height"}, {"channel": "v4_markets"}, self._own_channel()):
                await socket.send_json({"type": "subscribe", **channel})
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take(message.data)
        finally:
            await socket.close()

    def _own_channel(self) -> Json:
        return {"channel": "v4_subaccounts", "id": self._subaccount}

    def _take(self, text: str) -> None:
        heard: Heard | None
        try:
            message = msgspec.json.decode(text, type=dict[str, Any])
            number = int(message.get("message_id", self._next_number))
            heard = read_message(message, gap=number > self._next_number)
            self._next_number = max(self._next_number, number + 1)
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError):
            # Whatever it was meant to say, REST knows.
            heard = Heard(gap=True)
        if heard is not None:
            if heard.height is not None:
                self.heard_at = time.monotonic()
            self._tell(heard)


def read_message(message: Json, *, gap: bool) -> Heard | None:
    """A message of the indexer; None if it says nothing that matters here.

    Args:
        message: as it came.
        gap: whether one before it is missing.
    """
    kind, channel, contents = message.get("type"), message.get("channel"), message.get("contents") or {}
    if kind == "subscribed":
        return _subscribed(channel, contents)
    if kind == "channel_data" and channel == "v4_block_height":
        return Heard(height=int(contents["blockHeight"]), gap=gap)
    if kind == "channel_data" and channel == "v4_markets":
        prices = contents.get("oraclePrices") or {}
        return Heard(oracle_prices={ticker: each["oraclePrice"] for ticker, each in prices.items()}, gap=gap)
    if kind == "channel_data" and channel == "v4_subaccounts":
        return Heard(
            fills=contents.get("fills") or [],
            orders=contents.get("orders") or [],
            other=bool(contents.get("assetPositions") or contents.get("transfers")),
            gap=gap,
        )
    return Heard(gap=True) if gap else None


def _subscribed(channel: object, contents: Json) -> Heard | None:
    if channel == "v4_block_height":
        return Heard(height=int(contents["height"]))
    if channel == "v4_markets":
        markets = contents.get("markets") or {}
        return Heard(oracle_prices={ticker: each["oraclePrice"] for ticker, each in markets.items()})
    # What happened while nobody listened is asked for.
    return Heard(gap=True)
