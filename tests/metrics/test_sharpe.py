import math

import empyrical
import numpy as np
import pytest

from helios_pipeline.metrics.sharpe import daily_sharpe, sharpe, sharpe_from_sums


def daily_returns(days: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.001, 0.01, days)


def test_sharpe_equals_empyrical_up_to_its_sample_standard_deviation() -> None:
    returns = daily_returns(400)

    expected = empyrical.sharpe_ratio(returns, annualization=365) * math.sqrt(400 / 399)
    assert sharpe(returns) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("days", "has_value"), [(59, False), (60, True)])
def test_fewer_than_sixty_days_have_no_sharpe(days: int, has_value: bool) -> None:
    assert math.isnan(sharpe(daily_returns(days))) is not has_value


@pytest.mark.parametrize("value", [0.0, 0.001, -0.3])
def test_constant_returns_have_no_sharpe(value: float) -> None:
    returns = np.full(100, value)

    assert math.isnan(sharpe(returns))
    assert math.isnan(sharpe_from_sums(returns.sum(), (returns**2).sum(), 100, min_days=60))


def test_a_missing_return_gives_no_sharpe() -> None:
    returns = daily_returns(100)
    returns[3] = np.nan

    assert math.isnan(sharpe(returns))


def test_no_days_have_no_sharpe() -> None:
    assert math.isnan(daily_sharpe(np.empty(0)))


def test_sums_give_the_same_sharpe_as_the_returns() -> None:
    series = [daily_returns(days, seed) for seed, days in enumerate((59, 60, 365, 1095))]
    r1, r2 = [r.sum() for r in series], [(r**2).sum() for r in series]

    found = sharpe_from_sums(r1, r2, [len(r) for r in series], min_days=60)
    np.testing.assert_allclose(found, [sharpe(r) for r in series], rtol=1e-10)
