import math
import tracemalloc
from itertools import combinations

import numpy as np
import pytest
import scipy.stats

from helios_pipeline.metrics.pbo import SPLITS, pbo

DAYS = 365
BLOCK_OF_DAY = np.arange(DAYS) * 16 // DAYS


def blocks_of(returns: np.ndarray) -> np.ndarray:
    """Days, Σr and Σr² per block, from daily returns of shape (sets, days)."""
    blocks = np.empty((len(returns), 16, 3))
    for block in range(16):
        mine = returns[:, block == BLOCK_OF_DAY]
        blocks[:, block] = np.column_stack([np.full(len(mine), mine.shape[1]), mine.sum(1), (mine**2).sum(1)])
    return blocks


def noise(sets: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.01, (sets, DAYS))


def direct_logits(returns: np.ndarray) -> np.ndarray:
    """The paper's steps word for word, on the daily returns themselves."""
    logits = []
    for chosen in combinations(range(16), 8):
        inside = np.isin(BLOCK_OF_DAY, chosen)
        here = returns[:, inside].mean(1) / returns[:, inside].std(1)
        there = returns[:, ~inside].mean(1) / returns[:, ~inside].std(1)
        omega = scipy.stats.rankdata(there)[here.argmax()] / (len(returns) + 1)
        logits.append(math.log(omega / (1 - omega)))
    return np.array(logits)


def test_pbo_equals_the_paper_s_steps_on_daily_returns() -> None:
    returns = noise(7, seed=20)
    returns[3] += 0.0004
    expected = direct_logits(returns)

    found = pbo(blocks_of(returns))
    assert found.splits == SPLITS == len(expected) == 12_870
    assert found.pbo == (expected <= 0).mean()
    assert found.logits == pytest.approx(np.quantile(expected, [0.05, 0.25, 0.5, 0.75, 0.95]), abs=1e-12)


def test_pbo_of_noise_is_a_half_on_average() -> None:
    values = [pbo(blocks_of(noise(40, seed))).pbo for seed in range(60)]

    assert np.mean(values) == pytest.approx(0.5, abs=0.08)


def test_a_set_that_is_truly_better_has_no_overfitting() -> None:
    returns = noise(40, seed=21)
    returns[17] += 0.005

    found = pbo(blocks_of(returns))
    assert found.pbo == 0.0
    assert found.probability_of_loss == 0.0


def test_many_sets_give_the_same_as_the_tiles_they_are_judged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = blocks_of(noise(50, seed=22))
    whole = pbo(blocks)

    monkeypatch.setattr("helios_pipeline.metrics.pbo._CELLS", 777)
    assert pbo(blocks) == whole


def test_thousands_of_sets_are_ranked_in_bounded_memory() -> None:
    blocks = blocks_of(noise(4000, seed=26))
    tracemalloc.start()
    try:
        pbo(blocks)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 64e6  # all splits at once would take 400 MB an array


def test_equal_sets_are_at_the_median_and_count_as_overfitted() -> None:
    returns = np.repeat(noise(1, seed=23), 5, axis=0)

    found = pbo(blocks_of(returns))
    assert found.pbo == 1.0
    assert found.logits == (0.0,) * 5


def test_a_set_that_never_trades_ranks_between_profit_and_loss() -> None:
    returns = np.vstack([np.zeros(DAYS), noise(1, seed=24)[0] - 0.01])

    found = pbo(blocks_of(returns))
    assert found.pbo == 0.0
    assert found.probability_of_loss == 0.0


@pytest.mark.parametrize("shape", [(1, 16, 3), (5, 8, 3), (5, 16, 2), (5, 48)])
def test_blocks_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected shape"):
        pbo(np.ones(shape))


def test_sets_over_different_days_are_refused() -> None:
    blocks = blocks_of(noise(3, seed=25))
    blocks[1, 4, 0] += 1

    with pytest.raises(ValueError, match="same days"):
        pbo(blocks)
