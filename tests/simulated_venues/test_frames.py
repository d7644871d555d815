from datetime import UTC, datetime, timedelta

import polars as pl

from simulated_venues.frames import funding_frame, klines_frame, open_interest_frame
from simulated_venues.market import SimulatedMarket

BTC = "BTCUSDT-PERP.BINANCE"
FIRST = datetime(2024, 2, 28, tzinfo=UTC)
LAST = FIRST + timedelta(days=2)


def test_floats_are_those_that_their_decimal_text_gives(make_settings):
    market = SimulatedMarket(make_settings())
    bars = market.bars(BTC, FIRST, LAST, raw_bars=1)
    frame = klines_frame(market, BTC, FIRST, LAST, raw_bars=1)

    assert frame["close"].to_list() == [float(f"{c // 10}.{c % 10}") for c in bars.close.tolist()]
    assert frame["volume"].to_list() == [float(f"{v // 1000}.{v % 1000:03d}") for v in bars.volume.tolist()]
    assert frame["quote_volume"].to_list() == [
        float(f"{q // 10_000}.{q % 10_000:04d}") for q in bars.quote_volume.tolist()
    ]


def test_frames_have_the_raw_shapes(make_settings):
    market = SimulatedMarket(make_settings())
    klines = klines_frame(market, BTC, FIRST, LAST, raw_bars=15)
    funding = funding_frame(market, BTC, FIRST, LAST)
    contracts = open_interest_frame(market, BTC, FIRST, LAST)

    assert klines.height == 192
    assert klines["interval"].unique().to_list() == ["15m"]
    assert klines["opened_at"].dtype == pl.Datetime("us", "UTC")
    assert klines["opened_at"][0] == FIRST
    assert funding.columns == ["settled_at", "published_at", "funding_rate", "interval_hours", "mark_price", "source"]
    assert funding.height == 6
    assert contracts.columns == ["measured_at", "open_interest", "open_interest_quote", "source"]
    assert contracts.height == 576
