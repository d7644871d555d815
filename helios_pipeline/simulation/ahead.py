"""Calls everything compiled that a sweep calls, with nothing to do: what is compiled or loaded here need not be later.

In parts that can be taken side by side; only `compile_run` needs what the steps have made, or makes it itself.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numba
import numpy as np

from helios_pipeline.core.records import AllocationLimits, Costs, FeatureSettings, Instrument
from helios_pipeline.simulation.arrays import PARAMETERS, SETTLEMENT, SLOT, Market, Run, new_book
from helios_pipeline.simulation.inputs import SLOT_MILLISECONDS, SimulationInputs
from helios_pipeline.simulation.kernel import PriceScores, make_span
from helios_pipeline.simulation.skipping import (
    enter,
    foresee_exit,
    leave_at_open,
    leave_decided,
    next_due,
    pass_held,
    rank_entries,
    run_sets,
    watch_bar,
)
from helios_pipeline.simulation.skips import Skips, price_skips
from helios_pipeline.simulation.summary import BLOCKS, METRICS, summarise
from helios_pipeline.strategy.allocation import CONTRACT, AccountState, make_contract
from helios_pipeline.strategy.signal import SignalRule

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


def compile_short_steps(markets: int) -> None:
    """The short steps of a run over so many markets, and its summary: half of the work."""
    run, skips = _run(empty_inputs(markets))
    _compile(next_due, run, skips, 0)
    _compile(leave_at_open, run, 0)
    _compile(leave_decided, run, skips, 0, 0)
    _compile(rank_entries, run, skips, 0, AccountState(0, 0, 0))
    _compile(enter, run, 0, 0)
    _compile(watch_bar, run, 0)
    _compile(summarise, run.span, run.book, np.zeros(len(METRICS)), np.zeros((BLOCKS, 3)))


def compile_long_steps(markets: int) -> None:
    """The long steps of a run: the other half."""
    run, skips = _run(empty_inputs(markets))
    _compile(pass_held, run, skips, 0, 0)
    _compile(foresee_exit, run, skips, 0, 0)


def compile_scores(markets: int) -> None:
    """The price scores of so many markets."""
    PriceScores(empty_inputs(markets), 0, _SLOTS).market(2)


def compile_run(markets: int) -> None:
    """The run of a set over so many markets, with all its steps."""
    run, skips = _run(empty_inputs(markets))
    run_sets(
        market=run.market,
        skips=skips,
        span=run.span,
        points=np.zeros(0, PARAMETERS),
        chosen=np.zeros(0, np.int64),
        costs=run.costs,
        limits=run.limits,
        book=run.book,
        rows=np.zeros((0, len(METRICS))),
        blocks=np.zeros((0, BLOCKS, 3)),
    )


def _compile(step: Any, *arguments: object) -> None:  # noqa: ANN401 - numba's dispatchers have no public type
    """A step for arguments like these: it can't be called from here, it has no entry for Python."""
    step.compile(tuple(numba.typeof(each) for each in arguments))


def empty_inputs(markets: int) -> SimulationInputs:
    """Slots without bars, which have the types of any inputs."""
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


def _run(inputs: SimulationInputs) -> tuple[Run, Skips]:
    """A run that nothing has been decided of."""
    span = make_span(inputs, 0, _SLOTS)
    scores = np.full(inputs.slots.shape, np.nan)
    run = Run(
        market=Market(inputs.slots, inputs.z_funding, scores, inputs.settlements, inputs.contracts),
        span=span,
        rule=SignalRule(0.0, 0.0, 0.0, 0),
        cooldown_bars=0,
        stop_atr=0.0,
        costs=inputs.cost_units,
        limits=inputs.compiled_limits,
        book=new_book(len(inputs.instruments), span.days, 0),
    )
    return run, price_skips(inputs.slots, span.first_day_slot, span.slots_per_day)
