"""Signed manifests and markets for tests of the engine."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from helios_pipeline.core.keys import SigningKey
from helios_pipeline.core.manifest import (
    Approval,
    Deployment,
    Manifest,
    Provenance,
    SignedManifest,
    TradingTerms,
    sign_manifest,
)
from helios_pipeline.core.records import AllocationLimits, Costs, FeatureSettings, Instrument
from helios_pipeline.core.selection import GateResult
from helios_pipeline.execution.traded_market import TradedMarket
from helios_pipeline.strategy.parameters import STRATEGY_VERSION

PIPELINE = SigningKey.from_seed(bytes(range(32)), "pipeline")
OPERATOR = SigningKey.from_seed(bytes(range(1, 33)), "operator")
STRANGER = SigningKey.from_seed(bytes(range(2, 34)), "operator")
TRUSTED = {"paper": [PIPELINE.public, OPERATOR.public], "testnet": [OPERATOR.public], "mainnet": [OPERATOR.public]}
HERE = Deployment(network="paper", bar_seconds=900, strategy_version=STRATEGY_VERSION)
FEATURES = FeatureSettings(
    funding_lookback=3,
    funding_std_floor=1e-6,
    atr_bars=12,
    vol_lookback=24,
    periods_per_year=35_040,
    max_gap_bars=3,
    open_interest_delay_minutes=5,
)
PARAMETERS = {
    "lookback_bars": 96,
    "funding_weight": 0.0,
    "entry_z": 2.0,
    "exit_z": -0.5,
    "max_holding_bars": 40,
    "cooldown_bars": 3,
    "stop_atr": 2.0,
}
BITCOIN = TradedMarket(
    instrument_id="BTC-USD-PERP.DYDX",
    signal_instrument_id="BTCUSDT-PERP.BINANCE",
    signal_tick=Decimal("0.1"),
    tick=Decimal(1),
    lot=Decimal("0.0001"),
    min_quantity=Decimal("0.0001"),
    min_notional_quote=Decimal(0),
)
ETHER = TradedMarket(
    instrument_id="ETH-USD-PERP.DYDX",
    signal_instrument_id="ETHUSDT-PERP.BINANCE",
    signal_tick=Decimal("0.01"),
    tick=Decimal("0.1"),
    lot=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    min_notional_quote=Decimal(0),
)


def make_manifest(
    *,
    network="paper",
    bar_seconds=900,
    strategy_version=STRATEGY_VERSION,
    entry_z=2.0,
    signal_ids=(BITCOIN.signal_instrument_id,),
    valid_for=timedelta(days=90),
    **changed,
) -> Manifest:
    instruments = tuple(
        Instrument(
            instrument_id=name,
            tick=Decimal("0.1"),
            lot=Decimal("0.001"),
            min_quantity=Decimal("0.001"),
            min_notional_quote=Decimal(100),
            max_notional_quote=Decimal(1_000_000),
        )
        for name in signal_ids
    )
    costs = {"fee_fraction": "0.0005", "half_spread_bps": "0.5", "slippage_bps": "0.5", "stop_slippage_bps": "1"}
    terms = TradingTerms(
        strategy_version=strategy_version,
        bar_seconds=bar_seconds,
        funding_interval_seconds=3_600,
        instruments=instruments,
        costs=Costs(**{name: Decimal(value) for name, value in costs.items()}),
        limits=AllocationLimits(vol_target=0.4, max_leverage=3.0, gross_cap=3.0, max_open=2),
        features=FEATURES,
    )
    gate = GateResult(
        name="deflated_sharpe", passed=True, value=0.97, rule="at least", threshold=0.95, explanation="Above luck."
    )
    now = datetime.now(UTC)
    return Manifest(
        parameters=PARAMETERS | {"entry_z": entry_z} | changed,
        terms=terms,
        provenance=Provenance(market_data="archive", data_hashes={"bars": "ab"}, round_id="r1", trials=12),
        evidence=(gate,),
        approval=Approval(network=network, approver="test", created_at=now, expires_at=now + valid_for),
    )


def signed(key=PIPELINE, **changed) -> SignedManifest:
    return sign_manifest(make_manifest(**changed), key)
