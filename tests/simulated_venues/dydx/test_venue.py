"""How a venue comes and goes, and what it tells of what goes wrong inside it."""

import asyncio
import time

import pytest

from helios_pipeline.core.errors import SimulationError
from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.dydx.store import Store
from simulated_venues.dydx.venue import DydxVenue
from simulated_venues.faults import Fault
from simulated_venues.market import SimulatedMarket
from tests.simulated_venues.conftest import BTC, make_settings

DAY_MS = 86_400_000


class MarketOfToday(SimulatedMarket):
    """One that can't be made for days to come."""

    def fair_prices(self, instrument_id, first, last):
        if first.timestamp() > time.time():
            raise SimulationError("the market ends")
        return super().fair_prices(instrument_id, first, last)


@pytest.fixture(name="venue")
def venue_fixture(tmp_path):
    return DydxVenue(SimulatedMarket(make_settings(ids=(BTC,))), DydxSettings(state_folder=tmp_path, block_ms=50))


def test_a_venue_that_is_stopped_while_it_restarts_lets_go_of_everything(venue, tmp_path):
    async def stop_inside_a_restart():
        await venue.start()
        port = int(venue.url.rpartition(":")[2])
        venue.faults.start(Fault(kind="restart", value=30))
        while venue._run is not None:
            await asyncio.sleep(0)
        await venue.stop()
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", port)

    asyncio.run(stop_inside_a_restart())

    Store(tmp_path, {}).close()


def test_a_restart_while_one_runs_is_ignored(venue):
    async def restart_twice():
        await venue.start()
        first = venue.chain
        for _ in range(2):
            venue.faults.start(Fault(kind="restart", value=0.1))
        while venue._run is None or venue.chain is first:
            await asyncio.sleep(0.01)
        second = venue.chain
        await asyncio.sleep(0.2)
        same, failure = venue.chain is second, venue.describe()["failure"]
        await venue.stop()
        return same, failure

    assert asyncio.run(restart_twice()) == (True, None)


def test_what_fails_inside_a_venue_is_told_and_logged(tmp_path, caplog):
    now_ms = int(time.time() * 1_000)
    # The next day is made shortly before it begins.
    ahead_ms = DAY_MS - now_ms % DAY_MS - DAY_MS // 40
    market, settings = MarketOfToday(make_settings(ids=(BTC,))), DydxSettings(state_folder=tmp_path, block_ms=50)
    venue = DydxVenue(market, settings, ahead_ms=ahead_ms)

    async def failure():
        await venue.start()
        while venue.describe()["failure"] is None:
            await asyncio.sleep(0.01)
        told = venue.describe()["failure"]
        await venue.stop()
        return told

    assert asyncio.run(asyncio.wait_for(failure(), 60)) == "what makes the next day: SimulationError: the market ends"
    assert "what makes the next day has failed" in caplog.text
