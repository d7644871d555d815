"""Sets that Optuna proposes, batch by batch, from the in-sample results of those before."""

from typing import TYPE_CHECKING

import numpy as np
import optuna
import polars as pl
from optuna.distributions import BaseDistribution, FloatDistribution

from helios_pipeline.simulation.arrays import PARAMETERS, Records
from helios_pipeline.simulation.summary import METRICS
from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.positions import Floats, records_at, swept_axes
from helios_pipeline.sweep.proscore import pro_scores
from helios_pipeline.sweep.search import MOST_DRAWS, Batches, is_defined, too_few

if TYPE_CHECKING:
    from optuna import Study, Trial

BATCH = 64
"""Sets that are proposed before the next results are asked for; the first batch is drawn at random."""

WORST = -100.0
"""Of a set that the signal does not define, or that has no Sharpe ratio: below every Sharpe that is met."""


def optuna_batches(grid: Grid, sets: int, seed: int) -> Batches:
    """Batches of sets by Optuna's multivariate TPE sampler (Bergstra et al. 2011), maximising `objective`.

    Args:
        grid: whose region is searched.
        sets: in all.
        seed: of the sampler.

    Raises:
        SettingsError: the region holds too few sets.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=BATCH, multivariate=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    axes: dict[str, BaseDistribution] = {name: FloatDistribution(0.0, 1.0) for name in swept_axes(grid)}
    seen: set[bytes] = set()
    while len(seen) < sets:
        trials, records = _ask(study, grid, axes, seen, min(BATCH, sets - len(seen)), limit=MOST_DRAWS * sets)
        if trials:
            rows = yield records
            for trial, value in zip(trials, objective(rows).tolist(), strict=True):
                study.tell(trial, value)
        if len(study.trials) >= MOST_DRAWS * sets and len(seen) < sets:
            raise too_few(sets, len(seen))


def objective(rows: Floats) -> Floats:
    """What is maximised: ProScore2 as if every neighbour were as good, or below it the Sharpe ratio where it is < 0.

    Neighbours are not known before the round's end, and a score of 0 says nothing about the way out of it.

    Args:
        rows: float64[sets, `METRICS`], in sample.

    Returns:
        Above 0 the score, else the Sharpe ratio of at most 0; `WORST` without one.
    """
    metrics = pl.DataFrame(dict(zip(METRICS, rows.T, strict=True)))
    itself = np.arange(len(rows), dtype=np.int64)[:, None]
    score, sharpe = pro_scores(metrics, itself), metrics["sharpe"].to_numpy()
    below = np.minimum(np.nan_to_num(sharpe, nan=WORST), 0.0)
    return np.where(score > 0.0, score, below)


def _ask(
    study: "Study", grid: Grid, axes: dict[str, BaseDistribution], seen: set[bytes], wanted: int, *, limit: int
) -> "tuple[list[Trial], Records]":
    """New sets that the signal defines; what is not one is told off or dropped at once."""
    trials: list[Trial] = []
    found = [np.empty(0, PARAMETERS)]
    while len(trials) < wanted and len(study.trials) < limit:
        trial = study.ask(axes)
        record = records_at(grid, np.array([[trial.params[name] for name in axes]]))
        if not is_defined(record)[0]:
            study.tell(trial, WORST)
        elif record.tobytes() in seen:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            seen.add(record.tobytes())
            trials.append(trial)
            found.append(record)
    return trials, np.concatenate(found)
