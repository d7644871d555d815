"""The main job: what it makes, what it leaves alone, and what is kept when a step stops."""

import hashlib
import zipfile
from dataclasses import replace
from datetime import UTC, datetime

import dagster as dg
import pytest

from assets.promotion import count_trials
from assets.rounds import plan_round
from helios_pipeline.adapters.postgres.promotions import PromotionStore
from helios_pipeline.adapters.postgres.rounds import RoundStore
from helios_pipeline.core.errors import DataError, SettingsError
from jobs.research import MONTHLY, OF_ROUND, REPORTS, STEPS, current_decision, run_steps
from tests.helios_home import BTC, copy_archive, write_simulated_archive

MONTHLY_STEPS = tuple(MONTHLY)
KLINES_15M = "data/futures/um/monthly/klines/BTCUSDT/15m"

LENIENT = {
    "constraints__min_round_trips": 1,
    "constraints__max_drawdown_fraction": 1.0,
    "constraints__min_sharpe": -100.0,
    "constraints__min_win_rate": 0.0,
    "gates__min_deflated_sharpe": 0.5,
    "gates__max_pbo": 1.0,
    "gates__min_out_of_sample_sharpe": -100.0,
    "gates__min_retention": -100.0,
    "gates__min_out_of_sample_round_trips": 0,
    "gates__min_positive_folds": 0.0,
}
"""Gates that let any market with an edge through to the holdout."""


UNPARTITIONED = ("data_quality_report", "champion_report")
DECIDED_ANEW = {"promoted_parameters": 1, "round_report": 1, "champion_report": 1}


def made(outcomes):
    return {outcome.step: outcome.made for outcome in outcomes if outcome.made}


def materialized(instance, asset):
    return instance.get_materialized_partitions(dg.AssetKey(asset))


def test_each_change_remakes_what_depends_on_it_and_nothing_else(make_research, instance):
    first = make_research()
    announced: list[str] = []
    everything = made(run_steps(first, instance, STEPS, announce=announced.append))
    again = made(run_steps(first, instance, STEPS))
    plan = plan_round(first)

    assert everything == dict.fromkeys(MONTHLY, 5) | dict.fromkeys([*OF_ROUND, "promoted_parameters", *REPORTS], 1)
    assert again == {}
    assert announced == list(STEPS)
    partitioned = [step for step in STEPS if step not in UNPARTITIONED]
    assert {asset: len(materialized(instance, asset)) for asset in partitioned} == {
        asset: everything[asset] for asset in partitioned
    }
    assert count_trials(first, plan) == 16
    assert current_decision(first, plan).decision.decision == "refused"

    stricter = made(run_steps(make_research(gates__max_pbo=0.1), instance, STEPS))
    assert stricter == DECIDED_ANEW

    shorter = made(run_steps(make_research(walk_forward__out_of_sample_days=25), instance, STEPS))
    assert shorter == {"walk_forward_report": 1, **DECIDED_ANEW}

    dearer = make_research(costs__fee_fraction=0.0006)
    remade = made(run_steps(dearer, instance, STEPS))
    assert remade == dict.fromkeys(OF_ROUND, 1) | DECIDED_ANEW
    assert plan_round(dearer).name != plan.name
    assert count_trials(dearer, plan_round(dearer)) == 32

    wider = make_research(costs__fee_fraction=0.0006, grid__entry_z=[2.0, 2.5, 3.0])
    remade = made(run_steps(wider, instance, STEPS))
    assert remade == dict.fromkeys(OF_ROUND, 1) | DECIDED_ANEW
    assert count_trials(wider, plan_round(wider)) == 40
    assert len(set(RoundStore(wider.database()).rounds())) == 3
    assert len(PromotionStore(wider.database()).decisions("paper")) == 5

    slower = made(run_steps(make_research(features__atr_bars=48), instance, ["funding_features"]))
    assert slower == {"funding_features": 5}


