"""A simulated dYdX v4: the chain behind a validator's gRPC, and the indexer's REST, WebSocket and page beside it."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from simulated_venues.clock import VenueClock
from simulated_venues.control import control_routes
from simulated_venues.dydx.chain import Chain
from simulated_venues.dydx.exchange import Exchange
from simulated_venues.dydx.faucet import faucet_route
from simulated_venues.dydx.gateway import Gateway
from simulated_venues.dydx.indexer import Indexer, Seen
from simulated_venues.dydx.listing import Listing
from simulated_venues.dydx.markets import markets_of
from simulated_venues.dydx.node import Node
from simulated_venues.dydx.orderbooks import Orderbooks
from simulated_venues.dydx.rest import ERROR_BODY, Rest
from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.dydx.socket import Sockets
from simulated_venues.dydx.stalling import StallingBackground
from simulated_venues.dydx.store import Store
from simulated_venues.dydx.transactions import is_address
from simulated_venues.dydx.venue_state import describe_accounts, describe_market, describe_orders
from simulated_venues.faults import Fault, Faults
from simulated_venues.site import Site, fault_middleware
from simulated_venues.source import MarketSource

_LOG = logging.getLogger(__name__)
_PREPARED_PARTS = 20
"""The next day of the market is made this part of a day before it begins."""


@dataclass(slots=True)
class _Run:
    """What lives from one start of the venue to the next stop."""

    store: Store
    chain: Chain
    indexer: Indexer
    sockets: Sockets
    node: Node
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


@dataclass(slots=True)
class DydxVenue:
    """Serves accounts and market data over a source; the accounts are kept in the settings' state folder.

    Attributes:
        source: the market.
        settings: how the venue behaves.
        ahead_ms: how far its clock is ahead of the wall clock.
    """

    source: MarketSource
    settings: DydxSettings
    ahead_ms: int = field(default=0, kw_only=True)
    _faults: Faults = field(default_factory=lambda: Faults("dydx"))
    _clock: VenueClock = field(init=False)
    _listing: Listing = field(init=False)
    _site: Site = field(init=False)
    _grpc_port: int = field(init=False)
    _run: _Run | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _restarting: asyncio.Task[None] | None = None
    _changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _failure: str | None = None
    _started_at: float = 0.0
    _requests: int = 0

    def __post_init__(self) -> None:
        self._clock = VenueClock(self._faults, self.ahead_ms, self.source.span_ms)
        self._listing = Listing(self.source, markets_of(self.source))
        self._site = Site(self.settings.port)
        self._grpc_port = self.settings.grpc_port
        self._faults.listeners.append(self._on_fault)

    @property
    def name(self) -> str:
        """`dydx`."""
        return "dydx"

    @property
    def faults(self) -> Faults:
        """What is wrong with it now."""
        return self._faults

    @property
    def url(self) -> str:
        """Of the indexer's REST API, without `/v4`, and of the page."""
        return self._site.url

    @property
    def ws_url(self) -> str:
        """Of the indexer's WebSocket."""
        return self.url.replace("http://", "ws://", 1) + "/v4/ws"

    @property
    def grpc_target(self) -> str:
        """Of the validator, as gRPC clients name it, in plain text."""
        return f"127.0.0.1:{self._grpc_port}"

    @property
    def addresses(self) -> dict[str, str]:
        """Where clients find it."""
        return {"url": self.url, "ws": self.ws_url, "grpc": self.grpc_target}

    @property
    def chain(self) -> Chain:
        """The chain of this run; only between `start` and `stop`."""
        return self._running().chain

    async def start(self) -> None:
        """Listen; returns when clients may connect.

        Raises:
            SimulationError: a port is taken, or the state is in use or of another market.
        """
        self._loop = asyncio.get_running_loop()
        self._started_at = time.time()
        await self._start()

    async def stop(self) -> None:
        """Close every connection and listen no longer; all that was committed is on disk."""
        async with self._changing:
            if self._restarting is not None:
                self._restarting.cancel()
        if self._restarting is not None:
            await asyncio.gather(self._restarting, return_exceptions=True)
        await self._stop()

    def describe(self) -> dict[str, object]:
        """What it is doing, as JSON values."""
        run = self._running()
        chain = run.chain
        return {
            "venue": self.name,
            "started_at": self._started_at,
            "now_ms": self._clock.now_ms(),
            "height": chain.last_block.height,
            "failure": chain.failure or self._failure,
            "raw_interval_ms": self.source.raw_interval_ms,
            "source": self.source.identity,
            "instruments": [
                describe_market(chain, self._listing, market, self._clock.market_ms(market.ticker))
                for market in self._listing.markets
            ],
            "orders": describe_orders(chain),
            "accounts": describe_accounts(chain),
            "clients": run.sockets.hub.describe(),
            "faults": self._faults.describe(),
            "counters": {
                "requests": self._requests,
                "messages": run.sockets.hub.published,
                "transactions": chain.transactions,
            },
        }

    async def _start(self) -> None:
        store = Store(self.settings.state_folder, self._about())
        try:
            # It loads compiled code and makes days of the market, which would hold up the first block.
            await asyncio.to_thread(self._listing.prepare, self._clock.now_ms())
            run = self._run = self._assemble(store)
            await run.node.start()
            self._grpc_port = run.node.port
            await self._site.start(self._application(run))
        except BaseException:
            await self._stop()
            store.close()
            raise
        self._failure = None
        run.tasks += [
            self._begin(run.chain.run(), "the chain"),
            self._begin(run.sockets.run(), "what tells of order books"),
            self._begin(self._prepare_days(), "what makes the next day"),
        ]

    async def _stop(self) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        for task in run.tasks:
            task.cancel()
        await asyncio.gather(*run.tasks, return_exceptions=True)
        await run.sockets.close_all()
        await self._site.stop()
        await run.node.stop()
        run.store.close()

    def _assemble(self, store: Store) -> _Run:
        indexer = Indexer(self._listing, self._clock, self._faults, self.settings.block_ms)
        background = StallingBackground(self._listing, self._clock)
        chain = Chain(
            settings=self.settings,
            clock=self._clock,
            faults=self._faults,
            background=background,
            exchange=Exchange(self._listing.markets, background),
            store=store,
            audience=indexer,
        )
        indexer.restore(store.events(), chain.last_block, store.moments())
        books = Orderbooks(indexer, self._listing.book)
        sockets = Sockets(indexer, books, self._clock, self._faults, _seen(chain))
        return _Run(store, chain, indexer, sockets, Node(chain, self._grpc_port))

    def _application(self, run: _Run) -> web.Application:
        app = web.Application(middlewares=[self._counting(), fault_middleware(self._faults, lambda _: ERROR_BODY)])
        app.add_routes([web.get("/v4/ws", run.sockets.handle)])
        app.add_routes(Rest(run.indexer, run.sockets.books, self._clock, run.sockets.seen).routes())
        app.add_routes(Gateway(run.chain).routes())
        app.add_routes([*control_routes(self), faucet_route(run.chain)])
        return app

    def _about(self) -> dict[str, str]:
        """What a state belongs to."""
        markets = hashlib.sha256(msgspec.json.encode(self._listing.markets)).hexdigest()[:16]
        return {"chain id": self.settings.chain_id, "market": self.source.identity, "listing": markets}

    def _counting(self) -> Middleware:
        @web.middleware
        async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._requests += 1
            return await handler(request)

        return count

    async def _prepare_days(self) -> None:
        """Make the next day of the market in another thread before it begins."""
        day_ms = self._listing.day_ms
        while True:
            begins_ms = (self._clock.now_ms() // day_ms + 1) * day_ms
            await self._clock.sleep_until(begins_ms - day_ms // _PREPARED_PARTS)
            await asyncio.to_thread(self._listing.prepare, begins_ms)
            await self._clock.sleep_until(begins_ms + 1)

    def _on_fault(self, fault: Fault) -> None:
        """Carry out a restart, in the venue's loop: a fault may be started from any thread."""
        if self._loop is not None and fault.kind == "restart":
            self._loop.call_soon_threadsafe(self._begin_restart, fault)

    def _begin_restart(self, fault: Fault) -> None:
        if self._run is None or (self._restarting is not None and not self._restarting.done()):
            return
        self._restarting = self._begin(self._restart(fault.value), "a restart")

    async def _restart(self, seconds: float) -> None:
        """Be away; then come back at the same ports with what was committed. `stop` never cuts a half of it short."""
        async with self._changing:
            await self._stop()
        await asyncio.sleep(seconds)
        async with self._changing:
            await self._start()

    def _begin(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Start a task that nobody waits for: its failure is logged, and told by `describe`."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failure = f"{task.get_name()}: {type(error).__name__}: {error}"
            _LOG.error("simulated dYdX: %s has failed", task.get_name(), exc_info=error)

    def _running(self) -> _Run:
        if self._run is None:
            raise RuntimeError("the venue is not started")
        return self._run


def _seen(chain: Chain) -> Seen:
    """Opens the account of an address that the indexer is asked for, and says whether money is owed to it."""
    return lambda address: is_address(address) and chain.open_account(address).owed_usdc > 0
