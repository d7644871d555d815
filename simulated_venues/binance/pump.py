"""Sends what happens in the market to those who hear it, when the venue's clock reaches it."""

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from simulated_venues.binance import stream_messages as messages
from simulated_venues.binance.fair import fair_price
from simulated_venues.binance.pump_instrument import InstrumentPump
from simulated_venues.binance.symbols import symbols
from simulated_venues.clock import VenueClock
from simulated_venues.settings import SimulatedInstrument
from simulated_venues.source import MarketSource
from simulated_venues.websocket import Hub

_SECOND_MS = 1_000
_SLOW_SECONDS = 3
"""`@markPrice` without a speed comes every three seconds."""

_LONGEST_DELAY_SECONDS = 60


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
        pumps = [
            InstrumentPump(self.source, instrument, self.clock, self.hub)
            for instrument in symbols(self.source).values()
        ]
        self._tasks = [asyncio.create_task(pump.run()) for pump in pumps]
        self._tasks.append(asyncio.create_task(self._tell_marks()))

    async def stop(self) -> None:
        """Send no more.

        Raises:
            Exception: what a stream died of, if one did.
        """
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = []

    async def _tell_marks(self) -> None:
        """Mark prices at every full second, missed ones too."""
        second = self.clock.now_ms() // _SECOND_MS
        while True:
            await self.clock.sleep_until((second + 1) * _SECOND_MS)
            now = self.clock.now_ms() // _SECOND_MS
            if abs(now - second) > _LONGEST_DELAY_SECONDS:
                second = now - 1
            while second < now:
                second += 1
                self._tell_marks_at(second)

    def _tell_marks_at(self, second: int) -> None:
        endings = ["@1s"] if second % _SLOW_SECONDS else ["", "@1s"]
        everybody = self._heard(f"!markPrice@arr{ending}" for ending in endings)
        payloads = []
        for instrument in symbols(self.source).values():
            streams = self._heard(f"{instrument.symbol.lower()}@markPrice{ending}" for ending in endings)
            if not streams and not everybody:
                continue
            payload = self._mark(instrument, second * _SECOND_MS)
            payloads.append(payload)
            self._publish(streams, payload)
        self._publish(everybody, payloads)

    def _mark(self, instrument: SimulatedInstrument, at_ms: int) -> messages.Payload:
        """The mark price at a second, or where the market stands still."""
        market_ms = min(at_ms, self.clock.market_ms(instrument.symbol))
        fair = fair_price(self.source, instrument.instrument_id, market_ms)
        return messages.mark_price(instrument, fair, self.clock.now_ms())

    def _heard(self, streams: Iterable[str]) -> list[str]:
        return [stream for stream in streams if self.hub.listeners(stream)]

    def _publish(self, streams: list[str], value: object) -> None:
        if streams:
            data = msgspec.json.encode(value).decode()
            for stream in streams:
                self.hub.publish(stream, data)
