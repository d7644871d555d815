"""A venue in the fast world, for the tests of its streams, and a client that notes what comes."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp

from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.venue import BinanceVenue
from simulated_venues.market import SimulatedMarket
from tests.simulated_venues.conftest import make_settings

SECONDS = 30.0
"""In which whatever a test waits for has come."""


def fast_market(*, seed: int = 7, trades_per_day: int = 20_000, raw_interval_ms: int = 1_000) -> SimulatedMarket:
    settings = make_settings(seed=seed)
    instruments = tuple(replace(each, trades_per_day=trades_per_day) for each in settings.instruments)
    return SimulatedMarket(replace(settings, raw_interval_ms=raw_interval_ms, instruments=instruments))


@asynccontextmanager
async def serving(settings: BinanceSettings | None = None, *, ahead_ms: int = 0) -> AsyncIterator[BinanceVenue]:
    venue = BinanceVenue(fast_market(), settings or BinanceSettings(), ahead_ms=ahead_ms)
    await venue.start()
    try:
        yield venue
    finally:
        await venue.stop()


@asynccontextmanager
async def connected(url: str, **options: object) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as session, session.ws_connect(url, **options) as socket:
        yield socket


async def receive(socket: aiohttp.ClientWebSocketResponse) -> dict:
    return json.loads(await socket.receive_str(timeout=SECONDS))


async def ask(socket: aiohttp.ClientWebSocketResponse, text: str | dict) -> dict:
    """The answer to a request; market messages that come before it are dropped."""
    await socket.send_str(text if isinstance(text, str) else json.dumps(text))
    while True:
        message = await receive(socket)
        if "id" in message:
            return message


async def receive_until(socket: aiohttp.ClientWebSocketResponse, is_enough: Callable[[list[dict]], bool]) -> list[dict]:
    """Messages up to the one with which there is enough."""
    messages: list[dict] = []
    async with asyncio.timeout(SECONDS):
        while not is_enough(messages):
            messages.append(await receive(socket))
    return messages


async def get(url: str, **query: object) -> object:
    async with aiohttp.ClientSession() as session, session.get(url, params=query) as response:
        return await response.json()
