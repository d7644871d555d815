from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from helios_pipeline.core.records import AllocationLimits, Costs, FeatureSettings, Instrument, Window
from helios_pipeline.core.selection import Constraints
from helios_pipeline.strategy.parameters import STRATEGY_VERSION, ParameterSet
from helios_pipeline.sweep.grid import PARAMETER_NAMES, Grid, parameter_frame
from helios_pipeline.sweep.ledger import TrialContext, blocks_in_force, ledger_entries, ledger_key, trial_context
from helios_pipeline.sweep.rounds import RoundResult
from tests.generated_market import BTC as BTC_ID
from tests.generated_market import FEATURES, make_bars, make_inputs

BTC = Instrument(
    instrument_id="BTCUSDT-PERP.BINANCE",
    tick=Decimal("0.1"),
    lot=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    min_notional_quote=Decimal(100),
    max_notional_quote=Decimal(1_000_000),
)
ETH = replace(BTC, instrument_id="ETHUSDT-PERP.BINANCE")
CONTEXT = TrialContext(
    strategy_version="mean_reversion_funding/1",
    instruments=(BTC, ETH),
    costs=Costs(
        fee_fraction=Decimal("0.0005"),
        half_spread_bps=Decimal("0.5"),
        slippage_bps=Decimal("0.5"),
        stop_slippage_bps=Decimal(1),
    ),
    limits=AllocationLimits(vol_target=0.2, max_leverage=3.0, gross_cap=3.0, max_open=2),
    feature_settings=FeatureSettings(
        funding_lookback=30,
        funding_std_floor=1e-6,
        atr_bars=96,
        vol_lookback=672,
        periods_per_year=35_040,
        max_gap_bars=8,
        open_interest_delay_minutes=5,
    ),
)
POINT = ParameterSet(
    lookback_bars=96,
    funding_weight=0.5,
    entry_z=2.0,
    exit_z=0.0,
    max_holding_bars=96,
    cooldown_bars=0,
    stop_atr=4.0,
)
WINDOW = Window(first=datetime(2024, 1, 1, tzinfo=UTC), last=datetime(2025, 1, 1, tzinfo=UTC))


def key(context=CONTEXT, point=POINT):
    return ledger_key(context, point.canonical)


def test_spelling_and_order_do_not_make_another_trial():
    same = replace(
        CONTEXT,
        instruments=(ETH, BTC),
        costs=replace(CONTEXT.costs, fee_fraction=Decimal("0.00050"), stop_slippage_bps=Decimal("1.0")),
        limits=replace(CONTEXT.limits, max_leverage=3),
    )

    assert key(same) == key()
    assert key(point=replace(POINT, entry_z=2)) == key()


@pytest.mark.parametrize(
    "other",
    [
        replace(CONTEXT, strategy_version="mean_reversion_funding/2"),
        replace(CONTEXT, instruments=(BTC,)),
        replace(CONTEXT, instruments=(BTC, replace(ETH, tick=Decimal("0.01")))),
        replace(CONTEXT, costs=replace(CONTEXT.costs, slippage_bps=Decimal(1))),
        replace(CONTEXT, limits=replace(CONTEXT.limits, vol_target=0.4)),
        replace(CONTEXT, limits=replace(CONTEXT.limits, max_open=1)),
        replace(CONTEXT, feature_settings=replace(CONTEXT.feature_settings, atr_bars=48)),
    ],
)
def test_whatever_changes_a_number_makes_another_trial(other):
    assert key(other) != key()


def test_another_parameter_makes_another_trial():
    assert key(point=replace(POINT, cooldown_bars=8)) != key()


def make_result(round_trips):
    """A round of two sets with blocks of rising numbers."""
    grid = Grid.from_values({name: [getattr(POINT, name)] for name in PARAMETER_NAMES} | {"lookback_bars": [48, 96]})
    metrics = parameter_frame(grid.points()).with_columns(pl.Series("round_trips", round_trips))
    blocks = np.arange(2 * 16 * 3, dtype=np.float64).reshape(2, 16, 3)
    constraints = Constraints(min_round_trips=20, max_drawdown_fraction=0.2, min_sharpe=1.5, min_win_rate=0.3)
    return RoundResult(
        name="round-1", grid=grid, window=WINDOW, constraints=constraints, metrics=metrics, blocks=blocks, best=0
    )


def test_entries_carry_what_identifies_the_trial_and_its_blocks():
    result = make_result([31, 7])

    entries = ledger_entries(result, CONTEXT, market_data="binance")

    assert [entry.key for entry in entries] == [key(point=point) for point in result.grid.points()]
    assert [entry.round_trips for entry in entries] == [31, 7]
    first, second = entries
    assert first.instruments == ["BTCUSDT-PERP.BINANCE", "ETHUSDT-PERP.BINANCE"]
    assert first.costs["fee_fraction"] == "0.0005"
    assert first.parameters["lookback_bars"] == 48
    assert (first.window, first.round) == (WINDOW, "round-1")
    assert (first.vol_target, first.market_data) == (0.2, "binance")
    assert np.array_equal(second.blocks, result.blocks[1])


def test_a_round_measured_anew_takes_the_place_of_its_first_record():
    result, other = make_result([31, 25]), np.full((16, 3), -1.0)
    recorded = {key(point=point): np.zeros((16, 3)) for point in result.grid.points()} | {"0" * 64: other}

    blocks = blocks_in_force(recorded, result, CONTEXT, min_round_trips=20)

    measured = {key(point=point): block for point, block in zip(result.grid.points(), result.blocks, strict=True)}
    assert np.array_equal(blocks, [other, *(measured[name] for name in sorted(measured))])


def test_a_set_that_no_longer_trades_often_enough_is_no_column():
    result = make_result([31, 7])
    recorded = {key(point=point): np.zeros((16, 3)) for point in result.grid.points()}

    assert np.array_equal(blocks_in_force(recorded, result, CONTEXT, min_round_trips=20), result.blocks[:1])
    assert blocks_in_force(recorded, result, CONTEXT, min_round_trips=50).shape == (0, 16, 3)


def test_the_context_of_inputs_is_what_they_were_built_from():
    inputs = make_inputs({BTC_ID: make_bars(seed=1, days=2)}, warm_up_days=1, days=2)

    context = trial_context(inputs)

    assert context.strategy_version == STRATEGY_VERSION
    assert (context.costs, context.limits, context.feature_settings) == (inputs.costs, inputs.limits, FEATURES)
    assert [instrument.instrument_id for instrument in context.instruments] == [BTC_ID]
