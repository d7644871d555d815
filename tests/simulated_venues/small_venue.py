"""A venue without a market, for tests of what all venues share."""

from aiohttp import web

from simulated_venues.control import control_routes
from simulated_venues.faults import Faults
from simulated_venues.site import Site


class SmallVenue:
    """A page, a control endpoint and a state that a test may set."""

    def __init__(self, name="dydx", **state):
        self.name, self.state = name, state
        self.faults, self.site = Faults(name), Site(port=0)

    @property
    def addresses(self):
        return {"url": self.site.url}

    async def start(self):
        app = web.Application()
        app.add_routes(control_routes(self))
        await self.site.start(app)

    async def stop(self):
        await self.site.stop()

    def describe(self):
        return {
            "venue": self.name,
            "started_at": 1_764_547_000.0,
            "now_ms": 1_764_547_321_000,
            "raw_interval_ms": 1_000,
            "source": "simulated seed 7 market 0a1b2c3d",
            "instruments": [],
            "clients": [],
            "counters": {},
            "faults": self.faults.describe(),
        } | self.state
