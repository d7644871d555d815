"""Recordings served by the venues: from their first moment to their last, and after it."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.venue import BinanceVenue
from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.dydx.venue import DydxVenue
from simulated_venues.market import SimulatedMarket
from simulated_venues.replay.bars import open_bar_replay
from simulated_venues.replay.raw import open_raw_replay
from simulated_venues.source import MarketSource
from tests.simulated_venues.conftest import BTC
from tests.simulated_venues.recordings import raw_lines, recorded, write_days, write_raw

DAY = datetime(2024, 2, 27, tzinfo=UTC)
BUSY = DAY + timedelta(hours=15, seconds=30, milliseconds=30)
STREAMS = ("aggTrade", "bookTicker", "depth@100ms", "kline_1m", "kline_1h", "markPrice@1s")
SECONDS = 20.0


@pytest.fixture(name="replays", scope="module")
def replays_fixture(make_settings, tmp_path_factory) -> dict[str, MarketSource]:
    root = tmp_path_factory.mktemp("recorded")
    market = SimulatedMarket(make_settings(ids=(BTC,)))
    listed = recorded(market.instruments[0])
    write_days(root, market, DAY, 1)
    _spoil_money(root)
    raw = write_raw(root / "raw.gz", raw_lines(market, BTC, BUSY, BUSY + timedelta(minutes=2, seconds=35)))
    return {
        "bars": open_bar_replay(root, [listed], interval="1m", days=(DAY.date(), DAY.date() + timedelta(days=1))),
        "messages": open_raw_replay(raw, listed),
    }


@pytest.fixture(name="replay", params=["bars", "messages"])
def replay_fixture(request, replays) -> MarketSource:
    return replays[request.param]


def _spoil_money(root: Path) -> None:
    """Record other money than any drawn trades make, as real bars do."""
    for path in root.rglob("*-1m-*.csv"):
        head, *rows = path.read_text().splitlines()
        cells = [row.split(",") for row in rows]
        changed = [",".join([*row[:7], str(round(float(row[7]) * 1.0001, 4)), *row[8:]]) for row in cells]
        path.write_text("\n".join([head, *changed]) + "\n")


def ahead_of(replay: MarketSource, *, seconds_left: float | None = None) -> int:
    """How far a clock is ahead that shows the recording's begin, or so many seconds before its end."""
    begin, end = replay.span_ms
    shown = begin if seconds_left is None else end - round(seconds_left * 1_000)
    return shown - time.time_ns() // 1_000_000


async def run(venue: BinanceVenue | DydxVenue, use: Callable[[BinanceVenue | DydxVenue], Awaitable[object]]) -> object:
    """What a venue is used for; whatever goes wrong in its loop fails the test."""
    wrong: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
    await venue.start()
    try:
        async with asyncio.timeout(SECONDS):
            found = await use(venue)
    finally:
        await venue.stop()
    assert wrong == []
    return found


async def read_json(url: str) -> object:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200, await response.text()
        return await response.json()


def test_binance_serves_the_first_moment_of_a_recording(replay):
    async def hear_all(venue):
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                f"{venue.ws_url}/stream?streams={'/'.join(f'btcusdt@{each}' for each in STREAMS)}"
            ) as ws,
        ):
            heard = set[str]()
            while heard < {"aggTrade", "bookTicker", "depthUpdate", "markPriceUpdate"}:
                heard.add((await ws.receive_json())["data"]["e"])
        return await read_json(f"{venue.url}/fapi/v1/premiumIndex?symbol=BTCUSDT")

    venue = BinanceVenue(replay, BinanceSettings(), ahead_ms=ahead_of(replay))
    told = asyncio.run(run(venue, hear_all))

    assert float(told["markPrice"]) > 0


def test_a_clock_before_a_recording_sees_its_first_moment(replay):
    async def look(venue):
        return venue.describe()["instruments"][0]["bids"], await read_json(f"{venue.url}/fapi/v1/depth?symbol=BTCUSDT")

    venue = BinanceVenue(replay, BinanceSettings(), ahead_ms=ahead_of(replay) - 30_000)
    bids, depth = asyncio.run(run(venue, look))

    assert bids[:5] == depth["bids"][:5]


def test_binance_streams_a_recording_to_its_end_and_is_quiet_from_there_on(replay):
    end = replay.span_ms[1]
    ahead_ms = ahead_of(replay, seconds_left=0.8)

    async def hear_out(venue):
        told = []
        names = "/".join(f"btcusdt@{each}" for each in STREAMS)
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{venue.ws_url}/stream?streams={names}") as ws,
        ):
            while time.time_ns() // 1_000_000 + ahead_ms < end + 300:
                message = json.loads(await ws.receive_str())["data"]
                if message["e"] == "depthUpdate":
                    told.append(message["T"])
        return told, venue.describe(), await read_json(f"{venue.url}/control/state")

    venue = BinanceVenue(replay, BinanceSettings(), ahead_ms=ahead_ms)
    told, described, _ = asyncio.run(run(venue, hear_out))

    assert told == sorted(told)
    assert end - 200 <= told[-1] < end
    assert described["instruments"][0]["bids"]


def test_a_closed_kline_is_the_same_in_stream_and_history(replays):
    replay = replays["bars"]

    async def hear_close(venue):
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{venue.ws_url}/ws/btcusdt@kline_1m") as ws:
            while not (told := (await ws.receive_json())["k"])["x"]:
                pass
        rows = await read_json(f"{venue.url}/fapi/v1/klines?symbol=BTCUSDT&interval=1m&startTime={told['t']}&limit=1")
        return told, rows[0]

    venue = BinanceVenue(replay, BinanceSettings(), ahead_ms=ahead_of(replay, seconds_left=601.0))
    told, row = asyncio.run(run(venue, hear_close))

    assert [told[key] for key in "tohlcv"] == row[:6]
    assert [told[key] for key in "TqnVQ"] == row[6:11]


@pytest.mark.parametrize("seconds_left", [None, 0.4])
def test_dydx_makes_blocks_at_the_begin_of_a_recording_and_past_its_end(replay, seconds_left, tmp_path):
    ahead_ms = ahead_of(replay, seconds_left=seconds_left)

    async def make_blocks(venue):
        first = venue.chain.last_block.height
        while venue.chain.last_block.height < first + 8:
            await asyncio.sleep(0.05)
        state = await read_json(f"{venue.url}/control/state")
        book = await read_json(f"{venue.url}/v4/orderbooks/perpetualMarket/BTC-USD")
        return state["failure"], book

    venue = DydxVenue(replay, DydxSettings(state_folder=tmp_path, block_ms=100), ahead_ms=ahead_ms)
    failure, book = asyncio.run(run(venue, make_blocks))

    assert failure is None
    assert float(book["bids"][0]["price"]) < float(book["asks"][0]["price"])
