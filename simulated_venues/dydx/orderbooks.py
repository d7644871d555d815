"""Order books as the indexer shows them, and what changes in them from step to step."""

from collections.abc import Callable
from dataclasses import dataclass, field

from simulated_venues.dydx.documents import Json, text
from simulated_venues.dydx.indexer import Indexer
from simulated_venues.dydx.records import Market
from simulated_venues.source import Book

ReadBook = Callable[[Market, int], Book]
"""The book of a market at an instant, in its ticks and steps."""

_Sides = dict[str, dict[int, int]]


@dataclass(slots=True)
class Orderbooks:
    """Books that somebody follows stand still between steps, so that a snapshot and the next change fit together.

    Attributes:
        indexer: says which instant is shown.
        read: where the background's books come from.
    """

    indexer: Indexer
    read: ReadBook
    _followed: dict[str, _Sides] = field(default_factory=dict)

    def document(self, market: Market) -> Json:
        """A book as REST and the WebSocket's first message have it, best prices first."""
        sides = self._followed.get(market.ticker) or self._read(market)
        return {
            side: [{"price": _price(market, tick), "size": _size(market, steps)} for tick, steps in levels.items()]
            for side, levels in sides.items()
        }

    def follow(self, market: Market) -> None:
        """Let a book stand still until `changes` is asked for."""
        if market.ticker not in self._followed:
            self._followed[market.ticker] = self._read(market)

    def leave(self, ticker: str) -> None:
        """Nobody follows this book any more."""
        self._followed.pop(ticker, None)

    def followed(self) -> list[str]:
        """Tickers of the books that are followed."""
        return list(self._followed)

    def changes(self, market: Market) -> Json:
        """What has changed in a followed book since it was last asked; a level that is gone has size 0."""
        before, now = self._followed[market.ticker], self._read(market)
        self._followed[market.ticker] = now
        contents: Json = {}
        for side, levels in now.items():
            old = before[side]
            changed = [(tick, 0) for tick in old if tick not in levels]
            changed += [(tick, steps) for tick, steps in levels.items() if old.get(tick) != steps]
            if changed:
                contents[side] = [[_price(market, tick), _size(market, steps)] for tick, steps in changed]
        return contents

    def _read(self, market: Market) -> _Sides:
        book = self.read(market, self.indexer.book_ms(market))
        bids, asks = self.indexer.displayed.sides(market, book.bids, book.asks)
        return {"bids": bids, "asks": asks}


def _price(market: Market, ticks: int) -> str:
    return text(ticks * market.tick)


def _size(market: Market, steps: int) -> str:
    return text(steps * market.step)
