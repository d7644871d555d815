"""Perpetuals as the protocol counts them, and exact conversion of prices and sizes into its integers."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from helios_pipeline.core.errors import VenueError

VENUE = "DYDX"
QUOTE_DECIMALS = 6
"""USDC is counted in millionths."""

BUY, SELL = 1, -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """A perpetual.

    Attributes:
        ticker: `BTC-USD`.
        clob_pair_id: its number on the chain.
        atomic_resolution: a base quantum is 10^this of the base currency.
        quantum_conversion_exponent: of prices, see `price`.
        step_base_quantums, subticks_per_tick: smallest steps of size and price, in protocol units.
    """

    ticker: str
    clob_pair_id: int
    atomic_resolution: int
    quantum_conversion_exponent: int
    step_base_quantums: int
    subticks_per_tick: int

    @property
    def instrument_id(self) -> str:
        """As NautilusTrader names it: `BTC-USD-PERP.DYDX`."""
        return f"{self.ticker}-PERP.{VENUE}"

    @property
    def step(self) -> Decimal:
        """Smallest step of size, base currency."""
        return Decimal(self.step_base_quantums).scaleb(self.atomic_resolution)

    @property
    def tick(self) -> Decimal:
        """Smallest step of price, quote currency."""
        return self.price(self.subticks_per_tick)

    def price(self, subticks: int) -> Decimal:
        """Subticks in quote currency."""
        return Decimal(subticks).scaleb(self._price_exponent)

    def quantums(self, size: Decimal) -> int:
        """A size in base quantums, exact.

        Raises:
            VenueError: it is not a positive multiple of the step.
        """
        quantums = size.scaleb(-self.atomic_resolution)
        if quantums <= 0 or quantums % self.step_base_quantums:
            raise VenueError(
                f"size of {self.ticker}: expected a positive multiple of {self.step}, found {size}. Round it down."
            )
        return int(quantums)

    def subticks(self, price: Decimal, *, side: int | None = None) -> int:
        """A price in subticks.

        Args:
            price: in quote currency.
            side: of an order whose limit may be rounded: +1 up, −1 down, so that it takes no less than was asked for.
                None: the price must be on a tick.

        Raises:
            VenueError: it is not positive, or off the tick and must not be rounded.
        """
        ticks = price.scaleb(-self._price_exponent) / self.subticks_per_tick
        whole = ticks.to_integral_value(ROUND_CEILING if side == BUY else ROUND_FLOOR)
        if whole <= 0 or (side is None and whole != ticks):
            raise VenueError(f"price of {self.ticker}: expected a positive multiple of {self.tick}, found {price}.")
        return int(whole) * self.subticks_per_tick

    @property
    def _price_exponent(self) -> int:
        return self.quantum_conversion_exponent - QUOTE_DECIMALS - self.atomic_resolution


def read_market(document: Mapping[str, Any]) -> Market:
    """A perpetual of the indexer's `perpetualMarkets`.

    Raises:
        VenueError: a field is missing or no number.
    """
    try:
        return Market(
            ticker=str(document["ticker"]),
            clob_pair_id=int(document["clobPairId"]),
            atomic_resolution=int(document["atomicResolution"]),
            quantum_conversion_exponent=int(document["quantumConversionExponent"]),
            step_base_quantums=int(document["stepBaseQuantums"]),
            subticks_per_tick=int(document["subticksPerTick"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise VenueError(
            f"dYdX market: expected the indexer's fields of a perpetual, found {document!r} ({error!r}). "
            "The indexer speaks another version."
        ) from error


def ticker_of(instrument_id: str) -> str:
    """`BTC-USD` of `BTC-USD-PERP.DYDX`.

    Raises:
        VenueError: an instrument of another venue or kind.
    """
    ticker, dash, venue = instrument_id.rpartition("-PERP.")
    if not dash or venue != VENUE:
        raise VenueError(f"instrument: expected one like BTC-USD-PERP.{VENUE}, found {instrument_id!r}.")
    return ticker
