"""An exchange and an indexer without a chain: it makes blocks by itself, and orders are put straight into them."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from simulated_venues.clock import VenueClock
from simulated_venues.dydx.exchange import Exchange
from simulated_venues.dydx.indexer import Indexer
from simulated_venues.dydx.listing import Listing
from simulated_venues.dydx.markets import markets_of
from simulated_venues.dydx.orderbooks import Orderbooks
from simulated_venues.dydx.records import Event, Moment, Order, OrderChanged, SubaccountId
from simulated_venues.dydx.rest import ERROR_BODY, Rest
from simulated_venues.dydx.socket import Sockets
from simulated_venues.faults import Faults
from simulated_venues.site import Site, fault_middleware
from simulated_venues.source import MarketSource

FIRST_HEIGHT = 1_000
BLOCK_MS = 250


@dataclass
class IndexerVenue:
    """See the module; used as `simulated_venues.venue.Venue`."""

    source: MarketSource
    ahead_ms: int = 0
    faults: Faults = field(default_factory=lambda: Faults("dydx"))
    name: str = "dydx"
    moment: Moment = field(default_factory=lambda: Moment(height=0, at_ms=0))
    blocks: list[tuple[Moment, list[Event]]] = field(default_factory=list)
    _work: deque[Callable[[Moment], list[Event]]] = field(default_factory=deque)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = VenueClock(self.faults, self.ahead_ms)
        self.listing = Listing(self.source, markets_of(self.source))
        self.exchange = Exchange(self.listing.markets, self.listing)
        self.indexer = Indexer(self.listing, self.clock, self.faults, BLOCK_MS)
        self.books = Orderbooks(self.indexer, self.listing.book)
        self.sockets = Sockets(self.indexer, self.books, self.clock, self.faults, _sees_nobody)
        self.site = Site(0)

    @property
    def url(self) -> str:
        return self.site.url

    @property
    def ws_url(self) -> str:
        return self.site.url.replace("http", "ws", 1) + "/v4/ws"

    async def start(self) -> None:
        self.make_block(self.clock.now_ms())
        rest = Rest(self.indexer, self.books, self.clock, _sees_nobody)
        app = web.Application(middlewares=[fault_middleware(self.faults, lambda _: ERROR_BODY)])
        app.add_routes([web.get("/v4/ws", self.sockets.handle), *rest.routes()])
        await self.site.start(app)
        self._tasks = [asyncio.create_task(self.sockets.run()), asyncio.create_task(self._run())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.sockets.close_all()
        await self.site.stop()

    def describe(self) -> dict[str, object]:
        return {}

    def place(self, order: Order) -> None:
        """Carry an order out in the next block."""
        self._work.append(lambda moment: self.exchange.place(order, moment))

    def cancel(self, order: Order) -> None:
        """Cancel an order in the next block."""
        self._work.append(lambda moment: self.exchange.cancel(order.order_id, order.good_til_block, moment))

    def deposit(self, subaccount: SubaccountId, usdc: int) -> None:
        """Bring money in, in the next block."""
        self._work.append(lambda moment: self.exchange.deposit(subaccount, usdc * 1_000_000, moment, "AB" * 32))

    def make_block(self, at_ms: int) -> list[Event]:
        """The next block, with everything that waits for it."""
        height = self.moment.height + 1 if self.moment.height else FIRST_HEIGHT
        previous = self.moment if self.moment.height else Moment(height=height - 1, at_ms=at_ms - BLOCK_MS)
        moment = Moment(height=height, at_ms=at_ms)
        events = self.exchange.begin_block(previous, moment)
        while self._work:
            for event in self._work.popleft()(moment):
                if isinstance(event, OrderChanged) and not event.on_chain:
                    self.indexer.tell(event)
                else:
                    events.append(event)
        self.moment = moment
        self.blocks.append((moment, events))
        self.indexer.commit(moment, events)
        return events

    async def _run(self) -> None:
        while True:
            await self.clock.sleep_until(self.moment.at_ms + BLOCK_MS)
            self.make_block(max(self.clock.now_ms(), self.moment.at_ms + 1))


def _sees_nobody(address: str) -> bool:
    del address
    return False
