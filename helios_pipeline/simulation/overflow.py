"""Refuse, before a run, any that could leave the range of exact 64-bit money."""

from collections.abc import Sequence

import numpy as np

from helios_pipeline.core.errors import SimulationError
from helios_pipeline.core.records import Instrument
from helios_pipeline.simulation.arrays import Records
from helios_pipeline.simulation.costs import COST_UNITS, CostUnits
from helios_pipeline.simulation.funding import RATE_UNITS

LARGEST = float(2**62)
"""Half of what int64 holds, so that the estimates below need not be exact."""


def refuse_overflow(
    slots: Records,
    settlements: Records,
    contracts: Records,
    costs: CostUnits,
    instruments: Sequence[Instrument],
    initial_equity: int,
) -> None:
    """Bound everything the kernel sums, for a position of `max_notional_quote` held and traded in every slot.

    A round trip earns no more than the moves between its fills; at most one position is entered and left per slot and
    market. So cash stays within initial equity + Σ (every move + costs of two fills) × the largest quantity + funding.

    Raises:
        SimulationError: an amount could pass 2^62; names the instrument and its limit.
    """
    cash = float(initial_equity)
    for m, instrument in enumerate(instruments):
        contract, market = contracts[m], slots[:-1, m][slots["ask"][:-1, m] > 0]
        if not len(market):
            continue
        lots = float(contract["max_notional"]) / (float(market["close"].min()) * float(contract["quanta_per_tick_lot"]))
        highest = np.maximum(market["high"], market["ask"]).astype(np.float64)
        lowest = np.minimum(market["low"], market["bid"]).astype(np.float64)
        moves = (highest - lowest).sum() + np.abs(np.diff(market["close"])).sum()
        fees = 2.0 * highest.sum() * (costs.fee + costs.spread + costs.stop_slippage) / COST_UNITS
        settled = slots["settlement"][:, m]
        own = settlements[settled[settled >= 0]]
        marks = float(own["mark"].max(initial=0))
        position_marks = lots * float(contract["lot_numerator"]) * marks
        value = lots * highest.max() * float(contract["quanta_per_tick_lot"])
        payments = np.abs(own["rate"]).sum() / RATE_UNITS * position_marks / float(contract["lot_denominator"])
        cash += lots * (moves + fees) * float(contract["quanta_per_tick_lot"]) + payments
        largest = max(cash, value * len(instruments), position_marks)
        if largest >= LARGEST:
            allowed = float(instrument.max_notional_quote) * LARGEST / largest
            raise SimulationError(
                f"max_notional_quote of {instrument.instrument_id}: expected at most about {allowed:,.0f} over "
                f"{len(slots) - 1} bars, so that sums stay within 64 bits of 1e-8 quanta, found "
                f"{instrument.max_notional_quote:,}. Lower it, or simulate a shorter span."
            )
