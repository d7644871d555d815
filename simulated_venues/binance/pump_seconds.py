"""The streams that tell of every instrument once a second: mark prices, and statistics of 24 hours."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

import msgspec

from simulated_venues.binance import stream_messages as messages
from simulated_venues.binance.contract_endpoints import ContractEndpoints
from simulated_venues.binance.fair import fair_price
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.symbols import symbols
from simulated_venues.binance.view import MarketView
from simulated_venues.clock import VenueClock
from simulated_venues.settings import SimulatedInstrument
from simulated_venues.source import MarketSource
from simulated_venues.websocket import Hub

_SECOND_MS = 1_000
_SLOW_SECONDS = 3
"""`@markPrice` without a speed comes every three seconds."""

_LONGEST_DELAY_SECONDS = 60
"""A clock that differs by more was set; the seconds between are not told of."""


@dataclass(frozen=True, slots=True)
class SecondPump:
    """Sends at every full second of the venue's clock.

    Attributes:
        source: the market.
        clock: the venue's.
        hub: who hears what.
    """

    source: MarketSource
    clock: VenueClock
    hub: Hub

    async def tell_marks(self) -> None:
        """Mark prices, those of missed seconds too, until cancelled."""
        async for second in self._seconds():
            speeds = ["@1s"] if second % _SLOW_SECONDS else ["@1s", "", "@3s"]
            everybody = self._heard(f"!markPrice@arr{speed}" for speed in speeds)
            payloads = []
            for instrument in symbols(self.source).values():
                streams = self._heard(f"{instrument.symbol.lower()}@markPrice{speed}" for speed in speeds)
                if streams or everybody:
                    payloads.append(self._mark(instrument, second * _SECOND_MS))
                    self._publish(streams, payloads[-1])
            self._publish(everybody, payloads)

    async def tell_tickers(self) -> None:
        """Statistics of 24 hours, until cancelled; a thread reads them, since 24 hours may be many of the market's."""
        view = MarketView(self.source, self.clock)
        statistics = ContractEndpoints(view, BinanceSettings().weight_per_minute).day_statistics
        async for _ in self._seconds():
            everybody, every_mini = self._heard(["!ticker@arr"]), self._heard(["!miniTicker@arr"])
            tickers, minis = [], []
            for instrument in symbols(self.source).values():
                name = instrument.symbol.lower()
                streams, mini_streams = self._heard([f"{name}@ticker"]), self._heard([f"{name}@miniTicker"])
                if streams or mini_streams or everybody or every_mini:
                    found = await asyncio.to_thread(statistics, instrument)
                    if found is None:
                        continue
                    sent_ms = self.clock.now_ms()
                    tickers.append(messages.ticker(found, sent_ms))
                    minis.append(messages.mini_ticker(found, sent_ms))
                    self._publish(streams, tickers[-1])
                    self._publish(mini_streams, minis[-1])
            self._publish(everybody, tickers)
            self._publish(every_mini, minis)

    async def _seconds(self) -> AsyncIterator[int]:
        """Seconds since 1970 as the clock reaches them, in order; the missed ones too.

        No wait is longer than one, because the clock may be set meanwhile.
        """
        second = self.clock.now_ms() // _SECOND_MS
        while True:
            wait_ms = min((second + 1) * _SECOND_MS - self.clock.now_ms(), _SECOND_MS)
            await asyncio.sleep(max(0.0, wait_ms / 1_000))
            now = self.clock.now_ms() // _SECOND_MS
            if abs(now - second) > _LONGEST_DELAY_SECONDS:
                second = now - 1
            while second < now:
                second += 1
                yield second

    def _mark(self, instrument: SimulatedInstrument, at_ms: int) -> messages.Payload:
        """The mark price at a second, or where the market stands still."""
        market_ms = self.clock.in_market(min(at_ms, self.clock.market_ms(instrument.symbol)))
        fair = fair_price(self.source, instrument.instrument_id, market_ms)
        return messages.mark_price(instrument, fair, self.clock.now_ms())

    def _heard(self, streams: Iterable[str]) -> list[str]:
        return [stream for stream in streams if self.hub.listeners(stream)]

    def _publish(self, streams: list[str], value: object) -> None:
        if streams:
            data = msgspec.json.encode(value).decode()
            for stream in streams:
                self.hub.publish(stream, data)
