"""NautilusTrader's WebSocket client of Binance, made to come back by itself.

The library's own sends a request per stream, of which the venue allows ten a second; gives a stream up when the first
connection is refused; and waits for ever on a connection over which nothing comes any more.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from nautilus_trader.adapters.binance.websocket.client import BinanceWebSocketClient
from nautilus_trader.core.nautilus_pyo3 import WebSocketClient, WebSocketClientError, WebSocketConfig

TOGETHER_SECONDS = 0.05
"""Streams that are asked for within this time are asked for in one request."""

FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.25, 10.0
_ONLY = 0
"""Number of the connection: one carries up to 200 streams."""


class LiveSocket(BinanceWebSocketClient):
    """One connection and its streams.

    Attributes:
        reconnects: how often the connection was lost and came back.
    """

    def __init__(self, *, silence_seconds: float, **given: Any) -> None:  # noqa: ANN401 - the library's arguments
        """As the library's.

        Args:
            silence_seconds: a connection over which nothing has come for so long is replaced.
            given: what the library's client takes.
        """
        super().__init__(**given)
        self.reconnects = 0
        self._silence_ms = round(silence_seconds * 1_000)
        self._turn = asyncio.Lock()
        self._fresh: list[str] = []

    async def _subscribe(self, stream: str) -> None:
        if stream in self._streams:
            return
        self._streams.append(stream)
        self._fresh.append(stream)
        await asyncio.sleep(TOGETHER_SECONDS)
        async with self._turn:
            fresh, self._fresh = self._fresh, []
            if not fresh:
                return
            if self._clients.get(_ONLY) is None:
                self._client_streams[_ONLY] = fresh
                await self._connect_client(_ONLY, fresh)
            else:
                self._client_streams[_ONLY] += fresh
                await self._send(_ONLY, self._create_subscribe_msg(streams=fresh))

    async def _connect_client(self, client_id: int, streams: list[str]) -> None:
        config = WebSocketConfig(
            url=f"{self._base_url}/stream?streams={'/'.join(streams)}",
            headers=[],
            heartbeat=60,
            reconnect_delay_initial_ms=round(FIRST_RETRY_SECONDS * 1_000),
            reconnect_delay_max_ms=round(LONGEST_RETRY_SECONDS * 1_000),
            idle_timeout_ms=self._silence_ms,
            proxy_url=self._proxy_url,
        )
        wait = FIRST_RETRY_SECONDS
        while True:
            try:
                self._clients[client_id] = await WebSocketClient.connect(
                    loop_=self._loop,
                    config=config,
                    handler=self._handler,
                    ping_handler=lambda raw: self._handle_ping(client_id, raw),
                    post_reconnection=lambda: self._handle_reconnect(client_id),
                )
            except (WebSocketClientError, OSError, RuntimeError) as error:
                self._log.warning(f"{self._base_url}: expected a WebSocket connection, found {error}. Trying again.")
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_RETRY_SECONDS)
            else:
                return

    def _handle_reconnect(self, client_id: int) -> None:
        self.reconnects += 1
        super()._handle_reconnect(client_id)


def live_socket(
    old: BinanceWebSocketClient, silence_seconds: float, on_reconnect: Callable[..., Any] | None
) -> LiveSocket:
    """A `LiveSocket` in place of a client of the library that has no stream yet."""
    return LiveSocket(
        silence_seconds=silence_seconds,
        clock=old._clock,
        handler=old._handler,
        handler_reconnect=on_reconnect,
        base_url=old.url,
        loop=old._loop,
        proxy_url=old._proxy_url,
    )
