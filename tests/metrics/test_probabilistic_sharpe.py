import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_pipeline.metrics.moments import Moments, moments
from helios_pipeline.metrics.probabilistic_sharpe import minimum_track_record, probabilistic_sharpe


def shaped(sharpe: float, count: int, skew: float = 0.0, kurtosis: float = 3.0) -> Moments:
    return Moments(count=count, mean=sharpe, sd=1.0, skew=skew, kurtosis=kurtosis)


# Bailey and López de Prado (2012), a hedge fund: 24 months, Sharpe 0.458 a month, skew -2.448, kurtosis 10.164.
@pytest.mark.parametrize(("skew", "kurtosis", "expected"), [(0.0, 3.0, 0.982), (-2.448, 10.164, 0.913)])
def test_probabilistic_sharpe_of_the_2012_paper_is_reproduced(skew: float, kurtosis: float, expected: float) -> None:
    assert probabilistic_sharpe(shaped(0.458, 24, skew, kurtosis), benchmark=0.0) == pytest.approx(expected, abs=5e-4)


# The same paper: an annual Sharpe of 2 against 1 at 95 %, in years; the last are returns of a hedge fund index.
@pytest.mark.parametrize(
    ("a_year", "skew", "kurtosis", "expected"),
    [(252, 0.0, 3.0, 2.73), (52, 0.0, 3.0, 2.83), (12, 0.0, 3.0, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_track_records_of_the_2012_paper_are_reproduced(
    a_year: int, skew: float, kurtosis: float, expected: float
) -> None:
    one = 1 / math.sqrt(a_year)
    length = minimum_track_record(shaped(2 * one, 2, skew, kurtosis), benchmark=one, threshold=0.95)

    assert length / a_year == pytest.approx(expected, abs=5e-3)


def test_probabilistic_sharpe_is_calibrated_on_normal_returns_without_skill() -> None:
    returns = np.random.default_rng(6).normal(0.0, 0.01, (4000, 365))
    values = np.array([probabilistic_sharpe(moments(row), benchmark=0.0) for row in returns])

    assert (values > 0.95).mean() == pytest.approx(0.05, abs=0.012)


@settings(deadline=None)
@given(st.floats(0.01, 0.5), st.floats(-0.2, 0.009), st.floats(0.6, 0.999), st.floats(-2, 2))
def test_a_track_record_of_the_minimum_length_reaches_the_threshold_exactly(
    sharpe: float, benchmark: float, threshold: float, skew: float
) -> None:
    shape = shaped(sharpe, 2, skew, skew**2 + 4)
    length = minimum_track_record(shape, benchmark=benchmark, threshold=threshold)

    long_enough = Moments(count=math.ceil(length), mean=shape.mean, sd=1.0, skew=skew, kurtosis=skew**2 + 4)
    assert probabilistic_sharpe(long_enough, benchmark=benchmark) >= threshold - 1e-9


def test_a_sharpe_at_its_benchmark_is_never_sure_and_none_has_no_length() -> None:
    assert minimum_track_record(shaped(0.1, 50), benchmark=0.1, threshold=0.95) == math.inf
    assert math.isnan(minimum_track_record(moments(np.ones(9)), benchmark=0.0, threshold=0.95))


@pytest.mark.parametrize(("benchmark", "expected"), [(1.9, 1.0), (2.0, 0.5), (2.1, 0.0)])
def test_a_ratio_without_sampling_error_is_above_or_below_for_sure(benchmark: float, expected: float) -> None:
    two_valued = shaped(2.0, 100, skew=1.0, kurtosis=2.0)

    assert probabilistic_sharpe(two_valued, benchmark=benchmark) == expected


@pytest.mark.parametrize("threshold", [0.49, 1.0])
def test_a_threshold_that_is_no_confidence_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match=r"expected 0\.5 or more"):
        minimum_track_record(shaped(0.1, 300), benchmark=0.0, threshold=threshold)
