"""A stored round in a database that does not know it."""

from dataclasses import replace

import dagster as dg
import pytest

from assets.promotion import count_trials
from assets.recount import recount_round
from assets.rounds import plan_round
from helios_pipeline.adapters.postgres.round_history import RoundHistory
from helios_pipeline.adapters.postgres.rounds import RoundStore
from jobs.research import run_steps
from tests.generated_round import make_research, sweep_round

SETS = 16


@pytest.fixture
def research(tmp_path, database_url):
    """A home with a stored round, and a database that never heard of it."""
    made = replace(make_research(tmp_path), database_url=database_url)
    result = sweep_round(made)
    made.lake.replace_named("walk_forward_report", result.name, result.metrics, version="w", facts={"folds": 1})
    return made


def test_a_stored_round_is_counted_once_in_a_database_that_does_not_know_it(research):
    plan = plan_round(research)

    for _ in range(2):
        recount_round(research, plan)

    assert count_trials(research, plan) == SETS
    assert [each.sets for each in RoundHistory(research.database()).until(plan.name)] == [SETS]
    assert RoundStore(research.database()).walk_forward(plan.name).report == {"folds": 1}
    assert RoundStore(research.database()).backtest(plan.name) is None


def test_a_sweep_that_is_left_alone_is_counted_in_the_database_in_use(research):
    plan = plan_round(research)

    with dg.DagsterInstance.ephemeral() as instance:
        (outcome,) = run_steps(research, instance, ["sweep_results"])

    assert (outcome.made, outcome.unchanged) == (0, 1)
    assert count_trials(research, plan) == SETS
