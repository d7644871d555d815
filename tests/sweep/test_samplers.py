import numpy as np
import pytest

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.simulation.summary import METRICS
from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.optuna_search import BATCH, WORST, objective
from helios_pipeline.sweep.points import parameter_sets
from helios_pipeline.sweep.positions import positions_of
from helios_pipeline.sweep.samplers import batches, take_distinct
from helios_pipeline.sweep.search import Search

GRID = Grid(
    lookback_bars=(48, 96, 192),
    funding_weight=(0.0, 1.0),
    entry_z=(1.0, 2.0, 4.0),
    exit_z=(-2.0, 0.0, 2.0),
    max_holding_bars=(96,),
    cooldown_bars=(0,),
    stop_atr=(0.0, 2.0, 4.0),
)
ONE = Grid.from_values({name: values[:1] for name, values in (GRID.as_values() | {"exit_z": [0.0]}).items()})


def searched(sampler, sets, seed=1, grid=GRID):
    (found,) = batches(grid, Search(sampler=sampler, sets=sets, seed=seed))
    return found


def rows_of(records):
    """Metrics of sets that are the better the nearer they are to an entry at 3 and a lookback of 96."""
    rows = np.zeros((len(records), len(METRICS)))
    sharpe = 3.0 - 2 * np.abs(records["entry_z"] - 3.0) - np.abs(np.log2(records["lookback_bars"] / 96))
    for name, values in {
        "sharpe": sharpe, "round_trips": 100, "win_rate": 0.6, "max_drawdown": -0.05, "inner_days": 100,
        "inner_sum_r1": 0.01, "inner_sum_r2": 0.01, "inner_tail_days": 100, "inner_tail_sum_r1": 0.01,
        "inner_tail_sum_r2": 0.01,
    }.items():  # fmt: skip
        rows[:, METRICS.index(name)] = values
    return rows


def drawn_out(search, grid=GRID):
    """Every batch of a search whose results are `rows_of`."""
    proposing, found = batches(grid, search), []
    batch = next(proposing)
    while True:
        found.append(batch)
        try:
            batch = proposing.send(rows_of(batch))
        except StopIteration:
            return found


def test_a_grid_is_all_of_its_points():
    assert np.array_equal(searched("grid", 7), GRID.records())


@pytest.mark.parametrize("sampler", ["random", "sobol"])
def test_sampled_sets_are_different_defined_and_as_many_as_asked_for(sampler):
    found = searched(sampler, 5000)

    assert len(np.unique(found)) == len(found) == 5000
    assert len(parameter_sets(found)) == 5000  # none is refused


@pytest.mark.parametrize("sampler", ["random", "sobol"])
def test_a_larger_round_of_the_same_seed_begins_with_the_smaller_one(sampler):
    assert np.array_equal(searched(sampler, 6000)[:500], searched(sampler, 500))
    assert not np.array_equal(searched(sampler, 500, seed=2), searched(sampler, 500))


def test_many_sets_are_drawn_at_once_and_sorted_once():
    source, counts = np.random.Generator(np.random.Philox(1)), []

    def draw(count):
        counts.append(count)
        return source.random((count, 5))

    found = take_distinct(GRID, Search(sampler="random", sets=20_000, seed=1), draw)

    assert counts == [32_768]
    assert np.array_equal(found, searched("random", 20_000))


def test_sobol_leaves_smaller_holes_than_random_sets():
    grid = Grid.from_values(GRID.as_values() | {"exit_z": [0.0], "stop_atr": [0.0], "lookback_bars": [48]})
    share = {}
    for sampler in ("random", "sobol"):
        at = positions_of(grid, searched(sampler, 256, grid=grid))[:, [1, 2]] / [1, 2]
        cells = np.unique((at * 16).astype(int).clip(0, 15), axis=0)
        share[sampler] = len(cells) / 256

    assert share["sobol"] > 0.9 > share["random"]


@pytest.mark.parametrize("sampler", ["random", "sobol", "optuna"])
def test_a_region_with_too_few_sets_is_refused_and_says_how_many_it_holds(sampler):
    few = Grid.from_values(ONE.as_values() | {"cooldown_bars": [0, 1]})

    with pytest.raises(SettingsError, match=r"a region with 3 different sets, found 2 in"):
        drawn_out(Search(sampler=sampler, sets=3, seed=1), few)


@pytest.mark.parametrize("sampler", ["random", "sobol", "optuna"])
def test_a_grid_of_one_point_leaves_nothing_to_sample(sampler):
    with pytest.raises(SettingsError, match=r"search.sampler: expected a grid in which some parameter"):
        searched(sampler, 5, grid=ONE)


def test_optuna_draws_each_batch_towards_better_sets():
    first, second = drawn_out(Search(sampler="optuna", sets=BATCH + 40, seed=1))

    assert (len(first), len(second)) == (BATCH, 40)
    assert objective(rows_of(second)).mean() > objective(rows_of(first)).mean() + 10
    assert len(np.unique(np.concatenate([first, second]))) == BATCH + 40


def test_optuna_sent_the_same_results_proposes_the_same_sets():
    search = Search(sampler="optuna", sets=BATCH + 8, seed=3)

    again = zip(drawn_out(search), drawn_out(search), strict=True)

    assert all(np.array_equal(one, other) for one, other in again)


def test_what_is_maximised_leads_out_of_losses_and_away_from_sets_that_do_not_trade():
    rows = np.repeat(rows_of(GRID.records()[:1]), 4, axis=0)
    rows[:, METRICS.index("sharpe")] = [2.0, 0.5, -1.0, np.nan]

    values = objective(rows)

    assert list(values) == sorted(values, reverse=True)
    assert values[2:].tolist() == [-1.0, WORST]
