"""Where the profit went, to the quantum."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from helios_pipeline.core.records import QUANTA_PER_UNIT
from helios_pipeline.reports.costs import CostSplit, cost_rows, decided_ticks
from helios_pipeline.simulation.costs import buy_ticks, sell_ticks


@settings(deadline=None)  # the first call compiles
@given(st.integers(1, 10**9), st.integers(0, 10**5))
def test_a_buyer_s_decided_price_is_got_back_exactly(ticks, cost):
    assert decided_ticks(buy_ticks(ticks, cost), 1, cost) == ticks


@settings(deadline=None)  # the first call compiles
@given(st.integers(1, 10**9), st.integers(0, 10**5))
def test_a_seller_s_decided_price_is_got_back_to_the_tick(ticks, cost):
    assert 0 <= ticks - decided_ticks(sell_ticks(ticks, cost), -1, cost) <= 1


def test_parts_are_shown_in_quote_currency_and_of_the_equity():
    split = CostSplit(gross=100 * QUANTA_PER_UNIT, spread_and_slippage=-20 * QUANTA_PER_UNIT,
                      fees=-30 * QUANTA_PER_UNIT, funding=QUANTA_PER_UNIT, net=51 * QUANTA_PER_UNIT)  # fmt: skip

    rows = cost_rows(split, float(Decimal(1_000)))

    assert rows.rows()[0] == ("gross", 100.0, 0.1)
    assert rows.rows()[-1] == ("net", 51.0, 0.051)
    assert sum(rows["quote"][:-1]) == rows["quote"][-1]
