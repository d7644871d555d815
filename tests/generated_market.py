"""A small market with a strong planted reversion, as the inputs of a simulation."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import polars as pl

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.records import AllocationLimits, Costs, FeatureSettings, Instrument, Window
from helios_pipeline.features.frame import make_features
from helios_pipeline.simulation.inputs import build_inputs

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
BARS_PER_DAY = 96
BTC = "BTCUSDT-PERP.BINANCE"
ETH = "ETHUSDT-PERP.BINANCE"

FEATURES = FeatureSettings(
    funding_lookback=5,
    funding_std_floor=1e-6,
    atr_bars=24,
    vol_lookback=96,
    periods_per_year=35_040,
    max_gap_bars=8,
    open_interest_delay_minutes=5,
)


def make_bars(*, seed, days):
    """Bars of a random walk plus a deviation that halves every 8 bars; prices on a tick of 0.1."""
    rng = np.random.default_rng(seed)
    count = days * BARS_PER_DAY
    walk = np.cumsum(rng.normal(0.0, 0.0008, count))
    noise = rng.normal(0.0, 0.002, count)
    deviation = np.zeros(count)
    for at in range(1, count):
        deviation[at] = 0.917 * deviation[at - 1] + noise[at]
    close = np.round(40_000 * np.exp(walk + deviation) * 10)
    open_ = np.concatenate([close[:1], close[:-1]])
    high = np.maximum(open_, close) + np.round(rng.exponential(80, count))
    low = np.minimum(open_, close) - np.round(rng.exponential(80, count))
    opened_at = [FIRST + timedelta(minutes=15) * at for at in range(count)]
    return pl.DataFrame(
        {"opened_at": opened_at, "open": open_ / 10, "high": high / 10, "low": low / 10, "close": close / 10},
        schema_overrides={"opened_at": pl.Datetime("us", "UTC")},
    )


def make_funding(*, seed, days):
    rng = np.random.default_rng(seed + 1000)
    count = days * 3 + 1
    return pl.DataFrame(
        {
            "settled_at": [FIRST + timedelta(hours=8) * at for at in range(count)],
            "funding_rate": rng.integers(-20, 30, count) / 100_000,
            "interval_hours": [8] * count,
            "mark_price": [None] * count,
        },
        schema_overrides={"settled_at": pl.Datetime("us", "UTC"), "mark_price": pl.Float64},
    )


def make_inputs(bars, *, warm_up_days, days, seed=1):
    """Inputs of the instruments in `bars` (id → frame), evaluated from the end of the warm-up on."""
    funding = {name: make_funding(seed=seed + at, days=days) for at, name in enumerate(sorted(bars))}
    no_open_interest = pl.DataFrame(
        schema={"measured_at": pl.Datetime("us", "UTC"), "open_interest": pl.Float64, "open_interest_quote": pl.Float64}
    )
    features = {
        name: make_features(frame, funding[name], no_open_interest, FEATURES, instrument_id=name, interval=BAR_INTERVAL)
        for name, frame in bars.items()
    }
    return build_inputs(
        [
            Instrument(
                instrument_id=name,
                tick=Decimal("0.1"),
                lot=Decimal("0.001"),
                min_quantity=Decimal("0.001"),
                min_notional_quote=Decimal(100),
                max_notional_quote=Decimal(5_000_000),
            )
            for name in bars
        ],
        bars,
        features,
        funding,
        costs=Costs(
            fee_fraction=Decimal("0.0001"),
            half_spread_bps=Decimal("0.1"),
            slippage_bps=Decimal("0.1"),
            stop_slippage_bps=Decimal(1),
        ),
        limits=AllocationLimits(vol_target=0.2, max_leverage=3.0, gross_cap=3.0, max_open=2),
        feature_settings=FEATURES,
        initial_equity_quote=Decimal(100_000),
        window=Window(first=FIRST + timedelta(days=warm_up_days), last=FIRST + timedelta(days=days)),
    )
