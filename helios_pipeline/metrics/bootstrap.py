"""Block bootstrap of a mean daily return."""

import math

import numpy as np
from numpy.typing import NDArray

_CELLS = 1 << 20  # block indices drawn at once: bounds memory to a few tens of MB


def mean_above_zero_p_value(daily_returns: NDArray[np.float64], *, block_days: int, draws: int, seed: int) -> float:
    """One-sided p-value of "the mean daily return is not above zero", by the circular block bootstrap.

    Source: Politis and Romano (1992). Returns are centred, so that the null holds; each resample joins blocks of
    consecutive days (the end joined to the start), the last one cut so that it has as many days as the original.
    p = (1 + resamples whose mean is at least the observed one) / (1 + draws): never zero.

    Args:
        daily_returns: net returns in time order, fractions.
        block_days: length of a block; keeps the dependence between neighbouring days.
        draws: resamples.
        seed: of the resampling; the same seed gives the same p-value.

    Returns:
        NaN for fewer than two blocks of days and for constant returns.
    """
    days = len(daily_returns)
    if days < 2 * block_days or not daily_returns.min() < daily_returns.max():
        return math.nan
    observed = float(daily_returns.mean())
    blocks = _block_sums(daily_returns - observed, block_days)
    rest = _block_sums(daily_returns - observed, days % block_days)
    random = np.random.default_rng(seed)
    per_draw, reached = days // block_days, 0
    tile = max(1, _CELLS // per_draw)
    for first in range(0, draws, tile):
        count = min(tile, draws - first)
        sums = blocks[random.integers(0, days, (count, per_draw))].sum(axis=1)
        sums += rest[random.integers(0, days, count)]
        reached += int((sums / days >= observed).sum())
    return (1 + reached) / (1 + draws)


def _block_sums(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Sum of the `length` values from each position on, the end joined to the start."""
    circular = np.concatenate([values, values[:length]])
    running: NDArray[np.float64] = np.concatenate([[0.0], np.cumsum(circular)])
    return running[length : length + len(values)] - running[: len(values)]
