"""How much each wanted entry gets, across markets: compiled, and the same for kernel, backtest and engine.

Prices are int64 ticks, quantities int64 lots, money int64 quanta of 1e-8.
"""

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.core.records import QUANTA_PER_UNIT, Instrument
from helios_pipeline.features.compiled import allocation_free
from helios_pipeline.features.windows import Floats, Integers

CONTRACT = np.dtype(
    [
        ("quanta_per_tick_lot", np.int64),
        ("min_lots", np.int64),
        ("min_notional", np.int64),
        ("max_notional", np.int64),
        ("tick", np.float64),
        ("tick_quanta", np.int64),
        ("lot_numerator", np.int64),
        ("lot_denominator", np.int64),
    ]
)
"""One market's sizes: money quanta of one tick times one lot; smallest order in lots and in quanta; largest position in
quanta; the tick as a price and in quanta; the lot as an exact fraction of the base currency."""

Contracts = npt.NDArray[np.void]

TAKEN, BELOW_MINIMUM, WITHOUT_VOLATILITY, CROWDED_OUT, NOT_WANTED = 0, 1, 2, 3, 4
"""What became of a market's intent."""


class Limits(NamedTuple):
    """`AllocationLimits` as the compiled functions take them."""

    vol_target: float
    max_leverage: float
    gross_cap: float
    max_open: int


class AccountState(NamedTuple):
    """The account at a decision, positions that exit at it left out.

    Attributes:
        equity: cash and unrealised profit at the closes, in quanta.
        gross_kept: notional of the positions kept, at the closes, in quanta.
        open_kept: number of positions kept.
    """

    equity: int
    gross_kept: int
    open_kept: int


class Candidates(NamedTuple):
    """What `allocate` knows of the markets, one entry each, in the order of instrument ids.

    Attributes:
        intents: −1 or +1 where an entry is wanted, else 0.
        strengths: |s|.
        closes: last close in ticks.
        volatilities: σ per year; NaN for none.
        stop_ranges: ATR in price where a stop needs it, else any number; NaN for none.
    """

    intents: Integers
    strengths: Floats
    closes: Integers
    volatilities: Floats
    stop_ranges: Floats


def whole_units(name: str, value: Fraction) -> int:
    """A configured amount as an integer of its unit.

    Raises:
        SettingsError: it is not a positive whole number of them.
    """
    if value.denominator != 1 or value <= 0:
        raise SettingsError(f"{name}: expected a positive whole number of its smallest unit, found {value} of them.")
    return value.numerator


def make_contract(instrument: Instrument) -> tuple[object, ...]:
    """One `CONTRACT`; minima are rounded up to a lot and a quantum, the cap down.

    Raises:
        SettingsError: tick or lot is finer than exact money can hold.
    """
    lot = Fraction(instrument.lot)
    name = instrument.instrument_id
    tick_quanta = whole_units(f"tick of {name} in 1e-8", Fraction(instrument.tick) * QUANTA_PER_UNIT)
    if lot.denominator > QUANTA_PER_UNIT:
        raise SettingsError(f"lot of {name}: expected at most 8 decimals, found {instrument.lot}.")
    return (
        instrument.quanta_per_tick_lot,
        max(1, -(-Fraction(instrument.min_quantity) // lot)),
        -(-Fraction(instrument.min_notional_quote) * QUANTA_PER_UNIT // 1),
        min(Fraction(instrument.max_notional_quote) * QUANTA_PER_UNIT // 1, 2**62),
        float(instrument.tick),
        tick_quanta,
        lot.numerator,
        lot.denominator,
    )


@allocation_free
def allocate(
    candidates: Candidates,
    account: AccountState,
    limits: Limits,
    contracts: Contracts,
    lots: Integers,
    outcomes: Integers,
) -> None:
    """Give each wanted entry its quantity, strongest first.

    notional = min(vol_target / σ, max_leverage) × equity, at most the market's own cap and what is left of gross_cap ×
    equity; quantity = notional floored to lots at the close. Entries rank by |s|, ties by market order. One that is
    below a minimum, or lacks σ or the ATR of its stop, takes no place.

    Args:
        candidates: the markets.
        account: what is free.
        limits: caps.
        contracts: sizes, one `CONTRACT` a market.
        lots: receives the quantity, 0 for no entry.
        outcomes: receives what became of each intent.
    """
    markets = len(lots)
    ranked = 0
    for m in range(markets):
        lots[m] = 0
        outcomes[m] = NOT_WANTED
        if candidates.intents[m] != 0:
            ranked += 1
            # Not yet served.
            outcomes[m] = -1
    places = limits.max_open - account.open_kept
    free = limits.gross_cap * account.equity - account.gross_kept
    for _ in range(ranked):
        best = strongest(candidates.strengths, outcomes)
        if places <= 0:
            outcomes[best] = CROWDED_OUT
            continue
        sigma = candidates.volatilities[best]
        if not sigma > 0.0 or math.isnan(candidates.stop_ranges[best]):
            outcomes[best] = WITHOUT_VOLATILITY
            continue
        notional = min(limits.vol_target / sigma, limits.max_leverage) * account.equity
        notional = min(notional, float(contracts[best].max_notional), free)
        lot_value = candidates.closes[best] * contracts[best].quanta_per_tick_lot
        quantity = np.int64(notional) // lot_value if notional > 0.0 else np.int64(0)
        value = quantity * lot_value
        if quantity < contracts[best].min_lots or value < contracts[best].min_notional:
            outcomes[best] = BELOW_MINIMUM
            continue
        lots[best] = quantity
        outcomes[best] = TAKEN
        places -= 1
        free -= value


@allocation_free
def strongest(strengths: Floats, outcomes: Integers) -> int:
    """The market not yet served whose |s| is largest, the first of equals."""
    best = -1
    for m in range(len(outcomes)):
        if outcomes[m] == -1 and (best < 0 or strengths[m] > strengths[best]):
            best = m
    return best


@allocation_free
def stop_ticks(entry_ticks: int, side: int, stop_atr: float, atr: float, tick: float) -> int:
    """Trigger of the protective stop: `entry ∓ ceil(stop_atr × ATR / tick)` ticks; 0 where there is none.

    A long whose stop would lie at or below zero has none.
    """
    if stop_atr == 0.0:
        return 0
    trigger = entry_ticks - side * math.ceil(stop_atr * atr / tick)
    return trigger if trigger > 0 else 0
