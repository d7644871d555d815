"""Evidence of a round that passes every gate, for tests to spoil."""

import numpy as np
import pytest

from helios_pipeline.core.selection import AgreementSummary, Constraints, Gates, HoldoutRules, WalkForwardSummary
from helios_pipeline.metrics.pbo import PboResult
from helios_pipeline.promotion.evidence import ConstraintSummary, Evidence
from helios_pipeline.strategy.parameters import ParameterSet


@pytest.fixture
def constraints() -> Constraints:
    return Constraints(min_round_trips=20, max_drawdown_fraction=0.2, min_sharpe=1.5, min_win_rate=0.3)


@pytest.fixture
def gates() -> Gates:
    return Gates(
        min_deflated_sharpe=0.95,
        max_pbo=0.2,
        min_out_of_sample_sharpe=1.0,
        min_retention=0.5,
        min_out_of_sample_round_trips=20,
        min_positive_folds=0.6,
    )


@pytest.fixture
def holdout_rules() -> HoldoutRules:
    return HoldoutRules(significance=0.05, bootstrap_block_days=5, bootstrap_draws=2000, seed=1)


@pytest.fixture
def candidate() -> ParameterSet:
    return ParameterSet(
        lookback_bars=96,
        funding_weight=0.5,
        entry_z=2.0,
        exit_z=0.0,
        max_holding_bars=96,
        cooldown_bars=8,
        stop_atr=4.0,
    )


@pytest.fixture
def evidence(candidate: ParameterSet) -> Evidence:
    """Two years of days at a Sharpe of exactly 5, chosen out of 2,160 trials."""
    noise = np.random.default_rng(1).normal(0.0, 1.0, 730)
    returns = 0.01 * ((noise - noise.mean()) / noise.std() + 5.0 / 365**0.5)
    sums = {f"sum_r{power}": float((returns**power).sum()) for power in (1, 2, 3, 4)}
    reached = {"round_trips": 240.0, "max_drawdown": -0.08, "sharpe": 5.0, "win_rate": 0.55}
    return Evidence(
        candidate=candidate,
        metrics={**reached, **sums, "days": 730.0},
        constraints=ConstraintSummary(
            sets=2160,
            passed=31,
            failed={"round_trips": 100, "max_drawdown": 900, "sharpe": 2000, "win_rate": 10},
            best={"round_trips": 600.0, "max_drawdown": -0.01, "sharpe": 5.0, "win_rate": 0.7},
        ),
        trials=2160,
        trial_sharpe_variance=0.002,
        pbo=PboResult(sets=2100, splits=12_870, pbo=0.05, probability_of_loss=0.02, logits=(0.1, 1.0, 2.0, 3.0, 4.0)),
        walk_forward=WalkForwardSummary(
            folds=6,
            out_of_sample_sharpe=3.0,
            in_sample_sharpe=4.8,
            retention=0.625,
            round_trips=90,
            positive_fraction=5 / 6,
        ),
        agreement=AgreementSummary(sets=3, fills=1440, differences=0, first_difference=None),
    )
