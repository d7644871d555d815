import numpy as np
import pytest
import scipy.cluster.vq

from helios_pipeline.metrics.clusters import (
    Clustering,
    _k_means,
    effective_trials,
    optimal_clusters,
    silhouettes,
)

CLUSTERING = Clustering(most_sets=60, starts=3, seed=1)


def grouped(groups: int, size: int, observations: int, seed: int, spread: float = 0.5) -> np.ndarray:
    """Series of which `size` at a time share what moves them, as in the paper's experiment."""
    random = np.random.default_rng(seed)
    common = np.repeat(random.normal(size=(groups, observations)), size, axis=0)
    return common + random.normal(scale=spread, size=common.shape)


def as_blocks(sums: np.ndarray) -> np.ndarray:
    return np.stack([np.full(sums.shape, 20.0), sums, sums**2 + 1], axis=2)


@pytest.mark.parametrize(("groups", "size"), [(2, 12), (4, 8), (6, 8), (10, 5)])
def test_the_clusters_of_random_block_correlation_matrices_are_found(groups: int, size: int) -> None:
    """The paper's Monte Carlo: the number found is the number planted."""
    found = [optimal_clusters(np.corrcoef(grouped(groups, size, 200, seed)), starts=3, seed=seed) for seed in range(5)]

    assert np.median([len(set(labels)) for labels in found]) == groups


def test_members_of_a_planted_cluster_stay_together() -> None:
    labels = optimal_clusters(np.corrcoef(grouped(5, 8, 200, seed=2)), starts=3, seed=3)

    assert all(len(set(labels[first : first + 8])) == 1 for first in range(0, 40, 8))
    assert sorted(set(labels)) == [0, 1, 2, 3, 4]


def test_silhouettes_are_those_of_the_definition() -> None:
    random = np.random.default_rng(4)
    points, labels = random.normal(size=(30, 3)), random.integers(0, 4, 30)
    labels[:5] = [0, 1, 2, 3, 4]

    assert silhouettes(points, labels) == pytest.approx([direct_silhouette(points, labels, k) for k in range(30)])


def direct_silhouette(points: np.ndarray, labels: np.ndarray, which: int) -> float:
    away = np.linalg.norm(points - points[which], axis=1)
    own = (labels == labels[which]) & (np.arange(len(points)) != which)
    if not own.any():
        return 0.0
    nearest = min(away[labels == other].mean() for other in set(labels) - {labels[which]})
    return float((nearest - away[own].mean()) / max(nearest, away[own].mean()))


def test_k_means_settles_where_scipy_s_does_from_the_same_centres() -> None:
    points = grouped(4, 15, 3, seed=5, spread=0.4)
    centres = points[[0, 15, 30, 45]]
    _, theirs = scipy.cluster.vq.kmeans2(points, centres, iter=100, minit="matrix", missing="raise")

    assert (_k_means(points, centres) == theirs).all()


@pytest.mark.parametrize("groups", [3, 8])
def test_sets_that_earn_alike_count_as_few_trials(groups: int) -> None:
    found = effective_trials(as_blocks(grouped(groups, 6, 16, seed=6, spread=0.2)), CLUSTERING)

    assert found is not None
    assert found.clear
    assert found.clusters == pytest.approx(groups, abs=1)


def test_strangers_have_no_clear_clusters_to_count() -> None:
    found = effective_trials(as_blocks(np.random.default_rng(7).normal(size=(60, 16))), CLUSTERING)

    assert found is not None
    assert not found.clear


def test_of_many_sets_some_are_drawn_and_the_same_seed_draws_the_same() -> None:
    blocks = as_blocks(grouped(4, 100, 16, seed=8, spread=0.2))
    one, same = (effective_trials(blocks, CLUSTERING) for _ in range(2))

    assert one is not None
    assert one == same
    assert (one.sets, one.of_sets) == (60, 400)
    assert one.clusters == pytest.approx(4, abs=1)


def test_copies_of_one_set_are_one_or_two_trials() -> None:
    copies = np.repeat(np.random.default_rng(9).normal(size=(1, 16)), 20, axis=0)

    found = effective_trials(as_blocks(copies * np.linspace(1, 2, 20)[:, None]), CLUSTERING)
    assert found is not None
    assert found.clusters <= 2


def test_sets_that_never_trade_are_no_trials() -> None:
    assert effective_trials(as_blocks(np.zeros((9, 16))), CLUSTERING) is None
    assert effective_trials(as_blocks(np.vstack([np.zeros((9, 16)), np.eye(16)[:3]])), CLUSTERING) is None
