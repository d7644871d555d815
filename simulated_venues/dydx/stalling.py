"""The background as accounts meet it: it stands still while a fault says so."""

from dataclasses import dataclass

from simulated_venues.clock import VenueClock
from simulated_venues.dydx.records import Background, BackgroundTrade, Market
from simulated_venues.source import Book


@dataclass(frozen=True, slots=True)
class StallingBackground:
    """A background whose markets stay at the instant at which `stale_prices` began; see `records.Background`."""

    background: Background
    clock: VenueClock

    def book(self, market: Market, at_ms: int) -> Book:
        """The order book at an instant."""
        return self.background.book(market, at_ms - self._behind_ms(market))

    def trades(self, market: Market, first_ms: int, last_ms: int) -> list[BackgroundTrade]:
        """Trades in [first, last): none while the market stands still."""
        if self._behind_ms(market):
            return []
        return self.background.trades(market, first_ms, last_ms)

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
