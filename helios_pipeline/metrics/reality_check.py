"""Could the best of all sets that were tried be the best of sets without skill?

Sources: White, "A Reality Check for Data Snooping" (2000); Hansen, "A Test for Superior Predictive Ability" (2005),
whose recentring keeps sets that are plainly bad from hiding one that is good. The benchmark is cash: a set has skill if
its mean net return is above zero. Ratios are compared, not means: each is divided by the deviation of its days, so that
no set counts for more because it bets more.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_CELLS = 1 << 19  # (draw, set) cells held at once: about 4 MB, close to the cache


@dataclass(frozen=True, slots=True, kw_only=True)
class RealityCheck:
    """How often the best of sets without skill does at least as well as the best that was found.

    Attributes:
        sets: compared.
        draws: resamples.
        white: p-value with every set's mean taken to be zero; too large where many sets lose.
        hansen: p-value with the mean of plainly losing sets left as it is (the consistent one); at most White's.
    """

    sets: int
    draws: int
    white: float
    hansen: float


def reality_check(sums: Floats, days: Floats, deviations: Floats, *, times_drawn: Floats) -> RealityCheck:
    """Compare the best ratio with the best of each resample of all sets together.

    V = max √T m / ω over the sets, m a set's mean daily return and ω the deviation of its days. A resample keeps all
    sets' returns of the same days together, so that sets that are nearly copies of each other count as nearly one.
    Hansen leaves a set's own mean in where m < -ω √(2 ln ln T / T).

    Args:
        sums: shape (sets, spans), net returns of each set summed over spans of days; a span may be one day.
        days: shape (spans,), days of each span.
        deviations: shape (sets,), standard deviation of a set's daily returns; sets with 0 never traded and are left
            out.
        times_drawn: shape (draws, spans), how often each span counts in each resample.

    Returns:
        p = (1 + draws whose best is at least the observed) / (1 + draws), never zero; NaN if no set ever traded.
    """
    traded = deviations > 0
    sums, deviations = sums[traded], deviations[traded]
    draws, sets = len(times_drawn), len(sums)
    if sets == 0:
        return RealityCheck(sets=0, draws=draws, white=math.nan, hansen=math.nan)
    total = float(days.sum())
    scaled = sums * (math.sqrt(total) / deviations)[:, None]
    ratios = scaled.sum(axis=1) / total
    bad = ratios < -math.sqrt(2.0 * math.log(math.log(max(total, 3.0))))
    sound = _best_of(scaled[~bad], ratios[~bad], days, times_drawn)
    centred = np.maximum(sound, _best_of(scaled[bad], ratios[bad], days, times_drawn))
    recentred = np.maximum(sound, _best_of(scaled[bad], np.zeros(bad.sum()), days, times_drawn))
    white, hansen = ((1 + int((best >= ratios.max()).sum())) / (1 + draws) for best in (centred, recentred))
    return RealityCheck(sets=sets, draws=draws, white=white, hansen=hansen)


def _best_of(scaled: Floats, centres: Floats, days: Floats, times_drawn: Floats) -> Floats:
    """Largest ratio of a resample less its set's centre, per draw; minus infinity without sets."""
    drawn_days = times_drawn @ days
    # The centre is one span more, of which each resample holds as much as it has days: one product does both.
    spans, weights = np.column_stack([scaled, -centres]).T, np.column_stack([times_drawn, drawn_days])
    best = np.full(len(times_drawn), -np.inf)
    columns = max(1, _CELLS // len(times_drawn))
    for first in range(0, len(centres), columns):
        np.maximum(best, (weights @ spans[:, first : first + columns]).max(axis=1), out=best)
    return best / drawn_days


def reality_check_of_blocks(blocks: Floats, *, draws: int, seed: int) -> RealityCheck:
    """The same for sets of which only sums per block of days are kept, as the ledger keeps them.

    Whole blocks are drawn with replacement, as in Carlstein (1986): sixteenths of a window, weeks to months long, are
    taken to be independent of each other, and the days within one may depend on each other as they like. Counts are
    spread by √(B / (B - 1)), B blocks, since a resampled mean of B values varies by that much too little.

    Args:
        blocks: shape (sets, blocks, 3): days, Σr and Σr² of each block of daily net returns; the same days for every
            set.
        draws: resamples.
        seed: of the resampling; the same seed gives the same figures.
    """
    if len(blocks) == 0:
        return RealityCheck(sets=0, draws=draws, white=math.nan, hansen=math.nan)
    days = blocks[0, :, 0]
    total = days.sum()
    mean, mean_square = blocks[:, :, 1].sum(axis=1) / total, blocks[:, :, 2].sum(axis=1) / total
    variance = mean_square - mean * mean
    # Below that share sums of a constant series leave rounding alone.
    deviations = np.sqrt(np.where(variance > 1e-12 * mean_square, variance, 0.0))
    count = blocks.shape[1]
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1.0 / count), size=draws)
    spread = 1.0 + (drawn.astype(np.float64) - 1.0) * math.sqrt(count / (count - 1.0))
    return reality_check(blocks[:, :, 1], days, deviations, times_drawn=spread)
