"""The stationary bootstrap: resamples of a dependent series that are series of the same kind."""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def stationary_indices(length: int, *, mean_block: float, draws: int, seed: int) -> Integers:
    """Which observation stands at each place of each resample.

    Source: Politis and Romano, "The Stationary Bootstrap" (1994), section 2: blocks start anywhere and end after every
    observation with probability 1 / mean_block; the end of the series is joined to its start.

    Args:
        length: of the series, at least 1.
        mean_block: expected length of a block, at least 1 observation.
        draws: resamples.
        seed: the same seed gives the same resamples.

    Returns:
        Shape (draws, length).
    """
    random = np.random.default_rng(seed)
    places = np.arange(length)
    starts = random.integers(0, length, (draws, length))
    begins = random.random((draws, length)) < 1.0 / mean_block
    begins[:, 0] = True
    block_at = np.maximum.accumulate(np.where(begins, places, 0), axis=1)
    return (np.take_along_axis(starts, block_at, axis=1) + places - block_at) % length


def times_drawn(indices: Integers) -> Floats:
    """How often each observation stands in each resample, same shape: all that a sum or mean depends on."""
    draws, length = indices.shape
    rows = np.arange(draws)[:, None] * length
    return np.bincount((indices + rows).ravel(), minlength=draws * length).reshape(draws, length).astype(np.float64)


def optimal_mean_block(series: Floats) -> float:
    """Mean block length that estimates the variance of a mean best.

    Source: Politis and White, "Automatic Block-Length Selection for the Dependent Bootstrap" (2004), with the
    correction of Patton, Politis and White (2009): b = (2 G² / D)^(1/3) n^(1/3), D = 2 g(0)², G = Σ λ(k/M) |k| R(k),
    g(0) = Σ λ(k/M) R(k), λ the flat-top window and R the autocovariance; M is twice the first of five lags in a
    row whose autocorrelations are below 2 √(log10 n / n), at most ⌈√n⌉ + 5 (counted as in Patton's program: the paper
    itself counts from the lag before).

    Args:
        series: observations in time order.

    Returns:
        Between 1 and ⌈min(3 √n, n / 3)⌉; 1 for a constant series and for fewer than 9 observations.
    """
    length = len(series)
    if length < 9 or not series.min() < series.max():
        return 1.0
    longest = math.ceil(min(3.0 * math.sqrt(length), length / 3.0))
    in_a_row = max(5, int(math.log10(length)))
    last_lag = min(math.ceil(math.sqrt(length)) + in_a_row, length - 1)
    centred = series - series.mean()
    covariance = np.array([centred[lag:] @ centred[: length - lag] for lag in range(last_lag + 1)]) / length
    band = 2.0 * math.sqrt(math.log10(length) / length)
    window = min(2 * _first_small_lag(covariance / covariance[0], in_a_row, band), last_lag)
    lags = np.arange(1, window + 1)
    weighted = 2.0 * np.minimum(1.0, 2.0 * (1.0 - lags / window)) * covariance[1 : window + 1]
    spectrum, slope = covariance[0] + weighted.sum(), (lags * weighted).sum()
    if spectrum == 0.0:  # returns that cancel: no block is too long
        return float(longest)
    return float(np.clip((slope / spectrum) ** 2 * length, 1.0, float(longest) ** 3) ** (1.0 / 3.0))


def _first_small_lag(correlation: Floats, in_a_row: int, band: float) -> int:
    """First lag of the first run of small autocorrelations; all lags if there is none."""
    small = np.abs(correlation[1:-1]) < band
    for lag in range(len(small) - in_a_row + 1):
        if small[lag : lag + in_a_row].all():
            return lag + 1
    return len(correlation)
