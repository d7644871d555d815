import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_pipeline.strategy.allocation import (
    BELOW_MINIMUM,
    CONTRACT,
    CROWDED_OUT,
    NOT_WANTED,
    TAKEN,
    WITHOUT_VOLATILITY,
    AccountState,
    Candidates,
    Limits,
    allocate,
    stop_ticks,
)

UNIT = 100_000_000
COMPILED = settings(deadline=None)
LIMITS = Limits(0.4, 3.0, 3.0, 2)


def contracts(count, *, min_lots=1, min_notional=5 * UNIT, max_notional=10**6 * UNIT):
    row = (10_000, min_lots, min_notional, max_notional, 0.1, 10**7, 1, 1000)
    return np.array([row] * count, CONTRACT)


def allocated(intents, *, strengths=None, sigmas=None, ranges=None, account=None, limits=LIMITS, sizes=None):
    count = len(intents)
    lots, outcomes = np.zeros(count, np.int64), np.zeros(count, np.int64)
    candidates = Candidates(
        np.array(intents),
        np.array(strengths or [3.0] * count),
        np.full(count, 500_000),
        np.array(sigmas or [0.4] * count),
        np.array(ranges or [1.0] * count),
    )
    account = account or AccountState(100_000 * UNIT, 0, 0)
    allocate(candidates, account, limits, contracts(count) if sizes is None else sizes, lots, outcomes)
    return lots.tolist(), outcomes.tolist()


def test_notional_aims_at_the_volatility_target():
    # 100,000 of equity at σ = target: 100,000 of notional at 50,000 a coin is 2 coins, 2,000 lots.
    assert allocated([1]) == ([2000], [TAKEN])
    assert allocated([-1], sigmas=[0.8]) == ([1000], [TAKEN])


def test_leverage_market_and_gross_caps_bind():
    assert allocated([1], sigmas=[0.01]) == ([6000], [TAKEN])
    assert allocated([1], sizes=contracts(1, max_notional=25_000 * UNIT)) == ([500], [TAKEN])
    held = AccountState(100_000 * UNIT, 250_000 * UNIT, 1)
    assert allocated([1], account=held) == ([1000], [TAKEN])


def test_the_strongest_signals_get_the_places_and_ties_go_to_the_first_market():
    assert allocated([1, -1, 1], strengths=[2.0, 3.0, 2.5]) == ([0, 2000, 2000], [CROWDED_OUT, TAKEN, TAKEN])
    assert allocated([1, 1, 1]) == ([2000, 2000, 0], [TAKEN, TAKEN, CROWDED_OUT])


def test_what_cannot_be_entered_takes_no_place():
    lots, outcomes = allocated(
        [1, 1, 1, 1, 0],
        strengths=[9.0, 8.0, 7.0, 6.0, 5.0],
        sigmas=[math.nan, 0.4, 0.4, 0.4, 0.4],
        ranges=[1, math.nan, 1, 1, 1],
    )

    assert outcomes == [WITHOUT_VOLATILITY, WITHOUT_VOLATILITY, TAKEN, TAKEN, NOT_WANTED]
    assert lots == [0, 0, 2000, 2000, 0]
    assert allocated([1], sigmas=[0.0])[1] == [WITHOUT_VOLATILITY]


def test_below_a_minimum_nothing_is_entered():
    assert allocated([1], sizes=contracts(1, min_lots=2001))[1] == [BELOW_MINIMUM]
    assert allocated([1], sizes=contracts(1, min_notional=100_001 * UNIT))[1] == [BELOW_MINIMUM]
    assert allocated([1], account=AccountState(-5 * UNIT, 0, 0))[1] == [BELOW_MINIMUM]
    assert allocated([1], account=AccountState(0, 0, 0))[1] == [BELOW_MINIMUM]


@COMPILED
@given(
    st.lists(st.tuples(st.sampled_from([-1, 0, 1]), st.floats(0, 5), st.floats(0.01, 3)), min_size=1, max_size=6),
    st.integers(0, 10**7),
    st.integers(0, 10**7),
    st.integers(0, 3),
    st.integers(1, 4),
)
def test_no_cap_is_ever_passed(markets, equity, gross, kept, max_open):
    intents, strengths, sigmas = (list(column) for column in zip(*markets, strict=True))
    account = AccountState(equity * UNIT, gross * UNIT, kept)
    limits = Limits(0.4, 3.0, 3.0, max_open)

    lots, outcomes = allocated(intents, strengths=strengths, sigmas=sigmas, account=account, limits=limits)

    values = [quantity * 500_000 * 10_000 for quantity in lots]
    assert [quantity > 0 for quantity in lots] == [outcome == TAKEN for outcome in outcomes]
    assert max(values) <= 10**6 * UNIT
    assert kept + sum(quantity > 0 for quantity in lots) <= max(kept, max_open)
    assert sum(values) == 0 or sum(values) + gross * UNIT <= 3 * equity * UNIT
    assert all((outcome == NOT_WANTED) == (intent == 0) for intent, outcome in zip(intents, outcomes, strict=True))


@COMPILED
@given(st.integers(1, 10**6), st.sampled_from([-1, 1]), st.integers(1, 80), st.integers(1, 4000))
def test_a_stop_lies_that_many_ranges_away_rounded_up_to_a_tick(entry, side, eighths, sixteenths):
    # Multiples of powers of two are exact in binary, so that the ceiling can be stated exactly.
    trigger = stop_ticks(entry, side, eighths / 8, sixteenths / 16, 0.25)

    distance = math.ceil(Fraction(eighths, 8) * Fraction(sixteenths, 16) * 4)
    assert trigger == max(0, entry - side * distance)


@pytest.mark.parametrize("side", [-1, 1])
def test_a_stop_of_zero_ranges_is_none(side):
    assert stop_ticks(1000, side, 0.0, math.nan, 0.1) == 0
