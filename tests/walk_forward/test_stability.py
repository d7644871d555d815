import math
from dataclasses import replace

import numpy as np
import pytest

from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.walk_forward.stability import parameter_stability

POINT = ParameterSet(
    lookback_bars=10,
    funding_weight=0.0,
    entry_z=2.0,
    exit_z=0.0,
    max_holding_bars=48,
    cooldown_bars=0,
    stop_atr=0.0,
)
AXES = {"lookback_bars": [10, 20, 40, 80], "entry_z": [2.0]}


def stability_of(lookbacks, sampled=False):
    choices = [None if lookback is None else replace(POINT, lookback_bars=lookback) for lookback in lookbacks]
    (row,) = parameter_stability(AXES, choices, sampled=sampled).to_dicts()
    return row


def test_a_parameter_that_every_fold_chose_alike_is_stable():
    row = stability_of([20, 20, 20])

    assert (row["values"], row["chosen"], row["most_often"], row["share"]) == (4, 1, 20.0, 1.0)
    assert (row["mean_step"], row["stability"]) == (0.0, 1.0)


def test_steps_are_counted_on_the_axis_between_folds_that_chose():
    row = stability_of([10, None, 40, 20])

    assert row["mean_step"] == (2 + 1) / 2
    assert row["step_by_chance"] == (4**2 - 1) / (3 * 4)
    assert row["stability"] == pytest.approx(1 - 1.5 / 1.25)
    assert (row["most_often"], row["share"]) == (10.0, pytest.approx(1 / 3))


def test_independent_choices_have_a_stability_around_zero():
    random = np.random.default_rng(1)

    row = stability_of(random.choice(AXES["lookback_bars"], 20_000).tolist())

    assert row["mean_step"] == pytest.approx(row["step_by_chance"], rel=0.02)
    assert abs(row["stability"]) < 0.02


@pytest.mark.parametrize("lookbacks", [[], [None, None], [20]])
def test_too_few_choices_have_no_stability(lookbacks):
    row = stability_of(lookbacks)

    assert math.isnan(row["mean_step"])
    assert math.isnan(row["stability"])
    assert math.isnan(row["share"]) == (20 not in lookbacks)


def test_parameters_with_one_value_are_left_out():
    assert parameter_stability({"entry_z": [2.0]}, [POINT], sampled=False).is_empty()


def test_choices_between_the_values_step_by_parts_of_the_axis():
    random = np.random.default_rng(2)
    row = stability_of([10, 15, 60], sampled=True)

    assert row["mean_step"] == pytest.approx((0.5 + 2.0) / 2)
    # Places on the axis, each as likely as the next, are as far apart as chance has it.
    places = np.interp(random.uniform(0, 3, 20_000), range(4), AXES["lookback_bars"])
    assert abs(stability_of(places.tolist(), sampled=True)["stability"]) < 0.02
