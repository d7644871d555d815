"""Is a Sharpe ratio more than the best of N lucky trials would show?

Source: Bailey and López de Prado, "The Deflated Sharpe Ratio" (2014). Everything here is per observation: not
annualised.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

from helios_pipeline.metrics.moments import Moments
from helios_pipeline.metrics.probabilistic_sharpe import (
    probabilistic_sharpe,
    quantile,
    skew_and_tail,
    spread_squared,
)

EULER_MASCHERONI = 0.5772156649015329

MOST_DAYS = 1_000_000
"""A track record that would take 2,700 years is never."""

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """The search that the observed Sharpe ratio is the best of.

    Attributes:
        count: N, trials made, ≥ 1.
        variance: V, variance of the Sharpe ratio over trials without skill, per observation.
    """

    count: int
    variance: float


def no_skill_trials(count: int, *, observations: int) -> Trials:
    """Trials whose ratios differ by sampling alone: V = 1 / (T - 1), what the gate uses.

    The variance across the trials made would measure how different the parameter sets are, not luck.
    """
    return Trials(count=count, variance=1.0 / (observations - 1))


def expected_maximum(count: int) -> float:
    """Expected largest of N independent standard normal draws; 0 for one.

    Bailey and López de Prado (2014): (1 - γ) Φ⁻¹(1 - 1/N) + γ Φ⁻¹(1 - 1/(N e)), γ the Euler-Mascheroni constant.
    """
    if count <= 1:
        return 0.0
    upper = -_NORMAL.inv_cdf(1.0 / count)
    further = -_NORMAL.inv_cdf(1.0 / (count * math.e))
    return (1.0 - EULER_MASCHERONI) * upper + EULER_MASCHERONI * further


def expected_maximum_sharpe(trials: Trials) -> float:
    """Sharpe ratio per observation that the best of these trials shows without any skill."""
    return math.sqrt(trials.variance) * expected_maximum(trials.count)


def deflated_sharpe(observed: Moments, trials: Trials) -> float:
    """Probability that the true Sharpe ratio exceeds the best that N trials without skill would show.

    NaN for fewer than two observations or a constant series.
    """
    return probabilistic_sharpe(observed, benchmark=expected_maximum_sharpe(trials))


def required_sharpe(observed: Moments, trials: Trials, *, threshold: float) -> float:
    """Smallest Sharpe ratio per observation whose deflated ratio reaches a threshold, other moments unchanged.

    Squaring the probabilistic ratio's argument gives (T - 1)(SR - SR₀)² = z² (1 - γ₃ SR + (γ₄ - 1)/4 SR²), z the
    threshold's normal quantile: the smallest root above SR₀.

    Args:
        observed: count, skew and kurtosis of the returns; where these are NaN, normal returns are assumed.
        trials: the search.
        threshold: probability in [0.5, 1).

    Returns:
        Infinity if no Sharpe ratio would do, as with few observations and fat tails.
    """
    z2 = quantile(threshold) ** 2
    floor = expected_maximum_sharpe(trials)
    skew, tail = skew_and_tail(observed)
    a = observed.count - 1 - z2 * tail  # of the surplus over SR₀, which keeps the roots exact near it
    b = -z2 * (2.0 * tail * floor - skew)
    c = -z2 * spread_squared(floor, observed)
    return floor + min((root for root in _roots(a, b, c) if root >= 0.0), default=math.inf)


def required_days(observed: Moments, trial_count: int, *, threshold: float) -> int | None:
    """Observations in all at which the observed Sharpe ratio would reach a threshold, its moments unchanged.

    The minimum track record length with the benchmark that a search of N trials without skill sets: with
    V = 1 / (T - 1) both sides scale with √(T - 1), so T = 1 + ((z √(1 - γ₃ SR + (γ₄ - 1)/4 SR²) + E[max]) / SR)².

    Args:
        observed: moments of the returns so far.
        trial_count: N.
        threshold: probability in [0.5, 1).

    Returns:
        Never fewer than 2; None if no length would do: the ratio is not positive, there is none, or it is so small
        that more than a million days would be needed.
    """
    if not observed.sharpe > 0:
        return None
    spread = math.sqrt(spread_squared(observed.sharpe, observed))
    needed = (quantile(threshold) * spread + expected_maximum(trial_count)) / observed.sharpe
    return max(2, 1 + math.ceil(needed * needed)) if needed * needed <= MOST_DAYS else None


def _roots(a: float, b: float, c: float) -> tuple[float, ...]:
    """Real roots of a x² + b x + c."""
    if a == 0.0:
        return (-c / b,) if b else ()
    discriminant = b * b - 4.0 * a * c
    if discriminant < 0.0:
        return ()
    half = -0.5 * (b + math.copysign(math.sqrt(discriminant), b))
    return (half / a, c / half) if half else (0.0,)
