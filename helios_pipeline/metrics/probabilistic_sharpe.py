"""How sure a Sharpe ratio is, and how long a track record would have to be.

Source: Bailey and López de Prado, "The Sharpe Ratio Efficient Frontier" (2012), equations 9 and 11. Everything here is
per observation: not annualised.
"""

import math
from statistics import NormalDist

from helios_pipeline.metrics.moments import Moments

_NORMAL = NormalDist()


def probabilistic_sharpe(observed: Moments, *, benchmark: float) -> float:
    """Probability that the true Sharpe ratio exceeds a benchmark.

    Φ((SR - SR*) √(T - 1) / √(1 - γ₃ SR + (γ₄ - 1)/4 SR²)).

    Args:
        observed: moments of the returns, T = count.
        benchmark: SR*, per observation.

    Returns:
        NaN for fewer than two observations or a constant series.
    """
    if observed.count < 2 or math.isnan(observed.sharpe):
        return math.nan
    surplus = (observed.sharpe - benchmark) * math.sqrt(observed.count - 1)
    spread = math.sqrt(spread_squared(observed.sharpe, observed))
    if spread == 0.0:  # a two-valued series at its bound: the ratio has no sampling error left
        return 0.5 if surplus == 0 else float(surplus > 0)
    return _NORMAL.cdf(surplus / spread)


def minimum_track_record(observed: Moments, *, benchmark: float, threshold: float) -> float:
    """Observations at which the probabilistic Sharpe ratio would reach a threshold, moments unchanged.

    1 + (1 - γ₃ SR + (γ₄ - 1)/4 SR²) (z / (SR - SR*))², z the threshold's normal quantile.

    Args:
        observed: moments of the returns so far; their count does not matter.
        benchmark: SR*, per observation.
        threshold: probability in [0.5, 1).

    Returns:
        Not rounded; infinity if the ratio is not above the benchmark, NaN if there is none.
    """
    z, surplus = quantile(threshold), observed.sharpe - benchmark
    if math.isnan(surplus):
        return math.nan
    if surplus <= 0.0:
        return math.inf
    return 1.0 + spread_squared(observed.sharpe, observed) * (z / surplus) ** 2


def spread_squared(ratio: float, shape: Moments) -> float:
    """1 - γ₃ SR + (γ₄ - 1)/4 SR², never negative: (T - 1) times the variance of an estimated Sharpe ratio."""
    skew, tail = skew_and_tail(shape)
    return max(0.0, 1.0 - skew * ratio + tail * ratio * ratio)


def skew_and_tail(shape: Moments) -> tuple[float, float]:
    """γ₃ and (γ₄ - 1)/4; those of normal returns where the moments are NaN."""
    if math.isnan(shape.skew) or math.isnan(shape.kurtosis):
        return 0.0, 0.5
    return shape.skew, (shape.kurtosis - 1.0) / 4.0


def quantile(threshold: float) -> float:
    """Normal quantile of a confidence.

    Raises:
        ValueError: it is none: below 0.5, or 1.
    """
    if not 0.5 <= threshold < 1.0:
        raise ValueError(f"threshold of a Sharpe ratio: expected 0.5 or more and below 1, found {threshold}")
    return _NORMAL.inv_cdf(threshold)
