"""The streams of one instrument, in the order of the market's time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import product

import msgspec

from simulated_venues.binance import stream_messages as messages
from simulated_venues.binance.depth import SPEEDS_MS, DepthChange, DepthFeed
from simulated_venues.binance.stream_bars import KlineFeed, StreamBar, StreamTrade
from simulated_venues.binance.stream_liquidations import EVERY_MS, liquidation
from simulated_venues.binance.stream_messages import BestPrices
from simulated_venues.binance.stream_window import TradeFeed
from simulated_venues.clock import VenueClock
from simulated_venues.settings import SimulatedInstrument
from simulated_venues.source import BOOK_STEP_MS, UPDATES_PER_STEP, MarketSource
from simulated_venues.websocket import Hub

_LONGEST_DELAY_MS = 60_000
"""A clock that differs by more was set; what lies between is not sent."""

_MOMENTS_AT_ONCE = 200
_IDLE_SECONDS = 0.02
_PREPARED_MS = 40
"""So long after a step of the book the next one is made ready: everything of this one has been sent by then."""

_ENDINGS = {100: ("@100ms", "@0ms"), 250: ("", "@250ms"), 500: ("@500ms",)}
_DEPTH_STREAMS: dict[int, list[tuple[str, int | None]]] = {
    speed_ms: [
        *((f"@depth{ending}", None) for ending in _ENDINGS[speed_ms]),
        *((f"@depth{count}{ending}", count) for count, ending in product((5, 10, 20), _ENDINGS[speed_ms])),
    ]
    for speed_ms in SPEEDS_MS
}
"""Endings of the depth streams of a speed, and how many levels they state; None: the changed ones."""

_HEARD_BY_ALL = ("!bookTicker", "!forceOrder@arr")

Build = Callable[[int], messages.Payload]
"""The venue's clock when the message is sent → the message."""


