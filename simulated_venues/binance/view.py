"""The market as the venue sees it now, and what a request asks of it."""

from collections.abc import Callable
from dataclasses import dataclass

from simulated_venues.binance.intervals import Interval, served_intervals
from simulated_venues.binance.query import Query, Refusal, nothing_yet
from simulated_venues.binance.symbols import listed_ms, symbols
from simulated_venues.clock import VenueClock
from simulated_venues.settings import SimulatedInstrument
from simulated_venues.source import MarketSource

Json = object
"""What msgspec writes."""

Record = dict[str, Json]
Answer = Callable[[Query], Json]


@dataclass(frozen=True, slots=True)
class MarketView:
    """A source up to the venue's now.

    Attributes:
        source: the market.
        clock: the venue's.
    """

    source: MarketSource
    clock: VenueClock

    def now_ms(self, instrument: SimulatedInstrument) -> int:
        """The instant at which the market of an instrument stands; nothing later may be told."""
        return self.clock.market_ms(instrument.symbol)

    def span_ms(self, instrument: SimulatedInstrument) -> tuple[int, int]:
        """What there is of an instrument, half open, its now included."""
        oldest = listed_ms(self.source)
        return oldest, max(oldest, self.now_ms(instrument) + 1)

    def instrument(self, query: Query, named: str = "symbol") -> SimulatedInstrument:
        """The instrument that a parameter names.

        Raises:
            Refusal: none, or one that is not listed.
        """
        found = symbols(self.source).get(query.required(named))
        if found is None:
            raise Refusal(-1121, f"Invalid {named}.")
        return found

    def interval(self, query: Query) -> Interval:
        """The interval that is asked for.

        Raises:
            Refusal: none, or one that this world does not serve.
        """
        found = served_intervals(self.source.raw_interval_ms).get(query.required("interval"))
        if found is None:
            raise Refusal(-1120, "Invalid interval.")
        return found

    def each(self, query: Query, make: Callable[[SimulatedInstrument], Record | None]) -> Json:
        """A record of one symbol, or, if none is named, of all of which there is one.

        Raises:
            Refusal: there is none of the symbol.
        """
        if query.text("symbol"):
            found = make(self.instrument(query))
            if found is None:
                raise nothing_yet()
            return found
        return [found for instrument in symbols(self.source).values() if (found := make(instrument)) is not None]
