import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_pipeline.metrics.moments import Moments, moments, moments_from_sums


def from_sums(returns: np.ndarray) -> Moments:
    r1, r2, r3, r4 = (float((returns**power).sum()) for power in (1, 2, 3, 4))
    return moments_from_sums((r1, r2, r3, r4), count=len(returns))


def figures(found: Moments) -> tuple[float, ...]:
    return found.mean, found.sd, found.skew, found.kurtosis


@pytest.mark.parametrize("measure", [moments, from_sums])
def test_moments_equal_scipy(measure) -> None:
    returns = np.random.default_rng(3).standard_t(5, 700) * 0.01 + 0.0005

    expected = (
        returns.mean(),
        returns.std(),
        scipy.stats.skew(returns),
        scipy.stats.kurtosis(returns, fisher=False),
    )
    assert figures(measure(returns)) == pytest.approx(expected, rel=1e-9)


@settings(deadline=None)
@given(st.lists(st.floats(-0.2, 0.2).map(lambda r: round(r, 6)), min_size=2, max_size=60))
def test_sums_give_the_same_moments_as_the_returns(values: list[float]) -> None:
    returns = np.array(values)
    direct = moments(returns)

    if direct.sd > 1e-3 * abs(direct.mean):
        assert figures(from_sums(returns)) == pytest.approx(figures(direct), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("measure", [moments, from_sums])
def test_constant_returns_have_neither_spread_nor_shape(measure) -> None:
    found = measure(np.full(10, 0.001))

    assert found.sd == 0.0
    assert math.isnan(found.skew)
    assert math.isnan(found.kurtosis)
    assert math.isnan(found.sharpe)


@pytest.mark.parametrize("measure", [moments, from_sums])
def test_no_returns_have_no_moments(measure) -> None:
    assert all(math.isnan(figure) for figure in figures(measure(np.empty(0))))
