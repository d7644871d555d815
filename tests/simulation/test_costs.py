from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.core.records import Costs
from helios_pipeline.simulation.costs import (
    COST_UNITS,
    buy_ticks,
    cost_units,
    fee_quanta,
    quotes,
    sell_ticks,
    stop_fill_ticks,
)

COMPILED = settings(deadline=None)
COST = st.integers(0, COST_UNITS // 10)


@COMPILED
@given(st.integers(1, 10**11), COST)
def test_a_buyer_pays_up_and_a_seller_gets_down_to_the_tick(ticks, cost):
    assert buy_ticks(ticks, cost) == ceil(ticks * (1 + Fraction(cost, COST_UNITS)))
    assert sell_ticks(ticks, cost) == floor(ticks * (1 - Fraction(cost, COST_UNITS)))


@COMPILED
@given(st.lists(st.integers(1, 10**9), max_size=5), COST)
def test_quotes_are_what_a_seller_and_a_buyer_are_filled_at(opens, cost):
    bids, asks = quotes(np.array(opens, np.int64), cost)

    assert bids.tolist() == [sell_ticks(ticks, cost) for ticks in opens]
    assert asks.tolist() == [buy_ticks(ticks, cost) for ticks in opens]


@COMPILED
@given(st.integers(0, 2**62), COST)
def test_a_fee_rounds_half_up_to_a_quantum(value, fee):
    exact = Decimal(value) * fee / COST_UNITS

    assert fee_quanta(value, fee) == int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def test_half_a_quantum_is_charged():
    assert fee_quanta(1000, 5000) == 1
    assert fee_quanta(999, 5000) == 0


def test_a_stop_slips_against_the_trader():
    assert stop_fill_ticks(433_626, 1, 1000) == 433_582
    assert stop_fill_ticks(433_626, -1, 1000) == 433_670


def costs(**changed):
    values = {"fee_fraction": "0.0005", "half_spread_bps": "1", "slippage_bps": "0.5", "stop_slippage_bps": "2.001"}
    return Costs(**{name: Decimal(value) for name, value in (values | changed).items()})


def test_costs_are_counted_in_thousandths_of_a_basis_point():
    units = cost_units(costs())

    assert (units.fee, units.spread, units.stop_slippage) == (5000, 1500, 2001)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fee_fraction", "0.00000005"),
        ("slippage_bps", "0.0001"),
        ("half_spread_bps", "-1"),
        ("stop_slippage_bps", "1000"),
    ],
)
def test_a_cost_that_cannot_be_exact_is_refused_by_name(name, value):
    with pytest.raises(SettingsError, match=f"costs.{name}.*found {value}"):
        cost_units(costs(**{name: value}))
