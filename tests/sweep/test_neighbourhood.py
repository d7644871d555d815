import numpy as np
import polars as pl

from helios_pipeline.sweep.grid import Grid, parameters_of
from helios_pipeline.sweep.neighbourhood import nearest_sets, neighbours_of
from helios_pipeline.sweep.points import points_frame
from helios_pipeline.sweep.samplers import batches
from helios_pipeline.sweep.search import Search

GRID = Grid(
    lookback_bars=(48, 96, 192),
    funding_weight=(0.0,),
    entry_z=(1.0, 2.0, 4.0),
    exit_z=(0.0,),
    max_holding_bars=(96,),
    cooldown_bars=(0,),
    stop_atr=(0.0,),
)


def test_a_grid_has_its_own_neighbours():
    search, metrics = Search(sampler="grid", sets=1, seed=1), points_frame(GRID.records())

    assert np.array_equal(neighbours_of(GRID, search, metrics), GRID.neighbours())


def test_the_nearest_sets_of_a_grids_inner_point_are_its_neighbours():
    metrics = points_frame(GRID.records())
    middle = next(k for k, row in enumerate(metrics.iter_rows(named=True))
                  if (row["lookback_bars"], row["entry_z"]) == (96, 2.0))  # fmt: skip

    found = nearest_sets(GRID, metrics)[middle]

    assert set(found) == set(GRID.neighbours()[middle]) - {-1}


def test_no_set_is_its_own_neighbour_and_none_is_one_twice():
    search = Search(sampler="random", sets=400, seed=1)
    (records,) = batches(Grid.from_values(GRID.as_values() | {"funding_weight": [0.0, 1.0]}), search)

    found = neighbours_of(GRID, search, points_frame(records))

    assert found.shape == (400, 4)
    assert not (found == np.arange(400)[:, None]).any()
    assert all(len(set(row)) == 4 for row in found.tolist())


def test_distance_is_in_steps_of_the_grid():
    sets = [(96, 2.0), (192, 2.0), (96, 2.6)]  # one step away, and 0.3 steps away
    others = {"funding_weight": 0.0, "exit_z": 0.0, "max_holding_bars": 96, "cooldown_bars": 0, "stop_atr": 0.0}
    frame = pl.DataFrame([{"lookback_bars": bars, "entry_z": entry, **others} for bars, entry in sets])

    found = nearest_sets(GRID, frame)

    assert parameters_of(frame.row(int(found[0, 0]), named=True)).entry_z == 2.6
    assert found.tolist()[0][2:] == [-1, -1]  # there are no more sets
