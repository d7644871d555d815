import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_pipeline.core.records import AllocationLimits, Costs, FeatureSettings, Instrument, Window
from helios_pipeline.core.selection import Constraints
from helios_pipeline.simulation.kernel import Evaluation
from helios_pipeline.simulation.summary import METRICS
from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.sweep.grid import PARAMETER_NAMES, Grid
from helios_pipeline.sweep.ledger import (
    TrialContext,
    TrialPlace,
    blocks_in_force,
    ledger_key,
    make_trials,
)
from helios_pipeline.sweep.points import points_frame, records_of
from helios_pipeline.sweep.rounds import RoundResult

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
    metrics = points_frame(grid.records()).with_columns(pl.Series("round_trips", round_trips))
    blocks = np.arange(2 * 16 * 3, dtype=np.float64).reshape(2, 16, 3)
    constraints = Constraints(min_round_trips=20, max_drawdown_fraction=0.2, min_sharpe=1.5, min_win_rate=0.3)
    return RoundResult(
        name="round-1", grid=grid, window=WINDOW, constraints=constraints, metrics=metrics, blocks=blocks, best=0
    )


def evaluation_with(round_trips):
    rows = np.zeros((len(round_trips), len(METRICS)))
    rows[:, METRICS.index("round_trips")] = round_trips
    return Evaluation(rows=rows, blocks=np.arange(len(rows) * 48, dtype=np.float64).reshape(-1, 16, 3))


def trials_of(points, round_trips):
    place = TrialPlace(round="round-1", window=WINDOW, market_data="binance")
    return make_trials(records_of(points), evaluation_with(round_trips), CONTEXT, place)


def test_trials_carry_what_identifies_them_and_their_blocks():
    points = [replace(POINT, lookback_bars=48), POINT]

    trials = trials_of(points, [31, 7])

    assert trials.keys == [key(point=point) for point in points]
    assert trials.round_trips.tolist() == [31, 7]
    assert trials.instruments == ["BTCUSDT-PERP.BINANCE", "ETHUSDT-PERP.BINANCE"]
    assert trials.costs["fee_fraction"] == "0.0005"
    assert [json.loads(text)["lookback_bars"] for text in trials.parameters] == [48, 96]
    assert (trials.window, trials.round) == (WINDOW, "round-1")
    assert (trials.vol_target, trials.market_data) == (0.2, "binance")
    assert np.array_equal(trials.blocks, evaluation_with([31, 7]).blocks)


def test_a_key_is_what_it_was_when_the_first_rounds_were_stored():
    assert key() == "11b6f3c4f62dbf2d6fd39efe5fe6de7fab0cadd7ed7f8bd4b129bb96bcc30dda"


@given(
    st.lists(
        st.builds(
            ParameterSet,
            lookback_bars=st.integers(2, 10_000),
            funding_weight=st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 0.1 + 0.2]),
            entry_z=st.floats(1.0, 1e12),
            exit_z=st.floats(-0.99, 0.99) | st.sampled_from([0.0, -0.0]),
            max_holding_bars=st.integers(1, 10**12),
            cooldown_bars=st.integers(0, 10**6),
            stop_atr=st.floats(0.0, 1e-3) | st.integers(0, 12).map(float),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_keys_in_bulk_are_the_hash_of_context_and_canonical_text_one_by_one(points):
    context = json.dumps(CONTEXT.canonical(), sort_keys=True, separators=(",", ":"))

    trials = trials_of(points, [0] * len(points))

    assert trials.parameters == [point.canonical for point in points]
    assert trials.keys == [hashlib.sha256(f"{context}\n{point.canonical}".encode()).hexdigest() for point in points]


def test_a_round_measured_anew_takes_the_place_of_its_first_record():
    result, other = make_result([31, 25]), np.full((16, 3), -1.0)
    keys = [*(key(point=point) for point in result.grid.points()), "0" * 64]
    recorded = np.array([np.zeros((16, 3)), np.zeros((16, 3)), other])

    blocks = blocks_in_force(keys, recorded, result, CONTEXT, min_round_trips=20)

    measured = dict(zip(keys[:2], result.blocks, strict=True))
    assert np.array_equal(blocks, [other, *(measured[name] for name in sorted(measured))])


def test_a_set_that_no_longer_trades_often_enough_is_no_column():
    result = make_result([31, 7])
    keys, recorded = [key(point=point) for point in result.grid.points()], np.zeros((2, 16, 3))

    kept = blocks_in_force(keys, recorded, result, CONTEXT, min_round_trips=20)

    assert np.array_equal(kept, result.blocks[:1])
    assert blocks_in_force(keys, recorded, result, CONTEXT, min_round_trips=50).shape == (0, 16, 3)
    assert blocks_in_force([], recorded[:0], result, CONTEXT, min_round_trips=20).shape == (1, 16, 3)
