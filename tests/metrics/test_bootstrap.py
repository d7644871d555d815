import math

import numpy as np
import pytest
import scipy.stats

from helios_pipeline.metrics.bootstrap import mean_above_zero_p_value


def p_value(returns: np.ndarray, *, block_days: int = 5, draws: int = 5000, seed: int = 9) -> float:
    return mean_above_zero_p_value(returns, block_days=block_days, draws=draws, seed=seed)


def direct_p_value(returns: np.ndarray, block: int, draws: int, seed: int) -> float:
    """The same test, one resampled day at a time."""
    random = np.random.default_rng(seed)
    centred, reached = returns - returns.mean(), 0
    for _ in range(draws):
        days: list[float] = []
        while len(days) < len(returns):
            start = random.integers(len(returns))
            days += [centred[(start + step) % len(returns)] for step in range(block)]
        reached += np.mean(days[: len(returns)]) >= returns.mean()
    return (1 + reached) / (1 + draws)


def test_p_value_equals_a_direct_resampling_within_its_noise() -> None:
    returns = np.random.default_rng(10).normal(0.0012, 0.01, 93)

    assert p_value(returns) == pytest.approx(direct_p_value(returns, 5, 1500, 11), abs=0.035)


def test_p_value_of_independent_returns_is_close_to_the_t_test() -> None:
    returns = np.random.default_rng(12).normal(0.001, 0.01, 300)

    expected = scipy.stats.ttest_1samp(returns, 0.0, alternative="greater").pvalue
    assert p_value(returns, block_days=1, draws=20_000) == pytest.approx(expected, abs=0.01)


def test_clustered_returns_are_less_certain_in_blocks_than_day_by_day() -> None:
    shocks = np.random.default_rng(13).normal(0.0, 0.01, 400)
    returns = np.convolve(shocks, np.ones(5) / 5, mode="valid") + 0.0006

    assert p_value(returns, block_days=5) > 1.3 * p_value(returns, block_days=1)


def test_returns_without_edge_fall_below_a_level_about_as_often_as_it_says() -> None:
    returns = np.random.default_rng(14).normal(0.0, 0.01, (400, 90))
    values = np.array([p_value(row, draws=400, seed=k) for k, row in enumerate(returns)])

    assert (values < 0.05).mean() == pytest.approx(0.06, abs=0.035)


def test_the_same_seed_gives_the_same_p_value() -> None:
    returns = np.random.default_rng(15).normal(0.0005, 0.01, 90)

    assert p_value(returns) == p_value(returns)
    assert p_value(returns) != p_value(returns, seed=10)


def test_a_p_value_is_never_zero() -> None:
    returns = np.random.default_rng(16).normal(0.05, 0.01, 90)

    assert p_value(returns, draws=999) == 1 / 1000


@pytest.mark.parametrize("returns", [np.full(90, 0.001), np.zeros(90), np.linspace(-1, 1, 9), np.empty(0)])
def test_constant_or_too_few_returns_have_no_p_value(returns: np.ndarray) -> None:
    assert math.isnan(p_value(returns))
