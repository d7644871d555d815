import asyncio
import time
from contextlib import asynccontextmanager

import aiohttp
import pytest

from simulated_venues.binance.payloads import levels
from simulated_venues.clock import instant
from simulated_venues.faults import Fault
from simulated_venues.source import BOOK_STEP_MS, UPDATES_PER_STEP
from tests.simulated_venues.binance.fast_world import SECONDS, connected, receive, receive_until, serving
from tests.simulated_venues.binance.local_book import LocalBook
from tests.simulated_venues.conftest import BTC

DEPTH = "btcusdt@depth@100ms"


class Follower:
    """A client that keeps a book by the venue's recipe, and connects anew when its connection ends."""

    def __init__(self, venue):
        self.venue, self.book, self.connections, self.applied = venue, LocalBook(), 0, 0
        self.url, self.ws_url = venue.url, venue.ws_url
        self.changed = asyncio.Event()

    async def follow(self):
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.ws_connect(f"{self.ws_url}/ws/{DEPTH}") as socket:
                        self.connections += 1
                        self.book = LocalBook(breaks=self.book.breaks)
                        await self._read(session, socket)
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)

    async def _read(self, session, socket):
        async for message in socket:
            self.book.apply(message.json())
            if self.book.needs_snapshot:
                query = {"symbol": "BTCUSDT", "limit": 1_000}
                async with session.get(f"{self.url}/fapi/v1/depth", params=query) as answer:
                    self.book.reset(await answer.json())
            self.applied += 1
            self.changed.set()

    async def until(self, holds):
        """Wait until a condition holds after a message."""
        async with asyncio.timeout(SECONDS):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    async def until_more(self, count):
        before = self.applied
        await self.until(lambda: self.applied >= before + count and not self.book.needs_snapshot)

    def assert_true(self):
        """The book is the venue's at the update that it says it has."""
        step, inside = divmod(self.book.last_id, UPDATES_PER_STEP)
        assert inside == 0
        truth = self.venue.source.book(BTC, instant(step * BOOK_STEP_MS))
        instrument = self.venue.source.settings.instrument(BTC)
        assert self.book.bids == dict(levels(truth.bids, instrument, 1_000))
        assert self.book.asks == dict(levels(truth.asks, instrument, 1_000))


