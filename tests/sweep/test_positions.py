import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_pipeline.sweep.grid import PARAMETER_NAMES, Grid
from helios_pipeline.sweep.points import points_frame
from helios_pipeline.sweep.positions import positions_of, records_at, snap_to_grid, swept_axes

GRID = Grid(
    lookback_bars=(96, 192, 384, 768),
    funding_weight=(0.0,),
    entry_z=(2.0, 3.0, 5.0),
    exit_z=(0.0,),
    max_holding_bars=(96, 480),
    cooldown_bars=(0,),
    stop_atr=(0.0, 6.0, 12.0),
)


def at(**unit):
    """One set at a point of the unit cube, halfway on the axes that are not named."""
    return records_at(GRID, np.array([[unit.get(name, 0.5) for name in swept_axes(GRID)]]))[0]


def test_a_grids_own_points_stand_on_whole_positions():
    found = positions_of(GRID, GRID.records())

    assert np.array_equal(found, GRID.coordinates())


def test_between_values_an_axis_is_straight_also_where_its_steps_are_uneven():
    assert at(entry_z=0.25)["entry_z"] == 2.5
    assert at(entry_z=0.75)["entry_z"] == 4.0


def test_lookbacks_are_whole_steps_of_the_grid():
    lookbacks = {at(lookback_bars=unit)["lookback_bars"] for unit in np.linspace(0, 0.999, 200)}

    assert lookbacks == set(range(96, 769, 96))


def test_no_stop_has_its_share_and_nothing_lies_between_it_and_the_nearest_stop():
    stops = np.array([at(stop_atr=unit)["stop_atr"] for unit in np.linspace(0, 0.999, 300)])

    assert (stops == 0).mean() == pytest.approx(1 / 3, abs=0.01)
    assert stops[stops > 0].min() == pytest.approx(6.0, abs=0.05)
    assert stops.max() == pytest.approx(12.0, abs=0.05)


def test_a_parameter_with_one_value_keeps_it():
    assert swept_axes(GRID) == ("lookback_bars", "entry_z", "max_holding_bars", "stop_atr")
    assert (at()["funding_weight"], at()["exit_z"], at()["cooldown_bars"]) == (0.0, 0.0, 0)


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=4, max_size=4))
def test_every_point_of_the_cube_is_a_set_within_the_grid(unit):
    record = records_at(GRID, np.array([unit]))[0]

    for name in PARAMETER_NAMES:
        axis = getattr(GRID, name)
        assert axis[0] <= record[name] <= axis[-1]
    assert round(float(record["entry_z"]), 4) == record["entry_z"]


def test_sets_between_values_are_shown_with_the_nearest():
    frame = points_frame(np.array([at(entry_z=0.3), at(entry_z=0.9)]))

    assert snap_to_grid(GRID, frame)["entry_z"].to_list() == [3.0, 5.0]
    assert snap_to_grid(GRID, points_frame(GRID.records())).equals(points_frame(GRID.records()))
