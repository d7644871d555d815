from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from helios_pipeline.bias.market import make_inputs
from helios_pipeline.bias.stress import break_even, delay_orders, stress_costs, stress_delay, with_costs
from helios_pipeline.core.records import Costs
from helios_pipeline.simulation.arrays import ENTRY, REASONS
from helios_pipeline.simulation.kernel import simulate
from tests.bias.conftest import POINT, POINTS
from tests.generated_market import BTC

FACTORS = [0.5, 1.0, 3.0]


def run(inputs, point=POINT):
    return simulate(inputs, point, start=inputs.first_slot, stop=len(inputs.opened_at))


def test_costs_as_charged_are_the_round_s_own_inputs(inputs):
    same = with_costs(inputs, fees=1.0, slippage=1.0, funding=1.0)

    assert same.costs == inputs.costs
    for name in ("slots", "settlements", "opens"):
        assert getattr(same, name).tobytes() == getattr(inputs, name).tobytes()


def test_dearer_costs_give_the_inputs_that_would_be_made_of_them(market, inputs):
    costs = Costs(
        fee_fraction=Decimal("0.0003"),
        half_spread_bps=Decimal("0.2"),
        slippage_bps=Decimal("0.2"),
        stop_slippage_bps=Decimal(2),
    )

    dearer = with_costs(inputs, fees=3.0, slippage=2.0, funding=1.0)

    made = make_inputs(replace(market, costs=costs))
    assert dearer.cost_units == made.cost_units
    assert dearer.slots.tobytes() == made.slots.tobytes()


def test_funding_is_paid_three_times_and_seen_once(inputs):
    dearer = with_costs(inputs, fees=1.0, slippage=1.0, funding=3.0)

    once, thrice = run(inputs, POINTS[1]).payments, run(dearer, POINTS[1]).payments
    assert dearer.z_funding is inputs.z_funding
    assert thrice["rate"].to_numpy()[:5] == pytest.approx(3 * once["rate"].to_numpy()[:5], abs=1e-10)


def test_a_cost_between_two_steps_of_a_thousandth_of_a_basis_point_is_rounded_up(inputs):
    given = replace(inputs, costs=replace(inputs.costs, fee_fraction=Decimal("0.0001001")))

    assert with_costs(given, fees=0.5, slippage=1.0, funding=1.0).costs.fee_fraction == Decimal("0.0000501")


def test_a_set_earns_less_the_dearer_it_trades(inputs):
    verdict = stress_costs(inputs, POINT, FACTORS, survived=1.5)

    rows = verdict.rows
    assert verdict.passed
    assert "it still gains at 3 times" in verdict.sentence

    assert rows.group_by("cost", maintain_order=True).len().rows() == [
        (kind, 4) for kind in ("fees", "slippage", "funding", "all")
    ]
    for kind in ("fees", "slippage", "all"):
        returns = rows.filter(cost=kind)["net_return"].to_list()
        assert returns == sorted(returns, reverse=True)
    as_charged = rows.filter(factor=1.0)["net_return"]
    assert as_charged.n_unique() == 1
    assert as_charged[0] == run(inputs).metrics["net_return"]


def test_a_gain_that_the_stated_factor_takes_away_does_not_pass(inputs):
    verdict = stress_costs(inputs, POINT, [1.0], survived=40.0)

    assert not verdict.passed
    assert "it loses its last gain at" in verdict.sentence


def test_the_break_even_lies_straight_between_two_factors():
    assert break_even(np.array([1.0, 2.0, 4.0]), np.array([0.3, 0.1, -0.1])) == pytest.approx(3.0)
    assert break_even(np.array([1.0, 2.0]), np.array([0.3, 0.1])) is None
    assert break_even(np.array([1.0, 2.0]), np.array([-0.1, -0.3])) is None


@pytest.mark.parametrize("late", [1, 3])
def test_late_orders_fill_at_the_quotes_of_later_bars(market, inputs, late):
    alone = make_inputs(replace(market, instruments=market.instruments[:1], bars={BTC: market.bars[BTC]}))
    delayed = delay_orders(alone, late)

    fills = run(delayed).fills.filter(reason=REASONS[ENTRY])

    first = int(alone.opened_at[0])
    for at_ns, side, ticks in fills.select("filled_at_ns", "side", "price_ticks").iter_rows():
        slot = (at_ns // 1_000_000 - first) // 900_000 + late
        assert ticks == alone.slots["ask" if side > 0 else "bid"][slot, 0]
    assert len(fills) > 50
    # As long as nothing is held, what is wanted depends on scores alone, and those are in place.
    assert fills["filled_at_ns"][0] == run(alone).fills["filled_at_ns"][0]


def test_no_delay_changes_nothing(inputs):
    same = delay_orders(inputs, 0)

    assert same.slots.tobytes() == inputs.slots.tobytes()
    np.testing.assert_array_equal(same.z_funding, inputs.z_funding)


def test_a_bar_whose_later_quote_is_missing_trades_nothing(inputs):
    delayed = delay_orders(inputs, 1)

    missing = (inputs.slots["ask"][1:] == 0) | (inputs.slots["ask"][:-1] == 0)
    assert (delayed.slots["ask"][:-1][missing] == 0).all()
    assert (delayed.slots["bid"][delayed.slots["ask"] == 0] == 0).all()
    assert missing[:-1].sum() > 40


def test_a_settlement_is_paid_by_what_is_held_when_it_comes(inputs):
    delayed = delay_orders(inputs, 2)

    np.testing.assert_array_equal(delayed.slots["settlement"][:-2], inputs.slots["settlement"][2:])
    assert (delayed.slots["settlement"][-2:] == -1).all()


def test_a_quick_reversion_is_worth_less_a_bar_later(inputs):
    verdict = stress_delay(inputs, POINT, [4, 1])

    assert verdict.rows["late_bars"].to_list() == [0, 1, 4]
    returns = verdict.rows["net_return"].to_list()
    assert returns == sorted(returns, reverse=True)
    assert "With every order 1 bar late" in verdict.sentence
    assert verdict.passed == (returns[1] > 0)
