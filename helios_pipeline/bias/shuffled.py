"""A market in which there is nothing to find: the same bars in another order, searched like the real one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import polars as pl
from numpy.typing import NDArray

from helios_pipeline.bias.market import Market
from helios_pipeline.bias.verdict import BiasVerdict
from helios_pipeline.core.selection import Constraints
from helios_pipeline.metrics.deflated_sharpe import deflated_sharpe, expected_maximum_sharpe, no_skill_trials
from helios_pipeline.metrics.moments import moments_from_sums
from helios_pipeline.metrics.sharpe import ANNUAL
from helios_pipeline.simulation.arrays import Records
from helios_pipeline.simulation.inputs import SimulationInputs
from helios_pipeline.sweep.run import Workers, run_sweep
from helios_pipeline.sweep.verdict import judge_sets

NAME = "shuffled_market"
SEARCH_SCHEMA = pl.Schema(
    {
        "market": pl.String(),
        "sets": pl.Int64(),
        "passed": pl.Int64(),
        "best_sharpe": pl.Float64(),
        "noise_would_score": pl.Float64(),
        "deflated_sharpe": pl.Float64(),
        "found": pl.Boolean(),
    }
)
"""One row per market: sets searched, sets that met every constraint, the highest Sharpe ratio of any set, what the
best of as many sets without skill would be expected to show, the deflated Sharpe ratio of the best passing set (NaN if
none passed), and whether it reached the gate."""

REAL = "as it was"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What a search has to reach to have found something.

    Attributes:
        constraints: that a set must meet.
        min_deflated_sharpe: of the best of them, with the sets searched as trials.
    """

    constraints: Constraints
    min_deflated_sharpe: float


def shuffle_market(market: Market, seed: int) -> Market:
    """The market's own bars and rates in random order: what a bar says about the next one is gone.

    Each bar keeps its shape (open, high, low and close relative to the close before it), and bars of one instant stay
    together, so that markets move together as they did: Masters, Permutation and Randomization Tests for Trading
    System Development (2020), chapter 6. First and last price, volatility and costs stay as well. Bars change places
    only among instants at which the same instruments have one. Rates are drawn from the instrument's own in the same
    way; what a market paid on average it still pays, only not when it was seen to. Prices are rounded to ticks.

    Args:
        market: to shuffle.
        seed: the same seed gives the same market.
    """
    random = np.random.default_rng(seed)
    names = sorted(market.bars)
    clock = np.unique(np.concatenate([_stamps(market.bars[name]) for name in names]))
    present = np.stack([np.isin(clock, _stamps(market.bars[name])) for name in names], axis=1)
    _, pattern = np.unique(present, axis=0, return_inverse=True)
    source = np.arange(len(clock))
    for each in range(int(pattern.max()) + 1):
        members = np.flatnonzero(pattern.ravel() == each)
        source[members] = random.permutation(members)
    ticks = {instrument.instrument_id: Fraction(instrument.tick) for instrument in market.instruments}
    bars = {}
    for column, name in enumerate(names):
        rows = np.cumsum(present[:, column]) - 1
        bars[name] = _reorder(market.bars[name], rows[source[present[:, column]]], ticks[name])
    funding = {name: _shuffle_rates(market.funding[name], random) for name in names}
    return replace(market, bars=bars, funding=funding)


def search(inputs: SimulationInputs, records: Records, bar: Bar, *, market: str, workers: Workers) -> dict[str, object]:
    """Evaluate sets on a market and say whether any of them would be believed; a row of `SEARCH_SCHEMA`."""
    sweep = run_sweep(inputs, records, start=inputs.first_slot, stop=len(inputs.opened_at), workers=workers)
    metrics = judge_sets(sweep.metrics, bar.constraints)
    passing = metrics.filter("passed").sort("sharpe", descending=True).head(1)
    deflated = math.nan
    for row in passing.iter_rows(named=True):
        sums = (row["sum_r1"], row["sum_r2"], row["sum_r3"], row["sum_r4"])
        moments = moments_from_sums(sums, count=row["days"])
        deflated = deflated_sharpe(moments, no_skill_trials(metrics.height, observations=row["days"]))
    best, days = metrics["sharpe"].drop_nans().max(), int(metrics["days"][0])
    luck = (
        expected_maximum_sharpe(no_skill_trials(metrics.height, observations=days)) * ANNUAL if days > 1 else math.nan
    )
    return {
        "market": market,
        "sets": metrics.height,
        "passed": int(metrics["passed"].sum()),
        "best_sharpe": best if isinstance(best, float) else math.nan,
        "noise_would_score": luck,
        "deflated_sharpe": deflated,
        "found": deflated >= bar.min_deflated_sharpe,
    }


def judge_control(rows: Sequence[dict[str, object]]) -> BiasVerdict:
    """What the searches came to: the first row is the market as it was, the others are shuffled.

    Returns:
        Passed if nothing was found in any shuffled market.
    """
    frame = pl.DataFrame(rows, schema=SEARCH_SCHEMA)
    real, shuffled = frame.row(0, named=True), frame[1:]
    found = int(shuffled["found"].sum())
    beaten = int((shuffled["best_sharpe"].fill_nan(-math.inf) < real["best_sharpe"]).sum())
    return BiasVerdict(
        name=NAME,
        passed=found == 0,
        sentence=f"The same {real['sets']:,} sets searched {shuffled.height} shuffled markets and found something in "
        f"{found}; the best Sharpe ratio of the market as it was, {real['best_sharpe']:.2f} (noise would score "
        f"{real['noise_would_score']:.2f}), is above that of {beaten} of them.",
        rows=frame,
    )


def spread_records(records: Records, most: int) -> Records:
    """At most so many sets, evenly spread over a round's order."""
    if len(records) <= most:
        return records
    return records[np.linspace(0, len(records) - 1, most).round().astype(np.int64)]


def _stamps(bars: pl.DataFrame) -> NDArray[np.int64]:
    return bars["opened_at"].dt.epoch("us").to_numpy()


def _reorder(bars: pl.DataFrame, rows: NDArray[np.int64], tick: Fraction) -> pl.DataFrame:
    """Bars in the order of `rows`, each continuing from the close before it; other columns stay in place."""
    close = bars["close"].to_numpy()
    before = np.concatenate([bars["open"].to_numpy()[:1], close[:-1]])
    logs = np.cumsum(np.log(close / before)[rows])
    base = before[0] * np.exp(np.concatenate([[0.0], logs[:-1]]))
    prices = {}
    for name in ("open", "high", "low", "close"):
        ticks = np.maximum(np.rint(base * (bars[name].to_numpy() / before)[rows] / float(tick)), 1.0)
        # Two whole numbers divided give the double nearest to the tick's multiple.
        prices[name] = ticks * tick.numerator / tick.denominator
    return bars.with_columns(pl.Series(name, values) for name, values in prices.items())


def _shuffle_rates(funding: pl.DataFrame, random: np.random.Generator) -> pl.DataFrame:
    """Rates change places among settlements of the same interval; the mark is then the bar's open."""
    rates, hours = funding["funding_rate"].to_numpy(), funding["interval_hours"].to_numpy()
    shuffled = rates.copy()
    for each in np.unique(hours):
        members = np.flatnonzero(hours == each)
        shuffled[members] = rates[random.permutation(members)]
    return funding.select("settled_at", "interval_hours", pl.Series("funding_rate", shuffled))
