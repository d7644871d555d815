"""What a search shows without any skill in it."""

import math

from helios_pipeline.metrics.deflated_sharpe import expected_maximum_sharpe, no_skill_trials
from helios_pipeline.metrics.sharpe import ANNUAL


def luck_sharpe(trials: int, days: int) -> float:
    """Annualised Sharpe ratio that the best of so many trials without skill would be expected to show.

    Args:
        trials: N of the ledger.
        days: of the window.

    Returns:
        NaN for fewer than two days.
    """
    if days < 2:
        return math.nan
    return expected_maximum_sharpe(no_skill_trials(trials, observations=days)) * ANNUAL


def beside_luck(sharpe: float | None, *, trials: int, days: int) -> str:
    """The best Sharpe ratio of a search, never alone: `3.13 (noise would have scored 2.98)`.

    Args:
        sharpe: annualised; None or NaN if there is none.
        trials: N of the ledger.
        days: of the window.
    """
    found = "none" if sharpe is None or math.isnan(sharpe) else f"{sharpe:.2f}"
    return found if days < 2 else f"{found} (noise would have scored {luck_sharpe(trials, days):.2f})"
