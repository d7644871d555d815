"""What a promotion is decided on, gathered from the round, the ledger, walk-forward and the second engine."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from helios_pipeline.core.errors import DataError
from helios_pipeline.core.selection import AgreementSummary, Constraints, WalkForwardSummary
from helios_pipeline.metrics.clusters import EffectiveTrials
from helios_pipeline.metrics.moments import Moments, moments_from_sums
from helios_pipeline.metrics.pbo import PboResult
from helios_pipeline.metrics.reality_check import RealityCheck
from helios_pipeline.metrics.sharpe import ANNUAL
from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.sweep.rounds import RoundResult
from helios_pipeline.sweep.verdict import failure_counts


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstraintSummary:
    """How the sets of a round did against the constraints.

    Attributes:
        sets: evaluated.
        passed: sets that met all of them.
        failed: constrained metric → sets that missed it; a set may miss several.
        best: constrained metric → the best value that any set reached, whatever its other metrics; NaN for none.
    """

    sets: int
    passed: int
    failed: Mapping[str, int]
    best: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that the gates read, apart from the holdout.

    Attributes:
        candidate: the set that would be promoted; None if none met the constraints.
        metrics: in-sample metrics of the candidate; if there is none, of the round's best set, so that a reader
            learns how far from passing it is.
        constraints: how the round's sets did.
        trials: N, distinct sets ever evaluated on a window sharing a bar with this one; at least 1.
        trial_sharpe_variance: variance of the daily Sharpe ratio across the round's sets that traded often enough;
            shown, not gating; NaN for fewer than two.
        pbo: of the ledger's sets on this window; None for fewer than two.
        walk_forward: what the procedure earned out of sample.
        agreement: of kernel and NautilusTrader; None if nothing was compared.
        effective_trials: clusters of the ledger's sets on this window; shown, not gating; None if not counted.
        reality_check: over the same sets; shown, not gating; None if not made.
    """

    candidate: ParameterSet | None
    metrics: Mapping[str, float]
    constraints: ConstraintSummary
    trials: int
    trial_sharpe_variance: float
    pbo: PboResult | None
    walk_forward: WalkForwardSummary
    agreement: AgreementSummary | None
    effective_trials: EffectiveTrials | None = None
    reality_check: RealityCheck | None = None

    @property
    def daily_moments(self) -> Moments:
        """Moments of the daily net returns of the set that `metrics` describe."""
        r1, r2, r3, r4 = (float(self.metrics[f"sum_r{power}"]) for power in (1, 2, 3, 4))
        return moments_from_sums((r1, r2, r3, r4), count=int(self.metrics["days"]))


def gather_evidence(  # noqa: PLR0913 - one part of the evidence each
    result: RoundResult,
    *,
    trials: int,
    pbo: PboResult | None,
    walk_forward: WalkForwardSummary,
    agreement: AgreementSummary | None,
    effective_trials: EffectiveTrials | None = None,
    reality_check: RealityCheck | None = None,
) -> Evidence:
    """Evidence of a finished round.

    Args:
        result: the round.
        trials: N of the ledger.
        pbo: over the ledger's sets of the round's window.
        walk_forward: of the round's grid.
        agreement: of the round's finalists.
        effective_trials: over the ledger's sets of the round's window.
        reality_check: over the same sets.

    Raises:
        DataError: the ledger counts fewer trials than the round has sets, so the search would look cheaper than it was.
    """
    if trials < result.metrics.height:
        raise DataError(
            f"ledger: expected the {result.metrics.height:,} sets of round {result.name} among its trials, found "
            f"{trials:,} trials. Run `helios promote` with this database, which enters them again."
        )
    row = result.metrics.row(result.best, named=True)
    return Evidence(
        candidate=result.candidate,
        metrics={name: float(value) for name, value in row.items() if isinstance(value, int | float)},
        constraints=summarise_constraints(result.metrics, result.constraints),
        trials=trials,
        trial_sharpe_variance=sharpe_variance(result.metrics, result.constraints.min_round_trips),
        pbo=pbo,
        walk_forward=walk_forward,
        agreement=agreement,
        effective_trials=effective_trials,
        reality_check=reality_check,
    )


def summarise_constraints(judged: pl.DataFrame, constraints: Constraints) -> ConstraintSummary:
    """Count passes and failures, and find the best value of each constrained metric.

    Args:
        judged: one row per set with the constrained metrics, `passed` and `failed_constraints`.
        constraints: that the sets were judged by; each asks for at least its threshold.
    """
    columns = {name: judged[name].cast(pl.Float64).fill_nan(None).max() for name in constraints.limits()}
    return ConstraintSummary(
        sets=judged.height,
        passed=int(judged["passed"].sum()),
        failed=failure_counts(judged, constraints),
        best={name: best if isinstance(best, float) else math.nan for name, best in columns.items()},
    )


def sharpe_variance(metrics: pl.DataFrame, min_round_trips: int) -> float:
    """Variance (ddof 0) of the daily Sharpe ratio across sets with enough round trips; NaN for fewer than two."""
    annual = metrics.filter(pl.col("round_trips") >= min_round_trips)["sharpe"].drop_nans().to_numpy()
    return float(np.var(annual / ANNUAL)) if len(annual) >= 2 else math.nan
