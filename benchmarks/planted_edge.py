"""True net Sharpe of the best parameter set in the simulated market: chosen on some markets, measured on others.

    .venv/bin/python benchmarks/planted_edge.py --edge 0 0.6 --choose 12 --measure 24

Market, grid, costs, limits and features are those of `helios.toml`, the edge too unless given; every market is a year
of it under another seed, after two months of warm-up. A true Sharpe is free of selection: the set is chosen on some
seeds and measured on others.
"""

import argparse
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from helios_pipeline.cli.simulated import simulated_market
from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.records import Window
from helios_pipeline.data.bars import make_bars
from helios_pipeline.features.frame import make_features
from helios_pipeline.settings import Settings, load_settings
from helios_pipeline.simulation.arrays import Records
from helios_pipeline.simulation.inputs import SimulationInputs, build_inputs
from helios_pipeline.simulation.kernel import evaluate
from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.points import parameter_sets
from simulated_venues.frames import funding_frame, klines_frame, open_interest_frame
from simulated_venues.market import SimulatedMarket

LOADED_FROM = datetime(2023, 1, 1, tzinfo=UTC)
YEAR = Window(first=datetime(2023, 3, 1, tzinfo=UTC), last=datetime(2024, 3, 1, tzinfo=UTC))


def market_inputs(settings: Settings, *, seed: int, edge: float, window: Window = YEAR) -> SimulationInputs:
    """One simulated market through the research stages, as the kernel takes it."""
    described = simulated_market(settings).settings
    market = SimulatedMarket(replace(described, seed=seed, edge=edge))
    bars, features, funding = {}, {}, {}
    names = settings.research.instruments
    for name in names:
        klines = klines_frame(market, name, LOADED_FROM, window.last, raw_bars=15)
        bars[name] = make_bars(klines, first=LOADED_FROM, last=window.last).bars
        funding[name] = funding_frame(market, name, LOADED_FROM, window.last)
        contracts = open_interest_frame(market, name, LOADED_FROM, LOADED_FROM)
        features[name] = make_features(
            bars[name], funding[name], contracts, settings.feature_settings, instrument_id=name, interval=BAR_INTERVAL
        )
    return build_inputs(
        [i.record() for i in settings.instruments if i.id in names],
        bars,
        features,
        funding,
        costs=settings.costs.record(),
        limits=settings.limits.record(),
        feature_settings=settings.feature_settings,
        initial_equity_quote=settings.research.initial_equity_quote,
        window=window,
    )


def market_metrics(
    settings: Settings, records: Records, *, seed: int, edge: float, window: Window = YEAR
) -> pl.DataFrame:
    """Metrics of every set on one market."""
    inputs = market_inputs(settings, seed=seed, edge=edge, window=window)
    return evaluate(inputs, records, start=inputs.slot_of(window.first), stop=inputs.slot_of(window.last)).metrics


def passing(metrics: pl.DataFrame, settings: Settings) -> pl.Series:
    """Which sets meet every constraint."""
    limits = settings.constraints
    return metrics.select(
        (pl.col("round_trips") >= limits.min_round_trips)
        & (pl.col("max_drawdown") >= -limits.max_drawdown_fraction)
        & (pl.col("sharpe").fill_nan(-9.0) >= limits.min_sharpe)
        & (pl.col("win_rate").fill_nan(0.0) >= limits.min_win_rate)
    ).to_series()


def report(settings: Settings, records: Records, edge: float, choose: int, measure: int) -> None:
    """Print what one edge is worth."""
    began = time.perf_counter()
    chosen_on = [market_metrics(settings, records, seed=10_000 + k, edge=edge) for k in range(choose)]
    measured_on = [market_metrics(settings, records, seed=20_000 + k, edge=edge) for k in range(measure)]
    best = int(np.nanargmax(np.nanmean([m["sharpe"].to_numpy() for m in chosen_on], axis=0)))
    rows = pl.concat([m[best] for m in measured_on])
    sharpes = rows["sharpe"].to_numpy()
    winners = [float(m["sharpe"].fill_nan(-9.0).max()) for m in measured_on]  # type: ignore[arg-type]
    point = parameter_sets(records[best : best + 1])[0]
    passed = [int(passing(m, settings).sum()) for m in measured_on]
    print(
        f"edge {edge}: true net Sharpe {sharpes.mean():.2f} ± {sharpes.std(ddof=1) / np.sqrt(measure):.2f} "
        f"(standard error, {measure} independent years) of the set chosen on {choose} others:\n  {point}\n"
        f"  a year: {rows['round_trips'].mean():.0f} round trips, win rate {rows['win_rate'].mean():.2f}, net return "
        f"{rows['net_return'].mean():.2f}, drawdown {rows['max_drawdown'].mean():.3f} (worst "
        f"{rows['max_drawdown'].min():.3f}), exposure {rows['exposure'].mean():.2f}\n"
        f"  of {len(records)} sets {np.mean(passed):.0f} pass the constraints in a year (fewest {min(passed)}, most "
        f"{max(passed)}); best in sample: Sharpe {np.mean(winners):.2f} ({min(winners):.2f} to {max(winners):.2f})\n"
        f"  {time.perf_counter() - began:.1f} s",
        flush=True,
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--config", type=Path, default=Path("helios.toml"))
    arguments.add_argument("--edge", type=float, nargs="+")
    arguments.add_argument("--choose", type=int, default=12)
    arguments.add_argument("--measure", type=int, default=24)
    given = arguments.parse_args()
    settings = load_settings(given.config, {})
    records = Grid.from_values(settings.grid.model_dump()).records()
    for edge in given.edge or [0.0, settings.simulated_market.edge]:
        report(settings, records, edge, given.choose, given.measure)


if __name__ == "__main__":
    main()
