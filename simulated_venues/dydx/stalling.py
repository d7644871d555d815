"""The background as accounts meet it: it stands still while a fault says so.

The trades of that time come when it is over, all at once, as everybody sees them then: in the history of the market
they are at their own time.
"""

from dataclasses import dataclass, field

from simulated_venues.clock import VenueClock
from simulated_venues.dydx.records import Background, BackgroundTrade, Market
from simulated_venues.source import Book


@dataclass(frozen=True, slots=True)
class StallingBackground:
    """A background whose markets stay at the instant at which `stale_prices` began; see `records.Background`."""

    background: Background
    clock: VenueClock
    _held: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Ticker → since when trades are held back, and where the last span that was asked for ended."""

    def book(self, market: Market, at_ms: int) -> Book:
        """The order book at an instant."""
        return self.background.book(market, at_ms - self._behind_ms(market))

    def trades(self, market: Market, first_ms: int, last_ms: int) -> list[BackgroundTrade]:
        """Trades in [first, last) but those of a market that stands still: they come with the span after that.

        Spans that do not join were asked for by a market without orders between them: it needs no trades of that time.
        """
        held_ms, asked_ms = self._held.pop(market.ticker, (first_ms, first_ms))
        since_ms, until_ms = held_ms if asked_ms == first_ms else first_ms, last_ms
        if self._behind_ms(market):
            until_ms = max(since_ms, min(last_ms, self.clock.market_ms(market.ticker) + 1))
            self._held[market.ticker] = (until_ms, last_ms)
        return self.background.trades(market, since_ms, until_ms)

    def oracle_e8(self, market: Market, at_ms: int) -> int:
        """Oracle price at an instant."""
        return self.background.oracle_e8(market, at_ms - self._behind_ms(market))

    def funding_rate_e12(self, market: Market, settled_at_ms: int) -> int:
        """Rate of the funding interval that ends at an instant."""
        return self.background.funding_rate_e12(market, settled_at_ms)

    @property
    def funding_interval_ms(self) -> int:
        """Length of a funding interval."""
        return self.background.funding_interval_ms

    def _behind_ms(self, market: Market) -> int:
        return max(0, self.clock.now_ms() - self.clock.market_ms(market.ticker))
