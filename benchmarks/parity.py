"""Kernel against NautilusTrader: do they agree to the last quantum, and how much faster is the kernel?

    .venv/bin/python benchmarks/parity.py [--months 2024-01 2024-12] [--sets 5]

One year of BTC by default, real with HELIOS_REAL_DATA, else simulated, with funding, stops, cooldown and costs. A set
runs in both simulators, in one process and thread; `engine.run()` alone is timed against the kernel call alone. Exit
code 1 when any set disagrees.
"""

import argparse
import os
import statistics
import sys
import time
import warnings
from decimal import Decimal
from pathlib import Path

import polars as pl

from helios_pipeline.adapters.binance.archive_zip import unzip_csv
from helios_pipeline.cli.simulated import simulated_market
from helios_pipeline.core.calendar import BAR_INTERVAL, month_start, months_between, next_month
from helios_pipeline.core.records import AllocationLimits, Costs, FeatureSettings, Instrument, Window
from helios_pipeline.data.bars import make_bars
from helios_pipeline.data.funding import parse_funding_rates
from helios_pipeline.data.klines import parse_klines
from helios_pipeline.data.open_interest import RAW_OPEN_INTEREST_SCHEMA
from helios_pipeline.features.frame import make_features
from helios_pipeline.settings import load_settings
from helios_pipeline.simulation.arrays import records_of
from helios_pipeline.simulation.inputs import SimulationInputs, build_inputs
from helios_pipeline.simulation.kernel import evaluate, simulate
from helios_pipeline.strategy.parameters import ParameterSet
from simulated_venues.frames import funding_frame, klines_frame

warnings.filterwarnings("ignore", "The 'generic' unit for NumPy timedelta", DeprecationWarning)

BUDGET = 5_000
COPIES = 50
NAME = "BTCUSDT-PERP.BINANCE"
FEATURES = FeatureSettings(
    funding_lookback=30,
    funding_std_floor=1e-6,
    atr_bars=96,
    vol_lookback=672,
    periods_per_year=35_040,
    max_gap_bars=8,
    open_interest_delay_minutes=5,
)
SETS = [
    ParameterSet(
        lookback_bars=lookback,
        funding_weight=0.5,
        entry_z=entry_z,
        exit_z=0.0,
        max_holding_bars=96,
        cooldown_bars=8,
        stop_atr=6.0,
    )
    for entry_z in (2.5, 2.0, 3.0)
    for lookback in (96, 48, 192)
]


def real_frames(data: Path, months: list[str], symbol: str = "BTCUSDT") -> tuple[pl.DataFrame, pl.DataFrame]:
    """Klines and funding rates of the archive's own zips."""
    folder = data / "binance_vision/data/futures/um/monthly"

    def csv(path: str) -> bytes:
        return unzip_csv((folder / path).read_bytes(), name=path.rpartition("/")[2])

    klines = [
        parse_klines(csv(f"klines/{symbol}/15m/{symbol}-15m-{month}.zip"), interval="15m", file=month).frame
        for month in months
    ]
    funding = [
        parse_funding_rates(csv(f"fundingRate/{symbol}/{symbol}-fundingRate-{month}.zip"), file=month).frame
        for month in months
    ]
    return pl.concat(klines), pl.concat(funding)


def simulated_frames(window: Window) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Klines and funding rates of the demonstration's market."""
    market = simulated_market(load_settings(Path(__file__).parents[1] / "helios.toml", {}))
    span = (window.first, window.last)
    return klines_frame(market, NAME, *span, raw_bars=15), funding_frame(market, NAME, *span)


def market_inputs(klines: pl.DataFrame, funding: pl.DataFrame, window: Window) -> SimulationInputs:
    bars = make_bars(klines, first=window.first, last=window.last).bars
    no_open_interest = RAW_OPEN_INTEREST_SCHEMA.to_frame()
    instrument = Instrument(
        instrument_id=NAME,
        tick=Decimal("0.1"),
        lot=Decimal("0.001"),
        min_quantity=Decimal("0.001"),
        min_notional_quote=Decimal(100),
        max_notional_quote=Decimal(1_000_000),
    )
    return build_inputs(
        [instrument],
        {NAME: bars},
        {NAME: make_features(bars, funding, no_open_interest, FEATURES, instrument_id=NAME, interval=BAR_INTERVAL)},
        {NAME: funding},
        costs=Costs(
            fee_fraction=Decimal("0.0005"),
            half_spread_bps=Decimal(1),
            slippage_bps=Decimal(0),
            stop_slippage_bps=Decimal(1),
        ),
        limits=AllocationLimits(vol_target=0.4, max_leverage=3.0, gross_cap=3.0, max_open=1),
        feature_settings=FEATURES,
        initial_equity_quote=Decimal(100_000),
        window=window,
    )


def kernel_seconds(inputs: SimulationInputs, parameters: ParameterSet) -> float:
    """Seconds of one run: the difference between many copies and one, so that shared price scores do not count."""
    stop = len(inputs.opened_at)

    def fastest(copies: int) -> float:
        turns = []
        for _ in range(3):
            began = time.perf_counter()
            evaluate(inputs, records_of([parameters] * copies), start=0, stop=stop)
            turns.append(time.perf_counter() - began)
        return min(turns)

    return (fastest(COPIES + 1) - fastest(1)) / COPIES


def main() -> int:
    # Imported where it is used: a process that only reads market data with this module needs no 300 MB for it.
    from helios_pipeline.simulation.nautilus import compare, run_backtest

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", nargs=2, default=["2024-01", "2024-12"], metavar=("FIRST", "LAST"))
    parser.add_argument("--sets", type=int, default=5)
    options = parser.parse_args()
    window = Window(first=month_start(options.months[0]), last=month_start(next_month(options.months[1])))
    data = os.environ.get("HELIOS_REAL_DATA")
    frames = real_frames(Path(data), months_between(*options.months)) if data else simulated_frames(window)
    inputs = market_inputs(*frames, window)
    stop = len(inputs.opened_at)
    ratios, speeds, differences = [], [], 0
    market = "real" if data else "simulated (set HELIOS_REAL_DATA for real months)"
    print(f"{NAME}, {market}, {options.months[0]} to {options.months[1]}, {stop:,} bars; one thread each")
    for parameters in SETS[: options.sets]:
        kernel = simulate(inputs, parameters, start=0, stop=stop)
        backtest = run_backtest(inputs, parameters, start=0, stop=stop)
        difference = compare(kernel, backtest)
        seconds = kernel_seconds(inputs, parameters)
        ratios.append(backtest.run_seconds / seconds)
        speeds.append(1 / seconds)
        differences += difference is not None
        print(
            f"  lookback {parameters.lookback_bars:>3}, entry {parameters.entry_z}: {len(kernel.fills):>5} fills, "
            f"{len(kernel.payments):>4} payments, {'agree' if difference is None else difference}; "
            f"NautilusTrader {backtest.run_seconds:.2f} s, kernel {seconds * 1e3:.3f} ms, {ratios[-1]:,.0f} ×"
        )
    print(
        f"{len(ratios) - differences} of {len(ratios)} sets agree to the last quantum; kernel "
        f"{statistics.median(speeds):,.0f} sets/s, median {statistics.median(ratios):,.0f} × NautilusTrader "
        f"(budget {BUDGET:,} ×)"
    )
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
