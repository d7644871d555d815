"""A simulated Binance USDⓈ-M Futures: archive, REST, streams, control endpoint and page on one port of loopback."""

import asyncio
import logging
import time
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from simulated_venues.binance.archive import Archive
from simulated_venues.binance.limits import Limits, error_body
from simulated_venues.binance.pump import Pump
from simulated_venues.binance.rest import Rest
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.stream import StreamFront
from simulated_venues.binance.symbols import symbols
from simulated_venues.binance.venue_state import describe_instrument
from simulated_venues.clock import VenueClock
from simulated_venues.control import control_routes
from simulated_venues.faults import Fault, Faults
from simulated_venues.settings import RAW_BARS_PER_DAY
from simulated_venues.site import Site, fault_middleware
from simulated_venues.source import MarketSource
from simulated_venues.websocket import Hub

_LOG = logging.getLogger(__name__)
_PREPARED_PARTS = 20
"""The next day of the market is made this part of a day before it begins."""


@dataclass(slots=True)
class BinanceVenue:
    """Serves market data of a source; it knows no accounts.

    Attributes:
        source: the market.
        settings: how the venue behaves.
        ahead_ms: how far its clock is ahead of the wall clock.
    """

    source: MarketSource
    settings: BinanceSettings
    ahead_ms: int = field(default=0, kw_only=True)
    _faults: Faults = field(default_factory=lambda: Faults("binance"))
    _clock: VenueClock = field(init=False)
    _hub: Hub = field(default_factory=Hub)
    _site: Site = field(init=False)
    _pump: Pump = field(init=False)
    _loop: asyncio.AbstractEventLoop | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _started_at: float = 0.0
    _requests: int = 0
    _is_away: bool = False
    _failure: str | None = None

    def __post_init__(self) -> None:
        self._clock = VenueClock(self._faults, self.ahead_ms, self.source.span_ms)
        self._site = Site(self.settings.port)
        self._pump = Pump(self.source, self._clock, self._hub)
        self._faults.listeners.append(self._on_fault)

    @property
    def name(self) -> str:
        """`binance`."""
        return "binance"

    @property
    def faults(self) -> Faults:
        """What is wrong with it now."""
        return self._faults

    @property
    def url(self) -> str:
        """Of REST, archive and page."""
        return self._site.url

    @property
    def ws_url(self) -> str:
        """Of the streams, without `/ws` or `/stream`."""
        return self.url.replace("http://", "ws://", 1)

    @property
    def addresses(self) -> dict[str, str]:
        """Where clients find it."""
        return {"url": self.url, "ws": self.ws_url}

    async def start(self) -> None:
        """Listen; returns when clients may connect.

        Raises:
            SimulationError: the port is taken.
        """
        self._loop = asyncio.get_running_loop()
        self._started_at = time.time()
        # The first answer loads compiled code and makes a day of the market, which would hold up the first clients.
        await asyncio.to_thread(self.describe)
        await self._site.start(self._application())
        self._pump.start()
        self._tasks.add(asyncio.create_task(self._prepare_days()))

    async def stop(self) -> None:
        """Close every connection and listen no longer."""
        # No restart begins any more, not even one that was asked for already.
        self._loop = None
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._pump.stop()
        finally:
            await self._hub.close_all()
            await self._site.stop()

    def describe(self) -> dict[str, object]:
        """What it is doing, as JSON values."""
        return {
            "venue": self.name,
            "started_at": self._started_at,
            "now_ms": self._clock.now_ms(),
            "failure": self._failure,
            "raw_interval_ms": self.source.raw_interval_ms,
            "source": self.source.identity,
            "instruments": [
                describe_instrument(self.source, instrument, self._clock.market_ms(instrument.symbol))
                for instrument in symbols(self.source).values()
            ],
            "clients": self._hub.describe(),
            "faults": self._faults.describe(),
            "counters": {"requests": self._requests, "messages": self._hub.published},
        }

    def _application(self) -> web.Application:
        rest, archive = Rest(self.source, self._clock, self.settings), Archive(self.source, self._clock)
        limits = Limits(self.settings.weight_per_minute, self._clock)
        app = web.Application(
            middlewares=[
                self._counting(),
                limits.middleware(),
                fault_middleware(self._faults, error_body),
                archive.listing_middleware(),
            ]
        )
        app.add_routes(StreamFront(self._hub, self._faults, self.settings).routes())
        app.add_routes(rest.routes())
        app.add_routes(archive.routes())
        app.add_routes(control_routes(self))
        return app

    def _counting(self) -> Middleware:
        @web.middleware
        async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._requests += 1
            return await handler(request)

        return count

    async def _prepare_days(self) -> None:
        """Make the next day of the market in another thread before it begins: the first answer of it is quick then."""
        day_ms = RAW_BARS_PER_DAY * self.source.raw_interval_ms
        while True:
            begins_ms = (self._clock.now_ms() // day_ms + 1) * day_ms
            await self._clock.sleep_until(begins_ms - day_ms // _PREPARED_PARTS)
            for instrument in symbols(self.source).values():
                at_ms = self._clock.in_market(begins_ms)
                await asyncio.to_thread(describe_instrument, self.source, instrument, at_ms)
            await self._clock.sleep_until(begins_ms + 1)

    def _on_fault(self, fault: Fault) -> None:
        """Carry out what happens once, in the venue's loop: a fault may be started from any thread."""
        loop = self._loop
        if loop is not None and fault.kind in ("disconnect", "restart"):
            loop.call_soon_threadsafe(self._run, fault)

    def _run(self, fault: Fault) -> None:
        if self._loop is None:
            # The venue began to stop after the fault was asked for.
            return
        if fault.kind == "restart":
            if self._is_away:
                return
            self._is_away = True
        task = asyncio.create_task(self._restart(fault.value) if fault.kind == "restart" else self._hub.close_all())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _restart(self, seconds: float) -> None:
        """Be away; then listen again at the same port, with the market where it has got to meanwhile."""
        try:
            await self._hub.close_all()
            await self._site.stop()
            await asyncio.sleep(seconds)
            await self._site.start(self._application())
            self._failure = None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told on the page of what is wrong
            _LOG.exception("simulated Binance: it did not come back from its restart")
            self._failure = str(error)
        finally:
            self._is_away = False
