import math

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap

from helios_pipeline.metrics.sharpe import ANNUAL, sharpe
from helios_pipeline.metrics.sharpe_interval import Resampling, resampled_sharpes, sharpe_interval

RESAMPLING = Resampling(draws=500, seed=1)


def test_the_percentiles_equal_those_of_arch_on_its_own_resamples() -> None:
    returns = np.random.default_rng(2).standard_t(4, 300) * 0.01 + 0.001
    theirs = StationaryBootstrap(6, returns, seed=3).conf_int(sharpe, 400, method="percentile", size=0.9)
    drawn = StationaryBootstrap(6, returns, seed=3)
    indices = np.array([drawn.index.copy() for _ in drawn.bootstrap(400)])

    ours = np.quantile(resampled_sharpes(returns, indices), [0.05, 0.95])
    assert ours == pytest.approx(theirs.ravel(), rel=1e-12)


def test_the_interval_is_that_of_arch_within_its_noise() -> None:
    returns = np.random.default_rng(4).normal(0.001, 0.01, 400)
    found = sharpe_interval(returns, confidence=0.9, resampling=Resampling(draws=4000, seed=5))
    assert found is not None
    bootstrap = StationaryBootstrap(found.mean_block_days, returns, seed=6)
    theirs = bootstrap.conf_int(sharpe, 4000, method="percentile", size=0.9)

    assert [found.low, found.high] == pytest.approx(theirs.ravel(), abs=0.15)


def test_the_interval_of_independent_normal_days_is_lo_s() -> None:
    """Lo (2002): the standard error of a daily ratio is √((1 + SR²/2) / T)."""
    returns = np.random.default_rng(7).normal(0.001, 0.01, 2000)
    found = sharpe_interval(returns, confidence=0.9, resampling=Resampling(draws=3000, seed=8))
    assert found is not None

    error = math.sqrt((1 + (sharpe(returns) / ANNUAL) ** 2 / 2) / 2000) * ANNUAL
    assert (found.high - found.low) / 2 == pytest.approx(1.645 * error, rel=0.08)


def test_nine_of_ten_intervals_of_dependent_days_hold_the_true_ratio() -> None:
    held, true = [], 0.1 * ANNUAL
    for seed in range(160):
        shocks = np.random.default_rng(seed).normal(0.0, 0.01, 501)
        returns = 0.1 * 0.01 * math.sqrt(1 + 0.4**2) + shocks[1:] + 0.4 * shocks[:-1]
        found = sharpe_interval(returns, confidence=0.9, resampling=Resampling(draws=120, seed=seed))
        assert found is not None
        held.append(found.low <= true <= found.high)

    assert np.mean(held) == pytest.approx(0.88, abs=0.06)


def test_the_same_seed_gives_the_same_interval() -> None:
    returns = np.random.default_rng(9).normal(0.001, 0.01, 100)

    one, same = (sharpe_interval(returns, confidence=0.9, resampling=RESAMPLING) for _ in range(2))
    assert one == same


@pytest.mark.parametrize("returns", [np.full(90, 0.001), np.zeros(90), np.linspace(-1, 1, 59), np.empty(0)])
def test_constant_or_too_few_returns_have_no_interval(returns: np.ndarray) -> None:
    assert sharpe_interval(returns, confidence=0.9, resampling=RESAMPLING) is None


def test_resamples_that_came_out_constant_are_left_out() -> None:
    returns = np.array([0.0, 0.0, 0.01])

    assert len(resampled_sharpes(returns, np.array([[0, 1, 1], [0, 1, 2]]))) == 1
    assert len(resampled_sharpes(returns, np.empty((0, 3), dtype=np.int64))) == 0
