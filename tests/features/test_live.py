"""Features made bar by bar are those that history gives, bit for bit."""

import math
import os
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.market_data import Candle, Settlement, units
from helios_pipeline.data.bars import make_bars
from helios_pipeline.data.funding import parse_funding_rates
from helios_pipeline.data.klines import parse_klines
from helios_pipeline.features.frame import make_features
from helios_pipeline.features.live import NO_FEATURES, MarketMemory
from helios_pipeline.features.windows import log_prices, segment_starts, z_scores

BTC = "BTCUSDT-PERP.BINANCE"
FAST_BAR = timedelta(seconds=15)
LOOKBACK = 9
FEW = limits(max_examples=40, deadline=None)
REAL = Path(os.environ.get("HELIOS_REAL_DATA", "absent"))
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason="HELIOS_REAL_DATA is not set: real market data needed")


def on_ticks(frames, *args, **options):
    made = frames(*args, **options)
    return replace(made, bars=made.bars.with_columns(pl.col("high", "low").round(1)))


def candles(bars):
    return [
        Candle(opened_ms=int(opened.timestamp() * 1000), open=units(repr(close)), high=units(repr(high)),
               low=units(repr(low)), close=units(repr(close)), volume=1)
        for opened, high, low, close in bars.select("opened_at", "high", "low", "close").iter_rows()
    ]  # fmt: skip


def settlements(funding):
    return [
        Settlement(settled_at=at, rate=rate, interval_hours=hours)
        for at, rate, hours in funding.select("settled_at", "funding_rate", "interval_hours").iter_rows()
    ]


