import numpy as np
import polars as pl

from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.warnings import edge_warnings, edges_of, peak_warnings

GRID = Grid(
    lookback_bars=(48, 96, 192),
    funding_weight=(0.0, 0.5),
    entry_z=(1.0, 2.0, 4.0),
    exit_z=(0.0,),
    max_holding_bars=(96,),
    cooldown_bars=(0, 8),
    stop_atr=(0.0, 4.0, 8.0),
)
INSIDE = {"lookback_bars": 96, "funding_weight": 0.0, "entry_z": 2.0, "exit_z": 0.0, "max_holding_bars": 96,
          "cooldown_bars": 0, "stop_atr": 0.0}  # fmt: skip


def metrics(*sharpes):
    return pl.DataFrame({"sharpe": sharpes, "passed": [sharpe > 1.5 for sharpe in sharpes]}, strict=False)


def test_floors_and_parameters_with_one_value_are_no_edges():
    assert edges_of(GRID, INSIDE) == {}
    assert edges_of(GRID, INSIDE | {"entry_z": 1.0, "stop_atr": 8.0}) == {"entry_z": "lowest", "stop_atr": "highest"}


def test_a_sampled_set_stands_where_its_nearest_value_does():
    assert edges_of(GRID, INSIDE | {"entry_z": 3.2}) == {"entry_z": "highest"}
    assert edges_of(GRID, INSIDE | {"entry_z": 2.8}) == {}


def test_an_edge_is_said_with_the_value_that_ends_the_grid():
    assert edge_warnings(GRID, INSIDE | {"entry_z": 4.0}) == ("entry_z: the best set has 4, the grid's highest value",)
    assert edge_warnings(GRID, INSIDE | {"entry_z": 3.2}) == (
        "entry_z: the best set has 3.2, next to 4, the grid's highest value",
    )


def test_a_best_set_whose_neighbours_do_not_share_its_sharpe_is_an_isolated_peak():
    neighbours = np.array([[1, 2, 3, -1]] * 4)

    assert peak_warnings(metrics(3.0, 0.2, 1.6, 0.4), neighbours, 0) == (
        "isolated peak: the best set has a Sharpe of 3.00, its 3 neighbours a median of 0.40, and 1 of them passed",
    )
    assert peak_warnings(metrics(3.0, 2.0, 1.6, 0.4), neighbours, 0) == ()


def test_neighbours_that_do_not_trade_show_no_edge():
    found = peak_warnings(metrics(2.0, float("nan"), float("nan"), 1.9), np.array([[1, 2, 3]] * 4), 0)

    assert "a median of 0.00" in found[0]


def test_without_an_edge_or_without_neighbours_there_is_no_peak_to_judge():
    alone = np.array([[-1], [-1]])

    assert peak_warnings(metrics(-1.0, -2.0), alone, 0) == ()
    assert peak_warnings(metrics(float("nan"), 1.0), alone, 0) == ()
    assert peak_warnings(metrics(2.0, 1.0), alone, 0)[0].startswith("isolated peak: the best set has no neighbour")
