"""The order of events, by hand: closes stand still, so the price score is 0 and the funding score alone decides."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from helios_pipeline.core.records import AllocationLimits, Costs, FeatureSettings, Instrument
from helios_pipeline.simulation.arrays import SETTLEMENT, SLOT
from helios_pipeline.simulation.inputs import SimulationInputs
from helios_pipeline.simulation.kernel import simulate
from helios_pipeline.strategy.allocation import CONTRACT
from helios_pipeline.strategy.parameters import ParameterSet

QUARTER = 900 * 10**9
OPEN, BID, ASK = 10_000, 9_999, 10_001
ENTER_LONG, HOLD, LEAVE = -2.0, -1.0, 0.0
POINT = ParameterSet(
    lookback_bars=2,
    funding_weight=1.0,
    entry_z=2.0,
    exit_z=0.0,
    max_holding_bars=50,
    cooldown_bars=0,
    stop_atr=2.0,
)


def still_market(scores, *, markets=1, missing=()):
    """Markets at 100.0 with a spread of two ticks, an ATR of 5.0 and σ of 1; `scores` by slot, else HOLD.

    Equity of 1,000 at a vol target of 1 buys 10 units of base at 100, in lots of 1.
    """
    count = 20
    slots = np.zeros((count + 1, markets), SLOT)
    slots["bid"], slots["ask"], slots["low"], slots["high"] = BID, ASK, OPEN - 5, OPEN + 5
    slots["close"], slots["settlement"], slots["volatility"], slots["atr"] = OPEN, -1, 1.0, 5.0
    for at in (*missing, count):
        for name in ("bid", "ask", "low", "high"):
            slots[name][at] = 0
    z_funding = np.full((count + 1, markets), HOLD)
    for at, score in scores.items():
        z_funding[at] = score
    z_funding[list(missing)] = np.nan
    instrument = Instrument(
        instrument_id="A-PERP.X",
        tick=Decimal("0.01"),
        lot=Decimal(1),
        min_quantity=Decimal(1),
        min_notional_quote=Decimal(10),
        max_notional_quote=Decimal(100_000),
    )
    contract = (10**6, 1, 10 * 10**8, 10**13, 0.01, 10**6, 1, 1)
    return SimulationInputs(
        instruments=tuple(replace(instrument, instrument_id=f"{name}-PERP.X") for name in "ABC"[:markets]),
        opened_at=np.arange(count, dtype=np.int64) * 900_000,
        first_slot=0,
        opens=np.where(slots["ask"] > 0, OPEN, 0),
        slots=slots,
        z_funding=z_funding,
        settlements=np.array([(1_000_000, 100 * 10**8, 0)], SETTLEMENT),
        contracts=np.array([contract] * markets, CONTRACT),
        costs=Costs(
            fee_fraction=Decimal("0.001"),
            half_spread_bps=Decimal(1),
            slippage_bps=Decimal(0),
            stop_slippage_bps=Decimal(10),
        ),
        limits=AllocationLimits(vol_target=1.0, max_leverage=1.0, gross_cap=1.0, max_open=1),
        feature_settings=FeatureSettings(
            funding_lookback=2,
            funding_std_floor=1e-6,
            atr_bars=2,
            vol_lookback=2,
            periods_per_year=35_040,
            max_gap_bars=50,
            open_interest_delay_minutes=5,
        ),
        initial_equity_quanta=1_000 * 10**8,
    )


def fills(inputs, parameters=POINT, *, stop=20):
    """(slot, price, reason) of each fill; the slot is a fraction inside a bar."""
    run = simulate(inputs, parameters, start=0, stop=stop)
    rows = run.fills.select("filled_at_ns", "price_ticks", "reason").rows()
    return [(round(at / QUARTER, 6), price, reason) for at, price, reason in rows]


def test_a_decision_at_a_close_fills_at_the_next_open():
    inputs = still_market({3: ENTER_LONG, 6: LEAVE})

    assert fills(inputs) == [(4, ASK, "entry"), (7, BID, "signal")]


def test_money_of_a_round_trip_to_the_quantum():
    inputs = still_market({3: ENTER_LONG, 6: LEAVE})
    inputs.slots["settlement"][5] = 0

    run = simulate(inputs, POINT, start=0, stop=20)

    # 10 units at 100.01 and 99.99, 0.1 % each way, and 0.01 % of 1,000 to the other side at the settlement.
    fees, funding = 100_010_000 + 99_990_000, -10_000_000
    assert run.fills["lots"].to_list() == [10, 10]
    assert run.fills["fee_quanta"].sum() == fees
    assert run.payments["amount_quanta"].to_list() == [funding]
    assert run.final_cash_quanta == 1_000 * 10**8 - 20 * 10**6 - fees + funding
    assert run.round_trips["net_quanta"].to_list() == [-20 * 10**6 - fees + funding]
    assert run.metrics["exposure"] == 3 / 20


def test_funding_is_settled_on_the_position_carried_into_the_boundary():
    entering, leaving = still_market({3: ENTER_LONG, 6: LEAVE}), still_market({3: ENTER_LONG, 6: LEAVE})
    entering.slots["settlement"][4] = 0
    leaving.slots["settlement"][7] = 0

    assert len(simulate(entering, POINT, start=0, stop=20).payments) == 0
    assert len(simulate(leaving, POINT, start=0, stop=20).payments) == 1


def test_a_stop_rests_from_the_entry_and_fills_with_its_slippage():
    inputs = still_market({3: ENTER_LONG})
    stop = ASK - 1000
    inputs.slots["low"][4] = stop

    assert fills(inputs) == [(4, ASK, "entry"), (5, 8_991, "stop_in_bar")]
    inputs.slots["low"][4] = stop + 1
    assert fills(inputs)[1:] == [(20, BID, "window_end")]


def test_an_open_beyond_the_stop_fills_at_its_quote_before_the_decision():
    inputs = still_market({3: ENTER_LONG, 5: LEAVE})
    inputs.slots["bid"][6] = 8_000

    assert fills(inputs) == [(4, ASK, "entry"), (6, 8_000, "stop_at_open")]


def test_a_stop_inside_the_entry_quote_fills_at_once():
    inputs = still_market({3: ENTER_LONG})

    assert fills(inputs, replace(POINT, stop_atr=0.002)) == [(4, ASK, "entry"), (4, BID, "stop_at_open")]


@pytest.mark.parametrize("cooldown", [0, 1, 3])
def test_after_a_stop_nothing_enters_until_the_cooldown_is_over(cooldown):
    in_bar, at_open = still_market(dict.fromkeys(range(3, 20), ENTER_LONG)), None
    in_bar.slots["low"][6] = 1
    at_open = still_market(dict.fromkeys(range(3, 20), ENTER_LONG))
    at_open.slots["bid"][7] = 8_000
    point = replace(POINT, cooldown_bars=cooldown)

    # Stopped inside bar 6, i.e. just before boundary 7; and at boundary 7 itself.
    assert fills(in_bar, point)[1:3] == [(7, 8_991, "stop_in_bar"), (7 + cooldown, ASK, "entry")]
    assert fills(at_open, point)[1:3] == [(7, 8_000, "stop_at_open"), (8 + cooldown, ASK, "entry")]


@pytest.mark.parametrize("cooldown", [0, 2])
def test_max_holding_counts_closed_bars_and_starts_the_cooldown(cooldown):
    inputs = still_market(dict.fromkeys(range(3, 20), ENTER_LONG))
    point = replace(POINT, max_holding_bars=3, cooldown_bars=cooldown)

    assert fills(inputs, point)[:3] == [(4, ASK, "entry"), (7, BID, "max_holding"), (8 + cooldown, ASK, "entry")]


def test_a_signal_exit_starts_no_cooldown():
    inputs = still_market({3: ENTER_LONG, 6: LEAVE, 7: ENTER_LONG})

    assert fills(inputs, replace(POINT, cooldown_bars=5))[:3] == [
        (4, ASK, "entry"),
        (7, BID, "signal"),
        (8, ASK, "entry"),
    ]


def test_an_entry_decided_before_a_gap_is_cancelled():
    inputs = still_market({3: ENTER_LONG}, missing=(4, 5))

    run = simulate(inputs, POINT, start=0, stop=20)

    assert len(run.fills) == 0
    assert run.counts["cancelled"] == 1


def test_an_exit_decided_before_a_gap_fills_at_the_first_open_after_it():
    inputs = still_market({3: ENTER_LONG, 6: LEAVE}, missing=(7, 8))

    assert fills(inputs) == [(4, ASK, "entry"), (9, BID, "signal")]


def test_the_holding_time_runs_in_a_gap():
    inputs = still_market({3: ENTER_LONG}, missing=(6, 7, 8, 9))

    assert fills(inputs, replace(POINT, max_holding_bars=4)) == [(4, ASK, "entry"), (10, BID, "max_holding")]


def test_a_stop_is_checked_at_the_first_open_after_a_gap():
    inputs = still_market({3: ENTER_LONG}, missing=(6, 7))
    inputs.slots["bid"][8] = 8_500

    assert fills(inputs) == [(4, ASK, "entry"), (8, 8_500, "stop_at_open")]


def test_funding_is_booked_in_a_gap_and_equity_keeps_its_mark():
    inputs = still_market({3: ENTER_LONG}, missing=(6, 7))
    inputs.slots["settlement"][7] = 0

    run = simulate(inputs, POINT, start=0, stop=20)

    equity = run.equity["equity_quote"].to_list()
    assert len(run.payments) == 1
    assert equity[6] == equity[5]
    assert equity[7] == pytest.approx(equity[6] - 0.1)


def test_a_position_at_the_end_is_closed_at_the_last_close_with_costs():
    inputs = still_market({3: ENTER_LONG, 9: LEAVE})

    # The exit decided on bar 9 would fill at boundary 10, which is the end: nothing is decided there.
    assert fills(inputs, stop=10) == [(4, ASK, "entry"), (10, BID, "window_end")]
    assert simulate(inputs, POINT, start=0, stop=10).counts["open_at_the_end"] == 1


def test_nothing_enters_at_the_end():
    assert fills(still_market({9: ENTER_LONG}), stop=10) == []


def test_one_place_goes_to_the_strongest_and_an_exit_frees_it_in_the_same_decision():
    inputs = still_market({}, markets=2)
    inputs.z_funding[3] = [-2.0, -2.5]
    inputs.z_funding[6] = [-2.0, LEAVE]

    run = simulate(inputs, POINT, start=0, stop=20)

    rows = run.fills.select("filled_at_ns", "instrument_id", "reason").rows()
    assert [(at // QUARTER, name[0], reason) for at, name, reason in rows] == [
        (4, "B", "entry"),
        (7, "A", "entry"),
        (7, "B", "signal"),
        (20, "A", "window_end"),
    ]
    assert run.counts["crowded_out"] == 1


def test_an_exit_that_waits_in_a_gap_still_holds_its_place():
    inputs = still_market({}, markets=2)
    inputs.z_funding[3], inputs.z_funding[6], inputs.z_funding[7] = [-2.5, HOLD], [LEAVE, HOLD], [np.nan, ENTER_LONG]
    for name in ("bid", "ask", "low", "high"):
        inputs.slots[name][7:9, 0] = 0

    run = simulate(inputs, POINT, start=0, stop=20)

    assert run.counts["crowded_out"] == 1
    assert run.fills["instrument_id"].unique().to_list() == ["A-PERP.X"]


def test_a_settlement_at_the_end_is_marked_at_the_last_close_not_at_the_next_open():
    inputs = still_market({3: ENTER_LONG})
    inputs.slots["settlement"][10] = 0
    inputs.settlements["mark"], inputs.settlements["source"] = 90 * 10**8, 1

    at_end = simulate(inputs, POINT, start=0, stop=10).payments.row(0, named=True)
    inside = simulate(inputs, POINT, start=0, stop=11).payments.row(0, named=True)

    assert (at_end["mark_quanta"], at_end["mark_source"]) == (100 * 10**8, "last_close")
    assert (inside["mark_quanta"], inside["mark_source"]) == (90 * 10**8, "open")
