"""An instrument's trades with the best prices around each, one after another, made ready before they are due."""

import asyncio
from bisect import bisect_left
from dataclasses import dataclass, field
from operator import itemgetter

from simulated_venues.bars import Trades
from simulated_venues.binance.stream_bars import StreamTrade
from simulated_venues.binance.stream_messages import BestPrices
from simulated_venues.clock import instant
from simulated_venues.source import MarketSource, Quotes

WINDOW_MS = 60_000

Window = tuple[list[tuple[int, int, int, int, bool]], list[tuple[int, int, int, int, int, int]]]
"""Trades and quotes of a minute, one element a trade, in the order of the records' fields."""


@dataclass(slots=True)
class TradeFeed:
    """The trades of one instrument from a chosen instant on.

    A window is read in a thread while the one before it is sent, so that a new day of the market costs no delay.

    Attributes:
        source: the market.
        instrument_id: whose trades.
    """

    source: MarketSource
    instrument_id: str
    _last_ms: int = 0
    _window: Window = field(default_factory=lambda: ([], []))
    _index: int = 0
    _next: asyncio.Task[Window] | None = None

    async def begin(self, at_ms: int) -> None:
        """Stand before the first trade at or after an instant."""
        self.end()
        self._last_ms = at_ms
        self._read_ahead()
        await self.turn()

    @property
    def due_ms(self) -> int:
        """When the next trade happens, or an instant up to which there is none."""
        trades = self._window[0]
        return trades[self._index][1] if self._index < len(trades) else self._last_ms

    def times_before(self, at_ms: int) -> list[int]:
        """When the next trades happen that come before an instant, as far as they have been read."""
        trades = self._window[0]
        last = bisect_left(trades, at_ms, self._index, key=itemgetter(1))
        return [trade[1] for trade in trades[self._index : last]]

    def take(self) -> tuple[StreamTrade, BestPrices] | None:
        """The next trade and the best prices around it; None: `turn` first."""
        trades, quotes = self._window
        if self._index == len(trades):
            return None
        number, at_ms, price, quantity, buyer_is_maker = trades[self._index]
        _, update_id, bid, bids, ask, asks = quotes[self._index]
        self._index += 1
        return (
            StreamTrade(trade_id=number, at_ms=at_ms, price=price, quantity=quantity, buyer_is_maker=buyer_is_maker),
            BestPrices(at_ms=at_ms, update_id=update_id, bid=bid, bid_quantity=bids, ask=ask, ask_quantity=asks),
        )

    async def turn(self) -> None:
        """Go on to the next window; its thread has usually read it long ago."""
        if self._next is not None:
            self._window, self._index = await self._next, 0
            self._last_ms += WINDOW_MS
            self._read_ahead()

    def end(self) -> None:
        """Read no further."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _read_ahead(self) -> None:
        self._next = asyncio.create_task(
            asyncio.to_thread(_read_window, self.source, self.instrument_id, self._last_ms)
        )


def _read_window(source: MarketSource, instrument_id: str, first_ms: int) -> Window:
    """The window from `first_ms` on, as far as the source goes; also lets it make what else is needed there."""
    last_ms = next_ms = first_ms + WINDOW_MS
    if source.span_ms is not None:
        end = source.span_ms[1]
        first_ms, last_ms, next_ms = min(first_ms, end), min(last_ms, end), min(next_ms, end - 1)
    first, last = instant(first_ms), instant(last_ms)
    source.fair_prices(instrument_id, first, last)
    source.book(instrument_id, instant(next_ms))
    trades, quotes = source.trades(instrument_id, first, last), source.quotes(instrument_id, first, last)
    return _trade_rows(trades), _quote_rows(quotes)


def _trade_rows(trades: Trades) -> list[tuple[int, int, int, int, bool]]:
    columns = (trades.trade_id, trades.traded_at_ms, trades.price, trades.quantity, trades.buyer_is_maker)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _quote_rows(quotes: Quotes) -> list[tuple[int, int, int, int, int, int]]:
    columns = (quotes.at_ms, quotes.update_id, quotes.bid, quotes.bid_quantity, quotes.ask, quotes.ask_quantity)
    return list(zip(*(column.tolist() for column in columns), strict=True))
