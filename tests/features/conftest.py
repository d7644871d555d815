from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from helios_pipeline.core.records import FeatureSettings

FIRST = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Frames:
    bars: pl.DataFrame
    funding: pl.DataFrame
    open_interest: pl.DataFrame


@pytest.fixture(scope="session")
def settings():
    return FeatureSettings(
        funding_lookback=4,
        funding_std_floor=1e-6,
        atr_bars=5,
        vol_lookback=12,
        periods_per_year=35_040,
        max_gap_bars=3,
        open_interest_delay_minutes=5,
    )


def make_frames(seed, count, *, first=FIRST, missing=0.0):
    """A random walk with missing bars, funding every 8 hours and open interest every 15 minutes."""
    rng = np.random.default_rng(seed)
    close = np.round(1000 * np.exp(np.cumsum(rng.normal(0, 0.003, count))), 1)
    high, low = close + rng.integers(0, 30, count) / 10, close - rng.integers(0, 30, count) / 10
    opened_at = [first + timedelta(minutes=15) * k for k in range(count)]
    bars = pl.DataFrame({"opened_at": opened_at, "open": close, "high": high, "low": low, "close": close})
    settlements = count // 32 + 2
    funding = pl.DataFrame(
        {
            "settled_at": [first + timedelta(hours=8) * k for k in range(settlements)],
            "funding_rate": rng.integers(-30, 40, settlements) / 100_000,
            "interval_hours": [8] * settlements,
        }
    )
    open_interest = pl.DataFrame({"measured_at": opened_at, "open_interest": rng.integers(1000, 2000, count) / 1.0})
    stamp = pl.Datetime("us", "UTC")
    return Frames(
        bars=bars.with_columns(pl.col("opened_at").cast(stamp)).filter(pl.Series(rng.random(count) >= missing)),
        funding=funding.with_columns(pl.col("settled_at").cast(stamp)),
        open_interest=open_interest.with_columns(pl.col("measured_at").cast(stamp)),
    )


@pytest.fixture(scope="session")
def frames():
    return make_frames
