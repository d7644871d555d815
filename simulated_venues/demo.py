"""The market of the demonstration: two instruments on the grids of the real ones."""

from datetime import UTC, datetime
from decimal import Decimal

from simulated_venues.settings import MarketSettings, SimulatedInstrument

DEMO_INSTRUMENTS = (
    SimulatedInstrument(
        instrument_id="BTCUSDT-PERP.BINANCE",
        start_price=Decimal(30_000),
        tick=Decimal("0.1"),
        lot=Decimal("0.001"),
        daily_volatility=0.025,
        daily_volume=150_000.0,
        trades_per_day=40_000,
    ),
    SimulatedInstrument(
        instrument_id="ETHUSDT-PERP.BINANCE",
        start_price=Decimal(2_000),
        tick=Decimal("0.01"),
        lot=Decimal("0.001"),
        daily_volatility=0.03,
        daily_volume=1_500_000.0,
        trades_per_day=30_000,
    ),
)


def demo_settings(*, seed: int, edge: float) -> MarketSettings:
    """The demonstration's market at natural speed.

    Args:
        seed: any whole number.
        edge: standard deviation of the mean-reverting component in daily volatilities; 0 removes it.
    """
    return MarketSettings(
        seed=seed,
        instruments=DEMO_INSTRUMENTS,
        priced_at=datetime(2023, 1, 1, tzinfo=UTC),
        raw_interval_ms=60_000,
        factor_share=0.6,
        edge=edge,
        edge_half_life=720.0,
    )
