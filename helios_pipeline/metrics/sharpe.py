"""Sharpe ratio of daily net returns."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

DAYS_PER_YEAR = 365
"""Perpetuals trade every day."""

MIN_DAYS = 60
"""A Sharpe ratio of fewer days says nothing."""

ANNUAL = math.sqrt(DAYS_PER_YEAR)
"""A daily Sharpe ratio times this is the annualised one."""


def daily_sharpe(daily_returns: NDArray[np.float64]) -> float:
    """Mean over standard deviation (ddof 0), not annualised.

    Args:
        daily_returns: net returns of whole UTC days, fractions; flat days are 0.

    Returns:
        NaN for no days, for constant returns, and if any return is NaN.
    """
    if len(daily_returns) == 0 or not daily_returns.min() < daily_returns.max():
        return math.nan
    return float(daily_returns.mean() / daily_returns.std())


def sharpe(daily_returns: NDArray[np.float64]) -> float:
    """Annualised Sharpe ratio: mean over standard deviation (ddof 0), times √365.

    Args:
        daily_returns: net returns of whole UTC days, fractions; flat days are 0.

    Returns:
        NaN for fewer than 60 days, for constant returns, and if any return is NaN.
    """
    return daily_sharpe(daily_returns) * ANNUAL if len(daily_returns) >= MIN_DAYS else math.nan


def sharpe_from_sums(sum_r1: ArrayLike, sum_r2: ArrayLike, days: ArrayLike, *, min_days: int) -> NDArray[np.float64]:
    """Annualised Sharpe ratio of each series, from its sums.

    Args:
        sum_r1: Σr of daily net returns, any shape.
        sum_r2: Σr², same shape.
        days: count of days, same shape.
        min_days: fewest days that give a value.

    Returns:
        Same shape; NaN for fewer days, and where the variance is below 1e-12 of Σr²/n: sums of a constant series
        leave only rounding there.
    """
    n, s, q = (np.asarray(part, dtype=np.float64) for part in (days, sum_r1, sum_r2))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, mean_square = s / n, q / n
        variance = mean_square - mean * mean
        usable = (n >= min_days) & (variance > 1e-12 * mean_square)
        return np.where(usable, mean / np.sqrt(np.where(usable, variance, 1.0)) * ANNUAL, np.nan)
