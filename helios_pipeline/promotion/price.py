"""What more sets cost before they are tried: the Sharpe ratio that noise will show then, and that will be required."""

import math
from dataclasses import dataclass
from datetime import timedelta

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.metrics.deflated_sharpe import expected_maximum_sharpe, no_skill_trials, required_sharpe
from helios_pipeline.metrics.moments import Moments
from helios_pipeline.metrics.sharpe import ANNUAL, MIN_DAYS
from helios_pipeline.sweep.search import Search
from helios_pipeline.walk_forward.folds import FoldLengths, count_folds


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPrice:
    """A ledger before and after a round.

    Attributes:
        days: of the window.
        trials: N now.
        more: sets that the round adds to the ledger.
        luck: annualised Sharpe ratios that the best of the trials without skill would show, now and then.
        required: annualised Sharpe ratios that the deflated Sharpe gate asks of normal returns, now and then; None
            if no ratio would do.
    """

    days: int
    trials: int
    more: int
    luck: tuple[float, float]
    required: tuple[float | None, float | None]

    def sentence(self) -> str:
        """The price, for a trader."""
        luck, required = ([_figure(value) for value in pair] for pair in (self.luck, self.required))
        if self.trials == 0:
            return (
                f"This round makes up to {self.more:,} trials on {self.days:,} days: noise will score {luck[1]}, and a "
                f"Sharpe of {required[1]} will be required."
            )
        return (
            f"This round takes the ledger of these {self.days:,} days from {self.trials:,} to up to "
            f"{self.trials + self.more:,} trials: noise will then score {luck[1]} ({luck[0]} now), and a Sharpe of "
            f"{required[1]} ({required[0]} now) will be required."
        )


def price_search(*, days: int, trials: int, more: int, threshold: float) -> SearchPrice | None:
    """Price of trying `more` sets that the ledger has not seen; fewer, if it knows some of them, cost less.

    Args:
        days: of the window.
        trials: N of the ledger on this window now.
        more: sets to be tried.
        threshold: of the deflated Sharpe gate.

    Returns:
        None below 60 days: no set has a Sharpe ratio there.
    """
    if days < MIN_DAYS:
        return None
    now, then = max(trials, 1), max(trials + more, 1)
    return SearchPrice(
        days=days,
        trials=trials,
        more=more,
        luck=(_luck(now, days), _luck(then, days)),
        required=(_required(now, days, threshold), _required(then, days, threshold)),
    )


def count_at_most(search: Search, sets: int, *, days: int, lengths: FoldLengths) -> int:
    """Sets that a round and its walk-forward add to the ledger at most.

    Args:
        search: how they are chosen; one that learns tries as many others in every fold.
        sets: of the round.
        days: of the window.
        lengths: of the folds.
    """
    if not search.adaptive:
        return sets
    return sets * (1 + count_folds(days, lengths, bars_per_day=timedelta(days=1) // BAR_INTERVAL))


def _luck(trials: int, days: int) -> float:
    return expected_maximum_sharpe(no_skill_trials(trials, observations=days)) * ANNUAL


def _required(trials: int, days: int, threshold: float) -> float | None:
    normal = Moments(count=days, mean=math.nan, sd=math.nan, skew=0.0, kurtosis=3.0)
    needed = required_sharpe(normal, no_skill_trials(trials, observations=days), threshold=threshold) * ANNUAL
    return needed if math.isfinite(needed) else None


def _figure(value: float | None) -> str:
    return "more than any" if value is None else f"{value:.2f}"
