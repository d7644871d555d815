import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_pipeline.metrics.deflated_sharpe import (
    Trials,
    deflated_sharpe,
    expected_maximum,
    expected_maximum_sharpe,
    no_skill_trials,
    required_days,
    required_sharpe,
)
from helios_pipeline.metrics.moments import Moments, moments
from helios_pipeline.metrics.probabilistic_sharpe import probabilistic_sharpe


def shaped(sharpe: float, count: int, skew: float = 0.0, kurtosis: float = 3.0) -> Moments:
    return Moments(count=count, mean=sharpe, sd=1.0, skew=skew, kurtosis=kurtosis)


@st.composite
def shapes(draw: st.DrawFn) -> Moments:
    """Any skew, and a kurtosis that a distribution of this skew can have."""
    skew = draw(st.floats(-3, 3))
    kurtosis = skew**2 + 1 + draw(st.floats(0.1, 20))
    return shaped(draw(st.floats(-0.3, 0.5)), draw(st.integers(60, 2000)), skew, kurtosis)


# Bailey and López de Prado (2014), numerical example: 5 years of 250 days, annual Sharpe 2.5, annual V = 1/2.
PAPER_VARIANCE = 0.5 / 250
PAPER_SHARPE = 2.5 / math.sqrt(250)


def test_expected_maximum_sharpe_of_the_2014_paper_is_reproduced() -> None:
    assert expected_maximum_sharpe(Trials(count=100, variance=PAPER_VARIANCE)) == pytest.approx(0.1132, abs=5e-5)


@pytest.mark.parametrize(
    ("trials", "skew", "kurtosis", "expected"),
    [(100, -3.0, 10.0, 0.9004), (46, -3.0, 10.0, 0.9505), (88, 0.0, 3.0, 0.9505)],
)
def test_deflated_sharpe_of_the_2014_paper_is_reproduced(
    trials: int, skew: float, kurtosis: float, expected: float
) -> None:
    found = deflated_sharpe(shaped(PAPER_SHARPE, 1250, skew, kurtosis), Trials(count=trials, variance=PAPER_VARIANCE))

    assert found == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("days", "trials", "expected"), [(365, 1000, 4.9), (547, 1000, 4.0), (1095, 1000, 2.8), (365, 26_166, 5.8)]
)
def test_required_annual_sharpe_of_common_searches(days: int, trials: int, expected: float) -> None:
    needed = required_sharpe(
        shaped(math.nan, days), no_skill_trials(trials, observations=days), threshold=0.95
    ) * math.sqrt(365)

    assert needed == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("trials", [10, 100, 1000])
def test_expected_maximum_is_close_to_the_mean_of_simulated_maxima(trials: int) -> None:
    maxima = np.random.default_rng(4).standard_normal((4000, trials)).max(axis=1)

    assert expected_maximum(trials) == pytest.approx(maxima.mean(), rel=0.03)


def test_one_trial_is_not_deflated() -> None:
    observed = moments(np.random.default_rng(5).normal(0.001, 0.01, 300))
    trials = no_skill_trials(1, observations=300)

    assert deflated_sharpe(observed, trials) == probabilistic_sharpe(observed, benchmark=0.0)


@pytest.mark.parametrize("observed", [moments(np.full(100, 0.001)), moments(np.empty(0)), moments(np.ones(1))])
def test_a_series_without_a_sharpe_has_no_deflated_sharpe(observed: Moments) -> None:
    assert math.isnan(deflated_sharpe(observed, Trials(count=10, variance=0.01)))
    assert required_days(observed, 10, threshold=0.95) is None


@settings(deadline=None)
@given(shapes(), st.integers(1, 100_000), st.integers(1, 100_000))
def test_more_trials_never_raise_the_deflated_sharpe(observed: Moments, one: int, other: int) -> None:
    fewer, more = (
        deflated_sharpe(observed, no_skill_trials(count, observations=observed.count)) for count in sorted((one, other))
    )

    assert more <= fewer


@settings(deadline=None)
@given(shapes(), st.floats(0.001, 0.3), st.integers(1, 100_000))
def test_a_higher_sharpe_never_lowers_the_deflated_sharpe(observed: Moments, more: float, count: int) -> None:
    higher = shaped(observed.mean + more, observed.count, min(observed.skew, 0.0), observed.kurtosis)
    lower = shaped(observed.mean, observed.count, min(observed.skew, 0.0), observed.kurtosis)
    trials = no_skill_trials(count, observations=observed.count)

    if lower.mean >= expected_maximum_sharpe(trials):
        assert deflated_sharpe(higher, trials) >= deflated_sharpe(lower, trials)


@settings(deadline=None, max_examples=300)
@given(shapes(), st.integers(1, 100_000), st.floats(0.5, 0.999))
def test_the_required_sharpe_is_the_exact_inverse(observed: Moments, count: int, threshold: float) -> None:
    trials = no_skill_trials(count, observations=observed.count)
    needed = required_sharpe(observed, trials, threshold=threshold)

    if math.isfinite(needed):
        at_needed = shaped(needed, observed.count, observed.skew, observed.kurtosis)
        below = shaped(needed - 1e-3, observed.count, observed.skew, observed.kurtosis)
        assert deflated_sharpe(at_needed, trials) == pytest.approx(threshold, abs=1e-6)
        assert deflated_sharpe(below, trials) < threshold
    else:
        far = [shaped(s, observed.count, observed.skew, observed.kurtosis) for s in np.linspace(0, 100, 500)]
        assert max(deflated_sharpe(each, trials) for each in far) < threshold


@settings(deadline=None, max_examples=300)
@given(shapes(), st.integers(1, 100_000), st.floats(0.5, 0.999))
def test_the_required_days_are_the_first_that_suffice(observed: Moments, count: int, threshold: float) -> None:
    days = required_days(observed, count, threshold=threshold)

    def deflated_over(length: int) -> float:
        longer = shaped(observed.mean, length, observed.skew, observed.kurtosis)
        return deflated_sharpe(longer, no_skill_trials(count, observations=length))

    if days is None:
        assert not deflated_over(1_000_000) >= threshold + 1e-6
    else:
        assert deflated_over(days) >= threshold - 1e-6
        assert days == 2 or deflated_over(days - 1) < threshold + 1e-6


@pytest.mark.parametrize("threshold", [0.49, 1.0])
def test_a_threshold_that_is_no_confidence_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match=r"expected 0\.5 or more"):
        required_sharpe(shaped(0.1, 300), Trials(count=10, variance=0.01), threshold=threshold)
