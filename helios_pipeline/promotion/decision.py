"""Promote or refuse, and the manifest of a promotion."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from helios_pipeline.core.errors import ManifestError
from helios_pipeline.core.manifest import Approval, Manifest, Provenance, TradingTerms
from helios_pipeline.core.selection import Constraints, GateResult, Gates
from helios_pipeline.promotion.evidence import Evidence
from helios_pipeline.promotion.gates import judge_gates
from helios_pipeline.promotion.hurdle import Hurdle, measure_hurdle
from helios_pipeline.strategy.parameters import ParameterSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The outcome of a promotion; a refusal is one.

    Attributes:
        candidate: that was judged; None if no set met the constraints.
        gates: all of them in order; the holdout is last, and not reached unless all before it passed.
        hurdle: what this window and ledger ask of a Sharpe ratio.
    """

    candidate: ParameterSet | None
    gates: tuple[GateResult, ...]
    hurdle: Hurdle

    @property
    def promoted(self) -> bool:
        """Whether every gate, the holdout included, was reached and passed."""
        return self.candidate is not None and all(gate.passed is True for gate in self.gates)

    @property
    def failed(self) -> tuple[GateResult, ...]:
        """The gates that refuse."""
        return tuple(gate for gate in self.gates if gate.passed is False)

    @property
    def summary(self) -> str:
        """The outcome in a few sentences."""
        if self.promoted:
            return f"Promoted: all {len(self.gates)} gates passed. {self.hurdle.sentence()}"
        return f"Refused: {'; '.join(map(_reason, self.failed))}. {self.hurdle.sentence()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """A gate as text, for a table."""

    gate: str
    verdict: str
    value: str
    needed: str
    explanation: str


def decide_promotion(
    evidence: Evidence, *, constraints: Constraints, gates: Gates, look: Callable[[], GateResult]
) -> Decision:
    """Judge every gate; look at the holdout only if all before it passed.

    Args:
        evidence: of the round.
        constraints: what a set must reach in sample.
        gates: thresholds.
        look: looks at the holdout for the candidate, e.g. `look_at_holdout` with its arguments bound.
    """
    hurdle = measure_hurdle(evidence, gates)
    judged = judge_gates(evidence, constraints=constraints, gates=gates, hurdle=hurdle)
    holdout = look() if all(gate.passed for gate in judged) else _not_reached()
    return Decision(candidate=evidence.candidate, gates=(*judged, holdout), hurdle=hurdle)


def make_manifest(decision: Decision, *, terms: TradingTerms, provenance: Provenance, approval: Approval) -> Manifest:
    """The manifest of a promoted candidate, to be signed.

    Args:
        decision: a promotion.
        terms: on which the candidate was judged.
        provenance: of the evidence.
        approval: network, person, time.

    Raises:
        ManifestError: the decision is a refusal.
    """
    if decision.candidate is None or not decision.promoted:
        raise ManifestError(f"manifest: expected a promoted candidate, found a refusal. {decision.summary}")
    return Manifest(
        parameters=asdict(decision.candidate),
        terms=terms,
        provenance=provenance,
        evidence=decision.gates,
        approval=approval,
    )


def gate_rows(gates: Sequence[GateResult]) -> tuple[GateRow, ...]:
    """One row of text per gate, in order."""
    verdicts = {True: "passed", False: "failed", None: "not reached"}
    return tuple(
        GateRow(
            gate=gate.name.replace("_", " "),
            verdict=verdicts[gate.passed],
            value=describe_value(gate),
            needed=describe_threshold(gate),
            explanation=gate.explanation,
        )
        for gate in gates
    )


def describe_value(gate: GateResult) -> str:
    """A gate's value in four significant digits; `none` if there is none."""
    return "none" if gate.value is None else _short(gate.value)


def describe_threshold(gate: GateResult) -> str:
    """A gate's rule and threshold, as `at least 0.95`."""
    return "not set" if gate.threshold is None else f"{gate.rule} {_short(gate.threshold)}"


def _reason(gate: GateResult) -> str:
    name = gate.name.replace("_", " ")
    if gate.threshold is None:  # a holdout that may not be looked at has nothing to compare
        return f"{name}: {gate.explanation.rstrip('.')}"
    return f"{name} {describe_value(gate)} ({describe_threshold(gate)} needed)"


def _short(number: float) -> str:
    return f"{number:,.0f}" if math.floor(number) == number else f"{number:.4g}"


def _not_reached() -> GateResult:
    return GateResult(
        name="holdout",
        passed=None,
        value=None,
        rule="below",
        threshold=None,
        explanation="Not looked at: a gate before it refuses, so the untouched bars stay untouched.",
    )
