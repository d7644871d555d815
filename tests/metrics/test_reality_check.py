import math

import numpy as np
import pytest
from arch.bootstrap import SPA, StationaryBootstrap

from helios_pipeline.metrics.reality_check import RealityCheck, reality_check, reality_check_of_blocks
from helios_pipeline.metrics.resampling import stationary_indices, times_drawn

DAYS, DRAWS = 365, 400


def blocks_of(returns: np.ndarray) -> np.ndarray:
    """Days, Σr and Σr² per block, from daily returns of shape (sets, days)."""
    edges = np.searchsorted(np.arange(returns.shape[1]) * 16 // returns.shape[1], np.arange(16))
    days = np.diff([*edges, returns.shape[1]])
    columns = (np.add.reduceat(values, edges, axis=1) for values in (returns, returns**2))
    return np.stack([np.broadcast_to(days, (len(returns), 16)), *columns], axis=2).astype(np.float64)


def noise(sets: int, seed: int, days: int = DAYS) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.01, (sets, days))


def checked(returns: np.ndarray, drawn: np.ndarray) -> RealityCheck:
    return reality_check(returns, np.ones(returns.shape[1]), returns.std(axis=1), times_drawn=drawn)


@pytest.mark.parametrize("edge", [0.0, 0.0006, 0.0012])
def test_both_p_values_equal_those_of_arch_on_its_own_resamples(edge: float) -> None:
    """arch compares means and recentres by a long-run deviation: with that set to one, its test is ours."""
    returns = noise(12, seed=1)
    returns[0] += edge
    returns[4:] -= 0.002
    deviations = long_run_deviation(returns, mean_block=8)
    theirs = SPA(np.zeros(DAYS), -(returns / deviations[:, None]).T, block_size=8, reps=DRAWS, seed=2)
    theirs.compute()
    bootstrap = StationaryBootstrap(8, returns.T, seed=2)
    indices = np.array([bootstrap.index.copy() for _ in bootstrap.bootstrap(DRAWS)])

    ours = reality_check(returns, np.ones(DAYS), deviations, times_drawn=times_drawn(indices))
    assert ours.white * (1 + DRAWS) - 1 == pytest.approx(theirs.pvalues["upper"] * DRAWS, abs=1e-6)
    assert ours.hansen * (1 + DRAWS) - 1 == pytest.approx(theirs.pvalues["consistent"] * DRAWS, abs=1e-6)
    assert ours.hansen <= ours.white


def long_run_deviation(returns: np.ndarray, mean_block: float) -> np.ndarray:
    """Of the stationary bootstrap's mean, as arch estimates it."""
    centred, n, p = returns - returns.mean(axis=1, keepdims=True), returns.shape[1], 1 / mean_block
    variance = (centred**2).sum(axis=1) / n
    for lag in range(1, n):
        weight = (1 - lag / n) * (1 - p) ** lag + lag / n * (1 - p) ** (n - lag)
        variance += 2 * weight * (centred[:, lag:] * centred[:, : n - lag]).sum(axis=1) / n
    return np.sqrt(variance)


def test_blocks_give_about_the_p_values_of_the_days_they_sum() -> None:
    drawn = times_drawn(stationary_indices(DAYS, mean_block=5, draws=2000, seed=3))
    for seed, edge in ((4, 0.0), (5, 0.0012), (6, 0.002)):
        returns = noise(40, seed)
        returns[7] += edge

        by_block = reality_check_of_blocks(blocks_of(returns), draws=2000, seed=8)
        assert by_block.hansen == pytest.approx(checked(returns, drawn).hansen, abs=0.12)


@pytest.mark.parametrize(("sets", "shared"), [(1, 0.0), (60, 0.0), (60, 0.5)])
def test_sets_without_skill_fall_below_a_level_no_more_often_than_it_says(sets: int, shared: float) -> None:
    values = []
    for seed in range(100):
        common = np.random.default_rng(1000 + seed).normal(0.0, 0.01, DAYS)
        returns = math.sqrt(1 - shared) * noise(sets, seed) + math.sqrt(shared) * common
        values.append(reality_check_of_blocks(blocks_of(returns), draws=200, seed=seed).white)

    assert (np.array(values) <= 0.05).mean() <= 0.1


def test_one_set_with_skill_among_hundreds_is_found() -> None:
    returns = noise(500, seed=9, days=1095)
    returns[123] += 5.0 / math.sqrt(365) * 0.01

    assert reality_check_of_blocks(blocks_of(returns), draws=500, seed=10).hansen < 0.01


def test_losing_sets_hide_skill_from_white_more_than_from_hansen() -> None:
    returns = np.vstack([noise(1, seed=21) + 0.0013, noise(500, seed=12) - 0.004])

    found = reality_check_of_blocks(blocks_of(returns), draws=1000, seed=13)
    assert found.hansen < 0.05 < found.white


def test_a_set_that_bets_more_counts_for_no_more() -> None:
    returns, drawn = noise(20, seed=14), times_drawn(stationary_indices(DAYS, mean_block=5, draws=300, seed=15))
    bolder = returns * np.geomspace(0.1, 10, 20)[:, None]

    assert checked(bolder, drawn) == checked(returns, drawn)


def test_many_sets_give_the_same_as_the_tiles_they_are_drawn_in(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = blocks_of(noise(60, seed=16))
    whole = reality_check_of_blocks(blocks, draws=100, seed=17)

    monkeypatch.setattr("helios_pipeline.metrics.reality_check._CELLS", 700)
    assert reality_check_of_blocks(blocks, draws=100, seed=17) == whole


def test_sets_that_never_trade_are_left_out() -> None:
    returns = np.vstack([np.zeros((3, DAYS)), noise(5, seed=18), np.full((2, DAYS), 0.001)])

    assert reality_check_of_blocks(blocks_of(returns), draws=50, seed=19).sets == 5
    assert math.isnan(reality_check_of_blocks(blocks_of(np.zeros((3, DAYS))), draws=50, seed=19).hansen)
    assert math.isnan(reality_check_of_blocks(np.empty((0, 16, 3)), draws=50, seed=19).white)