def of_history(bars, funding, settings, interval):
    """z_price, z_funding, volatility and atr of every bar, as research makes them."""
    no_open_interest = pl.DataFrame(schema={"measured_at": pl.Datetime("us", "UTC"), "open_interest": pl.Float64})
    made = make_features(bars, funding, no_open_interest, settings, instrument_id=BTC, interval=interval)
    opened = bars["opened_at"].cast(pl.Int64).to_numpy()
    starts = segment_starts(opened, interval // timedelta(microseconds=1), settings.max_gap_bars)
    prices = z_scores(log_prices(bars["close"].to_numpy()), starts, LOOKBACK)
    return np.column_stack([prices, *(made[name].to_numpy() for name in ("z_funding", "volatility", "atr"))])


def of_memory(bars, funding, settings, interval):
    """The same as they would have been at each close, settlements learned when they are usable."""
    memory, made, due = MarketMemory(interval, 40), [], settlements(funding)
    for opened, bar in zip(bars["opened_at"].to_list(), candles(bars), strict=True):
        closed = opened + interval
        while due and due[0].settled_at < closed:
            memory.take_funding(due.pop(0))
        memory.take_bar(bar)
        found = memory.at(closed, LOOKBACK, settings)
        made.append((found.z_price, found.z_funding, found.volatility, found.atr))
    return np.array(made)


def bits(values):
    return np.where(np.isnan(values), math.nan, values).view(np.int64).tolist()


def compressed(frames):
    """The same market sixty times as fast."""

    def faster(name):
        first = pl.lit(datetime(2024, 1, 1, tzinfo=UTC), dtype=pl.Datetime("us", "UTC"))
        return (first + (pl.col(name) - first) / 60).cast(pl.Datetime("us", "UTC")).alias(name)

    return replace(
        frames,
        bars=frames.bars.with_columns(faster("opened_at")),
        funding=frames.funding.with_columns(faster("settled_at")),
    )


@FEW
@given(st.integers(0, 10**6), st.floats(0, 0.4), st.booleans())
def test_each_close_gives_the_features_of_history_to_the_last_bit(frames, settings, seed, missing, is_fast):
    made = on_ticks(frames, seed, 200, missing=missing)
    interval = FAST_BAR if is_fast else BAR_INTERVAL
    made = compressed(made) if is_fast else made

    history = of_history(made.bars, made.funding, settings, interval)
    live = of_memory(made.bars, made.funding, settings, interval)

    assert bits(live) == bits(history)


@FEW
@given(st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_bars_and_settlements_may_come_in_any_order_and_twice(frames, settings, seed, random):
    made = on_ticks(frames, seed, 60, missing=0.1)
    arriving = [*candles(made.bars), *settlements(made.funding)] * 2
    random.shuffle(arriving)
    memory = MarketMemory(BAR_INTERVAL, 100)

    for each in arriving:
        (memory.take_bar if isinstance(each, Candle) else memory.take_funding)(each)

    history = of_history(made.bars, made.funding, settings, BAR_INTERVAL)
    found = [memory.at(opened + BAR_INTERVAL, LOOKBACK, settings) for opened in made.bars["opened_at"]]
    assert bits(np.array([(each.z_price, each.z_funding, each.volatility, each.atr) for each in found])) == bits(
        history
    )


def test_a_bar_that_is_missing_has_no_features(frames, settings):
    made = on_ticks(frames, 1, 60)
    memory = MarketMemory(BAR_INTERVAL, 100)
    for bar in candles(made.bars):
        memory.take_bar(bar)

    assert memory.at(made.bars["opened_at"][-1] + 2 * BAR_INTERVAL, LOOKBACK, settings) == NO_FEATURES


def test_a_settlement_that_is_missing_in_the_window_leaves_no_funding_score(frames, settings):
    made = on_ticks(frames, 1, 400)
    memory = MarketMemory(BAR_INTERVAL, 1000)
    for bar in candles(made.bars):
        memory.take_bar(bar)
    late = settlements(made.funding)
    for settlement in late[:6] + late[7:]:
        memory.take_funding(settlement)

    def score(number):
        return memory.at(late[number].settled_at + BAR_INTERVAL, LOOKBACK, settings).z_funding

    assert not math.isnan(score(5))
    assert [math.isnan(score(number)) for number in (7, 8, 9, 10)] == [True, True, True, False]


def test_an_old_settlement_has_no_value_after_its_interval_and_one_bar(frames, settings):
    made = on_ticks(frames, 1, 400)
    memory = MarketMemory(BAR_INTERVAL, 1000)
    for bar in candles(made.bars):
        memory.take_bar(bar)
    for settlement in settlements(made.funding)[:8]:
        memory.take_funding(settlement)
    due = settlements(made.funding)[8].settled_at

    assert not math.isnan(memory.at(due + BAR_INTERVAL, LOOKBACK, settings).z_funding)
    assert math.isnan(memory.at(due + 2 * BAR_INTERVAL, LOOKBACK, settings).z_funding)


def test_the_memory_does_not_grow(frames, settings):
    made = on_ticks(frames, 1, 3_000)
    memory = MarketMemory(BAR_INTERVAL, 50)

    for bar in candles(made.bars):
        memory.take_bar(bar)

    assert len(memory._bars) <= 100


def read_month(symbol, month):
    folder = REAL / "binance_vision" / "data" / "futures" / "um" / "monthly"
    csv = {}
    for kind, name in (
        ("klines", f"{symbol}/15m/{symbol}-15m-{month}"),
        ("fundingRate", f"{symbol}/{symbol}-fundingRate-{month}"),
    ):
        with zipfile.ZipFile(folder / kind / f"{name}.zip") as archive:
            csv[kind] = archive.read(archive.namelist()[0])
    first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    klines = parse_klines(csv["klines"], interval="15m", file=f"{symbol} {month}").frame
    bars = make_bars(klines, first=first, last=first + timedelta(days=31)).bars
    return bars, parse_funding_rates(csv["fundingRate"], file=f"{symbol} {month}").frame


@needs_real_data
@pytest.mark.parametrize(("symbol", "month"), [("BTCUSDT", "2024-01"), ("ETHUSDT", "2024-01"), ("SOLUSDT", "2024-01")])
def test_real_months_have_the_features_of_history_to_the_last_bit(settings, symbol, month):
    bars, funding = read_month(symbol, month)

    history, live = of_history(bars, funding, settings, BAR_INTERVAL), of_memory(bars, funding, settings, BAR_INTERVAL)

    assert len(bars) > 2_900
    assert bits(live) == bits(history)
