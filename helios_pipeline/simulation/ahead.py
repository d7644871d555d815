"""The kernel compiled, or its machine code loaded, while the rest of a command is still getting ready."""

import threading
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np

from helios_pipeline.core.records import AllocationLimits, Costs, FeatureSettings, Instrument
from helios_pipeline.simulation.arrays import PARAMETERS, SETTLEMENT, SLOT
from helios_pipeline.simulation.costs import quotes
from helios_pipeline.simulation.inputs import SLOT_MILLISECONDS, SimulationInputs
from helios_pipeline.simulation.kernel import evaluate
from helios_pipeline.strategy.allocation import CONTRACT, make_contract

_SLOTS = 2
_FIRST = datetime(2024, 1, 1, tzinfo=UTC)
_INSTRUMENT = Instrument(
    instrument_id="NOTHING",
    tick=Decimal(1),
    lot=Decimal(1),
    min_quantity=Decimal(1),
    min_notional_quote=Decimal(1),
    max_notional_quote=Decimal(1),
)
_NO_COSTS = Costs(
    fee_fraction=Decimal(0), half_spread_bps=Decimal(0), slippage_bps=Decimal(0), stop_slippage_bps=Decimal(0)
)
_FEATURES = FeatureSettings(
    funding_lookback=1,
    funding_std_floor=1.0,
    atr_bars=1,
    vol_lookback=1,
    periods_per_year=1,
    max_gap_bars=1,
    open_interest_delay_minutes=0,
)


def compile_ahead(markets: int) -> None:
    """Compile in a thread of its own what a sweep over so many markets calls; a sweep that begins earlier waits.

    The compiler lets go of the interpreter for half of its time, so imports, database and market data overlap with it.
    A command that ends earlier waits for it too: a process that ends in the middle of the compiler may crash.
    """
    threading.Thread(target=compile_kernel, args=(markets,), name="compile-ahead").start()


def compile_kernel(markets: int) -> None:
    """Evaluate one set on slots without bars, which has the types of any evaluation."""
    quotes(np.ones(1, np.int64), 0)
    sets = np.zeros(1, PARAMETERS)
    sets["lookback_bars"] = 2
    evaluate(empty_inputs(markets), sets, start=0, stop=_SLOTS)


def empty_inputs(markets: int) -> SimulationInputs:
    """Slots without bars."""
    first = int(_FIRST.timestamp() * 1000)
    return SimulationInputs(
        instruments=(_INSTRUMENT,) * markets,
        opened_at=first + np.arange(_SLOTS, dtype=np.int64) * SLOT_MILLISECONDS,
        first_slot=0,
        opens=np.zeros((_SLOTS + 1, markets), np.int64),
        slots=np.zeros((_SLOTS + 1, markets), SLOT),
        z_funding=np.full((_SLOTS + 1, markets), np.nan),
        settlements=np.zeros(0, SETTLEMENT),
        contracts=np.array([make_contract(_INSTRUMENT)] * markets, CONTRACT),
        costs=_NO_COSTS,
        limits=AllocationLimits(vol_target=1.0, max_leverage=1.0, gross_cap=1.0, max_open=1),
        feature_settings=_FEATURES,
        initial_equity_quanta=1,
    )
