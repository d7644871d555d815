"""Mean, standard deviation, skew and kurtosis of a return series."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Shape of a return series, population moments (ddof 0).

    Attributes:
        count: observations.
        mean: NaN for none.
        sd: standard deviation; 0 for a constant series, NaN for an empty one.
        skew: standardised third moment; NaN for a constant or empty series.
        kurtosis: standardised fourth moment, 3 for normal returns (not the excess); NaN like skew.
    """

    count: int
    mean: float
    sd: float
    skew: float
    kurtosis: float

    @property
    def sharpe(self) -> float:
        """Mean over standard deviation per observation, not annualised; NaN for a constant or empty series."""
        return self.mean / self.sd if self.sd > 0 else math.nan


def moments(returns: NDArray[np.float64]) -> Moments:
    """Moments of a series, in two passes.

    Args:
        returns: one per period, fractions.
    """
    if len(returns) == 0:
        return Moments(count=0, mean=math.nan, sd=math.nan, skew=math.nan, kurtosis=math.nan)
    mean = float(returns.mean())
    if returns.min() == returns.max():
        return Moments(count=len(returns), mean=mean, sd=0.0, skew=math.nan, kurtosis=math.nan)
    centred = returns - mean
    m2, m3, m4 = (float((centred**power).mean()) for power in (2, 3, 4))
    return Moments(count=len(returns), mean=mean, sd=math.sqrt(m2), skew=m3 / m2**1.5, kurtosis=m4 / m2**2)


def moments_from_sums(sums: tuple[float, float, float, float], *, count: int) -> Moments:
    """The same from power sums, so that a sweep need not keep daily returns.

    Args:
        sums: Σr, Σr², Σr³, Σr⁴.
        count: observations.

    Returns:
        As `moments`, to about 1e-9 for daily returns, whose mean is small against their spread. A variance below
        1e-12 of Σr²/n counts as constant: only rounding is left there.
    """
    if count == 0:
        return Moments(count=0, mean=math.nan, sd=math.nan, skew=math.nan, kurtosis=math.nan)
    r1, r2, r3, r4 = (total / count for total in sums)
    m2 = r2 - r1 * r1
    if not m2 > 1e-12 * r2:
        return Moments(count=count, mean=r1, sd=0.0, skew=math.nan, kurtosis=math.nan)
    m3 = r3 - 3 * r1 * r2 + 2 * r1**3
    m4 = r4 - 4 * r1 * r3 + 6 * r1**2 * r2 - 3 * r1**4
    return Moments(count=count, mean=r1, sd=math.sqrt(m2), skew=m3 / m2**1.5, kurtosis=m4 / m2**2)
