"""The WebSocket front: connections, subscriptions, and the venue's answers to requests.

Paths, requests and error codes as Binance documents them for USDⓈ-M Futures ("Live Subscribing/Unsubscribing to
streams", "Connect"): `/ws/<stream>` sends raw payloads, `/stream?streams=<a>/<b>` wraps each in its stream's name.
"""

import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from aiohttp import web

from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.faults import Faults
from simulated_venues.websocket import Client, Hub, Lifetime

MAX_STREAMS = 1_024
MAX_MESSAGES_PER_SECOND = 10

_PREFIXES = ("", "/market", "/public", "/private")
_PUBLIC = re.compile(r"!bookTicker|[^@!]+@(bookTicker|trade|rpiDepth|depth)\b.*|[^@!]+@depth\d+\b.*")
"""Streams of `/public`: the book and single trades; those of `/market` are all others."""

_PONG_PINGS = 10 / 3
"""The venue waits ten minutes for a pong, and pings every three."""

_CLOSE_SECONDS = 1.0
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_UNKNOWN_PROPERTY, _WRONG_VALUE, _WRONG_REQUEST, _WRONG_JSON = range(4)


class _Refusal(Exception):
    """A request that the venue refuses.

    Attributes:
        code: the venue's.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def raw(_stream: str, data: str) -> str:
    """The payload alone."""
    return data


def combined(stream: str, data: str) -> str:
    """The payload with the name of its stream."""
    return f'{{"stream":"{stream}","data":{data}}}'


@dataclass(slots=True)
class Connection:
    """One client's requests.

    Attributes:
        client: the connection.
        hub: where it subscribes.
        prefix: of its path; a stream that belongs to another one is accepted and stays silent.
    """

    client: Client
    hub: Hub
    prefix: str = ""
    _came_at: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_MESSAGES_PER_SECOND + 1))

    def subscribe(self, streams: list[str]) -> None:
        """Hear some streams; unknown names are accepted and stay silent, as at the venue.

        Raises:
            _Refusal: they would be more than a connection may have.
        """
        if len(self.client.streams.union(streams)) > MAX_STREAMS:
            raise _Refusal(_WRONG_REQUEST, f"Invalid request: too many streams, at most {MAX_STREAMS}")
        for stream in streams:
            if self._is_served(stream):
                self.hub.subscribe(self.client, stream)
            else:
                self.client.streams.add(stream)

    def _is_served(self, stream: str) -> bool:
        return not self.prefix or self.prefix == ("/public" if _PUBLIC.fullmatch(stream) else "/market")

    def receive(self, text: str) -> None:
        """Answer a request, or close the connection of a client that sends too many."""
        now = time.monotonic()
        self._came_at.append(now)
        if len(self._came_at) > MAX_MESSAGES_PER_SECOND and now - self._came_at[0] < 1.0:
            self.client.close(1008, "Too many requests")
            return
        number: object = None
        try:
            request = _parse(text)
            number = request.get("id")
            answer: dict[str, object] = {"result": self._carry_out(request), "id": number}
        except _Refusal as refusal:
            answer = {"error": {"code": refusal.code, "msg": str(refusal)}, "id": number}
        self.client.answer(msgspec.json.encode(answer).decode())

    def _carry_out(self, request: dict[str, object]) -> object:
        """The result of a request."""
        method, number = request.get("method"), request.get("id")
        if number is not None and (isinstance(number, bool) or not isinstance(number, int | str)):
            raise _Refusal(_WRONG_REQUEST, "Invalid request: request ID must be an unsigned integer")
        if method is None:
            raise _Refusal(_WRONG_REQUEST, "Invalid request: missing field `method`")
        if method not in _METHODS:
            known = ", ".join(f"`{each}`" for each in _METHODS)
            raise _Refusal(_WRONG_REQUEST, f"Invalid request: unknown variant `{method}`, expected one of {known}")
        params = request.get("params", [])
        if not isinstance(params, list):
            raise _Refusal(_WRONG_REQUEST, "Invalid request: invalid type for `params`, expected a sequence")
        actions: dict[object, Callable[[list[object]], object]] = {
            "SUBSCRIBE": self._subscribe,
            "UNSUBSCRIBE": self._unsubscribe,
            "LIST_SUBSCRIPTIONS": lambda _: sorted(self.client.streams),
            "SET_PROPERTY": self._set_property,
            "GET_PROPERTY": self._get_property,
        }
        return actions[method](params)

    def _subscribe(self, params: list[object]) -> None:
        self.subscribe(_stream_names(params))

    def _unsubscribe(self, params: list[object]) -> None:
        for stream in _stream_names(params):
            self.hub.unsubscribe(self.client, stream)

    def _set_property(self, params: list[object]) -> None:
        if len(params) > 2:
            raise _Refusal(_WRONG_REQUEST, "Invalid request: too many parameters")
        _known_property(params)
        value = params[1] if len(params) == 2 else None
        if not isinstance(value, bool):
            raise _Refusal(_WRONG_VALUE, "Invalid value type: expected Boolean")
        self.client.encode = combined if value else raw

    def _get_property(self, params: list[object]) -> bool:
        if len(params) > 1:
            raise _Refusal(_WRONG_REQUEST, "Invalid request: too many parameters")
        _known_property(params)
        return self.client.encode is combined


@dataclass(slots=True)
class StreamFront:
    """The venue's WebSocket endpoints.

    Attributes:
        hub: where clients subscribe.
        faults: the venue's.
        settings: how long connections live.
    """

    hub: Hub
    faults: Faults
    settings: BinanceSettings

    def routes(self) -> list[web.RouteDef]:
        """Every path under which the venue's clients look for streams."""
        routes = []
        for prefix in _PREFIXES:
            routes += [
                web.get(f"{prefix}/stream", self._combined),
                web.get(f"{prefix}/ws", self._raw),
                web.get(prefix + "/ws/{streams:.+}", self._raw),
            ]
        return routes

    async def _combined(self, request: web.Request) -> web.StreamResponse:
        names = request.query.get("streams", "")
        return await self._connect(request, _split(names), is_combined=True)

    async def _raw(self, request: web.Request) -> web.StreamResponse:
        return await self._connect(request, _split(request.match_info.get("streams", "")), is_combined=False)

    async def _connect(self, request: web.Request, streams: list[str], *, is_combined: bool) -> web.StreamResponse:
        if self.faults.take("refuse_connections"):
            return web.Response(status=503, text="Service Unavailable")
        if len(set(streams)) > MAX_STREAMS:
            return web.Response(status=400, text=f"Invalid request: too many streams, at most {MAX_STREAMS}")
        socket = web.WebSocketResponse(compress=False, autoping=False, timeout=_CLOSE_SECONDS)
        await socket.prepare(request)
        name = request.headers.get("User-Agent", "")
        client = Client(socket, self.faults, combined if is_combined else raw, name, request.transport)
        connection = Connection(client, self.hub, _prefix(request.path))
        connection.subscribe(streams)
        await self.hub.serve(client, connection.receive, self._lifetime())
        return socket

    def _lifetime(self) -> Lifetime:
        return Lifetime(
            connection_seconds=self.settings.connection_seconds,
            ping_seconds=self.settings.ping_seconds,
            pong_seconds=self.settings.ping_seconds * _PONG_PINGS,
        )


def _parse(text: str) -> dict[str, object]:
    try:
        request = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise _Refusal(_WRONG_JSON, f"Invalid JSON: {error}") from error
    if not isinstance(request, dict):
        raise _Refusal(_WRONG_REQUEST, "Invalid request: expected an object")
    return request


def _prefix(path: str) -> str:
    return next((prefix for prefix in _PREFIXES if prefix and path.startswith(f"{prefix}/")), "")


def _split(names: str) -> list[str]:
    return [name for name in names.split("/") if name]


def _stream_names(params: list[object]) -> list[str]:
    if not all(isinstance(name, str) for name in params):
        raise _Refusal(_WRONG_REQUEST, "Invalid request: expected strings in `params`")
    return [str(name) for name in params]


def _known_property(params: list[object]) -> None:
    if not params or not isinstance(params[0], str):
        raise _Refusal(_WRONG_REQUEST, "Invalid request: property name must be a string")
    if params[0] != "combined":
        raise _Refusal(_UNKNOWN_PROPERTY, "Unknown property")
