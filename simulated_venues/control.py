"""The control endpoint of a venue, by which a person or a test makes it misbehave, and its page.

Both are for this machine alone: a request that comes by another name than a loopback one, or from a page of another
site, is refused, so that no web page a person happens to visit can reach them through the browser.
"""

from dataclasses import fields
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from helios_pipeline.core.errors import SimulationError
from simulated_venues.faults import KINDS, Fault
from simulated_venues.venue import Venue

PAGE = Path(__file__).with_name("page.html")
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
        "img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
KNOWN_KEYS = tuple(field.name for field in fields(Fault))


def control_routes(venue: Venue) -> list[web.RouteDef]:
    """Routes of the page and the control endpoint.

    `GET /`: the page. `GET /control/state`: what the venue does. `GET /control/kinds`: the faults that this venue
    knows. `GET /control/faults`: the active ones. `POST /control/faults` with a fault as JSON: starts it and answers
    its number. `DELETE /control/faults/{number}` and `DELETE /control/faults` end one and all. POST and DELETE need
    `Content-Type: application/json`, which a page of another site can't send unasked.
    """
    return [*_reading(venue), *_changing(venue)]


def own_route(path: str, handler: Handler) -> web.RouteDef:
    """A POST that only one venue has, guarded as the others are."""
    return web.post(path, _local(handler))


def _reading(venue: Venue) -> list[web.RouteDef]:
    async def page(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=PAGE.read_text(encoding="utf-8"), content_type="text/html", headers=PAGE_HEADERS)

    async def state(_request: web.Request) -> web.StreamResponse:
        return _json(venue.describe())

    async def kinds(_request: web.Request) -> web.StreamResponse:
        return _json(describe_kinds(venue.name))

    async def faults(_request: web.Request) -> web.StreamResponse:
        return _json(venue.faults.describe())

    return [
        web.get("/", _local(page)),
        web.get("/control/state", _local(state)),
        web.get("/control/kinds", _local(kinds)),
        web.get("/control/faults", _local(faults)),
    ]


def _changing(venue: Venue) -> list[web.RouteDef]:
    async def start(request: web.Request) -> web.StreamResponse:
        try:
            number = venue.faults.start(read_fault(await request.read()))
        except SimulationError as error:
            return _refusal(400, str(error))
        return _json({"number": number}, status=201)

    async def stop(request: web.Request) -> web.StreamResponse:
        number = request.match_info["number"]
        if not venue.faults.stop(int(number)):
            return _refusal(404, f"fault {number}: expected an active one, found that it is over or never was.")
        return _json({})

    async def stop_all(_request: web.Request) -> web.StreamResponse:
        venue.faults.stop_all()
        return _json({})

    return [
        web.post("/control/faults", _local(start)),
        web.delete(r"/control/faults/{number:\d{1,18}}", _local(stop)),
        web.delete("/control/faults", _local(stop_all)),
    ]


def describe_kinds(venue: str) -> list[dict[str, str]]:
    """The faults that a venue knows, with what they do and what their `where` and `value` mean."""
    return [
        {"kind": kind, "meaning": about.meaning, "where": about.where, "value": about.value}
        for kind, about in KINDS.items()
        if venue in about.venues
    ]


def read_fault(text: bytes | str) -> Fault:
    """A fault out of JSON.

    Raises:
        SimulationError: it is none, a key is unknown, or it can't be carried out.
    """
    try:
        given = msgspec.json.decode(text)
        unknown = sorted(set(given) - set(KNOWN_KEYS)) if isinstance(given, dict) else []
        if unknown:
            raise SimulationError(f"fault: expected keys among {', '.join(KNOWN_KEYS)}, found {', '.join(unknown)}.")
        return msgspec.convert(given, Fault)
    except msgspec.MsgspecError as error:
        raise SimulationError(f"fault: expected JSON like {{'kind': 'mute', 'seconds': 5}}, found: {error}.") from None


def _local(handler: Handler) -> Handler:
    """Refuses what does not come from a program on this machine or from the venue's own page."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        if _host_name(f"//{host}") not in LOOPBACK_NAMES:
            return _refusal(403, f"control: expected a loopback name as Host, found {host!r}.")
        origin = request.headers.get("Origin")
        if origin is not None and origin != f"http://{host}":
            return _refusal(403, f"control: expected no page of another site to ask, found Origin {origin!r}.")
        if request.method in ("POST", "DELETE") and request.content_type != "application/json":
            found = request.headers.get("Content-Type", "none")
            return _refusal(415, f"control: expected Content-Type application/json, found {found}.")
        return await handler(request)

    return guarded


def _host_name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _refusal(status: int, error: str) -> web.Response:
    return _json({"error": error}, status=status)


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")
