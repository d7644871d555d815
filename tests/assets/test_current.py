"""Parts of a round that were made at different times are no evidence."""

import polars as pl
import pytest

from assets.backtest import disagreement_version
from assets.current import PARTS, require_current
from assets.promotion import collect_evidence
from assets.rounds import plan_round
from helios_pipeline.core.errors import DataError
from tests.generated_market import BTC
from tests.generated_round import MONTHS, make_research


@pytest.fixture
def research(tmp_path):
    """A home in which every part of the round is current."""
    made = make_research(tmp_path)
    for name in PARTS:
        make(made, name)
    return made


def make(research, name, version=lambda current: current):
    plan = plan_round(research)
    current = PARTS[name][1](research, plan)
    research.lake.replace_named(name, plan.name, pl.DataFrame(), version=version(current), facts={})


def refusal(research):
    with pytest.raises(DataError) as caught:
        collect_evidence(research, plan_round(research))
    return str(caught.value)


def test_newer_data_make_every_part_stale_and_the_first_to_make_again_is_named(research):
    research.lake.replace("bars_15m", pl.DataFrame(), instrument=BTC, month=MONTHS[0], version="2", facts={})

    said = [refusal(research)]
    for name in ("sweep_results", "walk_forward_report"):
        make(research, name)
        said.append(refusal(research))

    assert [text.partition("Run ")[2] for text in said] == [
        f"`helios {command}` first." for command in ("sweep", "walk-forward", "backtest")
    ]
    assert all("found one made from other data or settings" in text for text in said)


def test_a_part_that_is_missing_is_named_with_its_command(research):
    research.lake.remove_all("backtest_report")

    assert refusal(research).endswith("and set now, found none. Run `helios backtest` first.")


def test_engines_that_differ_are_for_their_gate_to_refuse(research):
    make(research, "backtest_report", disagreement_version)

    assert require_current(research, plan_round(research), "promoted_parameters", list(PARTS)) is None
