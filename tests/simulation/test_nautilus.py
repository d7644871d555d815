"""Kernel and NautilusTrader agree with tolerance zero on generated markets; on real months in the files beside this."""

import warnings
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_pipeline.simulation.kernel import simulate
from helios_pipeline.strategy.parameters import ParameterSet

# pandas makes timedeltas without a unit when NautilusTrader is imported and when an engine is built.
UNIT_OF_PANDAS = "The 'generic' unit for NumPy timedelta"
pytestmark = pytest.mark.filterwarnings(f"ignore:{UNIT_OF_PANDAS}:DeprecationWarning")

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", UNIT_OF_PANDAS, DeprecationWarning)
    from helios_pipeline.simulation.nautilus import compare, run_backtest

THREE = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
OFTEN_HELD = ParameterSet(
    lookback_bars=8,
    funding_weight=0.0,
    entry_z=1.5,
    exit_z=-1.4,
    max_holding_bars=10**6,
    cooldown_bars=0,
    stop_atr=0.0,
)


@settings(max_examples=120, deadline=None)
@given(
    shape=st.fixed_dictionaries(
        {
            "seed": st.integers(0, 10**6),
            "symbols": st.sampled_from([THREE[:1], THREE]),
            "count": st.integers(120, 300),
            "missing": st.sampled_from([0.0, 0.05]),
            "long_gaps": st.integers(0, 3),
            "max_open": st.integers(1, 3),
            "equity": st.sampled_from([200, 100_000]),
            "mark_prices": st.booleans(),
        }
    ),
    parameters=st.builds(
        ParameterSet,
        lookback_bars=st.integers(2, 30),
        funding_weight=st.sampled_from([0.0, 0.4]),
        entry_z=st.floats(0.5, 2.0),
        exit_z=st.floats(-0.4, 0.4),
        max_holding_bars=st.integers(1, 40),
        cooldown_bars=st.integers(0, 5),
        stop_atr=st.sampled_from([0.0, 0.05, 0.5, 2.0]),
    ),
    start=st.integers(0, 40),
    end=st.integers(0, 20),
)
def test_kernel_and_nautilus_trader_agree_on_generated_markets(inputs_of, shape, parameters, start, end):
    inputs = inputs_of(**shape)
    span = {"start": start, "stop": len(inputs.opened_at) - end}

    assert compare(simulate(inputs, parameters, **span), run_backtest(inputs, parameters, **span)) is None


def test_a_difference_is_named(inputs_of):
    inputs = inputs_of(seed=2, count=300)
    backtest = run_backtest(inputs, OFTEN_HELD, start=0, stop=300)
    kernel = simulate(inputs, OFTEN_HELD, start=0, stop=300)
    fewer = replace(kernel, fills=kernel.fills.head(3))
    dearer = replace(kernel, fills=kernel.fills.with_columns(fee_quanta=pl.col("fee_quanta") + 1))
    richer = replace(kernel, final_cash_quanta=kernel.final_cash_quanta + 1)
    luckier = replace(kernel, counts={**kernel.counts, "stops_in_bar": -1})

    assert compare(kernel, backtest) is None
    assert "fills: kernel 3" in str(compare(fewer, backtest))
    assert "fill 0: kernel" in str(compare(dearer, backtest))
    assert "cash: kernel" in str(compare(richer, backtest))
    assert "stops_in_bar: kernel -1" in str(compare(luckier, backtest))
