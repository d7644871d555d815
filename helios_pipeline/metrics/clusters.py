"""How many truly different trials a search made, by clustering those that earned alike.

Source: López de Prado and Lewis, "Detection of False Investment Strategies Using Unsupervised Learning Methods" (2019),
and López de Prado, "Machine Learning for Asset Managers" (2020), snippets 4.1 and 4.2: the optimal number of clusters
(ONC). k-means runs on the rows of the matrix of distances √((1 - ρ) / 2), for every number of clusters up to half as
many as sets and several starts; the clustering whose silhouettes have the highest mean over deviation is kept, and
clusters below the mean quality are clustered again as long as that raises it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

_MOST_STEPS = 100
"""Steps of one k-means; it settles in a few tens."""

CLEAR_SILHOUETTE = 0.25
"""Below it there is no structure to speak of (Kaufman and Rousseeuw 1990): the number of clusters says nothing then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clustering:
    """How clusters are sought.

    Attributes:
        most_sets: looked at; of more, as many are drawn.
        starts: of k-means for each number of clusters.
        seed: of drawing and starts; the same seed gives the same clusters.
    """

    most_sets: int
    starts: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveTrials:
    """Clusters of sets that earned alike.

    Attributes:
        clusters: their number, the effective number of trials.
        sets: that were clustered.
        of_sets: that they were drawn from.
        silhouette: mean over the sets, from -1 to 1: how clear the clusters are.
    """

    clusters: int
    sets: int
    of_sets: int
    silhouette: float

    @property
    def clear(self) -> bool:
        """Whether there are clusters at all; strangers, of which each is a trial of its own, have none."""
        return self.silhouette >= CLEAR_SILHOUETTE


def effective_trials(blocks: Floats, clustering: Clustering) -> EffectiveTrials | None:
    """Cluster sets by the correlation of their returns per block of days.

    A floor, not an estimate: with sixteen blocks a correlation has an error of about 0.25, and clusters that are not
    much alike within are merged.

    Args:
        blocks: shape (sets, blocks, 3): days, Σr and Σr² of each block of daily net returns.
        clustering: how to seek.

    Returns:
        None for fewer than 4 sets that ever traded.
    """
    sums = blocks[:, :, 1]
    sums = sums[sums.min(axis=1) < sums.max(axis=1)]
    if len(sums) < 4:
        return None
    random = np.random.default_rng(clustering.seed)
    chosen = sums if len(sums) <= clustering.most_sets else random.choice(sums, clustering.most_sets, replace=False)
    correlation: Floats = np.asarray(np.corrcoef(chosen), dtype=np.float64)
    labels = optimal_clusters(correlation, starts=clustering.starts, seed=clustering.seed)
    return EffectiveTrials(
        clusters=len(np.unique(labels)),
        sets=len(chosen),
        of_sets=len(blocks),
        silhouette=float(silhouettes(_points(correlation), labels).mean()),
    )


def optimal_clusters(correlation: Floats, *, starts: int, seed: int) -> Labels:
    """Cluster of each column of a correlation matrix, numbered from 0.

    Args:
        correlation: shape (n, n), n at least 3.
        starts: of k-means for each number of clusters from 2 to n / 2.
        seed: the same seed gives the same clusters.
    """
    return _improve(correlation, starts, np.random.default_rng(seed))


def silhouettes(points: Floats, labels: Labels) -> Floats:
    """(b - a) / max(a, b) of each point: a its mean distance to its own cluster's others, b to the nearest other's.

    Source: Rousseeuw (1987); 0 for a point alone in its cluster.

    Args:
        points: shape (n, dimensions).
        labels: cluster of each point, from 0, at least two of them.
    """
    return _silhouettes(_distances(points), labels)


def _points(correlation: Floats) -> Floats:
    return np.sqrt(np.clip((1.0 - correlation) / 2.0, 0.0, None))


