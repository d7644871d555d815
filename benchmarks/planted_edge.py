"""True net Sharpe of the best parameter set in the simulated market: chosen on some markets, measured on others.

    .venv/bin/python benchmarks/planted_edge.py --edge 0 0.6 --choose 12 --measure 24

Market, grid, costs, limits and features are those of `helios.toml`, the edge too unless given; every market is a year
of it under another seed, after two months of warm-up. A true Sharpe is free of selection: the set is chosen on some
seeds and measured on others.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from helios_pipeline.cli.simulated import simulated_market
from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.records import Costs, Window
from helios_pipeline.core.selection import Constraints
from helios_pipeline.data.bars import make_bars
from helios_pipeline.data.open_interest import RAW_OPEN_INTEREST_SCHEMA
from helios_pipeline.features.frame import make_features
from helios_pipeline.settings import Settings, load_settings
from helios_pipeline.simulation.arrays import Records
from helios_pipeline.simulation.inputs import SimulationInputs, build_inputs
from helios_pipeline.simulation.kernel import evaluate
from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.verdict import judge_sets
from simulated_venues.frames import funding_frame, klines_frame
from simulated_venues.market import SimulatedMarket
from simulated_venues.settings import MIN_TRADES_PER_RAW_BAR, RAW_BARS_PER_DAY

LOADED_FROM = datetime(2023, 1, 1, tzinfo=UTC)
YEAR = Window(first=datetime(2023, 3, 1, tzinfo=UTC), last=datetime(2024, 3, 1, tzinfo=UTC))
PART = timedelta(days=28)
"""The market remembers the paths of its last 32 days: klines and funding asked together make each path once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFrames:
    """One simulated market through the data and feature stages, instrument id → frame."""

    bars: dict[str, pl.DataFrame]
    features: dict[str, pl.DataFrame]
    funding: dict[str, pl.DataFrame]


def make_frames(settings: Settings, *, seed: int, edge: float, last: datetime) -> MarketFrames:
    """Bars, features and funding of the instruments of research, from `LOADED_FROM` to `last`.

    The market has as few trades as its bars need: prices and funding are the same with any number of them.
    """
    described = simulated_market(settings, only=settings.research.instruments).settings
    fewest = MIN_TRADES_PER_RAW_BAR * RAW_BARS_PER_DAY
    instruments = tuple(replace(instrument, trades_per_day=fewest) for instrument in described.instruments)
    market = SimulatedMarket(replace(described, seed=seed, edge=edge, instruments=instruments))
    bars, features, funding = {}, {}, {}
    for name in settings.research.instruments:
        parts = [
            (klines_frame(market, name, *span, raw_bars=15), funding_frame(market, name, *span))
            for span in _parts(LOADED_FROM, last)
        ]
        klines, funding[name] = (pl.concat(frames) for frames in zip(*parts, strict=True))
        bars[name] = make_bars(klines, first=LOADED_FROM, last=last).bars
        features[name] = make_features(
            bars[name],
            funding[name],
            RAW_OPEN_INTEREST_SCHEMA.to_frame(),
            settings.feature_settings,
            instrument_id=name,
            interval=BAR_INTERVAL,
        )
    return MarketFrames(bars=bars, features=features, funding=funding)


def make_inputs(settings: Settings, frames: MarketFrames, *, costs: Costs, window: Window) -> SimulationInputs:
    """The frames as the kernel takes them."""
    return build_inputs(
        [i.record() for i in settings.instruments if i.id in settings.research.instruments],
        frames.bars,
        frames.features,
        frames.funding,
        costs=costs,
        limits=settings.limits.record(),
        feature_settings=settings.feature_settings,
        initial_equity_quote=settings.research.initial_equity_quote,
        window=window,
    )


def year_metrics(settings: Settings, records: Records, *, seed: int, edge: float, costs: Costs) -> pl.DataFrame:
    """Metrics of every set on a year of one market."""
    frames = make_frames(settings, seed=seed, edge=edge, last=YEAR.last)
    inputs = make_inputs(settings, frames, costs=costs, window=YEAR)
    return evaluate(inputs, records, start=inputs.slot_of(YEAR.first), stop=len(inputs.opened_at)).metrics


def report(settings: Settings, grid: Grid, edge: float, choose: int, measure: int) -> None:
    """Print what one edge is worth."""
    began, records, costs = time.perf_counter(), grid.records(), settings.costs.record()
    chosen_on = [year_metrics(settings, records, seed=10_000 + k, edge=edge, costs=costs) for k in range(choose)]
    measured_on = [year_metrics(settings, records, seed=20_000 + k, edge=edge, costs=costs) for k in range(measure)]
    best = int(np.nanargmax(np.nanmean([m["sharpe"].to_numpy() for m in chosen_on], axis=0)))
    rows = pl.concat([m[best] for m in measured_on])
    sharpes = rows["sharpe"].to_numpy()
    winners = [float(m["sharpe"].fill_nan(-9.0).max()) for m in measured_on]  # type: ignore[arg-type]
    constraints = Constraints(**settings.constraints.model_dump())
    passed = [int(judge_sets(m, constraints)["passed"].sum()) for m in measured_on]
    print(
        f"edge {edge}: true net Sharpe {sharpes.mean():.2f} ± {sharpes.std(ddof=1) / np.sqrt(measure):.2f} "
        f"(standard error, {measure} independent years) of the set chosen on {choose} others:\n"
        f"  {grid.points()[best]}\n"
        f"  a year: {rows['round_trips'].mean():.0f} round trips, win rate {rows['win_rate'].mean():.2f}, net return "
        f"{rows['net_return'].mean():.2f}, drawdown {rows['max_drawdown'].mean():.3f} (worst "
        f"{rows['max_drawdown'].min():.3f}), exposure {rows['exposure'].mean():.2f}\n"
        f"  of {grid.size} sets {np.mean(passed):.0f} pass the constraints in a year (fewest {min(passed)}, most "
        f"{max(passed)}); best in sample: Sharpe {np.mean(winners):.2f} ({min(winners):.2f} to {max(winners):.2f})\n"
        f"  {time.perf_counter() - began:.1f} s",
        flush=True,
    )


def _parts(first: datetime, last: datetime) -> Iterator[tuple[datetime, datetime]]:
    while first < last:
        yield first, min(first + PART, last)
        first += PART


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--config", type=Path, default=Path("helios.toml"))
    arguments.add_argument("--edge", type=float, nargs="+")
    arguments.add_argument("--choose", type=int, default=12)
    arguments.add_argument("--measure", type=int, default=24)
    given = arguments.parse_args()
    settings = load_settings(given.config, {})
    grid = Grid.from_values(settings.grid.model_dump())
    for edge in given.edge or [0.0, settings.simulated_market.edge]:
        report(settings, grid, edge, given.choose, given.measure)


if __name__ == "__main__":
    main()
