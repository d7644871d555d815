import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from helios_pipeline.core.selection import AgreementSummary, Constraints, GateResult, Gates
from helios_pipeline.promotion.evidence import Evidence
from helios_pipeline.promotion.gates import judge_gates
from helios_pipeline.promotion.hurdle import measure_hurdle

NAMES = (
    "constraints",
    "out_of_sample_sharpe",
    "retention",
    "out_of_sample_round_trips",
    "positive_folds",
    "deflated_sharpe",
    "pbo",
    "agreement",
)


@pytest.fixture
def judge(constraints: Constraints, gates: Gates) -> Callable[[Evidence], dict[str, GateResult]]:
    def judged(evidence: Evidence) -> dict[str, GateResult]:
        hurdle = measure_hurdle(evidence, gates)
        results = judge_gates(evidence, constraints=constraints, gates=gates, hurdle=hurdle)
        return {result.name: result for result in results}

    return judged


def without_candidate(evidence: Evidence) -> Evidence:
    summary = replace(evidence.constraints, passed=0, best={**evidence.constraints.best, "sharpe": 1.21})
    metrics = {**evidence.metrics, "sharpe": 1.21, "max_drawdown": -0.31}
    return replace(evidence, candidate=None, constraints=summary, metrics=metrics)


def failing(results: dict[str, GateResult]) -> list[str]:
    return [name for name, result in results.items() if not result.passed]


def test_good_evidence_passes_every_gate_in_order(judge, evidence: Evidence) -> None:
    results = judge(evidence)

    assert tuple(results) == NAMES
    assert failing(results) == []


@pytest.mark.parametrize(
    ("change", "gate", "value", "threshold"),
    [
        ({"out_of_sample_sharpe": 0.99}, "out_of_sample_sharpe", 0.99, 1.0),
        ({"retention": 0.49}, "retention", 0.49, 0.5),
        ({"round_trips": 19}, "out_of_sample_round_trips", 19.0, 20.0),
        ({"positive_fraction": 0.59}, "positive_folds", 0.59, 0.6),
        ({"out_of_sample_sharpe": math.nan}, "out_of_sample_sharpe", None, 1.0),
        ({"retention": math.nan}, "retention", None, 0.5),
        ({"positive_fraction": math.nan}, "positive_folds", None, 0.6),
    ],
)
def test_a_walk_forward_figure_just_below_its_threshold_fails_its_gate_alone(
    judge, evidence: Evidence, change: dict[str, float], gate: str, value: float | None, threshold: float
) -> None:
    results = judge(replace(evidence, walk_forward=replace(evidence.walk_forward, **change)))

    assert failing(results) == [gate]
    assert (results[gate].value, results[gate].threshold) == (value, threshold)


def test_a_walk_forward_exactly_at_its_thresholds_passes(judge, evidence: Evidence) -> None:
    at_thresholds = replace(
        evidence.walk_forward, out_of_sample_sharpe=1.0, retention=0.5, round_trips=20, positive_fraction=0.6
    )

    assert failing(judge(replace(evidence, walk_forward=at_thresholds))) == []


@pytest.mark.parametrize(("value", "passes"), [(0.2, True), (0.2001, False)])
def test_overfitting_is_allowed_up_to_its_threshold(judge, evidence: Evidence, value: float, passes: bool) -> None:
    result = judge(replace(evidence, pbo=replace(evidence.pbo, pbo=value)))["pbo"]

    assert (result.passed, result.value, result.threshold, result.rule) == (passes, value, 0.2, "at most")


def test_too_few_sets_to_rank_fail_the_overfitting_gate(judge, evidence: Evidence) -> None:
    results = judge(replace(evidence, pbo=None))

    assert failing(results) == ["pbo"]
    assert results["pbo"].explanation == "Fewer than two sets traded often enough to be ranked against each other."


def test_one_difference_between_the_engines_fails_agreement_and_is_named(judge, evidence: Evidence) -> None:
    agreement = AgreementSummary(sets=3, fills=1440, differences=1, first_difference="fee of fill 7")
    results = judge(replace(evidence, agreement=agreement))

    assert failing(results) == ["agreement"]
    assert "differences: 1, the first: fee of fill 7." in results["agreement"].explanation


@pytest.mark.parametrize("agreement", [None, AgreementSummary(sets=3, fills=0, differences=0, first_difference=None)])
def test_agreement_on_nothing_is_no_agreement(judge, evidence: Evidence, agreement: AgreementSummary | None) -> None:
    assert failing(judge(replace(evidence, agreement=agreement))) == ["agreement"]


def test_a_round_without_candidate_says_how_many_sets_failed_which_constraint(judge, evidence: Evidence) -> None:
    results = judge(without_candidate(evidence))

    assert failing(results) == ["constraints"]
    assert results["constraints"].value == 0.0
    assert results["constraints"].explanation == (
        "0 of 2,160 sets met every constraint: 100 failed round trips ≥ 20, best of any set 600; "
        "900 failed drawdown no deeper than -20.0%, best of any set -1.0%; "
        "2,000 failed Sharpe ≥ 1.50, best of any set 1.21 (noise would have scored 2.45); "
        "10 failed win rate ≥ 30.0%, best of any set 70.0%."
    )


@pytest.mark.parametrize(
    ("metric", "value"),
    [("round_trips", 19.0), ("max_drawdown", -0.2001), ("sharpe", 1.49), ("sharpe", math.nan), ("win_rate", math.nan)],
)
def test_a_candidate_that_misses_a_constraint_is_not_taken_at_its_word(
    judge, evidence: Evidence, metric: str, value: float
) -> None:
    assert "constraints" in failing(judge(replace(evidence, metrics={**evidence.metrics, metric: value})))


def test_a_larger_ledger_fails_the_deflated_sharpe_and_says_what_was_required(judge, evidence: Evidence) -> None:
    weaker = {**evidence.metrics, "sum_r1": evidence.metrics["sum_r1"] / 2}
    results = judge(replace(evidence, metrics=weaker, trials=26_166))

    assert failing(results) == ["deflated_sharpe"]
    assert results["deflated_sharpe"].threshold == 0.95
    assert results["deflated_sharpe"].explanation.startswith("The Sharpe of 2.4")
    assert "A window of 730 days and a ledger of 26,166 trials would have required a Sharpe of 4." in (
        results["deflated_sharpe"].explanation
    )
    assert "more days would suffice." in results["deflated_sharpe"].explanation


def test_returns_that_never_change_fail_the_deflated_sharpe_without_a_value(judge, evidence: Evidence) -> None:
    flat = {**evidence.metrics, **{f"sum_r{power}": 0.0 for power in (1, 2, 3, 4)}}
    result = judge(replace(evidence, metrics=flat))["deflated_sharpe"]

    assert (result.passed, result.value) == (False, None)
    assert "would have required a Sharpe of 3.6" in result.explanation
    assert "there is none to observe" in result.explanation


def test_the_shown_variant_does_not_gate(judge, evidence: Evidence) -> None:
    results = judge(replace(evidence, trial_sharpe_variance=10.0))

    assert failing(results) == []
    assert "With the variance across trials instead: 0.0000 (shown only)." in results["deflated_sharpe"].explanation


def test_every_explanation_is_a_sentence(judge, evidence: Evidence) -> None:
    for shown in (evidence, without_candidate(evidence)):
        for result in judge(shown).values():
            assert result.explanation[0].isupper() or result.explanation[0].isdigit()
            assert result.explanation.endswith((".", ")."))
