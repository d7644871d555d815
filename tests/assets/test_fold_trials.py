"""Sets that folds try beside those of the round are trials of the search too."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import psycopg
import pytest

from assets.fold_trials import keep_fold_trials, stored_fold_trials
from assets.promotion import count_trials
from assets.rounds import plan_round
from helios_pipeline.adapters.postgres.ledger import LedgerStore
from helios_pipeline.core.records import Window
from helios_pipeline.simulation.summary import BLOCKS, METRICS
from helios_pipeline.sweep.points import points_frame
from helios_pipeline.sweep.run import Sweep
from tests.generated_round import make_research

SETS = 16


def keep_two_folds(research):
    """Each fold tries the same sets, on windows of its own."""
    plan = plan_round(research)
    points = points_frame(plan.grid.records())
    sweep = Sweep(
        metrics=points.with_columns(pl.lit(1.0).alias(name) for name in METRICS), blocks=np.ones((SETS, BLOCKS, 3))
    )
    with keep_fold_trials(research, plan, "w") as keep:
        for number in range(2):
            first = plan.window.first + timedelta(days=number)
            keep(Window(first=first, last=first + timedelta(days=30)), sweep)
    return plan


@pytest.mark.parametrize(("sampler", "counted"), [("optuna", SETS), ("sobol", 0)])
def test_folds_of_a_search_that_learns_are_counted_and_counted_again_elsewhere(tmp_path, database, sampler, counted):
    made = make_research(tmp_path, **{"search.sampler": sampler})
    research = replace(made, database_url=database.urls.pipeline)

    plan = keep_two_folds(research)
    before = count_trials(research, plan)
    with psycopg.connect(database.urls.owner, autocommit=True) as connection:
        connection.execute("truncate ledger_entries")
    entered = [LedgerStore(research.database()).record(trials) for trials in stored_fold_trials(research, plan)]

    assert (before, count_trials(research, plan)) == (counted, counted)
    assert entered == [counted] * (2 if counted else 0)
