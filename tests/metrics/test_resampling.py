import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap, optimal_block_length

from helios_pipeline.metrics.resampling import optimal_mean_block, stationary_indices, times_drawn


def dependent(seed: int, days: int, rho: float) -> np.ndarray:
    shocks, series = np.random.default_rng(seed).normal(0.0, 0.01, days), np.zeros(days)
    for day in range(1, days):
        series[day] = rho * series[day - 1] + shocks[day]
    return series


@pytest.mark.parametrize("mean_block", [1.0, 4.0, 15.0])
def test_the_variance_of_a_resampled_mean_is_that_of_the_1994_paper(mean_block: float) -> None:
    """Politis and Romano (1994), Lemma 1: Ĉ(0) + 2 Σ (1 - i/n) (1 - p)^i Ĉ(i), Ĉ the circular autocovariance."""
    series = dependent(1, 60, 0.6)
    centred, n, p = series - series.mean(), len(series), 1 / mean_block
    circular = np.array([centred @ np.roll(centred, -lag) for lag in range(n)]) / n
    lags = np.arange(1, n)
    expected = circular[0] + 2 * ((1 - lags / n) * (1 - p) ** lags * circular[1:]).sum()

    means = series[stationary_indices(n, mean_block=mean_block, draws=40_000, seed=2)].mean(axis=1)
    assert n * means.var() == pytest.approx(expected, rel=0.03)


def test_blocks_run_on_over_the_end_and_are_as_long_as_asked_on_average() -> None:
    indices = stationary_indices(200, mean_block=8.0, draws=500, seed=3)
    goes_on = (np.diff(indices, axis=1) % 200) == 1

    assert goes_on.mean() == pytest.approx(1 - 1 / 8 + 1 / 8 / 200, abs=0.005)
    assert np.bincount(indices.ravel(), minlength=200).std() < 60
    assert ((indices[:, :-1] == 199) & (indices[:, 1:] == 0)).sum() > 300


def test_resamples_are_distributed_as_those_of_arch() -> None:
    series = dependent(4, 250, 0.3)
    theirs = StationaryBootstrap(10, series, seed=5).apply(np.mean, 4000).ravel()

    ours = series[stationary_indices(250, mean_block=10, draws=4000, seed=6)].mean(axis=1)
    assert np.quantile(ours, [0.05, 0.5, 0.95]) == pytest.approx(np.quantile(theirs, [0.05, 0.5, 0.95]), abs=2.5e-4)


def test_the_same_seed_gives_the_same_resamples() -> None:
    one, same, other = (stationary_indices(50, mean_block=5, draws=20, seed=seed) for seed in (7, 7, 8))

    assert (one == same).all()
    assert (one != other).any()


def test_a_resample_s_sum_depends_on_how_often_each_observation_was_drawn() -> None:
    series, indices = dependent(9, 70, 0.0), stationary_indices(70, mean_block=5, draws=30, seed=10)

    assert times_drawn(indices) @ series == pytest.approx(series[indices].sum(axis=1), abs=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_block_lengths_equal_those_of_arch(seed: int) -> None:
    random = np.random.default_rng(seed)
    series = dependent(seed, int(random.integers(300, 1100)), random.uniform(-0.5, 0.8))

    expected = max(1.0, optimal_block_length(series)["stationary"].iloc[0])
    assert optimal_mean_block(series) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("rho", [0.5, 0.8])
def test_block_lengths_are_near_those_that_the_paper_derives_for_an_autoregression(rho: float) -> None:
    """G / g(0) = 2 ρ / (1 - ρ²): the length is (2 ρ / (1 - ρ²))^(2/3) n^(1/3)."""
    lengths = [optimal_mean_block(dependent(seed, 4000, rho)) for seed in range(9)]

    assert np.median(lengths) == pytest.approx((2 * rho / (1 - rho**2)) ** (2 / 3) * 4000 ** (1 / 3), rel=0.15)


@pytest.mark.parametrize("series", [np.full(100, 0.001), np.zeros(100), np.arange(8.0), np.empty(0)])
def test_constant_or_short_series_are_drawn_day_by_day(series: np.ndarray) -> None:
    assert optimal_mean_block(series) == 1.0


@pytest.mark.parametrize("series", [np.arange(60.0), (-1.0) ** np.arange(100), np.arange(9.0)])
def test_extreme_dependence_gives_a_length_within_bounds(series: np.ndarray) -> None:
    assert 1.0 <= optimal_mean_block(series) <= np.ceil(min(3 * len(series) ** 0.5, len(series) / 3))
