"""Fall of equity below its running peak."""

import math

import numpy as np
from numpy.typing import NDArray


def drawdowns(equity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fraction below the running peak at each point, ≤ 0.

    Args:
        equity: marks in time order, quote currency, each > 0 until ruin; the first is the starting equity.

    Returns:
        Same length. At or below zero equity the value is -1 or less.
    """
    peak = np.maximum.accumulate(equity)
    return equity / peak - 1.0


def max_drawdown(equity: NDArray[np.float64]) -> float:
    """Deepest drawdown, ≤ 0; NaN for no equity marks."""
    return float(drawdowns(equity).min()) if len(equity) else math.nan