@dataclass(slots=True)
class InstrumentPump:
    """Everything that is streamed of one instrument but its mark price.

    At one instant klines close first, then the book makes its step, then the trades follow.

    Attributes:
        source: the market.
        instrument: whose streams.
        clock: the venue's.
        hub: who hears what.
    """

    source: MarketSource
    instrument: SimulatedInstrument
    clock: VenueClock
    hub: Hub
    _prefix: str = field(init=False)
    _klines: KlineFeed = field(init=False)
    _trades: TradeFeed = field(init=False)
    _depth: DepthFeed = field(init=False)
    _step: int = 0
    _market_ms: int = 0
    _inside_ms: list[int] = field(default_factory=list)
    _best: BestPrices | None = None

    def __post_init__(self) -> None:
        self._prefix = self.instrument.symbol.lower()
        self._klines = KlineFeed(self.source, self.instrument.instrument_id)
        self._trades = TradeFeed(self.source, self.instrument.instrument_id)
        self._depth = DepthFeed(self.source, self.instrument)

    async def run(self) -> None:
        """Send whatever becomes due, until cancelled."""
        try:
            while True:
                while not self._is_heard():
                    await asyncio.sleep(_IDLE_SECONDS)
                await self._begin(self._now() // BOOK_STEP_MS)
                await self._send_while_heard()
        finally:
            self._trades.end()

    async def _begin(self, step: int) -> None:
        """Go on with the trades after a step of the book, as if all before had been sent."""
        self._step, self._market_ms = step, step * BOOK_STEP_MS
        self._depth.forget()
        self._klines.forget()
        self._inside_ms.clear()
        self._best = None
        await self._trades.begin(self._market_ms)

    async def _send_while_heard(self) -> None:
        """Send what becomes due; no wait is longer than a step, because the clock may be set meanwhile."""
        stood_still = False
        while self._is_heard():
            stands_still = self.clock.stands_still(self.instrument.symbol)
            now = self._now()
            if (stood_still and not stands_still) or abs(now - self._market_ms) > _LONGEST_DELAY_MS:
                await self._leap(now // BOOK_STEP_MS)
            stood_still = stands_still
            await self._catch_up(now)
            next_ms = min(self._trades.due_ms, (self._step + 1) * BOOK_STEP_MS, self._prepare_step())
            wait_ms = min(next_ms - self._now(), BOOK_STEP_MS)
            await asyncio.sleep(max(_IDLE_SECONDS if stands_still else 0.0, wait_ms / 1_000))

    async def _catch_up(self, now_ms: int) -> None:
        """Send all moments up to and including an instant, in order."""
        sent = 0
        while (due_ms := min(self._trades.due_ms, (self._step + 1) * BOOK_STEP_MS)) <= now_ms:
            if due_ms == (self._step + 1) * BOOK_STEP_MS:
                self._make_step(self._step + 1)
            elif moment := self._trades.take():
                self._tell_trade(*moment)
            else:
                await self._trades.turn()
            sent += 1
            if sent % _MOMENTS_AT_ONCE == 0:
                await asyncio.sleep(0)
        self._market_ms = max(self._market_ms, now_ms)

    def _prepare_step(self) -> int:
        """Make the next step's changes of the book once this one has been sent.

        Returns:
            When to do so, or an instant after the next step if it is done or not needed.
        """
        step_ms = self._step * BOOK_STEP_MS
        if not self._heard_depth() or self._depth.is_prepared(self._step + 1):
            return step_ms + 2 * BOOK_STEP_MS
        if self._now() < step_ms + _PREPARED_MS:
            return step_ms + _PREPARED_MS
        inside_ms = [*self._inside_ms, *self._trades.times_before(step_ms + BOOK_STEP_MS)]
        self._depth.prepare(self._step + 1, inside_ms)
        return step_ms + 2 * BOOK_STEP_MS

    async def _leap(self, step: int) -> None:
        """From a market that stood still, or a clock that was set, to the present: the books join, nothing else."""
        frozen_step, frozen_ms, frozen_best = self._step, self._market_ms, self._best
        depth_heard = bool(self._heard_depth())
        if depth_heard and step > frozen_step:
            due = self._depth.leap(frozen_step, frozen_ms, step)
            self._tell_depth(due, step * BOOK_STEP_MS)
        await self._begin(step)
        self._best = frozen_best
        self._tell_best(step)

    def _make_step(self, step: int) -> None:
        """What happens at the start of a step of the book, before its trades."""
        at_ms = step * BOOK_STEP_MS
        self._tell_klines(at_ms)
        if self._heard_depth():
            self._tell_depth(self._depth.advance(step, self._inside_ms), at_ms)
        else:
            self._depth.forget()
        self._tell_best(step)
        if at_ms % EVERY_MS == 0:
            self._tell_liquidation(at_ms)
        self._step, self._inside_ms = step, []

    def _tell_trade(self, trade: StreamTrade, best: BestPrices) -> None:
        self._best = best
        self._inside_ms.append(trade.at_ms)
        instrument = self.instrument
        self._publish(
            self._heard("!bookTicker", f"{self._prefix}@bookTicker"),
            partial(messages.book_ticker, instrument, best),
        )
        self._publish(self._heard(f"{self._prefix}@aggTrade"), partial(messages.agg_trade, instrument, trade))
        self._publish(self._heard(f"{self._prefix}@trade"), partial(messages.single_trade, instrument, trade))
        self._klines.add(trade)
        self._tell_growing(trade.at_ms)

    def _tell_klines(self, at_ms: int) -> None:
        """Close the klines that end at an instant, begin those that are heard anew, and tell of those that grew."""
        self._klines.hear(self._heard_klines(), at_ms)
        for interval, bar in self._klines.close(at_ms):
            self._tell_kline(interval, bar, closed=True)
        self._tell_growing(at_ms)

    def _tell_growing(self, at_ms: int) -> None:
        for interval, bar in self._klines.grown(at_ms):
            self._tell_kline(interval, bar, closed=False)

    def _tell_kline(self, interval: str, bar: StreamBar, *, closed: bool) -> None:
        self._publish(
            self._heard(f"{self._prefix}@kline_{interval}"),
            partial(messages.kline, self.instrument, interval, bar, closed=closed),
        )

    def _tell_depth(self, due: dict[int, DepthChange], at_ms: int) -> None:
        """Send a step's changes to the streams of each speed, unless a fault makes a gap of it."""
        heard = {speed_ms: self._heard_depth(speed_ms) for speed_ms in due}
        if not any(heard.values()) or self.clock.faults.take("depth_gap", self.instrument.symbol):
            return
        book = self._depth.book(at_ms)
        for speed_ms, change in due.items():
            diffs = [stream for stream, count in heard[speed_ms] if count is None]
            self._publish(diffs, partial(messages.depth_update, self.instrument, change, at_ms))
            for stream, count in heard[speed_ms]:
                if count is not None:
                    top = change.top_of(book, count)
                    self._publish([stream], partial(messages.depth_update, self.instrument, top, at_ms))

    def _tell_best(self, step: int) -> None:
        """Send the best prices at a step if they are others than the last that were sent."""
        streams = self._heard("!bookTicker", f"{self._prefix}@bookTicker")
        if not streams:
            return
        book = self._depth.book(step * BOOK_STEP_MS)
        best = BestPrices(
            at_ms=step * BOOK_STEP_MS,
            update_id=step * UPDATES_PER_STEP,
            bid=int(book.bids.price[0]),
            bid_quantity=int(book.bids.quantity[0]),
            ask=int(book.asks.price[0]),
            ask_quantity=int(book.asks.quantity[0]),
        )
        if self._best is None or best.levels != self._best.levels:
            self._best = best
            self._publish(streams, partial(messages.book_ticker, self.instrument, best))

    def _tell_liquidation(self, at_ms: int) -> None:
        streams = self._heard("!forceOrder@arr", f"{self._prefix}@forceOrder")
        trade = liquidation(self.source, self.instrument, at_ms) if streams else None
        if trade is not None:
            self._publish(streams, partial(messages.force_order, self.instrument, trade))

    def _is_heard(self) -> bool:
        own = f"{self._prefix}@"
        return any(stream.startswith(own) or stream in _HEARD_BY_ALL for stream in self.hub.streams())

    def _heard(self, *streams: str) -> list[str]:
        return [stream for stream in streams if self.hub.listeners(stream)]

    def _heard_klines(self) -> list[str]:
        return [name for name in self._klines.intervals if self.hub.listeners(f"{self._prefix}@kline_{name}")]

    def _heard_depth(self, *speeds_ms: int) -> list[tuple[str, int | None]]:
        """Depth streams of some speeds, all if none is named, that are heard; and how many levels they state."""
        return [
            (self._prefix + ending, count)
            for speed_ms in speeds_ms or SPEEDS_MS
            for ending, count in _DEPTH_STREAMS[speed_ms]
            if self.hub.listeners(self._prefix + ending)
        ]

    def _publish(self, streams: list[str], build: Build) -> None:
        if streams:
            data = msgspec.json.encode(build(self.clock.now_ms())).decode()
            for stream in streams:
                self.hub.publish(stream, data)

    def _now(self) -> int:
        return self.clock.market_ms(self.instrument.symbol)
