"""What `bench_sweep.py` gives to every engine: one market, and a strategy that all of them can express.

Price z-score only; no stop, no funding, no holding limit; a fee and no spread; every entry is worth 10,000 USDT at the
close that decides it, floored to a lot. Bars are the klines as published, the four flat ones of an outage included, so
that no engine needs a rule for gaps.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.parity import FEATURES, real_frames
from helios_pipeline.cli.simulated import simulated_market
from helios_pipeline.core.calendar import BAR_INTERVAL, month_start, months_between, next_month
from helios_pipeline.core.records import AllocationLimits, Costs, Instrument, Window
from helios_pipeline.data.open_interest import RAW_OPEN_INTEREST_SCHEMA
from helios_pipeline.features.frame import make_features
from helios_pipeline.settings import load_settings
from helios_pipeline.simulation.arrays import Records, records_of
from helios_pipeline.simulation.inputs import SimulationInputs, build_inputs
from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.sweep.grid import Grid
from simulated_venues.frames import funding_frame, klines_frame

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
SIZES = {"BTCUSDT": ("0.1", "0.001"), "ETHUSDT": ("0.01", "0.001"), "SOLUSDT": ("0.001", "0.01")}
FEE = Decimal("0.0006")
NOTIONAL = 10_000
CASH = 1_000_000
NEVER = 10**6
LOOKBACKS = (48, 96, 192, 288, 384, 576, 768, 960)


FILL = np.dtype([("row", np.int64), ("side", np.int64), ("lots", np.int64), ("ticks", np.int64), ("fee", np.int64)])
"""A fill as engines are compared: bars since the first traded one opened, +1 bought or −1 sold, quantity, price, and
the fee in quanta of 1e-8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms markets are traded.

    Attributes:
        costs: of every fill.
        limits: of the allocation.
        largest: of a position, in USDT.
        funding_scale: what published funding rates are multiplied by.
    """

    costs: Costs
    limits: AllocationLimits
    largest: int
    funding_scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Months:
    """Klines and funding rates by symbol, with a month of warm-up before the window.

    Attributes:
        source: real or simulated.
        window: what is traded.
        klines: as published.
        funding: as published.
    """

    source: str
    window: Window
    klines: dict[str, pl.DataFrame]
    funding: dict[str, pl.DataFrame]


def load_months(warm_up: str, last: str) -> Months:
    """Every symbol's months from the warm-up's on: of HELIOS_REAL_DATA, else of the demonstration's market."""
    window = Window(first=month_start(next_month(warm_up)), last=month_start(next_month(last)))
    data = os.environ.get("HELIOS_REAL_DATA")
    if data:
        frames = {symbol: real_frames(Path(data), months_between(warm_up, last), symbol) for symbol in SYMBOLS}
    else:
        market = simulated_market(load_settings(Path(__file__).parents[1] / "helios.toml", {}))
        span = (month_start(warm_up), window.last)
        frames = {
            symbol: (
                klines_frame(market, instrument_id(symbol), *span, raw_bars=15),
                funding_frame(market, instrument_id(symbol), *span),
            )
            for symbol in SYMBOLS
        }
    return Months(
        source="real" if data else "simulated (set HELIOS_REAL_DATA for real months)",
        window=window,
        klines={symbol: each[0] for symbol, each in frames.items()},
        funding={symbol: each[1] for symbol, each in frames.items()},
    )


def instrument_id(symbol: str) -> str:
    return f"{symbol}-PERP.BINANCE"


def common_inputs(months: Months, symbols: Sequence[str], window: Window) -> SimulationInputs:
    """Some markets over some of the months: fixed notional, a fee and nothing else, a funding rate of zero."""
    terms = Terms(
        costs=_costs(FEE, spread="0"),
        # Far more than the market's own cap, which is therefore the size of every entry.
        limits=AllocationLimits(vol_target=100.0, max_leverage=1.0, gross_cap=1.0, max_open=len(symbols)),
        largest=NOTIONAL,
        funding_scale=0.0,
    )
    return _inputs(months, symbols, window, terms)


