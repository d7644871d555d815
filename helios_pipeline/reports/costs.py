"""Where the profit went: what the decisions were worth before costs, and what each cost took."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from helios_pipeline.core.records import QUANTA_PER_UNIT, Costs, Instrument
from helios_pipeline.simulation.costs import COST_UNITS, cost_units
from helios_pipeline.simulation.record import Simulation


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSplit:
    """Profit before and after costs, in quanta; `net` is exactly the sum of the others.

    Attributes:
        gross: at the prices that were decided on.
        spread_and_slippage: of every fill against the open or the stop's trigger, to the tick; ≤ 0.
        fees: ≤ 0.
        funding: received, negative when paid.
        net: what the account gained.
    """

    gross: int
    spread_and_slippage: int
    fees: int
    funding: int
    net: int

    def in_quote(self) -> dict[str, float]:
        """Each part in quote currency, in the order of the sum."""
        names = ("gross", "spread_and_slippage", "fees", "funding", "net")
        return {name: getattr(self, name) / QUANTA_PER_UNIT for name in names}


def split_costs(simulation: Simulation, instruments: Sequence[Instrument], costs: Costs) -> CostSplit:
    """Split what a simulation earned.

    A buyer's fill is `ceil(open × (1 + cost))`, so the open is got back exactly; a seller's `floor(open × (1 − cost))`
    leaves two opens possible in rare cases, of which the nearer one is taken.

    Args:
        simulation: of one parameter set.
        instruments: that it traded.
        costs: that its fills include.
    """
    units = cost_units(costs)
    value = {each.instrument_id: each.quanta_per_tick_lot for each in instruments}
    columns = ("instrument_id", "side", "lots", "price_ticks", "reason")
    paid = 0
    for instrument_id, side, lots, ticks, reason in simulation.fills.select(columns).iter_rows():
        cost = units.stop_slippage if reason == "stop_in_bar" else units.spread
        paid += abs(ticks - decided_ticks(ticks, side, cost)) * lots * value[instrument_id]
    net = int(simulation.round_trips["net_quanta"].sum())
    fees = int(simulation.fills["fee_quanta"].sum())
    funding = int(simulation.payments["amount_quanta"].sum())
    return CostSplit(gross=net + fees - funding + paid, spread_and_slippage=-paid, fees=-fees, funding=funding, net=net)


def decided_ticks(ticks: int, side: int, cost: int) -> int:
    """The open or trigger that a fill was made from.

    Args:
        ticks: of the fill.
        side: +1 bought, −1 sold.
        cost: in units of 1e-7.
    """
    if side > 0:
        return ticks * COST_UNITS // (COST_UNITS + cost)
    return -(-ticks * COST_UNITS // (COST_UNITS - cost))


def cost_rows(split: CostSplit, initial_equity_quote: float) -> pl.DataFrame:
    """The parts as a table: part, quote currency, fraction of the starting equity."""
    parts = split.in_quote()
    return pl.DataFrame(
        {
            "part": [name.replace("_", " ") for name in parts],
            "quote": list(parts.values()),
            "of_equity": [amount / initial_equity_quote for amount in parts.values()],
        }
    )
