"""What is shown beside the gates, and refuses nothing: what luck could have done, and how sure the figures are."""

import math
from dataclasses import dataclass

from helios_pipeline.metrics.sharpe_interval import SharpeInterval
from helios_pipeline.promotion.evidence import Evidence
from helios_pipeline.promotion.hurdle import Hurdle


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """One row.

    Attributes:
        name: of the statistic.
        found: its value in words; `none` if it can't be measured.
        meaning: one sentence for a trader.
    """

    name: str
    found: str
    meaning: str


def search_statistics(evidence: Evidence, hurdle: Hurdle, interval: SharpeInterval | None) -> tuple[Statistic, ...]:
    """Every statistic, in order.

    Args:
        evidence: of the round.
        hurdle: from `measure_hurdle` with the same evidence.
        interval: of the Sharpe ratio of the set that the evidence describes; None if it has none.
    """
    return (
        _row(
            "Sharpe, annualised",
            hurdle.observed_sharpe,
            ".2f",
            f"Of the best of {evidence.constraints.sets:,} sets of this round, on {hurdle.days:,} days.",
        ),
        _row(
            "noise would have scored",
            hurdle.luck_sharpe,
            ".2f",
            f"What the best of {hurdle.trials:,} sets without any skill is expected to show on these days.",
        ),
        _interval(interval),
        _row(
            "probabilistic Sharpe",
            hurdle.probabilistic_sharpe,
            ".4f",
            "Probability that the true Sharpe is above zero, if this had been the only set ever tried.",
        ),
        _row(
            "minimum track record",
            hurdle.track_record_days,
            ",d",
            f"Days that the same claim would need; there are {hurdle.days:,}.",
        ),
        _row(
            "deflated Sharpe",
            hurdle.deflated_sharpe,
            ".4f",
            f"Probability that it is more than the luck of {hurdle.trials:,} trials; the gate reads this one.",
        ),
        _row(
            "deflated, V across trials",
            hurdle.across_trials,
            ".4f",
            "With the variance across the round's sets, which measures how different they are as well as luck.",
        ),
        *_clusters(evidence, hurdle),
        *_reality_check(evidence),
    )


def _interval(found: SharpeInterval | None) -> Statistic:
    if found is None:
        return _row("Sharpe interval", None, "", "Too few days, or constant returns.")
    return Statistic(
        name=f"Sharpe interval, {found.confidence:.0%}",
        found=f"{found.low:.2f} to {found.high:.2f}",
        meaning=f"Stationary bootstrap, {found.draws:,} resamples in blocks of {found.mean_block_days:.1f} days on "
        "average; of the set as it was chosen, so luck is not taken out.",
    )


def _clusters(evidence: Evidence, hurdle: Hurdle) -> tuple[Statistic, ...]:
    found = evidence.effective_trials
    if found is None:
        return (_row("effective trials", None, "", "Fewer than four sets ever traded."),)
    looked = f"Clusters of {found.sets:,} of {found.of_sets:,} sets by their returns in blocks"
    if not found.clear:
        return (_row("effective trials", None, "", f"{looked}: no clear ones (silhouette {found.silhouette:.2f})."),)
    return (
        Statistic(
            name="effective trials",
            found=f"{found.clusters:,}",
            meaning=f"{looked}; at least so many are truly different (silhouette {found.silhouette:.2f}).",
        ),
        _row(
            "deflated, N of clusters",
            hurdle.by_clusters,
            ".4f",
            "As if only the clusters had been tried: the least deflation that can be argued for.",
        ),
    )


def _reality_check(evidence: Evidence) -> tuple[Statistic, ...]:
    found = evidence.reality_check
    if found is None:
        return (_row("reality check", None, "", "No set was compared."),)
    asked = f"Probability that the best of {found.sets:,} sets does so well if none has skill"
    return (
        _row("reality check p", found.white, ".4f", f"{asked} (White 2000)."),
        _row(
            "superior predictive ability p",
            found.hansen,
            ".4f",
            "The same without the sets that plainly lose (Hansen 2005).",
        ),
    )


def _row(name: str, value: float | None, form: str, meaning: str) -> Statistic:
    known = value is not None and not math.isnan(value)
    return Statistic(name=name, found=format(value, form) if known else "none", meaning=meaning)
