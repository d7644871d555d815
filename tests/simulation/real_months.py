"""Two real months, where they are, on which kernel and NautilusTrader are compared with tolerance zero."""

import io
import os
import random
import warnings
import zipfile
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.records import AllocationLimits, Costs, FeatureSettings, Instrument, Window
from helios_pipeline.features.frame import make_features
from helios_pipeline.simulation.inputs import build_inputs
from helios_pipeline.simulation.kernel import simulate
from helios_pipeline.strategy.parameters import ParameterSet

# pandas makes timedeltas without a unit when NautilusTrader is imported and when an engine is built.
UNIT_OF_PANDAS = "The 'generic' unit for NumPy timedelta"

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", UNIT_OF_PANDAS, DeprecationWarning)
    from helios_pipeline.simulation.nautilus import compare, run_backtest

THREE = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
MONTHS = ("2024-08", "2024-09", "2024-10")
WINDOW = Window(first=datetime(2024, 9, 1, tzinfo=UTC), last=datetime(2024, 11, 1, tzinfo=UTC))
PARTS = (
    pytest.param(slice(0, 10), id="ten sets"),
    pytest.param(slice(10, 50), id="forty more", marks=pytest.mark.soak),
)
STEPS = {"BTCUSDT": ("0.1", "0.001"), "ETHUSDT": ("0.01", "0.001"), "SOLUSDT": ("0.001", "1")}
ALWAYS = (
    "stops_in_entry_bar",
    "settlements_at_entry",
    "settlements_at_exit",
    "reentries_without_cooldown",
    "held_over_a_missing_bar",
    "open_at_the_end",
)
WITH_OTHERS_AND_GAPS = (
    "settlements_while_another_enters",
    "crowded_out",
    "cancelled",
    "left_after_a_missing_bar",
    "stops_at_open",
)


def cases_of(symbols, chosen, *, gaps):
    """How often each case occurred in the chosen sets, all of which agreed."""
    inputs = real_inputs(symbols, gaps=gaps)
    occurred = Counter()
    for parameters in some_sets(50)[chosen]:
        run = agree_on(inputs, parameters, start=inputs.first_slot, stop=len(inputs.opened_at))
        occurred.update(run.counts)
        if parameters.cooldown_bars == 0:
            occurred["reentries_without_cooldown"] += reentries_right_after_a_stop(run)
    print(f"{len(symbols)} markets: {dict(occurred)}")
    return occurred


def agree_on(inputs, parameters, *, start, stop):
    """Run both; fail on the first difference; return the kernel's record."""
    kernel = simulate(inputs, parameters, start=start, stop=stop)
    backtest = run_backtest(inputs, parameters, start=start, stop=stop)
    difference = compare(kernel, backtest)
    assert difference is None, f"{parameters}: {difference}"
    return kernel


def read_months(folder, kind, symbol):
    """A symbol's rows of the archive, straight from its zips."""
    frames = []
    for month in MONTHS:
        name = f"{symbol}-15m-{month}" if kind == "klines" else f"{symbol}-fundingRate-{month}"
        inner = Path("15m") if kind == "klines" else Path()
        with zipfile.ZipFile(folder / kind / symbol / inner / f"{name}.zip") as archive:
            frames.append(pl.read_csv(io.BytesIO(archive.read(archive.namelist()[0]))))
    return pl.concat(frames)


def real_bars(folder, symbol, *, removed):
    """Bars without the flat ones of zero volume, and without short and long runs that the test removes."""
    rows = read_months(folder, "klines", symbol).filter(pl.col("volume") > 0)
    present = np.ones(len(rows), np.bool_)
    if removed is not None:
        rng, common = np.random.default_rng(removed), np.random.default_rng(0)
        present &= rng.random(len(rows)) >= 0.01
        for at in rng.integers(0, len(rows), 10):
            present[at : at + int(rng.integers(2, 30))] = False
        for at in common.integers(0, len(rows), 10):
            present[at : at + int(common.integers(1, 20))] = False
    stamp = pl.from_epoch("open_time", "ms").cast(pl.Datetime("us", "UTC")).alias("opened_at")
    prices = [pl.col(name).cast(pl.Float64) for name in ("open", "high", "low", "close")]
    return rows.filter(pl.Series(present)).select(stamp, *prices)


