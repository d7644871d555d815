"""The gates before the holdout, each with its value, its threshold and a sentence that says what it means.

A failed gate is a result. Every gate is evaluated, so that a refusal shows all that is missing at once.
"""

import math

from helios_pipeline.core.selection import Constraints, GateResult, Gates, Rule
from helios_pipeline.promotion.evidence import Evidence
from helios_pipeline.promotion.hurdle import Hurdle
from helios_pipeline.promotion.luck import beside_luck

CONSTRAINT_WORDS = {
    "round_trips": ("round trips", "{:,.0f}"),
    "max_drawdown": ("drawdown", "{:.1%}"),
    "sharpe": ("Sharpe", "{:.2f}"),
    "win_rate": ("win rate", "{:.1%}"),
}


def judge_gates(
    evidence: Evidence, *, constraints: Constraints, gates: Gates, hurdle: Hurdle
) -> tuple[GateResult, ...]:
    """Every gate before the holdout, in order.

    Args:
        evidence: of the round.
        constraints: what a set must reach in sample.
        gates: thresholds.
        hurdle: from `measure_hurdle` with the same evidence and gates.
    """
    return (
        constraints_gate(evidence, constraints),
        *walk_forward_gates(evidence, gates),
        deflated_sharpe_gate(hurdle, gates),
        pbo_gate(evidence, gates),
        agreement_gate(evidence),
    )


def constraints_gate(evidence: Evidence, constraints: Constraints) -> GateResult:
    """Whether a set met every constraint in sample, and how the others missed."""
    found = evidence.constraints
    missed = constraints.failed(evidence.metrics)
    if evidence.candidate is not None and not missed:
        story = "; ".join(_constraint_met(name, constraints, evidence) for name in constraints.limits())
        explanation = f"{found.passed:,} of {found.sets:,} sets met every constraint; the candidate: {story}."
    else:
        failures = "; ".join(_constraint_failures(name, constraints, evidence) for name in constraints.limits())
        explanation = f"{found.passed:,} of {found.sets:,} sets met every constraint: {failures}."
    return GateResult(
        name="constraints",
        passed=evidence.candidate is not None and not missed,
        value=float(found.passed),
        rule="at least",
        threshold=1.0,
        explanation=explanation,
    )


def walk_forward_gates(evidence: Evidence, gates: Gates) -> tuple[GateResult, ...]:
    """What the procedure earned on bars it had not seen: Sharpe ratio, retention, round trips, folds that gained."""
    found = evidence.walk_forward
    folds = f"{found.folds} fold{'' if found.folds == 1 else 's'}"
    sharpe, kept, gained = (
        _number(value, form)
        for value, form in (
            (found.out_of_sample_sharpe, "{:.2f}"),
            (found.retention, "{:.0%}"),
            (found.positive_fraction, "{:.0%}"),
        )
    )
    in_sample = _number(found.in_sample_sharpe, "{:.2f}")
    return (
        _at_least(
            "out_of_sample_sharpe",
            found.out_of_sample_sharpe,
            gates.min_out_of_sample_sharpe,
            f"Traded on the unseen part of {folds}, the procedure's Sharpe was {sharpe}; "
            f"{gates.min_out_of_sample_sharpe:.2f} is needed.",
        ),
        _at_least(
            "retention",
            found.retention,
            gates.min_retention,
            f"Of the in-sample Sharpe of {in_sample}, {kept} was left on unseen bars; "
            f"{gates.min_retention:.0%} is needed.",
        ),
        _at_least(
            "out_of_sample_round_trips",
            found.round_trips,
            gates.min_out_of_sample_round_trips,
            f"{found.round_trips:,} round trips on unseen bars in all; "
            f"{gates.min_out_of_sample_round_trips:,} are needed to judge.",
        ),
        _at_least(
            "positive_folds",
            found.positive_fraction,
            gates.min_positive_folds,
            f"{gained} of {folds} made money on unseen bars; {gates.min_positive_folds:.0%} is needed.",
        ),
    )


