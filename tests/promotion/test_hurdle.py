import math
from dataclasses import replace

import pytest

from helios_pipeline.core.selection import Gates
from helios_pipeline.promotion.evidence import Evidence
from helios_pipeline.promotion.hurdle import measure_hurdle


def scaled(evidence: Evidence, factor: float) -> Evidence:
    """The same returns with another mean: the power sums of r + c."""
    n = evidence.metrics["days"]
    r1, r2, r3, r4 = (evidence.metrics[f"sum_r{power}"] for power in (1, 2, 3, 4))
    c = (factor - 1) * r1 / n
    shifted = {
        "sum_r1": r1 + n * c,
        "sum_r2": r2 + 2 * c * r1 + n * c**2,
        "sum_r3": r3 + 3 * c * r2 + 3 * c**2 * r1 + n * c**3,
        "sum_r4": r4 + 4 * c * r3 + 6 * c**2 * r2 + 4 * c**3 * r1 + n * c**4,
    }
    return replace(evidence, metrics={**evidence.metrics, **shifted})


def test_the_hurdle_is_the_sharpe_at_which_the_gate_opens(evidence: Evidence, gates: Gates) -> None:
    hurdle = measure_hurdle(evidence, gates)
    assert hurdle.observed_sharpe == pytest.approx(5.0)
    assert hurdle.required_sharpe is not None

    just_enough = measure_hurdle(scaled(evidence, hurdle.required_sharpe / 5.0), gates)
    assert just_enough.deflated_sharpe == pytest.approx(0.95, abs=1e-9)


def test_the_days_named_are_those_that_would_suffice(evidence: Evidence, gates: Gates) -> None:
    weaker = scaled(evidence, 0.4)
    hurdle = measure_hurdle(weaker, gates)
    assert hurdle.more_days is not None
    assert hurdle.more_days > 0

    longer = (730 + hurdle.more_days) / 730
    later = {name: value * longer for name, value in weaker.metrics.items() if name.startswith(("sum_", "days"))}
    assert measure_hurdle(replace(weaker, metrics=later), gates).deflated_sharpe == pytest.approx(0.95, abs=1e-3)


def test_a_losing_set_would_need_forever(evidence: Evidence, gates: Gates) -> None:
    hurdle = measure_hurdle(scaled(evidence, -0.2), gates)

    assert hurdle.more_days is None
    assert hurdle.sentence().endswith("at the observed -1.00, no number of further days would suffice.")


def test_a_set_that_passes_needs_no_more_days(evidence: Evidence, gates: Gates) -> None:
    assert measure_hurdle(evidence, gates).sentence().endswith("at the observed 5.00, no further days are needed.")


def test_a_window_below_sixty_days_has_no_price(evidence: Evidence, gates: Gates) -> None:
    hurdle = measure_hurdle(replace(evidence, metrics={**evidence.metrics, "days": 59.0}), gates)

    assert hurdle.required_sharpe is None
    assert hurdle.deflated_sharpe is None
    assert "60 days with changing returns are needed" in hurdle.sentence()


def test_one_set_has_no_variance_across_trials(evidence: Evidence, gates: Gates) -> None:
    assert measure_hurdle(replace(evidence, trial_sharpe_variance=math.nan), gates).across_trials is None