def real_inputs(symbols, *, gaps):
    data = os.environ.get("HELIOS_REAL_DATA")
    if not data:
        pytest.skip("HELIOS_REAL_DATA is not set: no real market data here")
    folder = Path(data) / "binance_vision/data/futures/um/monthly"
    chosen = FeatureSettings(
        funding_lookback=30,
        funding_std_floor=1e-6,
        atr_bars=96,
        vol_lookback=192,
        periods_per_year=35_040,
        max_gap_bars=8,
        open_interest_delay_minutes=5,
    )
    no_open_interest = pl.DataFrame(schema={"measured_at": pl.Datetime("us", "UTC"), "open_interest": pl.Float64})
    instruments, bars, features, funding = [], {}, {}, {}
    for k, symbol in enumerate(symbols):
        tick, lot = STEPS[symbol]
        name = f"{symbol}-PERP.BINANCE"
        sizes = {"min_quantity": lot, "min_notional_quote": 100, "max_notional_quote": 1_000_000}
        steps = {key: Decimal(value) for key, value in ({"tick": tick, "lot": lot} | sizes).items()}
        instruments.append(Instrument(instrument_id=name, **steps))
        bars[name] = real_bars(folder, symbol, removed=k + 1 if gaps else None)
        funding[name] = read_months(folder, "fundingRate", symbol).select(
            settled_at=pl.from_epoch("calc_time", "ms").dt.truncate("1h").cast(pl.Datetime("us", "UTC")),
            funding_rate=pl.col("last_funding_rate").cast(pl.Float64),
            interval_hours=pl.col("funding_interval_hours").cast(pl.Int64),
        )
        features[name] = make_features(
            bars[name], funding[name], no_open_interest, chosen, instrument_id=name, interval=BAR_INTERVAL
        )
    return build_inputs(
        instruments,
        bars,
        features,
        funding,
        costs=Costs(
            fee_fraction=Decimal("0.0005"),
            half_spread_bps=Decimal("0.7"),
            slippage_bps=Decimal("0.3"),
            stop_slippage_bps=Decimal(1),
        ),
        limits=AllocationLimits(vol_target=0.4, max_leverage=3.0, gross_cap=3.0, max_open=min(2, len(symbols))),
        feature_settings=chosen,
        initial_equity_quote=Decimal(100_000),
        window=WINDOW,
    )


def some_sets(count):
    """Sets drawn from a grid, and one that is nearly always in a position, also at the end."""
    axes = {
        "lookback_bars": (24, 48, 192),
        "funding_weight": (0.0, 0.5),
        "entry_z": (1.5, 2.5),
        "exit_z": (-0.5, 0.5),
        "max_holding_bars": (16, 96, 10**6),
        "cooldown_bars": (0, 8),
        "stop_atr": (0.0, 0.3, 2.0, 6.0),
    }
    grid = [ParameterSet(**dict(zip(axes, values, strict=True))) for values in product(*axes.values())]
    held = replace(grid[0], entry_z=1.5, exit_z=-1.4, max_holding_bars=10**6, stop_atr=0.0)
    return [held, *random.Random(7).sample(grid, count - 1)]


def reentries_right_after_a_stop(run):
    """Entries in the bar after the one that stopped the position before: only without a cooldown."""
    interval, before, found = 900 * 10**9, {}, 0
    for trip in run.round_trips.sort("entered_at_ns").iter_rows(named=True):
        stopped = before.get(trip["instrument_id"])
        found += stopped is not None and trip["entered_at_ns"] == stopped // interval * interval + interval
        is_stop = trip["reason"].startswith("stop")
        before[trip["instrument_id"]] = trip["left_at_ns"] if is_stop else None
    return found
