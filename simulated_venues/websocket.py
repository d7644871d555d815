"""WebSocket clients of a venue, what each is subscribed to, and the faults between them and the venue.

A message is written once for each client by its own `encode`, then passes the faults, then waits in the client's queue
for its writer. A client that does not read is closed when its queue is full, as venues do.
"""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from simulated_venues.faults import Faults

MAX_WAITING = 20_000
"""Messages that may wait for a client before it is closed."""

Encode = Callable[[str, str], str]
"""(stream, data as JSON text) → the message as this client gets it."""

_numbers = itertools.count(1)


@dataclass(slots=True, eq=False)
class Client:
    """One connection.

    Attributes:
        socket: the open WebSocket.
        faults: the venue's.
        encode: see `Encode`.
        name: who it is, for the venue's page.
        streams: what it is subscribed to.
        sent: messages written to it.
    """

    socket: web.WebSocketResponse
    faults: Faults
    encode: Encode
    name: str
    number: int = field(default_factory=lambda: next(_numbers))
    since: float = field(default_factory=time.time)
    streams: set[str] = field(default_factory=set)
    sent: int = 0
    _waiting: deque[tuple[float, str]] = field(default_factory=deque)
    _held: str | None = None
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

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

    async def write(self) -> None:
        """Write what waits, in order, until the connection ends."""
        while not self.socket.closed:
            if not self._waiting:
                self._woken.clear()
                await self._woken.wait()
            if len(self._waiting) > MAX_WAITING:
                await self.socket.close(code=1008, message=b"too slow")
                return
            due, text = self._waiting.popleft()
            late = due - time.monotonic()
            if due and late > 0:
                await asyncio.sleep(late)
            try:
                await self.socket.send_str(text)
            except ConnectionResetError:
                return
            self.sent += 1


@dataclass(slots=True)
class Hub:
    """All clients of a venue and who hears which stream."""

    clients: set[Client] = field(default_factory=set)
    _heard_by: dict[str, set[Client]] = field(default_factory=dict)

    def listeners(self, stream: str) -> set[Client]:
        """Clients that are subscribed to a stream; nothing need be made for a stream that nobody hears."""
        return self._heard_by.get(stream, set())

    def streams(self) -> set[str]:
        """Streams that somebody hears."""
        return {stream for stream, clients in self._heard_by.items() if clients}

    def subscribe(self, client: Client, stream: str) -> None:
        """Let a client hear a stream."""
        client.streams.add(stream)
        self._heard_by.setdefault(stream, set()).add(client)

    def unsubscribe(self, client: Client, stream: str) -> None:
        """Let a client no longer hear a stream."""
        client.streams.discard(stream)
        self._heard_by.get(stream, set()).discard(client)

    def publish(self, stream: str, data: str) -> None:
        """Send data (JSON text) to all that hear the stream."""
        for client in tuple(self.listeners(stream)):
            client.publish(stream, data)

    async def serve(self, client: Client, receive: Callable[[str], None]) -> None:
        """Keep a connection until it ends: write what is published, hand what comes in to `receive`."""
        self.clients.add(client)
        writer = asyncio.create_task(client.write())
        try:
            async for message in client.socket:
                if message.type is web.WSMsgType.TEXT:
                    receive(message.data)
        finally:
            writer.cancel()
            for stream in tuple(client.streams):
                self.unsubscribe(client, stream)
            self.clients.discard(client)

    async def close_all(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(client.socket.close(code=1001) for client in tuple(self.clients)))

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
