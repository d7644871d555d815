import math

import empyrical
import numpy as np
import pytest

from helios_pipeline.metrics.drawdown import drawdowns, max_drawdown


def test_max_drawdown_equals_empyrical() -> None:
    returns = np.random.default_rng(2).normal(0.0, 0.02, 500)
    equity = 100_000 * np.cumprod(np.concatenate([[1.0], 1 + returns]))

    assert max_drawdown(equity) == pytest.approx(empyrical.max_drawdown(returns), rel=1e-12)


def test_drawdown_is_measured_from_the_running_peak() -> None:
    equity = np.array([100.0, 80.0, 120.0, 90.0, 130.0])

    assert drawdowns(equity) == pytest.approx([0.0, -0.2, 0.0, -0.25, 0.0])


def test_rising_equity_has_no_drawdown() -> None:
    assert max_drawdown(np.array([1.0, 2.0, 3.0])) == 0.0


def test_lost_equity_is_a_drawdown_of_at_least_one() -> None:
    assert max_drawdown(np.array([100.0, 50.0, -10.0])) == pytest.approx(-1.1)


def test_no_equity_marks_have_no_drawdown() -> None:
    assert math.isnan(max_drawdown(np.empty(0)))