def full_inputs(months: Months, symbols: Sequence[str], window: Window) -> SimulationInputs:
    """The same markets with everything on: funding, spread, and sizes from volatility and leverage."""
    terms = Terms(
        costs=_costs(Decimal("0.0005"), spread="0.5"),
        limits=AllocationLimits(vol_target=0.2, max_leverage=3.0, gross_cap=3.0, max_open=2),
        largest=4_000_000,
        funding_scale=1.0,
    )
    return _inputs(months, symbols, window, terms)


def _costs(fee: Decimal, *, spread: str) -> Costs:
    bps = Decimal(spread)
    return Costs(fee_fraction=fee, half_spread_bps=bps, slippage_bps=bps, stop_slippage_bps=2 * bps)


def _inputs(months: Months, symbols: Sequence[str], window: Window, terms: Terms) -> SimulationInputs:
    instruments, bars, features, funding = [], {}, {}, {}
    for symbol in symbols:
        tick, lot = map(Decimal, SIZES[symbol])
        instrument = Instrument(
            instrument_id=instrument_id(symbol),
            tick=tick,
            lot=lot,
            min_quantity=lot,
            min_notional_quote=Decimal(5),
            max_notional_quote=Decimal(terms.largest),
        )
        name = instrument.instrument_id
        klines = months.klines[symbol].filter(pl.col("opened_at") < window.last)
        bars[name] = klines.select("opened_at", "open", "high", "low", "close").sort("opened_at")
        funding[name] = months.funding[symbol].with_columns(pl.col("funding_rate") * terms.funding_scale)
        features[name] = make_features(
            bars[name],
            funding[name],
            RAW_OPEN_INTEREST_SCHEMA.to_frame(),
            FEATURES,
            instrument_id=name,
            interval=BAR_INTERVAL,
        )
        instruments.append(instrument)
    return build_inputs(
        instruments,
        bars,
        features,
        funding,
        costs=terms.costs,
        limits=terms.limits,
        feature_settings=FEATURES,
        initial_equity_quote=Decimal(CASH),
        window=window,
    )


def common_sets(count: int) -> Records:
    """That many sets over eight lookbacks, in an order of chance: any first ones are a fair sample."""
    entries = np.linspace(1.5, 3.5, -(-count // (4 * len(LOOKBACKS)))).round(4).tolist()
    points = [
        ParameterSet(
            lookback_bars=lookback,
            funding_weight=0.0,
            entry_z=entry_z,
            exit_z=exit_z,
            max_holding_bars=NEVER,
            cooldown_bars=0,
            stop_atr=0.0,
        )
        for entry_z, exit_z, lookback in product(entries, (0.0, 0.25, 0.5, 0.75), LOOKBACKS)
    ]
    return shuffled(records_of(points))[:count]


def full_sets(count: int) -> Records:
    """That many sets, 20,736 at most, of a grid over every parameter, in an order of chance."""
    grid = Grid(
        lookback_bars=LOOKBACKS,
        funding_weight=(0.0, 0.5),
        entry_z=tuple(np.linspace(1.5, 3.5, 9).tolist()),
        exit_z=(0.0, 0.25, 0.5, 0.75),
        max_holding_bars=(96, 192, 480),
        cooldown_bars=(0, 8),
        stop_atr=(0.0, 4.0, 6.0, 8.0, 10.0, 12.0),
    )
    return shuffled(grid.records())[:count]


def shuffled(records: Records) -> Records:
    """The same sets in an order of chance, the same each time."""
    return records[np.random.default_rng(0).permutation(len(records))]


def write_market(inputs: SimulationInputs, records: Records, folder: Path) -> None:
    """The first market and the sets, as `vectorbt_env/run_vectorbt.py` reads them."""
    instrument = inputs.instruments[0]
    tick = instrument.tick.as_integer_ratio()
    prices = {
        name: ticks * tick[0] / tick[1]
        for name, ticks in (("open", inputs.opens[:-1, 0]), ("close", inputs.slots["close"][:-1, 0]))
    }
    np.savez(
        folder / "market.npz",
        **prices,
        first=inputs.first_slot,
        bars_per_day=96,
        lot=float(instrument.lot),
        notional=NOTIONAL,
        fee=float(FEE),
        cash=CASH,
    )
    np.save(folder / "sets.npy", np.column_stack([records[name] for name in ("lookback_bars", "entry_z", "exit_z")]))