@asynccontextmanager
async def following(venue):
    follower = Follower(venue)
    task = asyncio.create_task(follower.follow())
    try:
        await follower.until_more(3)
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("fault", "breaks"),
    [
        (Fault(kind="drop_messages", where="btcusdt@depth*", count=1), 1),
        (Fault(kind="depth_gap", where="BTCUSDT", count=1), 1),
        (Fault(kind="duplicate_messages", where="btcusdt@depth*", count=1), 1),
        (Fault(kind="reorder_messages", where="btcusdt@depth*", count=1), 2),
        (Fault(kind="delay_messages", where="btcusdt@depth*", value=300, count=2), 0),
        (Fault(kind="mute", seconds=0.5), 1),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_a_client_notices_what_is_wrong_and_has_the_right_book_again(fault, breaks):
    async def run():
        async with serving() as venue, following(venue) as follower:
            venue.faults.start(fault)
            await follower.until(lambda: follower.book.breaks >= min(breaks, 1))
            await follower.until_more(8)
            follower.assert_true()
            assert follower.connections == 1
            return follower.book.breaks

    found = asyncio.run(run())

    assert min(breaks, 1) <= found <= breaks


@pytest.mark.parametrize("fault", [Fault(kind="disconnect", count=1), Fault(kind="restart", value=0.3, count=1)])
def test_a_client_whose_connection_ended_comes_back_to_the_right_book(fault):
    async def run():
        async with serving() as venue, following(venue) as follower:
            venue.faults.start(fault)
            await follower.until(lambda: follower.connections > 1)
            await follower.until_more(8)
            follower.assert_true()

    asyncio.run(run())


def test_after_stale_prices_the_book_joins_and_trades_go_on_from_now():
    streams = f"{DEPTH}/btcusdt@aggTrade"

    async def run():
        async with (
            serving() as venue,
            following(venue) as follower,
            connected(f"{venue.ws_url}/ws/{streams}") as socket,
        ):
            await receive(socket)
            venue.faults.start(Fault(kind="stale_prices", where="BTCUSDT", seconds=1.0))
            started, steps = time.time() * 1_000, []

            def has_leapt(messages):
                steps[:] = [each for each in messages if each["e"] == "depthUpdate" and each["u"] - each["pu"] > 5_000]
                return bool(steps) and messages[-1]["e"] == "aggTrade"

            messages = await receive_until(socket, has_leapt)
            await follower.until_more(5)
            follower.assert_true()
            return messages, steps[0], started, follower.book.breaks

    messages, leap, started, breaks = asyncio.run(run())
    trades = [each["T"] for each in messages if each["e"] == "aggTrade"]

    frozen, resumed = leap["pu"] // UPDATES_PER_STEP, leap["u"] // UPDATES_PER_STEP
    assert breaks == 0
    assert 8 <= (leap["u"] - leap["pu"]) // UPDATES_PER_STEP <= 14
    assert abs(started // BOOK_STEP_MS - frozen) <= 1
    assert not [at for at in trades if (frozen + 1) * BOOK_STEP_MS <= at < resumed * BOOK_STEP_MS]


def test_refused_connections_get_a_503_and_open_ones_stay():
    async def run():
        async with serving() as venue, connected(f"{venue.ws_url}/ws/btcusdt@aggTrade") as socket:
            venue.faults.start(Fault(kind="refuse_connections"))
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with connected(f"{venue.ws_url}/ws"):
                    pass
            await receive(socket)
            return refused.value.status

    assert asyncio.run(run()) == 503


def test_a_muted_venue_sends_nothing_not_even_pongs_and_keeps_connections():
    async def run():
        async with serving() as venue, connected(f"{venue.ws_url}/ws", autoping=False) as socket:
            number = venue.faults.start(Fault(kind="mute"))
            await socket.ping(b"lost")
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
            # The order of one connection's frames is kept: both were taken when the second request is answered.
            await asyncio.wait_for(_struck(venue, 2), SECONDS)
            venue.faults.stop(number)
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 2})
            return await receive(socket)

    assert asyncio.run(run()) == {"result": [], "id": 2}


async def _struck(venue, count):
    while not [each for each in venue.faults.describe() if each["struck"] >= count]:
        await asyncio.sleep(0.01)


def test_a_clock_that_is_set_moves_the_stamps_and_the_stream_goes_on():
    async def run():
        async with serving() as venue, connected(f"{venue.ws_url}/ws/btcusdt@aggTrade") as socket:
            await receive(socket)
            venue.faults.start(Fault(kind="clock_skew", value=3_600_000))
            messages = await receive_until(
                socket, lambda messages: bool(messages) and messages[-1]["E"] > (time.time() + 3_000) * 1_000
            )
            return messages[-1]

    message = asyncio.run(run())

    assert 0 <= message["E"] - message["T"] < 5_000


async def receive_until_silent(socket):
    while True:
        await socket.receive(timeout=1.5)


@pytest.mark.parametrize("stream", ["btcusdt@aggTrade", "!markPrice@arr@1s"])
def test_a_clock_that_was_behind_holds_up_the_stream_no_longer_than_it_is(stream):
    async def run():
        async with serving() as venue, connected(f"{venue.ws_url}/ws/{stream}") as socket:
            await receive(socket)
            number = venue.faults.start(Fault(kind="clock_skew", value=-30_000))
            with pytest.raises(TimeoutError):
                await receive_until_silent(socket)
            venue.faults.stop(number)
            async with asyncio.timeout(5):
                return await receive(socket)

    assert asyncio.run(run())
