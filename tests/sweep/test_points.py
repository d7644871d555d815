from dataclasses import asdict

import numpy as np
import pytest

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.points import chunk_rows, parameter_sets, points_frame, records_from, records_of

GRID = Grid(
    lookback_bars=(12, 24, 48),
    funding_weight=(0.0, 0.5),
    entry_z=(1.0, 2.0),
    exit_z=(0.0, 1.5),
    max_holding_bars=(48,),
    cooldown_bars=(0, 4),
    stop_atr=(0.0, 3.0),
)


def test_the_records_of_a_grid_are_those_of_its_points():
    assert np.array_equal(GRID.records(), records_of(GRID.points()))


def test_sets_survive_the_way_through_records_and_frames():
    points = GRID.points()

    assert parameter_sets(records_of(points)) == points
    assert np.array_equal(records_from(points_frame(GRID.records()).to_dict()), GRID.records())
    assert points_frame(GRID.records()).rows(named=True) == [asdict(point) for point in points]


def test_a_record_that_is_no_point_is_refused():
    records = GRID.records()
    records["entry_z"][3] = 0.0

    with pytest.raises(SettingsError, match="expected entry_z > 0"):
        parameter_sets(records)


@pytest.mark.parametrize("size", [1, 7, 36, 1000])
def test_chunks_hold_every_row_once_and_equal_lookbacks_together(size):
    records = np.random.default_rng(1).permutation(GRID.records())

    chunks = chunk_rows(records, size)

    assert {len(chunk) for chunk in chunks[:-1]} <= {size}
    assert sorted(np.concatenate(chunks)) == list(range(GRID.size))
    assert (np.diff(records["lookback_bars"][np.concatenate(chunks)]) >= 0).all()
