"""Klines as they grow: one that is begun at any moment and then fed trade by trade."""

import asyncio
from dataclasses import dataclass, field

from simulated_venues.binance.intervals import Interval, served_intervals
from simulated_venues.binance.klines import klines
from simulated_venues.source import MarketSource

KLINE_EVERY_MS = 250
"""How often the venue tells of a kline that grows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTrade:
    """One background trade.

    Attributes:
        trade_id: the venue's number of it.
        at_ms: when it happened.
        price: ticks.
        quantity: lots.
        buyer_is_maker: the taker sold.
    """

    trade_id: int
    at_ms: int
    price: int
    quantity: int
    buyer_is_maker: bool


@dataclass(slots=True, kw_only=True)
class StreamBar:
    """A kline that is open; ticks and lots, flat at the last close before its first trade.

    Attributes:
        opened_at_ms: when it opened.
        closed_at_ms: when it closes, and the next one opens.
        first_id: of its first trade; means nothing while there is none.
    """

    opened_at_ms: int
    closed_at_ms: int
    first_id: int
    open: int
    high: int
    low: int
    close: int
    volume: int = 0
    quote_volume: int = 0
    trade_count: int = 0
    taker_buy_volume: int = 0
    taker_buy_quote_volume: int = 0

    def add(self, trade: StreamTrade) -> None:
        """Count the next trade in."""
        price, quantity = trade.price, trade.quantity
        if not self.trade_count:
            self.first_id, self.open, self.high, self.low = trade.trade_id, price, price, price
        self.high, self.low, self.close = max(self.high, price), min(self.low, price), price
        self.volume += quantity
        self.quote_volume += price * quantity
        self.trade_count += 1
        if not trade.buyer_is_maker:
            self.taker_buy_volume += quantity
            self.taker_buy_quote_volume += price * quantity

    def next(self) -> "StreamBar":
        """The one that opens when this one closes."""
        length, close = self.closed_at_ms - self.opened_at_ms, self.close
        return StreamBar(
            opened_at_ms=self.closed_at_ms,
            closed_at_ms=self.closed_at_ms + length,
            first_id=0,
            open=close,
            high=close,
            low=close,
            close=close,
        )


@dataclass(slots=True)
class _Growing:
    """A kline that is told of.

    Attributes:
        bar: its state.
        told_ms: market time of the last message about it.
        has_grown: trades came since.
    """

    bar: StreamBar
    told_ms: int = 0
    has_grown: bool = True


@dataclass(slots=True)
class KlineFeed:
    """The klines of one instrument that somebody hears.

    Attributes:
        source: the market.
        instrument_id: whose klines.
        intervals: those that are served, by name.
    """

    source: MarketSource
    instrument_id: str
    intervals: dict[str, Interval] = field(init=False)
    _growing: dict[str, _Growing] = field(default_factory=dict)
    _reading: dict[str, asyncio.Task[StreamBar | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.intervals = served_intervals(self.source.raw_interval_ms)

    def hear(self, names: list[str], at_ms: int) -> None:
        """Tell of these intervals from now on, and of no others; all trades before `at_ms` are in them.

        The history of a long kline may take a while to be made, so a thread reads it before it is asked for here.
        """
        self._growing = {name: growing for name, growing in self._growing.items() if name in names}
        self._reading = {name: task for name, task in self._reading.items() if name in names}
        for name in names:
            if name in self._growing:
                continue
            asked = (self.source, self.instrument_id, self.intervals[name], at_ms)
            if name not in self._reading:
                self._reading[name] = asyncio.create_task(asyncio.to_thread(begin_bar, *asked))
            elif self._reading[name].done():
                del self._reading[name]
                begun = begin_bar(*asked)
                if begun is not None:
                    self._growing[name] = _Growing(begun)

    def forget(self) -> None:
        """Tell of none."""
        self._growing.clear()

    def add(self, trade: StreamTrade) -> None:
        """Count the next trade in."""
        for growing in self._growing.values():
            growing.bar.add(trade)
            growing.has_grown = True

    def close(self, at_ms: int) -> list[tuple[str, StreamBar]]:
        """Klines that close at an instant, by interval; the next ones open."""
        closed = []
        for name, growing in self._growing.items():
            if growing.bar.closed_at_ms <= at_ms:
                bar = self._closed(name, growing.bar)
                if bar is not None:
                    closed.append((name, bar))
                growing.bar, growing.has_grown = growing.bar.next(), False
        return closed

    def _closed(self, name: str, bar: StreamBar) -> StreamBar | None:
        """A kline as history will tell it.

        A recording states money that its drawn trades only come near, and has no kline of a minute that it cuts.
        """
        if self.source.span_ms is None:
            return bar
        return _read_bar(self.source, self.instrument_id, self.intervals[name], bar.opened_at_ms, bar.closed_at_ms)

    def grown(self, at_ms: int) -> list[tuple[str, StreamBar]]:
        """Klines that grew and were not told of for a while, as they are now."""
        found = []
        for name, growing in self._growing.items():
            if growing.has_grown and at_ms - growing.told_ms >= KLINE_EVERY_MS:
                growing.told_ms, growing.has_grown = at_ms, False
                found.append((name, growing.bar))
        return found


def begin_bar(source: MarketSource, instrument_id: str, interval: Interval, at_ms: int) -> StreamBar | None:
    """The kline that is open just before an instant, with the trades before it; it may close at the instant.

    None before the first trade of a recording.
    """
    opened_at_ms = (at_ms - 1) // interval.length_ms * interval.length_ms
    return _read_bar(source, instrument_id, interval, opened_at_ms, at_ms - 1)


def _read_bar(
    source: MarketSource, instrument_id: str, interval: Interval, opened_at_ms: int, now_ms: int
) -> StreamBar | None:
    """The kline that opens at an instant, as history tells it at another; None if there is none."""
    rows = klines(source, instrument_id, interval, opened_at_ms, opened_at_ms + 1, now_ms)
    bars = rows.bars
    if not len(bars):
        return None
    return StreamBar(
        opened_at_ms=opened_at_ms,
        closed_at_ms=opened_at_ms + interval.length_ms,
        first_id=int(rows.first_trade_id[0]),
        open=int(bars.open[0]),
        high=int(bars.high[0]),
        low=int(bars.low[0]),
        close=int(bars.close[0]),
        volume=int(bars.volume[0]),
        quote_volume=int(bars.quote_volume[0]),
        trade_count=int(bars.trade_count[0]),
        taker_buy_volume=int(bars.taker_buy_volume[0]),
        taker_buy_quote_volume=int(bars.taker_buy_quote_volume[0]),
    )
