"""Sends what happens in the market to those who hear it, when the venue's clock reaches it."""

import asyncio
from dataclasses import dataclass, field

from simulated_venues.binance.pump_instrument import InstrumentPump
from simulated_venues.binance.pump_seconds import SecondPump
from simulated_venues.binance.symbols import symbols
from simulated_venues.clock import VenueClock
from simulated_venues.source import MarketSource
from simulated_venues.websocket import Hub


@dataclass(slots=True)
class Pump:
    """All streams of a venue.

    Attributes:
        source: the market.
        clock: the venue's.
        hub: who hears what.
    """

    source: MarketSource
    clock: VenueClock
    hub: Hub
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        """Begin to send."""
        seconds = SecondPump(self.source, self.clock, self.hub)
        pumps = [
            InstrumentPump(self.source, instrument, self.clock, self.hub)
            for instrument in symbols(self.source).values()
        ]
        running = [seconds.tell_marks(), seconds.tell_tickers(), *(pump.run() for pump in pumps)]
        self._tasks = [asyncio.create_task(each) for each in running]
        for task in self._tasks:
            task.add_done_callback(_report)

    async def stop(self) -> None:
        """Send no more.

        Raises:
            Exception: what a stream died of, if one did.
        """
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        for error in ended:
            if isinstance(error, Exception):
                raise error


def _report(task: asyncio.Task[None]) -> None:
    """Say at once what a stream died of: its clients only see that nothing comes."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        context = {"message": "simulated Binance: a stream has ended", "exception": error, "task": task}
        task.get_loop().call_exception_handler(context)
