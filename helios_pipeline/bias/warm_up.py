"""Whether decisions depend on how much history lies before them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl

from helios_pipeline.bias.market import Market, make_inputs
from helios_pipeline.bias.verdict import BiasVerdict, first_difference
from helios_pipeline.core.errors import DataError
from helios_pipeline.core.records import Window
from helios_pipeline.features.settlements import as_datetime
from helios_pipeline.simulation.inputs import SimulationInputs
from helios_pipeline.simulation.kernel import simulate
from helios_pipeline.strategy.parameters import ParameterSet

NAME = "warm_up"
HISTORY_SCHEMA = pl.Schema(
    {
        "history_bars": pl.Int64(),
        "begins": pl.Datetime("us", "UTC"),
        "parameters": pl.String(),
        "fills": pl.Int64(),
        "changed": pl.String(),
    }
)
"""One row per amount of history and set; `changed`: the first difference from the run with all history, null for
none."""

TIMES = (1, 2, 4)
"""How many times the least that the windows need is given."""


def needed_bars(market: Market, points: Sequence[ParameterSet]) -> int:
    """Valid bars before the first decision's own bar that its longest window reaches back to."""
    settings = market.feature_settings
    longest = max(point.lookback_bars for point in points)
    return max(longest - 1, settings.vol_lookback, settings.atr_bars)


def find_history_dependence(
    inputs: SimulationInputs,
    market: Market,
    points: Sequence[ParameterSet],
    *,
    make: Callable[[Market], SimulationInputs] = make_inputs,
) -> BiasVerdict:
    """Start sets at one instant with little history and with all of it: every fill and mark has to be the same.

    The least history is exactly what the windows need: so many bars and settlements, and not one more.

    Args:
        inputs: as the round had them.
        market: what they were made from.
        points: sets to run.
        make: makes inputs of a market; only a test that plants a bias has another one.

    Returns:
        Passed if nothing changed; rows are `HISTORY_SCHEMA`.

    Raises:
        DataError: the window is shorter than the windows of features.
    """
    bars = needed_bars(market, points)
    start = _first_decision(market, bars)
    slot, stop = inputs.slot_of(start), len(inputs.opened_at)
    whole = [simulate(inputs, point, start=slot, stop=stop) for point in points]
    rows: list[dict[str, object]] = []
    for history in [times * bars for times in TIMES]:
        trimmed = _trim(market, start, history)
        if trimmed is None:
            break
        short = make(trimmed)
        begins = as_datetime(int(short.opened_at[0]) * 1000)
        for point, run in zip(points, whole, strict=True):
            other = simulate(short, point, start=short.first_slot, stop=len(short.opened_at))
            rows.append(
                {
                    "history_bars": history,
                    "begins": begins,
                    "parameters": point.canonical,
                    "fills": run.fills.height,
                    "changed": first_difference(run, other, before_us=None),
                }
            )
    frame = pl.DataFrame(rows, schema=HISTORY_SCHEMA)
    changes = frame["changed"].drop_nulls()
    amounts = " and ".join(f"{amount:,}" for amount in frame["history_bars"].unique().sort())
    return BiasVerdict(
        name=NAME,
        passed=changes.is_empty(),
        sentence=f"{len(points)} sets started on {start:%Y-%m-%d %H:%M} UTC with {amounts} bars before them and with "
        f"all there are: {'no fill' if changes.is_empty() else 'a fill'} or mark of equity depends on it"
        f"{'' if changes.is_empty() else f', first of all: {changes[0]}'}.",
        rows=frame,
    )


def _first_decision(market: Market, bars: int) -> datetime:
    """The first 00:00 UTC inside the window that every instrument has enough bars and settlements before."""
    starts = [market.window.first]
    for name, rows in market.bars.items():
        settled = market.funding[name]["settled_at"]
        count = market.feature_settings.funding_lookback
        if rows.height <= bars or len(settled) <= count:
            raise DataError(
                f"warm-up of {name}: expected more than {bars:,} bars and {count} settlements, found {rows.height:,} "
                f"and {len(settled)}. Choose an earlier `from` or shorter lookbacks."
            )
        starts += [rows["opened_at"][bars], settled[count]]
    midnight = max(starts).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if midnight == max(starts) else midnight + timedelta(days=1)


def _trim(market: Market, start: datetime, history: int) -> Market | None:
    """The market with so many bars and the settlements of one window before a start; None if there are not so many."""
    bars, funding = {}, {}
    for name, rows in market.bars.items():
        at = rows["opened_at"].search_sorted(start)
        if at < history:
            return None
        bars[name] = rows[at - history :]
        settled = market.funding[name]
        # The settlement of the start's own instant is known when its bar closes.
        known = settled["settled_at"].search_sorted(start, side="right")
        needed = known - market.feature_settings.funding_lookback
        # With more bars than the windows need, earlier settlements come with them.
        earlier = settled["settled_at"].search_sorted(bars[name]["opened_at"][0])
        funding[name] = settled[min(needed, earlier) :]
    return replace(market, bars=bars, funding=funding, window=Window(first=start, last=market.window.last))
