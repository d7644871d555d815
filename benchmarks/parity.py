"""Kernel against NautilusTrader: do they agree to the last quantum, and how much faster is the kernel?

    HELIOS_REAL_DATA=… .venv/bin/python benchmarks/parity.py [--months 2024-01 2024-12] [--sets 5]

One year of BTC by default, with funding, stops, cooldown and costs. Each set runs in both simulators in one process, on
one thread; `engine.run()` alone is timed against the kernel call alone. Exit code 1 when any set disagrees.
"""

import argparse
import io
import os
import statistics
import sys
import time
import warnings
import zipfile
from decimal import Decimal
from pathlib import Path

import polars as pl

from helios_pipeline.core.calendar import month_start, months_between, next_month
from helios_pipeline.core.records import AllocationLimits, Costs, FeatureSettings, Instrument, Window
from helios_pipeline.features.frame import make_features
from helios_pipeline.simulation.inputs import SimulationInputs, build_inputs
from helios_pipeline.simulation.kernel import evaluate, simulate
from helios_pipeline.strategy.parameters import ParameterSet

warnings.filterwarnings("ignore", "The 'generic' unit for NumPy timedelta", DeprecationWarning)
from helios_pipeline.simulation.nautilus import compare, run_backtest  # noqa: E402

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


def read_months(folder: Path, kind: str, months: list[str]) -> pl.DataFrame:
    """The archive's rows of some months, straight from its zips."""
    frames = []
    for month in months:
        name = f"15m/BTCUSDT-15m-{month}" if kind == "klines" else f"BTCUSDT-fundingRate-{month}"
        with zipfile.ZipFile(folder / kind / "BTCUSDT" / f"{name}.zip") as archive:
            frames.append(pl.read_csv(io.BytesIO(archive.read(archive.namelist()[0]))))
    return pl.concat(frames)


def real_inputs(data: Path, months: list[str]) -> SimulationInputs:
    folder = data / "binance_vision/data/futures/um/monthly"
    stamp = pl.Datetime("us", "UTC")
    bars = (
        read_months(folder, "klines", months)
        .filter(pl.col("volume") > 0)
        .select(
            pl.from_epoch("open_time", "ms").cast(stamp).alias("opened_at"),
            *(pl.col(name).cast(pl.Float64) for name in ("open", "high", "low", "close")),
        )
    )
    funding = read_months(folder, "fundingRate", months).select(
        settled_at=pl.from_epoch("calc_time", "ms").dt.truncate("1h").cast(stamp),
        funding_rate=pl.col("last_funding_rate").cast(pl.Float64),
        interval_hours=pl.col("funding_interval_hours").cast(pl.Int64),
    )
    no_open_interest = pl.DataFrame(schema={"measured_at": stamp, "open_interest": pl.Float64})
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
        {NAME: make_features(bars, funding, no_open_interest, FEATURES, instrument_id=NAME)},
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
        window=Window(first=month_start(months[0]), last=month_start(next_month(months[-1]))),
    )


def kernel_seconds(inputs: SimulationInputs, parameters: ParameterSet) -> float:
    """Seconds of one run: the difference between many copies and one, so that shared price scores do not count."""
    stop = len(inputs.opened_at)

    def fastest(copies: int) -> float:
        turns = []
        for _ in range(3):
            began = time.perf_counter()
            evaluate(inputs, [parameters] * copies, start=0, stop=stop)
            turns.append(time.perf_counter() - began)
        return min(turns)

    return (fastest(COPIES + 1) - fastest(1)) / COPIES


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", nargs=2, default=["2024-01", "2024-12"], metavar=("FIRST", "LAST"))
    parser.add_argument("--sets", type=int, default=5)
    options = parser.parse_args()
    data = os.environ.get("HELIOS_REAL_DATA")
    if not data:
        print("HELIOS_REAL_DATA is not set: this benchmark measures real months only.", file=sys.stderr)
        return 2
    inputs = real_inputs(Path(data), months_between(*options.months))
    stop = len(inputs.opened_at)
    ratios, speeds, differences = [], [], 0
    print(f"{NAME}, {options.months[0]} to {options.months[1]}, {stop:,} bars; one thread each")
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
