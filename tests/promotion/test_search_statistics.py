from dataclasses import replace

import numpy as np
import pytest

from helios_pipeline.core.selection import Gates
from helios_pipeline.metrics.clusters import EffectiveTrials
from helios_pipeline.metrics.deflated_sharpe import deflated_sharpe, no_skill_trials
from helios_pipeline.metrics.probabilistic_sharpe import probabilistic_sharpe
from helios_pipeline.metrics.reality_check import RealityCheck
from helios_pipeline.metrics.sharpe_interval import SharpeInterval
from helios_pipeline.promotion.evidence import Evidence
from helios_pipeline.promotion.gates import judge_gates
from helios_pipeline.promotion.hurdle import measure_hurdle
from helios_pipeline.promotion.luck import luck_sharpe
from helios_pipeline.promotion.search_statistics import search_statistics

INTERVAL = SharpeInterval(low=3.1, high=6.8, confidence=0.9, mean_block_days=4.25, draws=2000)


@pytest.fixture
def searched(evidence: Evidence) -> Evidence:
    return replace(
        evidence,
        effective_trials=EffectiveTrials(clusters=7, sets=80, of_sets=2100, silhouette=0.6),
        reality_check=RealityCheck(sets=2100, draws=2000, white=0.02, hansen=0.01),
    )


def found(evidence: Evidence, gates: Gates) -> dict[str, str]:
    hurdle = measure_hurdle(evidence, gates)
    return {row.name: row.found for row in search_statistics(evidence, hurdle, INTERVAL)}


def test_every_statistic_stands_beside_the_sharpe_it_judges(searched: Evidence, gates: Gates) -> None:
    observed = searched.daily_moments

    assert found(searched, gates) == {
        "Sharpe, annualised": "5.00",
        "noise would have scored": f"{luck_sharpe(2160, 730):.2f}",
        "Sharpe interval, 90%": "3.10 to 6.80",
        "probabilistic Sharpe": f"{probabilistic_sharpe(observed, benchmark=0.0):.4f}",
        "minimum track record": found(searched, gates)["minimum track record"],
        "deflated Sharpe": f"{deflated_sharpe(observed, no_skill_trials(2160, observations=730)):.4f}",
        "deflated, V across trials": f"{measure_hurdle(searched, gates).across_trials:.4f}",
        "effective trials": "7",
        "deflated, N of clusters": f"{deflated_sharpe(observed, no_skill_trials(7, observations=730)):.4f}",
        "reality check p": "0.0200",
        "superior predictive ability p": "0.0100",
    }


def test_the_minimum_track_record_is_the_first_that_makes_the_ratio_probable(evidence: Evidence, gates: Gates) -> None:
    days = measure_hurdle(evidence, gates).track_record_days
    observed = evidence.daily_moments
    assert days is not None

    lengths = (replace(observed, count=count) for count in (days - 1, days))
    assert [probabilistic_sharpe(length, benchmark=0.0) >= 0.95 for length in lengths] == [False, True]


def test_fewer_effective_trials_deflate_less_and_move_no_gate(
    searched: Evidence, evidence: Evidence, gates: Gates, constraints
) -> None:
    hurdle = measure_hurdle(searched, gates)
    assert hurdle.by_clusters is not None
    assert hurdle.deflated_sharpe is not None
    assert hurdle.by_clusters >= hurdle.deflated_sharpe

    shown, plain = (
        judge_gates(each, constraints=constraints, gates=gates, hurdle=measure_hurdle(each, gates))
        for each in (searched, evidence)
    )
    assert [(gate.name, gate.passed, gate.value) for gate in shown] == [
        (gate.name, gate.passed, gate.value) for gate in plain
    ]
    assert "With clusters of alike sets for trials" in shown[5].explanation


def test_clusters_that_are_none_are_no_trials(searched: Evidence, gates: Gates) -> None:
    unclear = replace(searched, effective_trials=EffectiveTrials(clusters=2, sets=80, of_sets=2100, silhouette=0.1))

    assert found(unclear, gates)["effective trials"] == "none"
    assert "deflated, N of clusters" not in found(unclear, gates)
    assert measure_hurdle(unclear, gates).by_clusters is None


def test_what_was_not_measured_is_none(evidence: Evidence, gates: Gates) -> None:
    short = replace(evidence, metrics={**evidence.metrics, "days": 59.0}, trial_sharpe_variance=np.nan)
    rows = search_statistics(short, measure_hurdle(short, gates), None)

    assert {row.found for row in rows} == {"none"}


def test_a_losing_set_has_no_track_record_that_would_do(evidence: Evidence, gates: Gates) -> None:
    losing = replace(evidence, metrics={**evidence.metrics, "sum_r1": -1.0})

    assert found(losing, gates)["minimum track record"] == "none"
