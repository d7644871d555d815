"""WebSocket clients of a venue, what each is subscribed to, and the faults between them and the venue.

A message is written once for all clients that get it in the same form (`encode`), then passes the faults of each, then
waits in the client's queue for its writer. A client that does not read is closed when its queue is full, as venues do.
"""

import asyncio
import itertools
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from simulated_venues.faults import Faults

MAX_WAITING = 20_000
"""Messages that may wait for a client before it is closed."""

_FRAMES_AT_ONCE = 512
_MAX_BUFFERED = 4 * 2**20
"""Bytes that may wait in the transport before a client's messages wait in its queue."""

_DRAIN_SECONDS = 0.005

ANSWER = "answer"
"""What answers, pings and pongs are to the faults, beside the names of streams: `mute` of everything stops them too."""

Encode = Callable[[str, str], str]
"""(stream, data as JSON text) → the message as this client gets it."""

_FINAL_TEXT = 0x81

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """How long a connection lives.

    Attributes:
        connection_seconds: the venue closes it after so long.
        ping_seconds: the venue pings so often.
        pong_seconds: who has not ponged for so long is closed.
    """

    connection_seconds: float
    ping_seconds: float
    pong_seconds: float


@dataclass(slots=True, eq=False)
class Client:
    """One connection.

    Attributes:
        socket: the open WebSocket.
        faults: the venue's.
        encode: see `Encode`.
        name: who it is, for the venue's page.
        transport: of the connection's request; with it, what waits is written at once, without it one by one.
        streams: what it is subscribed to.
        sent: messages written to it.
    """

    socket: web.WebSocketResponse
    faults: Faults
    encode: Encode
    name: str
    transport: asyncio.Transport | None = None
    number: int = field(default_factory=lambda: next(_numbers))
    since: float = field(default_factory=time.time)
    streams: set[str] = field(default_factory=set)
    sent: int = 0
    _waiting: deque[tuple[float, str]] = field(default_factory=deque)
    _held: str | None = None
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _heard_at: float = field(default_factory=time.monotonic)
    _closing: asyncio.Task[bool] | None = None

    def publish(self, stream: str, data: str) -> None:
        """Send a message of a stream, unless a fault loses it; may duplicate, delay or reorder it."""
        self.offer(stream, self.encode(stream, data))

    def offer(self, stream: str, text: str) -> None:
        """Send a finished message through the faults of `stream`."""
        faults = self.faults
        if faults.take("mute", stream) or faults.take("drop_messages", stream):
            return
        texts = [text, text] if faults.take("duplicate_messages", stream) else [text]
        delay = faults.take("delay_messages", stream)
        due = time.monotonic() + delay.value / 1_000 if delay else 0.0
        if self._held is not None:
            texts.append(self._held)
            self._held = None
        elif faults.take("reorder_messages", stream):
            self._held = texts.pop()
        self._waiting.extend((due, each) for each in texts)
        self._woken.set()

    def answer(self, text: str) -> None:
        """Send the answer to a request: no fault but `mute` stops it."""
        if not self.faults.take("mute", ANSWER):
            self._waiting.append((0.0, text))
            self._woken.set()

    def close(self, code: int, reason: str) -> None:
        """End the connection with a close frame, soon."""
        if self._closing is None:
            self._closing = asyncio.create_task(self.socket.close(code=code, message=reason.encode()))

    async def write(self) -> None:
        """Write what waits, in order, until the connection ends."""
        while not self.socket.closed:
            if not self._waiting:
                self._woken.clear()
                await self._woken.wait()
                continue
            if len(self._waiting) > MAX_WAITING:
                self.close(1008, "too slow")
                return
            late = self._waiting[0][0] - time.monotonic()
            if late > 0:
                await asyncio.sleep(late)
            try:
                await self._write_due()
            except ConnectionResetError:
                return

    async def _write_due(self) -> None:
        """Write what is due; one frame, or many in one piece."""
        if self.transport is None:
            await self.socket.send_str(self._waiting.popleft()[1])
            self.sent += 1
            return
        now = time.monotonic()
        frames: list[bytes] = []
        while self._waiting and self._waiting[0][0] <= now and len(frames) < _FRAMES_AT_ONCE:
            frames.append(_text_frame(self._waiting.popleft()[1]))
        self.transport.write(b"".join(frames))
        self.sent += len(frames)
        while self.transport.get_write_buffer_size() > _MAX_BUFFERED and len(self._waiting) <= MAX_WAITING:
            await asyncio.sleep(_DRAIN_SECONDS)

    async def keep(self, lifetime: Lifetime) -> None:
        """Ping, and close the connection when its time is over or no pong comes."""
        ends_at = time.monotonic() + lifetime.connection_seconds
        while True:
            await asyncio.sleep(max(0.0, min(lifetime.ping_seconds, ends_at - time.monotonic())))
            now = time.monotonic()
            if now >= ends_at:
                self.close(1001, "the connection's time is over")
            elif self.faults.active("mute", ANSWER):
                # Without a ping there is no pong to wait for: a mute connection stays open.
                self._heard_at = now
                continue
            elif now - self._heard_at >= lifetime.pong_seconds:
                self.close(1008, "no pong")
            else:
                await self.socket.ping(str(time.time_ns() // 1_000_000).encode())
                continue
            return

    async def receive(self, receive: Callable[[str], None]) -> None:
        """Hand what comes in to `receive` and answer pings, until the connection ends."""
        async for message in self.socket:
            self._heard_at = time.monotonic()
            if message.type is web.WSMsgType.TEXT:
                receive(message.data)
            elif message.type is web.WSMsgType.PING and not self.faults.take("mute", ANSWER):
                await self.socket.pong(message.data)

    async def closed(self) -> None:
        """Wait until a close that was begun is done."""
        if self._closing is not None:
            await self._closing


@dataclass(slots=True)
class Hub:
    """All clients of a venue and who hears which stream.

    Attributes:
        clients: the open connections.
        published: messages handed to clients, for the venue's page.
    """

    clients: set[Client] = field(default_factory=set)
    published: int = 0
    _heard_by: dict[str, set[Client]] = field(default_factory=dict)

    def listeners(self, stream: str) -> set[Client]:
        """Clients that are subscribed to a stream; nothing need be made for a stream that nobody hears."""
        return self._heard_by.get(stream) or set()

    def streams(self) -> set[str]:
        """Streams that somebody hears."""
        return set(self._heard_by)

    def subscribe(self, client: Client, stream: str) -> None:
        """Let a client hear a stream."""
        client.streams.add(stream)
        self._heard_by.setdefault(stream, set()).add(client)

    def unsubscribe(self, client: Client, stream: str) -> None:
        """Let a client no longer hear a stream."""
        client.streams.discard(stream)
        heard_by = self._heard_by.get(stream, set())
        heard_by.discard(client)
        if not heard_by:
            self._heard_by.pop(stream, None)

    def publish(self, stream: str, data: str) -> None:
        """Send data (JSON text) to all that hear the stream."""
        texts: dict[Encode, str] = {}
        for client in tuple(self.listeners(stream)):
            text = texts.get(client.encode)
            if text is None:
                text = texts[client.encode] = client.encode(stream, data)
            client.offer(stream, text)
            self.published += 1

    async def serve(self, client: Client, receive: Callable[[str], None], lifetime: Lifetime | None = None) -> None:
        """Keep a connection until it ends: write what is published, hand what comes in to `receive`.

        Args:
            client: the connection; its socket is open, and answers pings itself or leaves it to us (`autoping`).
            receive: called with the text of each message.
            lifetime: when the venue pings and when it closes the connection; None: neither.
        """
        self.clients.add(client)
        tasks = [asyncio.create_task(client.write())]
        if lifetime is not None:
            tasks.append(asyncio.create_task(client.keep(lifetime)))
        try:
            await client.receive(receive)
        finally:
            for task in tasks:
                task.cancel()
            for stream in tuple(client.streams):
                self.unsubscribe(client, stream)
            self.clients.discard(client)
            await client.closed()

    async def close_all(self) -> None:
        """Close every connection."""
        for client in tuple(self.clients):
            client.close(1001, "")
        await asyncio.gather(*(client.closed() for client in tuple(self.clients)))

    def describe(self) -> list[dict[str, object]]:
        """The connected clients, for the venue's page."""
        return [
            {
                "number": client.number,
                "name": client.name,
                "since": client.since,
                "streams": sorted(client.streams),
                "sent": client.sent,
            }
            for client in sorted(self.clients, key=lambda each: each.number)
        ]


def _text_frame(text: str) -> bytes:
    """A whole message as a server's frame, unmasked (RFC 6455, section 5.2)."""
    payload = text.encode()
    length = len(payload)
    if length < 126:
        return struct.pack("!BB", _FINAL_TEXT, length) + payload
    if length < 2**16:
        return struct.pack("!BBH", _FINAL_TEXT, 126, length) + payload
    return struct.pack("!BBQ", _FINAL_TEXT, 127, length) + payload
