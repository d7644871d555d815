import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from helios_pipeline.core.errors import DataError
from helios_pipeline.core.records import Window
from helios_pipeline.core.selection import Constraints
from helios_pipeline.metrics.moments import moments
from helios_pipeline.promotion.evidence import Evidence, gather_evidence, sharpe_variance, summarise_constraints
from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.rounds import RoundResult
from helios_pipeline.sweep.verdict import judge_sets

DAILY = np.random.default_rng(8).normal(0.002, 0.01, (3, 200))
GRID = Grid(
    lookback_bars=(96,),
    funding_weight=(0.0,),
    entry_z=(1.5, 2.0, 2.5),
    exit_z=(0.0,),
    max_holding_bars=(96,),
    cooldown_bars=(0,),
    stop_atr=(0.0,),
)


def judged(constraints: Constraints, sharpe: tuple[float, ...] = (1.0, 2.5, math.nan)) -> pl.DataFrame:
    sums = {f"sum_r{power}": (DAILY**power).sum(axis=1) for power in (1, 2, 3, 4)}
    metrics = pl.DataFrame(
        {
            **{name: [96, 96, 96] for name in ("lookback_bars", "max_holding_bars")},
            **{name: [0.0] * 3 for name in ("funding_weight", "exit_z", "stop_atr")},
            "entry_z": [1.5, 2.0, 2.5],
            "cooldown_bars": [0, 0, 0],
            "round_trips": [300, 80, 4],
            "max_drawdown": [-0.3, -0.1, -0.02],
            "sharpe": sharpe,
            "win_rate": [0.5, 0.6, math.nan],
            "days": [200, 200, 200],
            **sums,
        },
    )
    return judge_sets(metrics, constraints)


def test_failures_are_counted_per_constraint_beside_the_best_value_reached(constraints: Constraints) -> None:
    found = summarise_constraints(judged(constraints), constraints)

    assert (found.sets, found.passed) == (3, 1)
    assert found.failed == {"round_trips": 1, "max_drawdown": 1, "sharpe": 2, "win_rate": 1}
    assert found.best == {"round_trips": 300.0, "max_drawdown": -0.02, "sharpe": 2.5, "win_rate": 0.6}


def test_a_metric_that_no_set_has_has_no_best_value(constraints: Constraints) -> None:
    assert math.isnan(summarise_constraints(judged(constraints, (math.nan,) * 3), constraints).best["sharpe"])


def test_variance_across_trials_is_of_daily_ratios_of_sets_that_traded_enough(constraints: Constraints) -> None:
    metrics = judged(constraints)

    assert sharpe_variance(metrics, 20) == pytest.approx(np.var([1.0, 2.5]) / 365)
    assert math.isnan(sharpe_variance(metrics, 100))


def make_result(constraints: Constraints, best: int) -> RoundResult:
    return RoundResult(
        name="round-1",
        grid=GRID,
        window=Window(first=datetime(2024, 1, 1, tzinfo=UTC), last=datetime(2024, 7, 19, tzinfo=UTC)),
        constraints=constraints,
        metrics=judged(constraints),
        blocks=np.ones((3, 16, 3)),
        best=best,
    )


@pytest.mark.parametrize("best", [0, 1])
def test_evidence_of_a_round_describes_its_candidate_or_else_its_best_set(
    constraints: Constraints, evidence: Evidence, candidate: ParameterSet, best: int
) -> None:
    result = make_result(constraints, best)
    found = gather_evidence(
        result, trials=7, pbo=evidence.pbo, walk_forward=evidence.walk_forward, agreement=evidence.agreement
    )

    expected = replace(candidate, lookback_bars=96, funding_weight=0.0, entry_z=2.0, cooldown_bars=0, stop_atr=0.0)
    assert found.candidate == (expected if best == 1 else None)
    assert found.trials == 7
    assert found.daily_moments.sharpe == pytest.approx(moments(DAILY[best]).sharpe)
    assert found.daily_moments.kurtosis == pytest.approx(moments(DAILY[best]).kurtosis)


def test_a_ledger_that_counts_fewer_trials_than_the_round_has_sets_is_no_evidence(
    constraints: Constraints, evidence: Evidence
) -> None:
    with pytest.raises(DataError, match=r"expected the 3 sets of round round-1 among its trials, found 2 trials\. Run"):
        gather_evidence(
            make_result(constraints, best=1),
            trials=2,
            pbo=evidence.pbo,
            walk_forward=evidence.walk_forward,
            agreement=evidence.agreement,
        )
