from datetime import UTC, datetime
from decimal import Decimal

import pytest

from simulated_venues.market import MarketSettings, SimulatedInstrument

BTC = "BTCUSDT-PERP.BINANCE"
ETH = "ETHUSDT-PERP.BINANCE"


def make_settings(*, seed: int = 7, edge: float = 0.0, ids: tuple[str, ...] = (BTC, ETH)) -> MarketSettings:
    known = {
        BTC: SimulatedInstrument(
            instrument_id=BTC,
            start_price=Decimal(40_000),
            tick=Decimal("0.1"),
            lot=Decimal("0.001"),
            daily_volatility=0.025,
            daily_volume=150_000.0,
            trades_per_day=20_000,
        ),
        ETH: SimulatedInstrument(
            instrument_id=ETH,
            start_price=Decimal(2_500),
            tick=Decimal("0.01"),
            lot=Decimal("0.001"),
            daily_volatility=0.03,
            daily_volume=1_500_000.0,
            trades_per_day=20_000,
        ),
    }
    return MarketSettings(
        seed=seed,
        instruments=tuple(known[i] for i in ids),
        priced_at=datetime(2023, 1, 1, tzinfo=UTC),
        raw_interval_ms=60_000,
        factor_share=0.6,
        edge=edge,
        edge_half_life=720.0,
    )


@pytest.fixture(name="make_settings", scope="session")
def make_settings_fixture():
    return make_settings
