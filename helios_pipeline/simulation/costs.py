"""Fills and fees in exact integers: prices in ticks, money in quanta of 1e-8, cost fractions in units of 1e-7."""

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.core.records import Costs
from helios_pipeline.features.compiled import allocation_free, over_arrays
from helios_pipeline.features.windows import Integers

COST_UNITS = 10_000_000
"""A cost fraction is counted in 1e-7, i.e. in thousandths of a basis point."""


class CostUnits(NamedTuple):
    """`Costs` in units of 1e-7.

    Attributes:
        fee: fraction of notional.
        spread: half spread and slippage together, fraction of price.
        stop_slippage: fraction of a stop's trigger.
    """

    fee: int
    spread: int
    stop_slippage: int


def cost_units(costs: Costs) -> CostUnits:
    """Costs as whole units of 1e-7.

    Raises:
        SettingsError: a cost is negative, 10 % or more, or finer than 1e-7 (0.001 bps); it is never rounded.
    """
    bps = Fraction(1, 10_000)
    return CostUnits(
        fee=_units("fee_fraction", costs.fee_fraction, Fraction(1)),
        spread=_units("half_spread_bps", costs.half_spread_bps, bps) + _units("slippage_bps", costs.slippage_bps, bps),
        stop_slippage=_units("stop_slippage_bps", costs.stop_slippage_bps, bps),
    )


def _units(name: str, value: Decimal, scale: Fraction) -> int:
    units = Fraction(value) * scale * COST_UNITS
    if units.denominator != 1 or not 0 <= units < COST_UNITS // 10:
        raise SettingsError(
            f"costs.{name}: expected a whole number of 1e-7 of the notional, at least 0 and below 10 %, found "
            f"{value:f}. Correct it in helios.toml."
        )
    return units.numerator


@allocation_free
def buy_ticks(ticks: int, cost: int) -> int:
    """Where a buyer is filled: `ceil(ticks × (1 + cost))`."""
    return -(-ticks * (COST_UNITS + cost) // COST_UNITS)


@allocation_free
def sell_ticks(ticks: int, cost: int) -> int:
    """Where a seller is filled: `floor(ticks × (1 − cost))`."""
    return ticks * (COST_UNITS - cost) // COST_UNITS


def quotes(opens: Integers, cost: int) -> tuple[Integers, Integers]:
    """Bid and ask around each open: where a seller and a buyer are filled."""
    return over_arrays(sell_ticks)(opens, cost), over_arrays(buy_ticks)(opens, cost)


@allocation_free
def exit_ticks(bid: int, ask: int, side: int) -> int:
    """The price at which a position of that side is closed."""
    return bid if side > 0 else ask


@allocation_free
def stop_fill_ticks(stop: int, side: int, slippage: int) -> int:
    """Fill of a triggered stop: its trigger, moved against the trader and rounded against him."""
    ticks: int = sell_ticks(stop, slippage) if side > 0 else buy_ticks(stop, slippage)
    return ticks


@allocation_free
def fee_quanta(value: int, fee: int) -> int:
    """Fee on a notional, half a quantum rounded up; the product is split, so that it can't overflow.

    Args:
        value: notional in quanta, ≥ 0.
        fee: fraction in units of 1e-7.
    """
    whole, rest = value // COST_UNITS, value % COST_UNITS
    return whole * fee + (rest * fee + COST_UNITS // 2) // COST_UNITS
