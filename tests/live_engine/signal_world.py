"""A fast signal venue with several markets, and what research would make of its history."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from helios_pipeline.core.market_data import Candle, Settlement
from helios_pipeline.core.records import QUANTA_PER_UNIT, FeatureSettings
from helios_pipeline.data.aggregate import aggregate_rows
from helios_pipeline.features.frame import make_features
from helios_pipeline.features.windows import log_prices, segment_starts, z_scores
from simulated_venues.market import SimulatedMarket
from tests.simulated_venues.conftest import BTC, make_settings

BAR = timedelta(seconds=15)
RAW = timedelta(seconds=1)
STAMP = pl.Datetime("us", "UTC")
LOOKBACK = 20
FEATURES = FeatureSettings(
    funding_lookback=5,
    funding_std_floor=1e-6,
    atr_bars=7,
    vol_lookback=16,
    periods_per_year=35_040 * 60,
    max_gap_bars=3,
    open_interest_delay_minutes=5,
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def fast_markets(count: int, trades_per_day: int = 20_000) -> SimulatedMarket:
    """So many markets, sixty times as fast; the first is BTCUSDT."""
    settings = make_settings(ids=(BTC,))
    (first,) = settings.instruments
    names = [BTC, *(f"AA{letter}USDT-PERP.BINANCE" for letter in "ABCDEFGHIJKLMNOPQRST")][:count]
    instruments = tuple(replace(first, instrument_id=name, trades_per_day=trades_per_day) for name in names)
    return SimulatedMarket(replace(settings, instruments=instruments, raw_interval_ms=1_000))


def bars_of(klines: Iterable[Candle]) -> pl.DataFrame:
    """Bars of fifteen raw klines, as research aggregates them from the venue's text."""
    columns = ("open", "high", "low", "close", "volume")
    rows = pl.DataFrame(
        {
            "opened_at": [EPOCH + timedelta(milliseconds=kline.opened_ms) for kline in klines],
            **{name: [getattr(kline, name) / QUANTA_PER_UNIT for kline in klines] for name in columns},
        },
        schema_overrides={"opened_at": STAMP},
    )
    prices = [pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last()]
    made = aggregate_rows(rows, stamp="opened_at", interval=BAR, prices=prices, totals={"volume": pl.col("volume")})
    return made.filter(pl.col("rows") == 15)


def features_of(bars: pl.DataFrame, settlements: Iterable[Settlement]) -> dict[datetime, tuple[float, ...]]:
    """z_price, z_funding, volatility and atr by the instant at which a bar closed, as research makes them."""
    funding = pl.DataFrame(
        {
            "settled_at": [each.settled_at for each in settlements],
            "funding_rate": [each.rate for each in settlements],
            "interval_hours": [each.interval_hours for each in settlements],
        },
        schema_overrides={"settled_at": STAMP},
    )
    nothing = pl.DataFrame(schema={"measured_at": STAMP, "open_interest": pl.Float64})
    made = make_features(bars, funding, nothing, FEATURES, instrument_id="test", interval=BAR)
    opened = bars["opened_at"].cast(pl.Int64).to_numpy()
    starts = segment_starts(opened, BAR // timedelta(microseconds=1), FEATURES.max_gap_bars)
    scores = z_scores(log_prices(bars["close"].to_numpy()), starts, LOOKBACK)
    columns = [scores, *(made[name].to_numpy() for name in ("z_funding", "volatility", "atr"))]
    return dict(
        zip(made["closed_at"].to_list(), zip(*(column.tolist() for column in columns), strict=True), strict=True)
    )


def bits(values: Iterable[float]) -> list[int]:
    return np.array(list(values)).view(np.int64).tolist()