def test_bars_that_a_round_has_searched_are_no_holdout_of_another(make_research, instance, tmp_path):
    write_simulated_archive(tmp_path / "archive", edge=3.0)
    url = (tmp_path / "archive").as_uri()
    list(run_steps(make_research(url, holdout__days=5), instance, (*MONTHLY_STEPS, "sweep_results")))
    shorter = make_research(url, **LENIENT, holdout__days=20, walk_forward__out_of_sample_days=60)

    list(run_steps(shorter, instance, STEPS))
    decision = current_decision(shorter, plan_round(shorter)).decision
    holdout = decision.gates["gates"][-1]

    assert [gate["name"] for gate in decision.gates["gates"] if not gate["passed"]] == ["holdout"]
    assert (decision.decision, holdout["passed"]) == ("refused", False)
    assert "Not looked at: 16 trials of rounds that reach further" in holdout["explanation"]


def test_a_failing_month_stops_no_other(make_research, instance, archive, tmp_path):
    damaged = copy_archive(archive, tmp_path / "archive", ["2025-02", "2025-03", "2025-04"])
    march = damaged / KLINES_15M / "BTCUSDT-15m-2025-03.zip"
    content, checksum = march.read_bytes(), march.with_name(f"{march.name}.CHECKSUM").read_text()
    for path in damaged.rglob("*2025-03*"):
        path.unlink()
    research = make_research(damaged.as_uri(), **{"research__from": "2025-02", "research__to": "2025-04"})

    with pytest.raises(DataError, match="2025-03"):
        list(run_steps(research, instance, ["raw_klines"]))
    kept = research.lake.months("raw_klines", instrument=BTC)
    version = research.lake.version("raw_klines", instrument=BTC, month="2025-02")

    assert kept == ["2025-02", "2025-04"]
    assert materialized(instance, "raw_klines") == {f"{BTC}|2025-02-01", f"{BTC}|2025-04-01"}

    march.write_bytes(content)
    march.with_name(f"{march.name}.CHECKSUM").write_text(checksum)
    (rest,) = run_steps(research, instance, ["raw_klines"])

    assert (rest.made, rest.unchanged) == (1, 2)
    assert research.lake.version("raw_klines", instrument=BTC, month="2025-02") == version
    assert len(materialized(instance, "raw_klines")) == 3


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("bars_15m", "helios ingest"),
        ("funding_features", "helios bars"),
        ("sweep_results", "helios ingest"),
    ],
)
def test_a_step_whose_input_is_missing_names_the_command_that_makes_it(make_research, instance, step, said):
    with pytest.raises(Exception, match=f"expected .*`{said}`"):
        list(run_steps(make_research(), instance, [step]))


def test_a_step_of_a_round_that_has_not_run_names_the_sweep(make_research, instance):
    research = make_research()
    list(run_steps(research, instance, ["raw_klines"]))

    for step in ("walk_forward_report", "backtest_report", "promoted_parameters"):
        with pytest.raises(DataError, match="Run `helios sweep` first"):
            list(run_steps(research, instance, [step]))


def test_a_month_published_again_is_made_again_when_the_archive_is_asked(make_research, instance, archive, tmp_path):
    own = copy_archive(archive, tmp_path / "archive", ["2025-02"])
    research = make_research(own.as_uri(), **{"research__from": "2025-02", "research__to": "2025-02"})
    list(run_steps(research, instance, MONTHLY_STEPS))
    bars = research.lake.version("bars_15m", instrument=BTC, month="2025-02")

    publish_again(own / KLINES_15M / "BTCUSDT-15m-2025-02.zip")
    unasked = made(run_steps(research, instance, MONTHLY_STEPS))
    asked = made(run_steps(replace(research, refresh=True), instance, MONTHLY_STEPS))

    assert unasked == {}
    assert asked == {"raw_klines": 1, "bars_15m": 1, "funding_features": 1}
    assert research.lake.version("bars_15m", instrument=BTC, month="2025-02") != bars


def publish_again(path):
    """The same rows in a zip of other bytes, with its checksum."""
    with zipfile.ZipFile(path) as packed:
        (name,) = packed.namelist()
        csv = packed.read(name)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:
        packed.writestr(zipfile.ZipInfo(name), csv)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(f"{path.name}.CHECKSUM").write_text(f"{digest}  {path.name}\n")


def test_a_month_that_has_not_begun_is_refused_before_anything_is_asked_for(make_research, instance):
    early = replace(make_research(research__to="2025-06"), now=datetime(2025, 5, 31, 23, 59, tzinfo=UTC))

    with pytest.raises(SettingsError, match=r"research\.to: expected a month that has begun, 2025-05 at the latest"):
        list(run_steps(early, instance, STEPS))

    assert materialized(instance, "raw_klines") == set()