def _improve(correlation: Floats, starts: int, random: np.random.Generator) -> Labels:
    """One clustering, then its poor clusters again, as long as the mean quality rises."""
    points = _points(correlation)
    distances = _distances(points)
    labels = _best_clustering(points, distances, starts, random)
    quality = _qualities(_silhouettes(distances, labels), labels)
    poor = np.flatnonzero(quality < quality.mean())
    again = np.flatnonzero(np.isin(labels, poor))
    if len(poor) <= 1 or len(again) < 3:
        return labels
    finer = _improve(correlation[np.ix_(again, again)], starts, random)
    changed = labels.copy()
    changed[again] = finer + labels.max() + 1
    changed = np.unique(changed, return_inverse=True)[1].astype(np.int64)
    better = _qualities(_silhouettes(distances, changed), changed).mean() > quality.mean()
    return changed if better else labels


def _best_clustering(points: Floats, distances: Floats, starts: int, random: np.random.Generator) -> Labels:
    best, best_quality, most = np.zeros(len(points), dtype=np.int64), -np.inf, _most_clusters(len(points))
    for _ in range(starts):
        order = _far_apart(distances**2, most, random)
        for clusters in range(2, most + 1):
            labels = _k_means(points, points[order[:clusters]])
            quality = _quality(_silhouettes(distances, labels))
            if quality > best_quality:
                best, best_quality = labels, quality
    return best


def _most_clusters(points: int) -> int:
    return max(2, points // 2)


def _k_means(points: Floats, centres: Floats) -> Labels:
    """Lloyd's iteration; a centre that loses its last point stays where it is, and its number is given up."""
    labels, numbers = np.full(len(points), -1, dtype=np.int64), np.arange(len(centres))
    for _ in range(_MOST_STEPS):
        nearest = _squared(points, centres).argmin(axis=1)
        if (nearest == labels).all():
            break
        labels = nearest
        members = np.equal.outer(numbers, labels).astype(np.float64)
        count = members.sum(axis=1, keepdims=True)
        centres = np.where(count > 0, members @ points / np.maximum(count, 1.0), centres)
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _far_apart(squared: Floats, count: int, random: np.random.Generator) -> list[int]:
    """Points to start from, each likely to be far from those before (k-means++, Arthur and Vassilvitskii 2007)."""
    chosen = [int(random.integers(len(squared)))]
    away = squared[chosen[0]].copy()
    for _ in range(count - 1):
        reached = np.cumsum(away)
        chosen.append(min(int(np.searchsorted(reached, random.random() * reached[-1], "right")), len(squared) - 1))
        np.minimum(away, squared[chosen[-1]], out=away)
    return chosen


def _silhouettes(distances: Floats, labels: Labels) -> Floats:
    clusters = int(labels.max()) + 1
    members = np.equal.outer(labels, np.arange(clusters)).astype(np.float64)
    count, rows = members.sum(axis=0), np.arange(len(labels))
    sums = distances @ members
    own = sums[rows, labels] / np.maximum(count[labels] - 1.0, 1.0)
    means = sums / count
    means[rows, labels] = np.inf
    other = means.min(axis=1)
    widest = np.maximum(own, other)
    return np.where((count[labels] > 1) & (widest > 0), (other - own) / np.where(widest > 0, widest, 1.0), 0.0)


def _qualities(scores: Floats, labels: Labels) -> Floats:
    return np.array([_quality(scores[labels == cluster]) for cluster in range(int(labels.max()) + 1)])


def _quality(scores: Floats) -> float:
    """Mean over deviation; a cluster of one has no silhouette and no quality."""
    return float(scores.mean() / scores.std()) if scores.min() < scores.max() else 0.0


def _distances(points: Floats) -> Floats:
    return np.sqrt(_squared(points, points))


def _squared(points: Floats, centres: Floats) -> Floats:
    """Squared Euclidean distances, shape (points, centres)."""
    own, theirs = (points**2).sum(axis=1)[:, None], (centres**2).sum(axis=1)
    return np.maximum(own + theirs - 2.0 * points @ centres.T, 0.0)
