"""What every simulated venue can do, and how one is run inside another program."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from simulated_venues.faults import Faults

START_SECONDS = 60.0


class Venue(Protocol):
    """A venue that listens on loopback between `start` and `stop`."""

    @property
    def name(self) -> str:
        """`binance` or `dydx`."""

    @property
    def faults(self) -> Faults:
        """What is wrong with it now."""

    @property
    def addresses(self) -> dict[str, str]:
        """Where it listens, once it does: `url` of REST and page, `ws`, and `grpc` where there is one."""

    async def start(self) -> None:
        """Listen; returns when clients may connect.

        Raises:
            SimulationError: a port is taken, or its state can't be read.
        """

    async def stop(self) -> None:
        """Close every connection and listen no longer; what has to be kept is on disk."""

    def describe(self) -> dict[str, object]:
        """What it is doing, as JSON values: the content of its page."""


@contextmanager
def embedded[V: Venue](venue: V) -> Iterator[V]:
    """Run a venue in a thread with an event loop of its own, until the end of the block.

    Clients that block, such as synchronous HTTP or gRPC, may then be used in the block itself.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name=f"simulated {venue.name}", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(venue.start(), loop).result(START_SECONDS)
        yield venue
    finally:
        try:
            asyncio.run_coroutine_threadsafe(venue.stop(), loop).result(START_SECONDS)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
