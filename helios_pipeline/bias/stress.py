"""What is left of a set when trading costs more, or when every order comes late."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal

import numpy as np
import polars as pl

from helios_pipeline.bias.verdict import BiasVerdict
from helios_pipeline.core.records import Costs
from helios_pipeline.features.windows import Floats, Integers
from helios_pipeline.simulation.costs import cost_units, quotes
from helios_pipeline.simulation.inputs import SimulationInputs
from helios_pipeline.simulation.kernel import simulate
from helios_pipeline.strategy.parameters import ParameterSet

COSTS, DELAY = "costs", "delay"
EVERYTHING = "all"
COST_KINDS = ("fees", "slippage", "funding", EVERYTHING)
"""What is made dearer: fees; half spread and slippage of market orders and stops; funding payments, received ones too;
all three at once."""

FIGURES = ("net_return", "sharpe", "max_drawdown", "round_trips", "win_rate")
FINEST = Decimal("1e-7")
BPS = Decimal(10_000)


def stress_costs(
    inputs: SimulationInputs, parameters: ParameterSet, factors: Sequence[float], *, survived: float
) -> BiasVerdict:
    """Re-run a set with each cost times each factor.

    The signal sees none of it: funding is made dearer where it is paid, not in its score.

    Args:
        inputs: as the round had them.
        parameters: the set.
        factors: of the costs, any order; 1 is as charged.
        survived: the factor of everything at which the set must still gain.

    Returns:
        Passed if the set gains at `survived`; one row per kind of cost and factor.
    """
    rows: list[dict[str, object]] = []
    for kind in COST_KINDS:
        for factor in sorted({*factors, survived}):
            times = {each: factor if kind in (each, EVERYTHING) else 1.0 for each in COST_KINDS[:-1]}
            dearer = with_costs(inputs, **times)
            rows.append({"cost": kind, "factor": factor, **_run(dearer, parameters)})
    frame = pl.DataFrame(rows)
    everything = frame.filter(pl.col("cost") == EVERYTHING)
    left = everything.row(by_predicate=pl.col("factor") == survived, named=True)["net_return"]
    even = break_even(everything["factor"].to_numpy(), everything["net_return"].to_numpy())
    return BiasVerdict(
        name=COSTS,
        passed=left > 0,
        sentence=f"With fees, slippage and funding {survived:g} times as high the set's net return is {left:+.1%}; "
        f"{_break_even_words(even, everything)}.",
        rows=frame,
    )


def stress_delay(inputs: SimulationInputs, parameters: ParameterSet, delays: Sequence[int]) -> BiasVerdict:
    """Re-run a set whose orders come late by some bars.

    Args:
        inputs: as the round had them.
        parameters: the set.
        delays: bars, 1 or more each.

    Returns:
        Passed if the set still gains with the smallest delay; one row per delay, 0 first.
    """
    bars = sorted({0, *delays})
    frame = pl.DataFrame([{"late_bars": late, **_run(delay_orders(inputs, late), parameters)} for late in bars])
    on_time, late = (frame.row(at, named=True) for at in (0, 1))
    return BiasVerdict(
        name=DELAY,
        passed=late["net_return"] > 0,
        sentence=f"With every order {late['late_bars']} bar{'' if late['late_bars'] == 1 else 's'} late the set's net "
        f"return is {late['net_return']:+.1%} instead of {on_time['net_return']:+.1%}, its Sharpe ratio "
        f"{late['sharpe']:.2f} instead of {on_time['sharpe']:.2f}.",
        rows=frame,
    )


def with_costs(inputs: SimulationInputs, *, fees: float, slippage: float, funding: float) -> SimulationInputs:
    """The same market with each cost times a factor, rounded up to 1e-7 of the notional."""
    costs = Costs(
        fee_fraction=_times(inputs.costs.fee_fraction, fees, FINEST),
        half_spread_bps=_times(inputs.costs.half_spread_bps, slippage, FINEST * BPS),
        slippage_bps=_times(inputs.costs.slippage_bps, slippage, FINEST * BPS),
        stop_slippage_bps=_times(inputs.costs.stop_slippage_bps, slippage, FINEST * BPS),
    )
    slots, settlements = inputs.slots.copy(), inputs.settlements.copy()
    spread = cost_units(costs).spread
    for m in range(len(inputs.instruments)):
        slots["bid"][:, m], slots["ask"][:, m] = quotes(np.ascontiguousarray(inputs.opens[:, m]), spread)
    settlements["rate"] = np.rint(settlements["rate"] * funding).astype(np.int64)
    return replace(inputs, costs=costs, slots=slots, settlements=settlements)


def delay_orders(inputs: SimulationInputs, bars: int) -> SimulationInputs:
    """The same decisions, filled some bars later: what trades at a boundary is what traded `bars` later.

    Closes and scores stay where they are, so every decision is the one of the round as long as positions are; quotes,
    lows, highs and settlements come from later slots. Where the later bar is missing, the earlier one counts as
    missing too. After the last bar nothing trades.

    Args:
        inputs: as the round had them.
        bars: 0 or more.
    """
    slots, opens = inputs.slots.copy(), _later(inputs.opens, bars)
    for name in ("bid", "ask", "low", "high", "settlement"):
        slots[name] = _later(inputs.slots[name], bars)
    if bars > 0:
        slots["settlement"][-bars:] = -1
    slots["ask"][inputs.slots["ask"] == 0] = 0
    slots["bid"][slots["ask"] == 0] = 0
    z_funding = np.where(slots["ask"] > 0, inputs.z_funding, np.nan)
    return replace(inputs, slots=slots, opens=np.where(slots["ask"] > 0, opens, 0), z_funding=z_funding)


def break_even(factors: Floats, returns: Floats) -> float | None:
    """The factor at which a net return falls to zero, straight between neighbours; None if it never does."""
    for low in range(len(factors) - 1):
        above, below = returns[low], returns[low + 1]
        if above > 0 >= below:
            return float(factors[low] + (factors[low + 1] - factors[low]) * above / (above - below))
    return None


def _run(inputs: SimulationInputs, parameters: ParameterSet) -> Mapping[str, float]:
    found = simulate(inputs, parameters, start=inputs.first_slot, stop=len(inputs.opened_at)).metrics
    return {name: found[name] for name in FIGURES}


def _times(cost: Decimal, factor: float, finest: Decimal) -> Decimal:
    return (cost * Decimal(str(factor)) / finest).to_integral_value(ROUND_CEILING) * finest


def _later(values: Integers, bars: int) -> Integers:
    """Each slot's value is the one `bars` slots later; 0 beyond the end."""
    moved = np.zeros_like(values)
    moved[: len(values) - bars] = values[bars:]
    return moved


def _break_even_words(even: float | None, everything: pl.DataFrame) -> str:
    if even is not None:
        return f"it loses its last gain at {even:.2f} times"
    gains = everything["net_return"][0] > 0
    highest, lowest = everything["factor"][-1], everything["factor"][0]
    return f"it still gains at {highest:g} times" if gains else f"it loses even at {lowest:g} times"
