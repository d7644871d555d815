"""The bias checks of a made round, run by Dagster as the command runs them, on a lake of three months."""

import dagster as dg
import pytest

from assets.bias import BIAS_CHECKS, DESCRIPTIONS, OF_THE_PIPELINE
from helios_pipeline.core.errors import DataError
from jobs.bias import run_bias_checks
from tests.generated_round import make_research, sweep_round


def checked(research, names=tuple(DESCRIPTIONS)):
    with dg.DagsterInstance.ephemeral() as instance:
        return {each.check_name: each for each in run_bias_checks(research, instance, names)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    research = make_research(tmp_path_factory.mktemp("bias"))
    return research, sweep_round(research)


@pytest.fixture(scope="module")
def evaluations(made):
    return checked(made[0])


def test_every_check_says_what_it_found_with_rows_and_a_picture(made, evaluations):
    research, _ = made

    assert set(evaluations) == set(DESCRIPTIONS)
    for name, evaluation in evaluations.items():
        assert evaluation.description
        assert evaluation.metadata["rows"].records
        address = evaluation.metadata["picture"].value.partition("](/reports/")[2].partition("?")[0]
        assert (research.settings.home / "reports" / address).read_bytes().startswith(b"\x89PNG"), name


def test_the_pipeline_s_own_checks_hold(evaluations):
    assert [name for name in OF_THE_PIPELINE if not evaluations[name].passed] == []
    assert {evaluations[name].severity for name in OF_THE_PIPELINE} == {dg.AssetCheckSeverity.ERROR}


def test_costs_are_those_of_the_candidate_and_warn(made, evaluations):
    _, result = made
    as_charged = next(
        dict(row.data) for row in evaluations["costs"].metadata["rows"].records if row.data["factor"] == 1
    )

    assert result.candidate is not None
    assert as_charged["net_return"] == result.metrics["net_return"][result.best]
    assert evaluations["costs"].severity == dg.AssetCheckSeverity.WARN


def test_a_round_without_a_candidate_rests_on_nothing(tmp_path):
    research = make_research(tmp_path, **{"constraints.min_sharpe": 1000.0, "bias.survived_cost_factor": 40.0})
    assert sweep_round(research).candidate is None

    (costs,) = checked(research, ["costs"]).values()

    assert costs.passed
    assert costs.description.startswith("No set passed in sample, so nothing rests on this. Of the best one: ")


def test_without_a_sweep_of_the_stored_data_it_says_what_makes_one(tmp_path):
    with pytest.raises(DataError, match="Run `helios sweep` first"):
        checked(make_research(tmp_path))


def test_every_check_is_described_and_stops_nothing():
    specs = [spec for check in BIAS_CHECKS for spec in check.check_specs]

    assert [spec.name for spec in specs] == list(DESCRIPTIONS)
    assert [spec.name for spec in specs if spec.blocking or not spec.description] == []
