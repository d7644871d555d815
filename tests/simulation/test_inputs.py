import math
import pickle
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from helios_pipeline.core.errors import DataError, SettingsError, SimulationError
from helios_pipeline.core.records import Window

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
BAR = timedelta(minutes=15)


def test_slots_are_clock_slots_whether_a_bar_exists_or_not(frames_of, build):
    instrument, bars, features, funding = frames_of()
    kept = pl.int_range(pl.len()).is_in([3, 4, 50]).not_()

    inputs = build(instrument, bars.filter(kept), features.filter(kept), funding)

    assert len(inputs.opened_at) == 200
    assert np.flatnonzero(inputs.slots["ask"][:, 0] == 0).tolist() == [3, 4, 50, 200]
    assert inputs.slots["close"][4, 0] == inputs.slots["close"][2, 0]
    assert math.isnan(inputs.slots["volatility"][50, 0])
    assert inputs.slot_of(FIRST + 50 * BAR) == 50
    assert inputs.slot_of(FIRST + 200 * BAR) == 200


def test_prices_are_exact_ticks_around_the_open(frames_of, build):
    instrument, bars, features, funding = frames_of()

    inputs = build(instrument, bars, features, funding)

    opens = [int(Decimal(str(price)) * 10) for price in bars["open"]]
    assert inputs.opens[:-1, 0].tolist() == opens
    assert inputs.slots["ask"][:-1, 0].tolist() == [-(-ticks * 10_001 // 10_000) for ticks in opens]
    assert inputs.slots["bid"][:-1, 0].tolist() == [ticks * 9_999 // 10_000 for ticks in opens]


def test_bars_before_the_window_are_warm_up(frames_of, build):
    instrument, bars, features, funding = frames_of()
    window = Window(first=FIRST + 96 * BAR, last=FIRST + 150 * BAR)

    inputs = build(instrument, bars, features.filter(pl.col("opened_at") >= window.first), funding, window=window)

    assert inputs.first_slot == 96
    assert len(inputs.opened_at) == 150
    assert math.isnan(inputs.slots["atr"][95, 0])
    assert not math.isnan(inputs.slots["atr"][96, 0])


def test_instruments_are_sorted_by_id(inputs_of):
    inputs = inputs_of(symbols=("SOLUSDT", "BTCUSDT", "ETHUSDT"))

    assert [one.symbol for one in inputs.instruments] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]


def test_the_mark_of_a_payment_is_a_mark_price_then_the_open_then_the_last_close(frames_of, build):
    instrument, bars, features, funding = frames_of()
    marks = [41_234.56789012] + [None] * (len(funding) - 1)
    funding = funding.with_columns(mark_price=pl.Series(marks, dtype=pl.Float64))
    missing = pl.int_range(pl.len()) == 8

    inputs = build(instrument, bars.filter(~missing), features.filter(~missing), funding)

    at = [int(inputs.slots["settlement"][slot, 0]) for slot in (0, 4, 8)]
    assert inputs.settlements["source"][at].tolist() == [0, 1, 2]
    tick = 10**7
    expected = [4_123_456_789_012, inputs.opens[4, 0] * tick, inputs.slots["close"][7, 0] * tick]
    assert inputs.settlements["mark"][at].tolist() == expected


def test_inputs_pickle_small(inputs_of):
    inputs = inputs_of(symbols=("BTCUSDT", "ETHUSDT"), count=96 * 60)

    pickled = pickle.dumps(inputs)
    copy = pickle.loads(pickled)

    assert len(pickled) < 110 * inputs.slots.size
    assert copy.slots.tobytes() == inputs.slots.tobytes()


def test_inputs_pickle_to_the_same_bytes_after_they_were_used(inputs_of):
    inputs = inputs_of(symbols=("BTCUSDT",), count=96)
    unused = pickle.dumps(inputs)

    (bars,) = inputs.priced_bars

    assert pickle.dumps(inputs) == unused
    assert bars.until(50).slots.tolist() == [slot for slot in bars.slots.tolist() if slot < 50]


def test_a_price_off_its_tick_is_refused(frames_of, build):
    instrument, bars, features, funding = frames_of()
    off = bars.with_columns(
        low=pl.when(pl.int_range(pl.len()) == 7).then(pl.col("low") + 0.05).otherwise(pl.col("low"))
    )

    with pytest.raises(
        DataError, match=r"BTCUSDT-PERP.BINANCE: expected low to be a positive multiple of the tick 0\.1.*01:45"
    ):
        build(instrument, off, features, funding)


def test_features_must_cover_every_bar_of_the_window(frames_of, build):
    instrument, bars, features, funding = frames_of()

    with pytest.raises(DataError, match="none at 2024-01-01 02:00 UTC"):
        build(instrument, bars, features.filter(pl.int_range(pl.len()) != 8), funding)


@pytest.mark.parametrize(
    ("kept", "hour"),
    [
        (lambda at: at != 20, "2024-01-01 20:00"),
        (lambda at: at > 3, "2024-01-01 00:00"),
        (lambda at: at < 30, "2024-01-02 06:00"),
    ],
)
def test_a_missing_settlement_is_named_by_its_hour(frames_of, build, kept, hour):
    instrument, bars, features, funding = frames_of()
    holed = funding.filter(pl.Series([kept(at) for at in range(len(funding))]))

    with pytest.raises(DataError, match=f"BTCUSDT-PERP.BINANCE.*{hour}"):
        build(instrument, bars, features, holed)


def test_the_settlement_at_the_very_end_may_be_unknown(frames_of, build):
    instrument, bars, features, funding = frames_of()

    with_it = build(instrument, bars, features, funding)
    without = build(instrument, bars, features, funding.filter(pl.col("settled_at") < FIRST + 200 * BAR))

    assert with_it.slots["settlement"][200, 0] >= 0
    assert without.slots["settlement"][200, 0] == -1


def test_a_rate_finer_than_exact_money_is_refused(frames_of, build):
    instrument, bars, features, funding = frames_of()

    with pytest.raises(DataError, match="expected at most 10 decimals"):
        build(instrument, bars, features, funding.with_columns(funding_rate=pl.lit(1.5e-10)))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lot": Decimal("0.0000000001"), "tick": Decimal(100)}, "lot of BTCUSDT-PERP.BINANCE"),
        ({"tick": Decimal("0.000000001"), "lot": Decimal(10)}, "tick of BTCUSDT-PERP.BINANCE"),
        ({"lot": Decimal("0.00001"), "max_notional_quote": Decimal(100_000)}, None),
    ],
)
def test_steps_finer_than_exact_money_are_refused(frames_of, build, changed, message):
    instrument, bars, features, funding = frames_of()
    changed_instrument = replace(instrument, **changed)

    if message is None:
        build(changed_instrument, bars, features, funding)
    else:
        with pytest.raises(SettingsError, match=message):
            build(changed_instrument, bars, features, funding)


def test_equity_finer_than_a_quantum_is_refused(frames_of, build):
    with pytest.raises(SettingsError, match="initial_equity_quote"):
        build(*frames_of(), initial_equity_quote=Decimal("0.000000001"))


def test_what_could_overflow_is_refused_before_the_run_naming_the_limit(frames_of, build):
    instrument, bars, features, funding = frames_of()
    huge = replace(instrument, max_notional_quote=Decimal(10) ** 11)

    with pytest.raises(SimulationError, match=r"max_notional_quote of BTCUSDT-PERP\.BINANCE: expected at most about"):
        build(huge, bars, features, funding)


def test_a_window_off_the_quarter_of_an_hour_is_refused(frames_of, build):
    window = Window(first=FIRST + timedelta(minutes=5), last=FIRST + 10 * BAR)

    with pytest.raises(SimulationError, match="whole quarters of an hour"):
        build(*frames_of(), window=window)
    with pytest.raises(SimulationError, match="expected a quarter of an hour between"):
        build(*frames_of()).slot_of(FIRST + timedelta(minutes=5))
