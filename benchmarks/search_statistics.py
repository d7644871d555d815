"""How the statistics beside the gates behave where the truth is known: `python benchmarks/search_statistics.py`.

Prints how often the reality check rejects sets without skill and finds one with it, how many clusters are counted
where how many are there, and how often the Sharpe interval holds the true ratio.
"""

import math

import numpy as np

from helios_pipeline.metrics.clusters import Clustering, effective_trials
from helios_pipeline.metrics.reality_check import reality_check_of_blocks
from helios_pipeline.metrics.sharpe import ANNUAL
from helios_pipeline.metrics.sharpe_interval import Resampling, sharpe_interval

SEEDS = 200
CLUSTERING = Clustering(most_sets=80, starts=3, seed=1)


def blocks_of(returns: np.ndarray) -> np.ndarray:
    """Days, Σr and Σr² of sixteen blocks, shape (sets, 16, 3)."""
    edges = np.searchsorted(np.arange(returns.shape[1]) * 16 // returns.shape[1], np.arange(16))
    days = np.broadcast_to(np.diff([*edges, returns.shape[1]]), (len(returns), 16))
    return np.stack([days, *(np.add.reduceat(r, edges, axis=1) for r in (returns, returns**2))], axis=2).astype(float)


def noise(sets: int, days: int, seed: int, *, shared: float = 0.0) -> np.ndarray:
    """Daily returns without skill, of which sets share a part of the variance."""
    random = np.random.default_rng(seed)
    own, common = random.normal(0.0, 0.01, (sets, days)), random.normal(0.0, 0.01, days)
    return math.sqrt(1 - shared) * own + math.sqrt(shared) * common


def grouped(groups: int, seed: int, rho: float) -> np.ndarray:
    """Eighty sets in groups, correlated with rho within one."""
    random = np.random.default_rng(seed)
    common = np.repeat(random.normal(size=(groups, 1095)), 80 // groups, axis=0)
    return 0.01 * (math.sqrt(rho) * common + math.sqrt(1 - rho) * random.normal(size=common.shape))


def main() -> None:
    print(f"Reality check at 5 %, {SEEDS} seeds: sets without skill rejected (White, Hansen)")
    for sets, days, shared in ((1, 365, 0.0), (50, 365, 0.0), (500, 365, 0.0), (500, 1095, 0.0), (500, 365, 0.9)):
        found = [
            reality_check_of_blocks(blocks_of(noise(sets, days, seed, shared=shared)), draws=500, seed=seed)
            for seed in range(SEEDS)
        ]
        white, hansen = (
            np.mean([value <= 0.05 for value in values])
            for values in zip(*((f.white, f.hansen) for f in found), strict=True)
        )
        print(f"  {sets:4} sets, {days:4} days, {shared:.0%} of variance shared: {white:.1%}, {hansen:.1%}")
    print(f"One of 500 sets has a true annual Sharpe, 1,095 days, {SEEDS // 4} seeds: found (Hansen)")
    for ratio in (2.0, 3.0, 4.5):
        found_it = []
        for seed in range(SEEDS // 4):
            returns = noise(500, 1095, seed)
            returns[0] += ratio / ANNUAL * 0.01
            found_it.append(reality_check_of_blocks(blocks_of(returns), draws=500, seed=seed).hansen <= 0.05)
        print(f"  {ratio:.1f}: {np.mean(found_it):.0%}")
    print("Effective trials of 80 sets in groups, 1,095 days in 16 blocks, 5 seeds: clusters (silhouette)")
    for groups, rho in ((4, 0.95), (4, 0.8), (8, 0.95), (8, 0.8), (16, 0.95), (80, 0.95)):
        counted = [effective_trials(blocks_of(grouped(groups, seed, rho)), CLUSTERING) for seed in range(5)]
        told = ", ".join(f"{c.clusters} ({c.silhouette:.2f})" for c in counted if c is not None)
        print(f"  {groups:2} groups, correlation {rho:.2f}: {told}")
    print(f"90 % Sharpe interval of 500 days, {SEEDS} seeds: holds the true ratio")
    for serial in (0.0, 0.4):
        held = []
        for seed in range(SEEDS):
            shocks = np.random.default_rng(seed).normal(0.0, 0.01, 501)
            returns = 0.1 * 0.01 * math.sqrt(1 + serial**2) + shocks[1:] + serial * shocks[:-1]
            interval = sharpe_interval(returns, confidence=0.9, resampling=Resampling(draws=400, seed=seed))
            held.append(interval is not None and interval.low <= 0.1 * ANNUAL <= interval.high)
        print(f"  yesterday's shock counts {serial:.0%} again: {np.mean(held):.1%}")


if __name__ == "__main__":
    main()
