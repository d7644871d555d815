"""Whether any past decision changes when the future is taken away."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from helios_pipeline.bias.market import Market, make_inputs
from helios_pipeline.bias.verdict import BiasVerdict, first_difference
from helios_pipeline.core.records import Window
from helios_pipeline.features.settlements import as_datetime
from helios_pipeline.simulation.inputs import SLOT_MILLISECONDS, SimulationInputs
from helios_pipeline.simulation.kernel import simulate
from helios_pipeline.strategy.parameters import ParameterSet

NAME = "look_ahead"
CHANGES_SCHEMA = pl.Schema(
    {
        "known_until": pl.Datetime("us", "UTC"),
        "parameters": pl.String(),
        "fills_before": pl.Int64(),
        "changed": pl.String(),
    }
)
"""One row per instant and set: how many fills came before, and the first of them that is otherwise without what came
later; null for none. Features have a row without parameters, null in both."""

SETTLEMENTS_APART = timedelta(hours=8)
AFTER = (timedelta(0), timedelta(minutes=15), timedelta(hours=3, minutes=45))
"""Where between settlements history is cut off: as one happens, just after, and in between."""


def cut_instants(window: Window, count: int) -> list[datetime]:
    """Instants spread over a window, by turns at a settlement, just after it, and between two."""
    step = (window.last - window.first) / (count + 1)
    midnight = window.first.replace(hour=0, minute=0, second=0, microsecond=0)
    cuts = []
    for at in range(count):
        into = window.first + step * (at + 1) - midnight
        cuts.append(midnight + into // SETTLEMENTS_APART * SETTLEMENTS_APART + AFTER[at % len(AFTER)])
    return cuts


def find_look_ahead(
    inputs: SimulationInputs,
    market: Market,
    points: Sequence[ParameterSet],
    instants: Sequence[datetime],
    *,
    make: Callable[[Market], SimulationInputs] = make_inputs,
) -> BiasVerdict:
    """Run sets on what was known at each instant; nothing before it may be otherwise than in the whole run.

    Features, fills (side, size, price, fee, reason) and equity at every bar's close are compared to the last bit, up to
    the instant: there the shorter run closes its positions.

    Args:
        inputs: as the round had them.
        market: what they were made from.
        points: sets to run.
        instants: inside the window; where history is cut off.
        make: makes inputs of a market; only a test that plants a bias has another one.

    Returns:
        Passed if nothing changed; rows are `CHANGES_SCHEMA`.
    """
    first, last = inputs.first_slot, len(inputs.opened_at)
    whole = [simulate(inputs, point, start=first, stop=last) for point in points]
    rows: list[dict[str, object]] = []
    for instant in instants:
        known = make(market.known_at(instant))
        rows.append({"known_until": instant, "changed": _changed_features(inputs, known)})
        stop = len(known.opened_at)
        before_us = (int(known.opened_at[-1]) + SLOT_MILLISECONDS) * 1000
        for point, run in zip(points, whole, strict=True):
            cut = simulate(known, point, start=known.first_slot, stop=stop)
            fills = run.fills.filter(pl.col("filled_at_ns") < before_us * 1000).height
            changed = first_difference(run, cut, before_us=before_us)
            row = {"known_until": instant, "parameters": point.canonical, "fills_before": fills, "changed": changed}
            rows.append(row)
    frame = pl.DataFrame(rows, schema=CHANGES_SCHEMA)
    changes = frame["changed"].drop_nulls()
    compared = int(frame["fills_before"].sum())
    return BiasVerdict(
        name=NAME,
        passed=changes.is_empty(),
        sentence=f"The future was taken away at {len(instants)} instants for {len(points)} sets: of {compared:,} "
        f"earlier fills and the features before them "
        f"{'none changed' if changes.is_empty() else f'some changed, first of all: {changes[0]}'}.",
        rows=frame,
    )


def _changed_features(inputs: SimulationInputs, known: SimulationInputs) -> str | None:
    """The first feature that is otherwise, in any bit."""
    slots = len(known.opened_at)
    for name, whole, cut in (
        ("z_funding", inputs.z_funding, known.z_funding),
        ("volatility", inputs.slots["volatility"], known.slots["volatility"]),
        ("atr", inputs.slots["atr"], known.slots["atr"]),
    ):
        bits, others = (np.ascontiguousarray(values[:slots]).view(np.int64) for values in (whole, cut))
        different = np.argwhere(bits != others)
        if len(different):
            slot, m = (int(at) for at in different[0])
            when = as_datetime(int(inputs.opened_at[slot]) * 1000)
            return (
                f"{name} of {inputs.instruments[m].instrument_id}, bar of {when:%Y-%m-%d %H:%M} UTC: "
                f"{whole[slot, m]} with everything, {cut[slot, m]} without"
            )
    return None
