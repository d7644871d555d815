from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from helios_pipeline.core.errors import ManifestError
from helios_pipeline.core.keys import SigningKey
from helios_pipeline.core.manifest import (
    Approval,
    Deployment,
    Provenance,
    SignedManifest,
    TradingTerms,
    sign_manifest,
    verify_manifest,
)
from helios_pipeline.core.records import AllocationLimits, Costs, FeatureSettings
from helios_pipeline.core.selection import Constraints, GateResult, Gates
from helios_pipeline.promotion.decision import Decision, decide_promotion, gate_rows, make_manifest
from helios_pipeline.promotion.evidence import Evidence
from helios_pipeline.strategy.parameters import STRATEGY_VERSION, ParameterSet

NOW = datetime(2025, 7, 1, tzinfo=UTC)
TERMS = TradingTerms(
    strategy_version=STRATEGY_VERSION,
    bar_seconds=900,
    funding_interval_seconds=28_800,
    instruments=(),
    costs=Costs(
        fee_fraction=Decimal("0.0005"),
        half_spread_bps=Decimal("0.5"),
        slippage_bps=Decimal("0.5"),
        stop_slippage_bps=Decimal("1"),
    ),
    limits=AllocationLimits(vol_target=0.2, max_leverage=3.0, gross_cap=3.0, max_open=2),
    features=FeatureSettings(
        funding_lookback=30,
        funding_std_floor=1e-6,
        atr_bars=96,
        vol_lookback=672,
        periods_per_year=35_040,
        max_gap_bars=8,
        open_interest_delay_minutes=5,
    ),
)
PROVENANCE = Provenance(market_data="archive", data_hashes={}, round_id="round-1", trials=2160)
APPROVAL = Approval(network="paper", approver="pipeline", created_at=NOW, expires_at=None)


class Holdout:
    """A holdout with a known outcome, that counts its looks."""

    def __init__(self, *, passed: bool = True) -> None:
        self.looks = 0
        self.passed = passed

    def __call__(self) -> GateResult:
        self.looks += 1
        value = 0.001 if self.passed else 0.4
        return GateResult(
            name="holdout", passed=self.passed, value=value, rule="below", threshold=0.025, explanation="Looked."
        )


@pytest.fixture
def decide(constraints: Constraints, gates: Gates):
    def decided(evidence: Evidence, holdout: Holdout) -> Decision:
        return decide_promotion(evidence, constraints=constraints, gates=gates, look=holdout)

    return decided


def spoiled(evidence: Evidence) -> Evidence:
    """Fails three gates."""
    walk_forward = replace(evidence.walk_forward, out_of_sample_sharpe=0.4, retention=0.1)
    return replace(evidence, walk_forward=walk_forward, pbo=replace(evidence.pbo, pbo=0.61))


def test_a_candidate_that_passes_everything_is_promoted(decide, evidence: Evidence) -> None:
    holdout = Holdout()
    decision = decide(evidence, holdout)

    assert decision.promoted
    assert decision.failed == ()
    assert holdout.looks == 1
    assert decision.summary.startswith("Promoted: all 9 gates passed.")


def test_the_holdout_is_not_touched_while_a_gate_before_it_refuses(decide, evidence: Evidence) -> None:
    holdout = Holdout()
    decision = decide(spoiled(evidence), holdout)

    assert holdout.looks == 0
    assert not decision.promoted
    assert decision.gates[-1].passed is None
    assert "stay untouched" in decision.gates[-1].explanation


def test_the_holdout_has_the_last_word(decide, evidence: Evidence) -> None:
    decision = decide(evidence, Holdout(passed=False))

    assert not decision.promoted
    assert [gate.name for gate in decision.failed] == ["holdout"]


def test_a_holdout_that_may_not_be_looked_at_is_refused_with_the_reason(decide, evidence: Evidence) -> None:
    untested = GateResult(
        name="holdout",
        passed=False,
        value=None,
        rule="below",
        threshold=None,
        explanation="Not looked at: read before.",
    )

    assert decide(evidence, lambda: untested).summary.startswith(
        "Refused: holdout: Not looked at: read before. A window"
    )


def test_a_refusal_names_every_failed_gate_with_value_and_threshold_and_the_price(decide, evidence: Evidence) -> None:
    summary = decide(spoiled(evidence), Holdout()).summary

    assert summary.startswith(
        "Refused: out of sample sharpe 0.4 (at least 1 needed); retention 0.1 (at least 0.5 needed); "
        "pbo 0.61 (at most 0.2 needed). "
        "A window of 730 days and a ledger of 2,160 trials would have required a Sharpe of 3."
    )


def test_no_candidate_is_never_promoted(decide, evidence: Evidence) -> None:
    holdout = Holdout()

    assert not decide(replace(evidence, candidate=None), holdout).promoted
    assert holdout.looks == 0


def test_the_table_shows_every_gate_in_order(decide, evidence: Evidence) -> None:
    rows = gate_rows(decide(spoiled(evidence), Holdout()).gates)

    assert [(row.gate, row.verdict, row.value, row.needed) for row in rows] == [
        ("constraints", "passed", "31", "at least 1"),
        ("out of sample sharpe", "failed", "0.4", "at least 1"),
        ("retention", "failed", "0.1", "at least 0.5"),
        ("out of sample round trips", "passed", "90", "at least 20"),
        ("positive folds", "passed", "0.8333", "at least 0.6"),
        ("deflated sharpe", "passed", rows[5].value, "at least 0.95"),
        ("pbo", "failed", "0.61", "at most 0.2"),
        ("agreement", "passed", "0", "at most 0"),
        ("holdout", "not reached", "none", "not set"),
    ]


def test_a_promotion_becomes_a_manifest_that_live_can_verify(
    decide, evidence: Evidence, candidate: ParameterSet
) -> None:
    decision = decide(evidence, Holdout())
    key = SigningKey.from_seed(bytes(32), "pipeline")
    manifest = make_manifest(decision, terms=TERMS, provenance=PROVENANCE, approval=APPROVAL)
    file = sign_manifest(manifest, key).to_bytes()

    read = verify_manifest(
        SignedManifest.from_bytes(file),
        deployment=Deployment(network="paper", bar_seconds=900, strategy_version=STRATEGY_VERSION),
        trusted={"paper": [key.public]},
        now=NOW,
    )
    assert read == manifest
    assert ParameterSet.from_mapping(read.parameters) == candidate
    assert read.evidence == decision.gates


def test_a_refusal_becomes_no_manifest(decide, evidence: Evidence) -> None:
    with pytest.raises(ManifestError, match="expected a promoted candidate, found a refusal"):
        make_manifest(decide(spoiled(evidence), Holdout()), terms=TERMS, provenance=PROVENANCE, approval=APPROVAL)
