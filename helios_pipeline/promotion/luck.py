"""What a search shows without any skill in it."""

import math
from collections.abc import Mapping

import polars as pl

from helios_pipeline.metrics.deflated_sharpe import expected_maximum_sharpe, no_skill_trials
from helios_pipeline.metrics.sharpe import ANNUAL
from helios_pipeline.promotion.price import SearchPrice


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


def luck_of_folds(folds: pl.DataFrame, trials: int) -> pl.Series:
    """Annualised Sharpe ratio that noise would have scored on the in-sample days of each fold.

    Args:
        folds: of a walk-forward result: `in_sample_first`, `in_sample_last` (exclusive).
        trials: N of the ledger.
    """
    days = (folds["in_sample_last"] - folds["in_sample_first"]).dt.total_days()
    return pl.Series([luck_sharpe(trials, each) for each in days], dtype=pl.Float64)


def price_rows(price: SearchPrice) -> list[Mapping[str, object]]:
    """What a round costs, before and after it: one row each; no Sharpe is required where none would do."""
    counts = (price.trials, price.trials + price.more)
    return [
        {"ledger": when, "trials": trials, "noise_would_score": luck, "sharpe_required": required}
        for when, trials, luck, required in zip(
            ("now", "after it, at most"), counts, price.luck, price.required, strict=True
        )
    ]
