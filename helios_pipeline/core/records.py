"""Records that several stages share. Prices, quantities and money are Decimal here; arrays begin in `simulation`."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from helios_pipeline.core.errors import SettingsError

QUANTA_PER_UNIT = 100_000_000
"""Money is counted in quanta of 1e-8 of the quote currency."""


REAL_MARKET = "binance"
"""Identity of the real market's data; any other market is simulated, and no evidence for real orders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A perpetual contract as its venue lists it.

    Attributes:
        instrument_id: NautilusTrader's id, e.g. `BTCUSDT-PERP.BINANCE`.
        tick: smallest price step, in quote currency.
        lot: smallest quantity step, in base currency.
        min_quantity: smallest order, in base currency.
        min_notional_quote: smallest order, in quote currency.
        max_notional_quote: largest position Helios may hold, in quote currency.
    """

    instrument_id: str
    tick: Decimal
    lot: Decimal
    min_quantity: Decimal
    min_notional_quote: Decimal
    max_notional_quote: Decimal

    @property
    def symbol(self) -> str:
        """The venue's own name, as in its files and messages: `BTCUSDT`."""
        return self.instrument_id.rpartition(".")[0].removesuffix("-PERP")

    @property
    def venue(self) -> str:
        """`BINANCE` of `BTCUSDT-PERP.BINANCE`."""
        return self.instrument_id.rpartition(".")[2]

    @property
    def quanta_per_tick_lot(self) -> int:
        """Money quanta in one tick times one lot.

        Raises:
            SettingsError: tick times lot is finer than one quantum, so money would not be exact.
        """
        quanta = Fraction(self.tick) * Fraction(self.lot) * QUANTA_PER_UNIT
        if quanta.denominator != 1:
            raise SettingsError(
                f"instrument {self.instrument_id}: expected tick × lot to be a whole number of 1e-8 quanta, "
                f"found {self.tick} × {self.lot}. Correct tick or lot in helios.toml."
            )
        return quanta.numerator


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What trading costs, as exact fractions of notional or price.

    Attributes:
        fee_fraction: taker fee, fraction of notional.
        half_spread_bps: half the quoted spread, in basis points of the price.
        slippage_bps: further adverse move of a market order's fill, in basis points.
        stop_slippage_bps: adverse move of a stop's fill against its trigger, in basis points.
    """

    fee_fraction: Decimal
    half_spread_bps: Decimal
    slippage_bps: Decimal
    stop_slippage_bps: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationLimits:
    """How much may be held.

    Attributes:
        vol_target: yearly standard deviation one position aims at, as a fraction of equity.
        max_leverage: cap of one position's notional, as a multiple of equity.
        gross_cap: cap of all positions' notional together, as a multiple of equity.
        max_open: most positions at once.
    """

    vol_target: float
    max_leverage: float
    gross_cap: float
    max_open: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSettings:
    """What features are made from; fixed for a whole round, unlike the swept parameters.

    Attributes:
        funding_lookback: settlements in the funding z-score (a count).
        funding_std_floor: floor of the standard deviation of the hourly funding rate, fraction per hour.
        atr_bars: true ranges in the average.
        vol_lookback: log returns in the volatility.
        periods_per_year: bars in a year, 35,040 for 15 minutes.
        max_gap_bars: longest run of missing bars that a window may skip; a longer one restarts warm-up.
        open_interest_delay_minutes: publication delay of open interest.
    """

    funding_lookback: int
    funding_std_floor: float
    atr_bars: int
    vol_lookback: int
    periods_per_year: int
    max_gap_bars: int
    open_interest_delay_minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A half-open span of time, UTC: `first` is in it, `last` is not."""

    first: datetime
    last: datetime

    def overlaps(self, other: "Window") -> bool:
        """Whether the two spans share an instant."""
        return self.first < other.last and other.first < self.last
