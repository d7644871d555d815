import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_pipeline.features import windows

# The first call compiles.
COMPILED = settings(deadline=None)

PRICES = st.lists(st.integers(1, 10**7).map(lambda ticks: ticks / 10), min_size=30, max_size=60)


@COMPILED
@given(PRICES, st.integers(2, 20))
def test_a_price_score_is_the_distance_from_the_mean_in_standard_deviations(prices, lookback):
    values = np.log(np.array(prices))
    window = values[-lookback:].tolist()
    spread = statistics.pstdev(window)

    score = windows.z_score(values, len(values) - 1, lookback)

    expected = (window[-1] - statistics.fmean(window)) / spread if len(set(window)) > 1 else 0.0
    assert score == pytest.approx(expected, rel=1e-6, abs=1e-6)


@COMPILED
@given(PRICES, st.integers(2, 20), st.integers(0, 4))
def test_batch_and_single_windows_have_the_same_bits(prices, lookback, max_gap):
    rng = np.random.default_rng(len(prices))
    opened_at = np.cumsum(rng.integers(1, 5, len(prices)))
    starts = windows.segment_starts(opened_at, 1, max_gap)
    logs = windows.log_prices(np.array(prices))

    scores = windows.z_scores(logs, starts, lookback)

    for at in range(len(prices)):
        if at - lookback + 1 >= starts[at]:
            assert scores[at].tobytes() == np.float64(windows.z_score(logs, at, lookback)).tobytes()
        else:
            assert math.isnan(scores[at])


@pytest.mark.parametrize("lookback", [2, 3, 5, 48, 97, 250])
def test_windows_side_by_side_have_the_bits_of_one_alone(lookback):
    rng = np.random.default_rng(lookback)
    logs = np.cumsum(rng.normal(0, 0.001, 400))
    logs[120:180] = logs[120]
    starts = windows.segment_starts(np.delete(np.arange(420), np.arange(200, 220)), 1, 8)

    scores = windows.z_scores(logs, starts, lookback)

    at = np.arange(len(logs))
    enough = at - lookback + 1 >= starts
    alone = [windows.z_score(logs, k, lookback) for k in at[enough]]
    assert scores[enough].tobytes() == np.array(alone).tobytes()
    assert np.isnan(scores[~enough]).all()


def test_equal_values_score_zero_although_their_mean_rounds():
    values = np.full(30, 0.1 + 0.2)

    assert windows.z_score(values, 29, 10) == 0.0
    assert windows.floored_z_score(values, 29, 10, 1e-6, 3.0) == 0.0
    assert windows.volatility(values, 29, 10, 35_040.0) == 0.0


def test_logarithms_are_those_of_the_c_library():
    prices = np.random.default_rng(1).uniform(1, 1e5, 20_000)

    assert windows.log_prices(prices).tolist() == [math.log(price) for price in prices.tolist()]


def test_a_long_run_of_missing_bars_starts_a_new_segment():
    opened_at = np.array([0, 1, 2, 5, 6, 10, 11])

    assert windows.segment_starts(opened_at, 1, 2).tolist() == [0, 0, 0, 0, 0, 5, 5]
    assert windows.segment_starts(opened_at, 1, 3).tolist() == [0] * 7
    assert windows.segment_starts(opened_at, 1, 0).tolist() == [0, 0, 0, 3, 3, 5, 5]


def test_one_odd_funding_rate_is_bounded_by_floor_and_clip():
    rates = np.full(21, 1.25e-5)
    rates[-1] += 1e-9

    assert windows.z_score(rates, 20, 21) > 4
    assert windows.floored_z_score(rates, 20, 21, 1e-6, 3.0) == pytest.approx(0.00095, rel=0.01)
    rates[-1] = 1.0
    assert windows.floored_z_score(rates, 20, 21, 1e-6, 3.0) == 3.0


@COMPILED
@given(PRICES, st.integers(1, 20))
def test_the_average_true_range_is_the_plain_mean_of_the_last_true_ranges(prices, bars):
    closes = np.array(prices)
    highs, lows = closes * 1.01, closes * 0.98
    starts = np.zeros(len(closes), np.int64)

    ranges = windows.average_true_ranges(highs, lows, closes, starts, bars)

    true = [
        max(h - lo, abs(h - before), abs(lo - before))
        for h, lo, before in zip(highs[1:], lows[1:], closes[:-1], strict=True)
    ]
    assert ranges[-1] == pytest.approx(statistics.fmean(true[-bars:]), rel=1e-9)
    assert np.isnan(ranges[:bars]).all()
    assert not np.isnan(ranges[bars:]).any()


@COMPILED
@given(PRICES, st.integers(2, 20))
def test_volatility_is_the_yearly_deviation_of_log_returns(prices, lookback):
    logs = windows.log_prices(np.array(prices))

    values = windows.volatilities(logs, np.zeros(len(logs), np.int64), lookback, 35_040.0)

    expected = statistics.pstdev(np.diff(logs)[-lookback:].tolist()) * math.sqrt(35_040)
    assert values[-1] == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert np.isnan(values[:lookback]).all()
