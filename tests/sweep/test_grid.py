from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.sweep.grid import PARAMETER_NAMES, Grid, parameters_of
from helios_pipeline.sweep.points import points_frame

AXES = {
    "lookback_bars": [48, 96],
    "funding_weight": [0.0, 0.5],
    "entry_z": [1.0, 2.0, 3.0],
    "exit_z": [-1.5, 0.0, 1.5],
    "max_holding_bars": [96],
    "cooldown_bars": [0, 8],
    "stop_atr": [0.0, 4.0],
}


def axis(values, most=3):
    return st.lists(values, min_size=1, max_size=most, unique=True).map(sorted)


grids = st.fixed_dictionaries(
    {
        "lookback_bars": axis(st.integers(2, 500)),
        "funding_weight": axis(st.sampled_from([0.0, 0.25, 0.5])),
        "entry_z": axis(st.sampled_from([0.5, 1.0, 2.0, 3.0])),
        "exit_z": st.lists(st.sampled_from([-2.5, -1.0, -0.25, 1.0, 2.5]), max_size=2, unique=True).map(
            lambda values: sorted([*values, 0.0])
        ),
        "max_holding_bars": axis(st.integers(1, 500), most=2),
        "cooldown_bars": axis(st.integers(0, 50), most=2),
        "stop_atr": axis(st.sampled_from([0.0, 2.0, 4.0]), most=2),
    }
).map(Grid.from_values)


def test_points_are_the_product_without_exits_at_or_beyond_the_entry():
    grid = Grid.from_values(AXES)

    expected = [
        values for values in product(*(AXES[name] for name in PARAMETER_NAMES)) if -values[2] < values[3] < values[2]
    ]
    assert [tuple(getattr(point, name) for name in PARAMETER_NAMES) for point in grid.points()] == expected
    assert grid.size == len(expected) == 112
    assert grid.combinations_left_out == 32


@given(grids)
def test_no_point_appears_twice_and_lookbacks_never_fall(grid):
    points = grid.points()

    assert len({point.canonical for point in points}) == len(points) == grid.size
    assert [point.lookback_bars for point in points] == sorted(point.lookback_bars for point in points)


@given(grids)
def test_neighbours_are_exactly_the_points_one_step_of_one_parameter_away(grid):
    coordinates = grid.coordinates()
    distances = np.abs(coordinates[:, None, :] - coordinates[None, :, :]).sum(axis=2)

    neighbours = grid.neighbours()

    for index, row in enumerate(neighbours):
        found = row[row >= 0].tolist()
        assert len(found) == len(set(found))
        assert sorted(found) == np.flatnonzero(distances[index] == 1).tolist()


def test_negative_zero_is_zero():
    negative = Grid.from_values(AXES | {"exit_z": [-0.0]})
    positive = Grid.from_values(AXES | {"exit_z": [0.0]})

    assert [point.canonical for point in negative.points()] == [point.canonical for point in positive.points()]


@pytest.mark.parametrize(
    ("axis", "found"),
    [
        ({"entry_z": []}, r"grid.entry_z: expected one or more ascending float values"),
        ({"entry_z": [2.0, 1.0]}, r"found \[2.0, 1.0\]. Sort the values"),
        ({"lookback_bars": [48, 48]}, "grid.lookback_bars"),
        ({"lookback_bars": [48.5]}, "ascending int values"),
        ({"stop_atr": [float("nan")]}, "grid.stop_atr"),
        ({"lookback_bars": [1, 48]}, "lookback_bars ≥ 2"),
        ({"entry_z": [1.0], "exit_z": [1.0]}, "expected a combination with -entry_z < exit_z < entry_z"),
    ],
)
def test_an_axis_that_no_step_can_be_taken_on_is_refused(axis, found):
    with pytest.raises(SettingsError, match=found):
        Grid.from_values(AXES | axis)


def test_an_unknown_parameter_is_refused():
    with pytest.raises(SettingsError, match=r"found .*'speed'"):
        Grid.from_values(AXES | {"speed": [1]})


@given(grids)
def test_a_frame_of_points_gives_the_points_back(grid):
    frame = points_frame(grid.records())

    assert [parameters_of(row) for row in frame.iter_rows(named=True)] == grid.points()
    assert Grid.from_values(grid.as_values()) == grid
