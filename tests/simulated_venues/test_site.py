import asyncio
import gc
import http.client
import socket
import time
import warnings
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import msgspec
import pytest
from aiohttp import web

from helios_pipeline.core.errors import SimulationError
from simulated_venues.control import control_routes
from simulated_venues.faults import Fault, Faults
from simulated_venues.site import LOOPBACK, Site, fault_middleware
from simulated_venues.venue import embedded
from tests.simulated_venues.ports import is_free

JSON = {"Content-Type": "application/json"}
BODY = {"rows": list(range(1_000))}
OPEN = build_opener(ProxyHandler({})).open


class SmallVenue:
    """A venue of one route, in front of which the faults stand."""

    name = "binance"

    def __init__(self):
        self.faults, self.site = Faults("binance"), Site(port=0)

    async def start(self):
        app = web.Application(middlewares=[fault_middleware(self.faults, lambda status: {"code": -status})])
        app.add_routes([web.get("/rows", self.rows), *control_routes(self)])
        await self.site.start(app)

    async def stop(self):
        await self.site.stop()

    async def rows(self, _request):
        return web.json_response(BODY)

    def describe(self):
        return {"venue": self.name}


@pytest.fixture
def venue():
    with embedded(SmallVenue()) as running:
        yield running


def get(venue, path):
    with OPEN(f"{venue.site.url}{path}", timeout=10) as answer:
        return msgspec.json.decode(answer.read())


def test_a_site_without_faults_answers_what_it_has(venue):
    assert get(venue, "/rows") == BODY


def test_a_status_fault_answers_the_venues_error_and_says_when_to_come_back(venue):
    venue.faults.start(Fault(kind="http_status", value=429, where="/rows", count=1))

    with pytest.raises(HTTPError) as caught:
        get(venue, "/rows")

    with caught.value as answer:
        assert (answer.code, answer.headers["Retry-After"]) == (429, "1")
        assert msgspec.json.decode(answer.read())["code"] == -429
    assert get(venue, "/rows") == BODY


def test_a_slow_answer_comes_late_and_whole(venue):
    venue.faults.start(Fault(kind="slow_response", value=300, count=1))
    began = time.monotonic()

    assert get(venue, "/rows") == BODY
    assert time.monotonic() - began >= 0.3


def test_a_truncated_answer_promises_more_than_it_brings(venue):
    venue.faults.start(Fault(kind="truncated_response", count=1))

    with pytest.raises(http.client.IncompleteRead):
        get(venue, "/rows")


def test_no_fault_strikes_the_control_endpoint_that_ends_it(venue):
    venue.faults.start(Fault(kind="http_status", value=503))

    assert get(venue, "/control/state") == {"venue": "binance"}
    with OPEN(Request(f"{venue.site.url}/control/faults", method="DELETE", headers=JSON), timeout=10) as answer:
        assert answer.status == 200
    assert get(venue, "/rows") == BODY


def test_a_port_that_is_taken_is_named(venue):
    with pytest.raises(SimulationError, match=f"port {venue.site.port} of 127.0.0.1 to be free"):
        asyncio.run(Site(port=venue.site.port).start(web.Application()))


def test_a_site_that_stopped_listens_at_the_same_port_again():
    async def ports():
        site, seen = Site(port=0), []
        for _ in range(2):
            await site.start(web.Application())
            seen.append(site.port)
            await site.stop()
        return seen

    first, second = asyncio.run(ports())

    assert first == second != 0


def run_and_collect(work):
    """What some work returns, and the sockets that it left to the garbage collector."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        result = asyncio.run(work)
        gc.collect()
    return result, [str(each.message) for each in told]


@pytest.mark.parametrize("turns", range(5))
def test_a_client_that_comes_while_the_site_stops_is_closed_and_nothing_stays_open(turns):
    async def is_closed():
        site = Site(port=0)
        await site.start(web.Application())
        with socket.create_connection((LOOPBACK, site.port), timeout=10) as client:
            # How far the loop is with the connection when the site stops: from not accepted to served.
            for _ in range(turns):
                await asyncio.sleep(0)
            await site.stop()
            try:
                return client.recv(1) == b""
            except ConnectionResetError:
                # It was not accepted: the system ended it.
                return True

    closed, left_open = run_and_collect(is_closed())

    assert closed
    assert left_open == []


@pytest.mark.parametrize("turns", range(1, 4))
def test_a_start_that_is_cancelled_leaves_no_port_taken(turns):
    async def used_port():
        site = Site(port=0)
        starting = asyncio.create_task(site.start(web.Application()))
        # How far the start is: from its first step to listening.
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        # Whoever started it stops it, as a venue does, once it listens.
        if not starting.cancelled():
            await site.stop()
        return site.port

    port, left_open = run_and_collect(used_port())

    assert left_open == []
    assert is_free(port)


@pytest.mark.parametrize("turns", range(1, 8))
def test_a_stop_that_is_cancelled_may_be_asked_for_again(turns):
    async def used_port():
        site = Site(port=0)
        await site.start(web.Application())
        with socket.create_connection((LOOPBACK, site.port), timeout=10):
            stopping = asyncio.create_task(site.stop())
            # How far the stop is: from its first step to waiting for its client.
            for _ in range(turns):
                await asyncio.sleep(0)
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)
            await site.stop()
        return site.port

    port, left_open = run_and_collect(used_port())

    assert left_open == []
    assert is_free(port)
