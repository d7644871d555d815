from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np
import polars as pl
import pytest

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.records import AllocationLimits, Costs, FeatureSettings, Instrument, Window
from helios_pipeline.features.frame import make_features
from helios_pipeline.simulation.inputs import build_inputs

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
STAMP = pl.Datetime("us", "UTC")
TICKS = {"BTCUSDT": ("0.1", "0.001", 400_000), "ETHUSDT": ("0.01", "0.001", 200_000), "SOLUSDT": ("0.001", "1", 90_000)}
COSTS = Costs(
    fee_fraction=Decimal("0.0005"),
    half_spread_bps=Decimal("0.8"),
    slippage_bps=Decimal("0.2"),
    stop_slippage_bps=Decimal(1),
)
FEATURES = FeatureSettings(
    funding_lookback=3,
    funding_std_floor=1e-6,
    atr_bars=12,
    vol_lookback=24,
    periods_per_year=35_040,
    max_gap_bars=3,
    open_interest_delay_minutes=5,
)
NO_OPEN_INTEREST = pl.DataFrame(schema={"measured_at": STAMP, "open_interest": pl.Float64})


def make_instrument(symbol, **changed):
    tick, lot, _ = TICKS[symbol]
    values = {"tick": tick, "lot": lot, "min_quantity": lot, "min_notional_quote": 100, "max_notional_quote": 1_000_000}
    sizes = {name: Decimal(value) for name, value in (values | changed).items()}
    return Instrument(instrument_id=f"{symbol}-PERP.BINANCE", **sizes)


def make_bars(symbol, rng, count, *, missing=0.0, long_gaps=0, jump=0.002):
    """A random walk in whole ticks whose opens jump away from the close before, so that stops are passed over."""
    tick, _, level = TICKS[symbol]
    step = Fraction(tick)
    closes = np.maximum(level * np.exp(np.cumsum(rng.normal(0, 0.003, count))), 100).astype(np.int64)
    opens = np.maximum((np.concatenate([closes[:1], closes[:-1]]) * np.exp(rng.normal(0, jump, count))), 1).astype(
        np.int64
    )
    highs = np.maximum(opens, closes) + (level * rng.exponential(0.001, count)).astype(np.int64)
    lows = np.maximum(np.minimum(opens, closes) - (level * rng.exponential(0.001, count)).astype(np.int64), 1)
    present = rng.random(count) >= missing
    for at in rng.integers(40, max(count - 20, 41), long_gaps):
        present[at : at + int(rng.integers(2, 12))] = False
    prices = {
        name: ticks * step.numerator / step.denominator
        for name, ticks in (("open", opens), ("high", highs), ("low", lows), ("close", closes))
    }
    opened_at = [FIRST + timedelta(minutes=15) * k for k in range(count)]
    return pl.DataFrame({"opened_at": opened_at, **prices}).cast({"opened_at": STAMP}).filter(pl.Series(present))


def make_funding(rng, count, *, hours=1, mark_prices=False):
    """Settlements so frequent that they meet entries and exits."""
    settlements = count // (4 * hours) + 1
    marks = [40_000.12345678 if mark_prices and k % 2 else None for k in range(settlements)]
    return pl.DataFrame(
        {
            "settled_at": [FIRST + timedelta(hours=hours) * k for k in range(settlements)],
            "funding_rate": rng.integers(-30, 40, settlements) / 1_000_000,
            "interval_hours": [hours] * settlements,
            "mark_price": marks,
        },
        schema_overrides={"settled_at": STAMP, "mark_price": pl.Float64},
    )


def make_inputs(
    seed=1, *, symbols=("BTCUSDT",), count=96 * 4, warm_up=0, max_open=2, equity=100_000, mark_prices=False, **shape
):
    """Inputs over generated markets; `shape` goes to `make_bars`, the window starts `warm_up` bars after the first."""
    rng = np.random.default_rng(seed)
    instruments = [make_instrument(symbol) for symbol in symbols]
    bars, funding, features = {}, {}, {}
    for instrument, symbol in zip(instruments, symbols, strict=True):
        name = instrument.instrument_id
        bars[name] = make_bars(symbol, rng, count, **shape)
        funding[name] = make_funding(rng, count, mark_prices=mark_prices)
        features[name] = make_features(
            bars[name], funding[name], NO_OPEN_INTEREST, FEATURES, instrument_id=name, interval=BAR_INTERVAL
        )
    return build_inputs(
        instruments,
        bars,
        features,
        funding,
        costs=COSTS,
        limits=AllocationLimits(vol_target=0.4, max_leverage=3.0, gross_cap=3.0, max_open=max_open),
        feature_settings=FEATURES,
        initial_equity_quote=Decimal(equity),
        window=Window(first=FIRST + timedelta(minutes=15) * warm_up, last=FIRST + timedelta(minutes=15) * count),
    )


@pytest.fixture(scope="session")
def inputs_of():
    return make_inputs


@pytest.fixture(scope="session")
def frames_of():
    """Instrument, bars, features and funding of one generated market, for tests that damage one of them."""

    def make(count=200, symbol="BTCUSDT"):
        rng = np.random.default_rng(1)
        instrument = make_instrument(symbol)
        bars, funding = make_bars(symbol, rng, count), make_funding(rng, count)
        features = make_features(
            bars, funding, NO_OPEN_INTEREST, FEATURES, instrument_id=instrument.instrument_id, interval=BAR_INTERVAL
        )
        return instrument, bars, features, funding

    return make


@pytest.fixture(scope="session")
def build():
    """`build_inputs` for one market over its first `count` bars, with anything changed."""

    def make(instrument, bars, features, funding, *, count=200, **changed):
        name = instrument.instrument_id
        values = {
            "costs": COSTS,
            "limits": AllocationLimits(vol_target=0.4, max_leverage=3.0, gross_cap=3.0, max_open=1),
            "feature_settings": FEATURES,
            "initial_equity_quote": Decimal(100_000),
            "window": Window(first=FIRST, last=FIRST + timedelta(minutes=15) * count),
        }
        return build_inputs([instrument], {name: bars}, {name: features}, {name: funding}, **(values | changed))

    return make