def deflated_sharpe_gate(hurdle: Hurdle, gates: Gates) -> GateResult:
    """Whether the Sharpe ratio is more than the best of N lucky trials would show."""
    threshold, value = gates.min_deflated_sharpe, hurdle.deflated_sharpe
    if value is None:
        explanation = hurdle.sentence()
    else:
        explanation = (
            f"The Sharpe of {hurdle.observed_sharpe:.2f} is more than the luck of {hurdle.trials:,} trials with "
            f"probability {value:.4f}; {threshold:.2f} is needed. {hurdle.sentence()}"
        )
    if hurdle.across_trials is not None:
        explanation += f" With the variance across trials instead: {hurdle.across_trials:.4f} (shown only)."
    if hurdle.by_clusters is not None:
        explanation += f" With clusters of alike sets for trials: {hurdle.by_clusters:.4f} (shown only)."
    return _at_least("deflated_sharpe", math.nan if value is None else value, threshold, explanation)


def pbo_gate(evidence: Evidence, gates: Gates) -> GateResult:
    """Whether the best set of some bars tends to stay good on the others."""
    found = evidence.pbo
    if found is None:
        explanation = "Fewer than two sets traded often enough to be ranked against each other."
    else:
        explanation = (
            f"Of {found.splits:,} ways to halve the window, the best of {found.sets:,} sets on one half was in the "
            f"lower half on the other in {found.pbo:.0%}, and lost money in {found.probability_of_loss:.0%}; "
            f"at most {gates.max_pbo:.0%} is allowed."
        )
    value = math.nan if found is None else found.pbo
    return _result("pbo", value, rule="at most", threshold=gates.max_pbo, explanation=explanation)


def agreement_gate(evidence: Evidence) -> GateResult:
    """Whether NautilusTrader traded exactly what the kernel did."""
    found = evidence.agreement
    if found is None or found.sets == 0 or found.fills == 0:
        explanation, value = "No fill was compared between the kernel and NautilusTrader.", math.nan
    else:
        value = float(found.differences)
        explanation = (
            f"{found.sets:,} sets run again in NautilusTrader: {found.fills:,} fills compared, "
            f"differences: {found.differences:,}"
        )
        explanation += "." if found.first_difference is None else f", the first: {found.first_difference}."
    return _result("agreement", value, rule="at most", threshold=0.0, explanation=explanation)


def _at_least(name: str, value: float, threshold: float, explanation: str) -> GateResult:
    return _result(name, value, rule="at least", threshold=threshold, explanation=explanation)


def _result(name: str, value: float, *, rule: Rule, threshold: float, explanation: str) -> GateResult:
    passed = bool(value >= threshold if rule == "at least" else value <= threshold)  # NaN fails both
    return GateResult(
        name=name, passed=passed, value=float(value), rule=rule, threshold=float(threshold), explanation=explanation
    )


def _constraint_met(name: str, constraints: Constraints, evidence: Evidence) -> str:
    word, form = CONSTRAINT_WORDS[name]
    _, threshold = constraints.limits()[name]
    return f"{word} {_number(evidence.metrics[name], form)} ({_needed(name, form, threshold)})"


def _constraint_failures(name: str, constraints: Constraints, evidence: Evidence) -> str:
    word, form = CONSTRAINT_WORDS[name]
    _, threshold = constraints.limits()[name]
    count, best = evidence.constraints.failed[name], evidence.constraints.best[name]
    found = _number(best, form)
    if name == "sharpe":
        found = beside_luck(best, trials=evidence.trials, days=int(evidence.metrics["days"]))
    return f"{count:,} failed {word} {_needed(name, form, threshold)}, best of any set {found}"


def _needed(name: str, form: str, threshold: float) -> str:
    return f"no deeper than {form.format(threshold)}" if name == "max_drawdown" else f"≥ {form.format(threshold)}"


def _number(value: float, form: str) -> str:
    return form.format(value) if math.isfinite(value) else "none"
