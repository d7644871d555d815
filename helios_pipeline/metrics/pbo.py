"""Probability of backtest overfitting by combinatorially symmetric cross-validation.

Source: Bailey, Borwein, López de Prado and Zhu, "The Probability of Backtest Overfitting" (2015), section 2, with
S = 16 blocks and the Sharpe ratio of daily returns. Each of the 12,870 ways to choose 8 blocks makes one split: the
best set of these blocks is ranked on the other 8.
"""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

BLOCKS = 16
SPLITS = math.comb(BLOCKS, BLOCKS // 2)
_CELLS = 1 << 19  # (split, set) cells held at once per array: about 4 MB each, close to the cache


@dataclass(frozen=True, slots=True, kw_only=True)
class PboResult:
    """How the best set of one half of the blocks does on the other half.

    Attributes:
        sets: columns compared.
        splits: 12,870.
        pbo: fraction of splits whose best set is at or below the median of the other half (logit ≤ 0).
        probability_of_loss: fraction of splits whose best set loses money on the other half.
        logits: 5, 25, 50, 75 and 95 % quantiles of ln(ω / (1 - ω)), ω = relative rank on the other half.
    """

    sets: int
    splits: int
    pbo: float
    probability_of_loss: float
    logits: tuple[float, float, float, float, float]


def pbo(blocks: NDArray[np.float64]) -> PboResult:
    """Run all 12,870 splits.

    Sets are compared by mean over root mean square, which orders them as the Sharpe ratio does
    (SR = u / √(1 - u²)) without its cancellation. A set without a single return in a half scores 0: better than
    losing. Equal scores share their mean rank; the first of equally good sets is chosen.

    Args:
        blocks: shape (sets, 16, 3): days, Σr and Σr² of each block of daily net returns; days > 0 and the same for
            every set. At least two sets.

    Raises:
        ValueError: another shape, fewer than two sets, an empty block, or sets over different days.
    """
    _check(blocks)
    sets = len(blocks)
    days = blocks[0, :, 0]
    sums = np.ascontiguousarray(blocks[:, :, 1].T)
    squares = np.ascontiguousarray(blocks[:, :, 2].T)
    halves = _halves()
    logits, losses = np.empty(SPLITS), np.empty(SPLITS, dtype=bool)
    rows = max(1, _CELLS // sets)
    for first in range(0, len(halves), rows):
        chosen = halves[first : first + rows]
        here = _scores(chosen, days, sums, squares)
        there = _scores(1.0 - chosen, days, sums, squares)
        for offset, best_of, ranked_on in ((0, here, there), (len(halves), there, here)):
            into = slice(offset + first, offset + first + len(chosen))
            logits[into], losses[into] = _judge_best(best_of, ranked_on)
    quantiles = np.quantile(logits, [0.05, 0.25, 0.5, 0.75, 0.95])
    return PboResult(
        sets=sets,
        splits=SPLITS,
        pbo=float((logits <= 0).mean()),
        probability_of_loss=float(losses.mean()),
        logits=(*map(float, quantiles),),  # type: ignore[arg-type]
    )


def _check(blocks: NDArray[np.float64]) -> None:
    if blocks.ndim != 3 or blocks.shape[1:] != (BLOCKS, 3) or len(blocks) < 2:
        raise ValueError(f"blocks for PBO: expected shape (sets ≥ 2, {BLOCKS}, 3), found {blocks.shape}")
    days = blocks[:, :, 0]
    if not (days[0] > 0).all() or not (days == days[0]).all():
        raise ValueError("blocks for PBO: expected the same days > 0 in each block for every set, found others")


def _halves() -> NDArray[np.float64]:
    """The 6,435 choices of 8 blocks that contain block 0, as rows of 0 and 1; their complements are the rest."""
    choices = np.zeros((SPLITS // 2, BLOCKS))
    for row, others in enumerate(combinations(range(1, BLOCKS), BLOCKS // 2 - 1)):
        choices[row, [0, *others]] = 1.0
    return choices


def _scores(
    halves: NDArray[np.float64],
    days: NDArray[np.float64],
    sums: NDArray[np.float64],
    squares: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Mean over root mean square of each set on each half, shape (halves, sets); 0 where every return is 0."""
    root = halves @ squares
    np.sqrt(root, out=root)
    root *= np.sqrt(halves @ days)[:, None]
    score = halves @ sums
    return np.divide(score, root, out=score, where=root > 0)


def _judge_best(
    best_of: NDArray[np.float64], ranked_on: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Logit of the relative rank, and whether it loses, of each row's best set, on the other half."""
    sets = best_of.shape[1]
    best = ranked_on[np.arange(len(best_of)), best_of.argmax(axis=1)][:, None]
    below, equal = (ranked_on < best).sum(axis=1), (ranked_on == best).sum(axis=1)
    omega = (below + (equal + 1) / 2) / (sets + 1)
    return np.log(omega / (1.0 - omega)), best[:, 0] < 0
