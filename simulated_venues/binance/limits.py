"""Request weights, and what happens to a client that uses too many."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from simulated_venues.binance.query import Refusal
from simulated_venues.binance.text import json_response
from simulated_venues.clock import VenueClock

WEIGHT_HEADER = "X-MBX-USED-WEIGHT-1M"
_MINUTE_MS = 60_000
_REFUSALS_BEFORE_BAN = 10
"""Requests after the first 429 of a minute that are refused as well; the next one is banned."""
_FIRST_BAN_MS, _LONGEST_BAN_MS = 2 * _MINUTE_MS, 3 * 24 * 60 * _MINUTE_MS


_BY_LIMIT = {
    **dict.fromkeys(
        (
            "/fapi/v1/klines",
            "/fapi/v1/continuousKlines",
            "/fapi/v1/indexPriceKlines",
            "/fapi/v1/markPriceKlines",
            "/fapi/v1/premiumIndexKlines",
        ),
        (500, ((99, 1), (499, 2), (1_000, 5), (1_500, 10))),
    ),
    "/fapi/v1/depth": (500, ((50, 2), (100, 5), (500, 10), (1_000, 20))),
}
"""Path → the usual limit, and the weight up to each limit."""

_BY_SYMBOL = {
    "/fapi/v1/premiumIndex": (1, 10),
    "/fapi/v1/ticker/24hr": (1, 40),
    "/fapi/v1/ticker/price": (1, 2),
    "/fapi/v2/ticker/price": (1, 2),
    "/fapi/v1/ticker/bookTicker": (2, 5),
    "/fapi/v1/indexInfo": (1, 10),
}
"""Path → weight with a symbol and without."""

_FIXED = {
    "/fapi/v1/aggTrades": 20,
    "/fapi/v1/historicalTrades": 20,
    "/fapi/v1/trades": 5,
    # These two, and everything below `/futures/data`, have limits of requests instead of weights.
    "/fapi/v1/fundingRate": 0,
    "/fapi/v1/fundingInfo": 0,
}


def request_weight(path: str, query: Mapping[str, str]) -> int:
    """Weight of a request, as the venue's USD-M documentation states it (2026); 0 outside of the API."""
    if not path.startswith("/fapi/"):
        return 0
    if path in _BY_LIMIT:
        usual, steps = _BY_LIMIT[path]
        asked = query.get("limit", "")
        limit = int(asked) if asked.isascii() and asked.isdigit() else usual
        return next((weight for most, weight in steps if limit <= most), steps[-1][1])
    if path in _BY_SYMBOL:
        return _BY_SYMBOL[path][0 if query.get("symbol") else 1]
    return _FIXED.get(path, 1)


@dataclass(slots=True)
class _Client:
    """One address: its weight in a minute of the venue's clock, and its bans."""

    minute: int = 0
    used: int = 0
    refused: int = 0
    bans: int = 0
    banned_until_ms: int = 0


@dataclass(slots=True)
class Limits:
    """Counts weight by the address that asks.

    Attributes:
        weight_per_minute: what an address may use in a minute of the clock.
        clock: the venue's.
    """

    weight_per_minute: int
    clock: VenueClock
    _clients: dict[str, _Client] = field(default_factory=dict)

    def middleware(self) -> Middleware:
        """Answers requests above the limit with 429, and those of a client that goes on with 418."""

        @web.middleware
        async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not request.path.startswith(("/fapi/", "/futures/data/")):
                return await handler(request)
            address = request.remote or ""
            used, refusal, wait_seconds = self.use(address, request_weight(request.path, request.query))
            if refusal is not None:
                headers = {"Retry-After": str(wait_seconds), WEIGHT_HEADER: str(used)}
                return json_response(refusal.body(), status=refusal.status, headers=headers)
            response = await handler(request)
            if not response.prepared:
                response.headers[WEIGHT_HEADER] = str(used)
            return response

        return count

    def use(self, address: str, weight: int) -> tuple[int, Refusal | None, int]:
        """Count a request.

        Returns:
            The weight used in this minute, the refusal if there is one, and after how many seconds to come back.
        """
        now = self.clock.now_ms()
        client = self._clients.setdefault(address, _Client())
        if now < client.banned_until_ms:
            return client.used, _banned(address, client.banned_until_ms), _seconds(client.banned_until_ms - now)
        if client.minute != now // _MINUTE_MS:
            client.minute, client.used, client.refused = now // _MINUTE_MS, 0, 0
        client.used += weight
        if client.used <= self.weight_per_minute or weight == 0:
            return client.used, None, 0
        client.refused += 1
        if client.refused > _REFUSALS_BEFORE_BAN:
            client.banned_until_ms = now + min(_FIRST_BAN_MS * 2**client.bans, _LONGEST_BAN_MS)
            client.bans += 1
            return client.used, _banned(address, client.banned_until_ms), _seconds(client.banned_until_ms - now)
        message = (
            f"Too many requests; current limit of IP({address}) is {self.weight_per_minute} requests per minute. "
            "Please use the websocket for live updates to avoid polling the API."
        )
        wait_ms = _MINUTE_MS - now % _MINUTE_MS
        return client.used, Refusal(-1003, message, HTTPStatus.TOO_MANY_REQUESTS), _seconds(wait_ms)


def error_body(status: int) -> dict[str, object]:
    """What the venue says with a status that no request of the client's has earned: a fault's, or an overload's."""
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.IM_A_TEAPOT):
        return {"code": -1003, "msg": "Too many requests; please use the websocket for live updates to avoid bans."}
    return {"code": -1001, "msg": "Internal error; unable to process your request. Please try again."}


def _banned(address: str, until_ms: int) -> Refusal:
    message = (
        f"Way too many requests; IP({address}) banned until {until_ms}. "
        "Please use the websocket for live updates to avoid bans."
    )
    return Refusal(-1003, message, HTTPStatus.IM_A_TEAPOT)


def _seconds(milliseconds: int) -> int:
    return -(-milliseconds // 1_000)
