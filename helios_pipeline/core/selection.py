"""What a candidate must reach and what was found: records that sweep, walk-forward and promotion share."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Rule = Literal["at least", "at most", "above", "below"]
"""How a value is held against its threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """What a parameter set must reach in sample; a value that is NaN fails.

    Attributes:
        min_round_trips: fewest closed round trips.
        max_drawdown_fraction: deepest drawdown of bar-close equity, as a positive fraction of the peak.
        min_sharpe: lowest annualised Sharpe ratio of daily net returns.
        min_win_rate: lowest fraction of round trips with a profit after all costs.
    """

    min_round_trips: int
    max_drawdown_fraction: float
    min_sharpe: float
    min_win_rate: float

    def limits(self) -> dict[str, tuple[Rule, float]]:
        """Each constrained metric with its rule and threshold, in the order of judgement; drawdown is ≤ 0."""
        return {
            "round_trips": ("at least", self.min_round_trips),
            "max_drawdown": ("at least", -self.max_drawdown_fraction),
            "sharpe": ("at least", self.min_sharpe),
            "win_rate": ("at least", self.min_win_rate),
        }

    def failed(self, metrics: Mapping[str, float]) -> tuple[str, ...]:
        """Names of the metrics that miss their threshold, in the order of judgement; empty if the set passes.

        Args:
            metrics: at least `round_trips`, `max_drawdown` (≤ 0), `sharpe` and `win_rate`.
        """
        return tuple(name for name, (_, threshold) in self.limits().items() if not metrics[name] >= threshold)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """What a candidate must reach to be promoted, once it met the constraints.

    Attributes:
        min_deflated_sharpe: lowest deflated Sharpe ratio, a probability.
        max_pbo: highest probability of backtest overfitting.
        min_out_of_sample_sharpe: lowest Sharpe ratio of the stitched out-of-sample days.
        min_retention: lowest ratio of out-of-sample to in-sample Sharpe.
        min_out_of_sample_round_trips: fewest round trips over all out-of-sample folds together.
        min_positive_folds: lowest fraction of folds with a net profit out of sample.
    """

    min_deflated_sharpe: float
    max_pbo: float
    min_out_of_sample_sharpe: float
    min_retention: float
    min_out_of_sample_round_trips: int
    min_positive_folds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldoutRules:
    """The test on the bars that are used once at the end.

    Attributes:
        significance: level of the first look before halving; the k-th look needs p below significance / 2^k.
        bootstrap_block_days: length of a bootstrap block, in days.
        bootstrap_draws: resamples.
        seed: of the resampling.
    """

    significance: float
    bootstrap_block_days: int
    bootstrap_draws: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForwardSummary:
    """What walk-forward says about a round's procedure.

    Attributes:
        folds: folds run.
        out_of_sample_sharpe: annualised, of the stitched out-of-sample days; NaN if there is none.
        in_sample_sharpe: mean annualised in-sample Sharpe of the sets that the folds chose; NaN if there is none.
        retention: out-of-sample over in-sample Sharpe; NaN if either is none or the in-sample one is not positive.
        round_trips: closed round trips over all out-of-sample folds together.
        positive_fraction: fraction of folds with a net profit out of sample; NaN without folds.
    """

    folds: int
    out_of_sample_sharpe: float
    in_sample_sharpe: float
    retention: float
    round_trips: int
    positive_fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementSummary:
    """How the kernel and NautilusTrader compared on the finalists.

    Attributes:
        sets: parameter sets run through both.
        fills: fills compared, over all sets.
        differences: fills, fees, funding payments or cash figures that were not equal.
        first_difference: the first of them, in words; None if there is none.
    """

    sets: int
    fills: int
    differences: int
    first_difference: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """One row of a promotion's evidence.

    Attributes:
        name: the gate.
        passed: the verdict; None if the gate was not reached.
        value: what was found; None if there is nothing to measure or the gate was not reached.
        rule: how value and threshold compare.
        threshold: what is needed; None if the gate was not reached and its threshold is not known yet.
        explanation: one or two sentences for a trader.
    """

    name: str
    passed: bool | None
    value: float | None
    rule: Rule
    threshold: float | None
    explanation: str

    def __post_init__(self) -> None:
        """Turn NaN and infinity into None: a row is stored, signed and shown, and none of those knows them."""
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "value", None)
