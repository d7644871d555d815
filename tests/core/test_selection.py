import math

import pytest

from helios_pipeline.core.selection import Constraints, GateResult

CONSTRAINTS = Constraints(min_round_trips=20, max_drawdown_fraction=0.2, min_sharpe=1.5, min_win_rate=0.3)
AT_THRESHOLDS = {"round_trips": 20, "max_drawdown": -0.2, "sharpe": 1.5, "win_rate": 0.3}


def test_a_set_exactly_at_every_threshold_passes() -> None:
    assert CONSTRAINTS.failed(AT_THRESHOLDS) == ()


@pytest.mark.parametrize(
    ("metric", "value"), [("round_trips", 19), ("max_drawdown", -0.21), ("sharpe", 1.49), ("win_rate", 0.29)]
)
def test_a_set_just_below_one_threshold_fails_that_constraint(metric: str, value: float) -> None:
    assert CONSTRAINTS.failed({**AT_THRESHOLDS, metric: value}) == (metric,)


def test_a_metric_without_value_fails_its_constraint() -> None:
    assert CONSTRAINTS.failed({**AT_THRESHOLDS, "sharpe": math.nan, "win_rate": math.nan}) == ("sharpe", "win_rate")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_gate_s_value_that_is_no_number_is_none(value: float) -> None:
    gate = GateResult(name="pbo", passed=False, value=value, rule="at most", threshold=0.2, explanation="")

    assert gate.value is None
