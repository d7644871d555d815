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
