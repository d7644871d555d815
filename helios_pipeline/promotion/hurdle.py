"""What a window and a ledger ask of a Sharpe ratio, and how long the observed one would have to hold."""

import math
from dataclasses import dataclass, replace

from helios_pipeline.core.selection import Gates
from helios_pipeline.metrics.deflated_sharpe import (
    MOST_DAYS,
    Trials,
    deflated_sharpe,
    expected_maximum_sharpe,
    no_skill_trials,
    required_days,
    required_sharpe,
)
from helios_pipeline.metrics.probabilistic_sharpe import minimum_track_record, probabilistic_sharpe
from helios_pipeline.metrics.sharpe import ANNUAL, MIN_DAYS
from helios_pipeline.promotion.evidence import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Hurdle:
    """The price of a search, in Sharpe ratio and in days.

    Attributes:
        days: of the window.
        trials: N of the ledger.
        observed_sharpe: annualised; None if the set has none.
        deflated_sharpe: probability that it is more than luck; None if the set has none.
        across_trials: the same with V measured across the trials; shown, not gating.
        by_clusters: the same with the number of clusters for N; shown, not gating; None if there are no clear ones.
        luck_sharpe: annualised, that the best of as many trials without skill would be expected to show; None below
            60 days.
        probabilistic_sharpe: probability that the true Sharpe ratio is above zero, as if this were the only trial.
        track_record_days: at which that would reach the gate's threshold; None if no number would do.
        required_sharpe: annualised; None if no Sharpe ratio would do.
        more_days: at the observed Sharpe ratio that would suffice; None if no number would.
    """

    days: int
    trials: int
    observed_sharpe: float | None
    deflated_sharpe: float | None
    across_trials: float | None
    by_clusters: float | None
    luck_sharpe: float | None
    probabilistic_sharpe: float | None
    track_record_days: int | None
    required_sharpe: float | None
    more_days: int | None

    def sentence(self) -> str:
        """What would have been needed, for a trader."""
        search = f"A window of {self.days:,} days and a ledger of {self.trials:,} trials would have"
        if self.required_sharpe is None:
            needed = f"{search} let no Sharpe pass: too few days for returns this uneven"
        else:
            needed = f"{search} required a Sharpe of {self.required_sharpe:.2f}"
        if self.observed_sharpe is None:
            return f"{needed}; there is none to observe: {MIN_DAYS} days with changing returns are needed."
        return f"{needed}; at the observed {self.observed_sharpe:.2f}, {self._wait()}."

    def _wait(self) -> str:
        match self.more_days:
            case None:
                return "no number of further days would suffice"
            case 0:
                return "no further days are needed"
            case days:
                return f"{days:,} more days would suffice"


def measure_hurdle(evidence: Evidence, gates: Gates) -> Hurdle:
    """Deflated Sharpe ratio with N of the ledger and V = 1 / (T - 1), and what would have reached the gate."""
    observed, threshold = evidence.daily_moments, gates.min_deflated_sharpe
    unmeasured = Hurdle(
        days=observed.count,
        trials=evidence.trials,
        observed_sharpe=None,
        deflated_sharpe=None,
        across_trials=None,
        by_clusters=None,
        luck_sharpe=None,
        probabilistic_sharpe=None,
        track_record_days=None,
        required_sharpe=None,
        more_days=None,
    )
    if observed.count < MIN_DAYS:
        return unmeasured
    trials = no_skill_trials(evidence.trials, observations=observed.count)
    needed = required_sharpe(observed, trials, threshold=threshold)
    priced = replace(
        unmeasured,
        luck_sharpe=expected_maximum_sharpe(trials) * ANNUAL,
        required_sharpe=needed * ANNUAL if math.isfinite(needed) else None,
    )
    if math.isnan(observed.sharpe):
        return priced
    across = deflated_sharpe(observed, Trials(count=evidence.trials, variance=evidence.trial_sharpe_variance))
    days = required_days(observed, evidence.trials, threshold=threshold)
    alone = minimum_track_record(observed, benchmark=0.0, threshold=threshold)
    return replace(
        priced,
        observed_sharpe=observed.sharpe * ANNUAL,
        deflated_sharpe=deflated_sharpe(observed, trials),
        across_trials=None if math.isnan(across) else across,
        by_clusters=_deflated_by_clusters(evidence),
        probabilistic_sharpe=probabilistic_sharpe(observed, benchmark=0.0),
        track_record_days=math.ceil(alone) if alone <= MOST_DAYS else None,
        more_days=None if days is None else max(0, days - observed.count),
    )


def _deflated_by_clusters(evidence: Evidence) -> float | None:
    found, observed = evidence.effective_trials, evidence.daily_moments
    if found is None or not found.clear:
        return None
    return deflated_sharpe(observed, no_skill_trials(found.clusters, observations=observed.count))
