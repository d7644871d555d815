"""A small market with two instruments, as frames and as the inputs made of them."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from helios_pipeline.bias.market import Market, make_inputs
from helios_pipeline.core.records import Window
from helios_pipeline.strategy.parameters import ParameterSet
from tests.generated_market import BTC, ETH, FEATURES, FIRST, make_bars, make_funding
from tests.generated_market import make_inputs as made_inputs

DAYS, WARM_UP = 80, 5

POINT = ParameterSet(
    lookback_bars=24,
    funding_weight=0.0,
    entry_z=1.5,
    exit_z=0.0,
    max_holding_bars=48,
    cooldown_bars=4,
    stop_atr=3.0,
)
POINTS = [POINT, replace(POINT, lookback_bars=60, funding_weight=0.4, stop_atr=0.0)]


@pytest.fixture(scope="session")
def market():
    bars = {BTC: make_bars(seed=3, days=DAYS), ETH: make_bars(seed=4, days=DAYS)}
    # Two holes: one that windows reach over, one that restarts them.
    bars[ETH] = bars[ETH].filter([not (2_000 <= at < 2_003 or 3_000 <= at < 3_040) for at in range(len(bars[ETH]))])
    given = made_inputs(bars, warm_up_days=WARM_UP, days=DAYS)
    return Market(
        instruments=given.instruments,
        bars=bars,
        funding={name: make_funding(seed=at, days=DAYS) for at, name in enumerate(bars)},
        costs=given.costs,
        limits=given.limits,
        feature_settings=FEATURES,
        initial_equity_quote=Decimal(100_000),
        window=Window(first=FIRST + timedelta(days=WARM_UP), last=FIRST + timedelta(days=DAYS)),
    )


@pytest.fixture(scope="session")
def inputs(market):
    return make_inputs(market)
