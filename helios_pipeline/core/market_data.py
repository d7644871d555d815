"""What a signal venue publishes and an engine learns from: raw klines and funding settlements, in exact numbers.

Prices and quantities are whole units of 1e-8 (`QUANTA_PER_UNIT` in one), so that they are exact, fast, and become the
same float as the venue's own text: `units / QUANTA_PER_UNIT` rounds once, correctly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from helios_pipeline.core.records import QUANTA_PER_UNIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """Prices and volume of a stretch of time, in units of 1e-8.

    Attributes:
        opened_ms: its start, milliseconds since 1970.
        open, high, low, close: in quote currency.
        volume: in base currency.
    """

    opened_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int

    @property
    def columns(self) -> tuple[Decimal, ...]:
        """Open, high, low, close, volume."""
        return tuple(
            Decimal(units) / QUANTA_PER_UNIT for units in (self.open, self.high, self.low, self.close, self.volume)
        )


def units(text: str | Decimal) -> int:
    """A price or quantity in units of 1e-8.

    Raises:
        ValueError: it is finer than that.
    """
    scaled = Decimal(text).scaleb(8)
    whole = int(scaled)
    if whole != scaled:
        raise ValueError(f"a price or quantity: expected at most 8 decimals, found {text}.")
    return whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """A funding settlement as published.

    Attributes:
        settled_at: the published stamp floored to the market's hour.
        rate: fraction of notional for its interval.
        interval_hours: of the market, that it is for.
    """

    settled_at: datetime
    rate: float
    interval_hours: int


class MarketHistory(Protocol):
    """Reads what a signal venue published, over REST. Every method blocks, and raises `DataError` if it can't."""

    def now(self) -> datetime:
        """The venue's clock."""

    def klines(self, instrument_id: str, raw_seconds: int, first: datetime, last: datetime) -> Sequence[Candle]:
        """Closed raw klines that open in [first, last), oldest first."""

    def settlements(self, instrument_id: str, hour_seconds: int, first: datetime) -> Sequence[Settlement]:
        """Settlements published since `first`, oldest first; stamps are floored to hours of that length."""
