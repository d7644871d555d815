"""One decision made on made-up bars before the engine trades.

Compiled functions are loaded, and on a new machine compiled, at their first call, which takes seconds. The first bar's
decision would wait for them, and with it the event loop: blocks, quotes and the heartbeat.
"""

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from helios_pipeline.core.market_data import Candle, Settlement
from helios_pipeline.core.records import QUANTA_PER_UNIT, FeatureSettings, Instrument
from helios_pipeline.features.live import BarFeatures, MarketMemory
from helios_pipeline.strategy.allocation import CONTRACT, Limits, make_contract, stop_ticks
from helios_pipeline.strategy.boundary import Decided, MarketView, decide_markets
from helios_pipeline.strategy.desk import Features
from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.strategy.signal import MarketState
from helios_pipeline.strategy.terms import Terms

_BEGAN = datetime(2020, 1, 1, tzinfo=UTC)
_BAR = timedelta(minutes=15)
_BARS = 40
_PRICE, _SWING = 100, 10
_PARAMETERS = ParameterSet(
    lookback_bars=20,
    funding_weight=0.1,
    entry_z=0.5,
    exit_z=0.0,
    max_holding_bars=8,
    cooldown_bars=0,
    stop_atr=2.0,
)
_FEATURES = FeatureSettings(
    funding_lookback=4,
    funding_std_floor=1e-6,
    atr_bars=8,
    vol_lookback=24,
    periods_per_year=35_040,
    max_gap_bars=8,
    open_interest_delay_minutes=5,
)
_INSTRUMENT = Instrument(
    instrument_id="REHEARSAL",
    tick=Decimal("0.01"),
    lot=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    min_notional_quote=Decimal(0),
    max_notional_quote=Decimal(1_000_000),
)


def rehearse() -> Decided:
    """Make features, decide, size an entry and place its stop, as at a bar's close; what came of it."""
    known = _features()
    features = Features(
        z_price=np.array([known.z_price]),
        z_funding=np.array([known.z_funding]),
        volatility=np.array([known.volatility]),
        atr=np.array([known.atr]),
    )
    contracts = np.zeros(1, CONTRACT)
    contracts[0] = make_contract(_INSTRUMENT)
    terms = Terms(
        manifest_hash="rehearsal",
        parameters=_PARAMETERS,
        features=_FEATURES,
        limits=Limits(0.5, 3.0, 3.0, 1),
        contracts=contracts,
        traded=(True,),
    )
    close_ticks = _PRICE * 100
    decided = decide_markets([_flat(terms, close_ticks)], features, 100_000 * QUANTA_PER_UNIT, terms)
    stop_ticks(close_ticks, 1, _PARAMETERS.stop_atr, known.atr, float(_INSTRUMENT.tick))
    return decided


def _features() -> BarFeatures:
    memory = MarketMemory(_BAR, _BARS)
    for number in range(_BARS):
        price = round((_PRICE + _SWING * math.sin(number)) * QUANTA_PER_UNIT)
        opened_ms = round((_BEGAN + number * _BAR).timestamp()) * 1_000
        width = QUANTA_PER_UNIT
        bar = Candle(
            opened_ms=opened_ms, open=price, high=price + width, low=price - width, close=price, volume=QUANTA_PER_UNIT
        )
        memory.take_bar(bar)
    end = _BEGAN + _BARS * _BAR
    for number in range(1, _FEATURES.funding_lookback + 2):
        memory.take_funding(Settlement(settled_at=end - number * timedelta(hours=1), rate=1e-5, interval_hours=1))
    return memory.at(end, _PARAMETERS.lookback_bars, _FEATURES)


def _flat(terms: Terms, close_ticks: int) -> MarketView:
    return MarketView(
        state=MarketState(0, 0, True),
        lots=0,
        leaving="",
        pending_lots=0,
        close_ticks=close_ticks,
        lot_value=int(terms.contracts[0]["quanta_per_tick_lot"]),
        manifest_hash=terms.manifest_hash,
        rule=terms.rule,
        stop_atr=terms.parameters.stop_atr,
        due=True,
        has_bar=True,
        quoted=True,
        refusal="",
    )
