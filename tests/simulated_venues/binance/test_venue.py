import asyncio
import threading
import time

from aiohttp import web

from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.venue import BinanceVenue
from simulated_venues.clock import instant
from simulated_venues.faults import Fault
from simulated_venues.settings import RAW_BARS_PER_DAY
from simulated_venues.site import Site
from tests.simulated_venues.binance.fast_world import SECONDS, fast_market, serving
from tests.simulated_venues.ports import is_free


class AskedMarket:
    """A market that notes which threads asked for its books from an instant on."""

    def __init__(self, market, since_ms):
        self.market, self.since, self.threads = market, instant(since_ms), set()
        self.was_asked = threading.Event()

    def __getattr__(self, name):
        return getattr(self.market, name)

    def book(self, instrument_id, at):
        if at >= self.since:
            self.threads.add(threading.get_ident())
            self.was_asked.set()
        return self.market.book(instrument_id, at)


def test_the_next_day_of_the_market_is_made_before_it_begins_and_not_in_the_loop():
    market, now = fast_market(), time.time_ns() // 1_000_000
    day_ms = RAW_BARS_PER_DAY * market.raw_interval_ms
    begins_ms = (now // day_ms + 2) * day_ms
    asked = AskedMarket(market, begins_ms)

    async def run():
        venue = BinanceVenue(asked, BinanceSettings(), ahead_ms=begins_ms - 60_000 - now)
        await venue.start()
        try:
            return await asyncio.to_thread(asked.was_asked.wait, SECONDS)
        finally:
            await venue.stop()

    assert asyncio.run(run())
    assert threading.get_ident() not in asked.threads


async def is_listening(venue, *, wanted):
    """Wait until the venue's port is taken, or until it is free."""
    async with asyncio.timeout(SECONDS):
        while is_free(int(venue.url.rpartition(":")[2])) is wanted:
            await asyncio.sleep(0.02)


def test_a_restart_that_is_asked_for_during_another_is_not_carried_out():
    async def run():
        async with serving() as venue:
            began = time.monotonic()
            venue.faults.start(Fault(kind="restart", value=1.0))
            venue.faults.start(Fault(kind="restart", value=0.01))
            await is_listening(venue, wanted=False)
            await is_listening(venue, wanted=True)
            return time.monotonic() - began, venue.describe()["failure"]

    seconds, failure = asyncio.run(run())

    assert seconds >= 1.0
    assert failure is None


def test_a_venue_that_does_not_come_back_says_why_and_may_be_restarted(caplog):
    async def run():
        async with serving() as venue:
            venue.faults.start(Fault(kind="restart", value=0.3))
            await is_listening(venue, wanted=False)
            squatter = Site(int(venue.url.rpartition(":")[2]))
            await squatter.start(web.Application())
            async with asyncio.timeout(SECONDS):
                while (failure := venue.describe()["failure"]) is None:
                    await asyncio.sleep(0.02)
            await squatter.stop()
            venue.faults.start(Fault(kind="restart", value=0.01))
            async with asyncio.timeout(SECONDS):
                while venue.describe()["failure"] is not None:
                    await asyncio.sleep(0.02)
            return failure, is_free(int(venue.url.rpartition(":")[2]))

    failure, is_gone = asyncio.run(run())

    assert "to be free, found it taken" in failure
    assert "did not come back" in caplog.text
    assert not is_gone


def test_a_restart_that_is_asked_for_while_the_venue_stops_does_not_begin():
    async def run():
        async with serving() as venue:
            port = int(venue.url.rpartition(":")[2])
            # It is carried out a turn of the loop later: the stop has begun then.
            venue.faults.start(Fault(kind="restart", value=0.01))
        await asyncio.sleep(0.2)
        return is_free(port)

    assert asyncio.run(run())
