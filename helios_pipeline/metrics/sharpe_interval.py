"""How far a Sharpe ratio may be from the true one, without assuming that days are normal or independent."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from helios_pipeline.metrics.resampling import optimal_mean_block, stationary_indices
from helios_pipeline.metrics.sharpe import ANNUAL, MIN_DAYS

_CELLS = 1 << 20  # resampled days held at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How a bootstrap draws.

    Attributes:
        draws: resamples.
        seed: of the resampling; the same seed gives the same figures.
    """

    draws: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SharpeInterval:
    """Bootstrap confidence interval of an annualised Sharpe ratio.

    Attributes:
        low: of the interval.
        high: of the interval.
        confidence: share of such intervals that hold the true ratio, in (0, 1).
        mean_block_days: mean length of the blocks that were drawn.
        draws: resamples.
    """

    low: float
    high: float
    confidence: float
    mean_block_days: float
    draws: int


def sharpe_interval(
    daily_returns: NDArray[np.float64], *, confidence: float, resampling: Resampling
) -> SharpeInterval | None:
    """Percentile interval of the stationary bootstrap, its block length chosen from the returns.

    Source: Politis and Romano (1994) for the bootstrap, Politis and White (2004) with its correction of 2009 for the
    length; Efron (1979) for the percentiles. It says nothing about luck: the best of many sets has an interval around
    a ratio that was chosen for being high.

    Args:
        daily_returns: net returns of whole UTC days in time order, fractions.
        confidence: in (0, 1).
        resampling: how to draw.

    Returns:
        None for fewer than 60 days and for constant returns.
    """
    days = len(daily_returns)
    if days < MIN_DAYS or not daily_returns.min() < daily_returns.max():
        return None
    mean_block = optimal_mean_block(daily_returns)
    indices = stationary_indices(days, mean_block=mean_block, draws=resampling.draws, seed=resampling.seed)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(resampled_sharpes(daily_returns, indices), [tail, 1.0 - tail])
    return SharpeInterval(
        low=float(low), high=float(high), confidence=confidence, mean_block_days=mean_block, draws=resampling.draws
    )


def resampled_sharpes(daily_returns: NDArray[np.float64], indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Annualised Sharpe ratio of each resample.

    Args:
        daily_returns: of any length.
        indices: shape (draws, days), which return stands where.

    Returns:
        One per draw; a resample that came out constant, which says nothing, is left out.
    """
    rows = max(1, _CELLS // max(indices.shape[1], 1))
    found = []
    for first in range(0, len(indices), rows):
        drawn = daily_returns[indices[first : first + rows]]
        changing = drawn[drawn.min(axis=1) < drawn.max(axis=1)]
        found.append(changing.mean(axis=1) / changing.std(axis=1) * ANNUAL)
    return np.concatenate(found) if found else np.empty(0)
