import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_pipeline.adapters.postgres.holdout import HoldoutStore
from helios_pipeline.core.records import Window
from helios_pipeline.core.selection import GateResult, HoldoutRules
from helios_pipeline.promotion.holdout import (
    HoldoutRequest,
    holdout_threshold,
    judge_holdout,
    look_at_holdout,
    net_return,
)

WINDOW = Window(first=datetime(2025, 4, 1, tzinfo=UTC), last=datetime(2025, 6, 30, tzinfo=UTC))


def request(candidate_key: str = "candidate") -> HoldoutRequest:
    return HoldoutRequest(
        market_data="archive", instruments=("BTCUSDT-PERP.BINANCE",), window=WINDOW, candidate_key=candidate_key
    )


@dataclass(frozen=True, kw_only=True)
class RecordedLook:
    look_id: int
    k: int
    result: Mapping[str, object] | None
    window: Window
    candidate_key: str


class RecordedLooks:
    """The record in memory, with the order of what happened; results pass through JSON as in a database."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.rows: list[RecordedLook] = []

    def find_look(
        self, market_data: str, instruments: tuple[str, ...], window: Window, candidate_key: str
    ) -> RecordedLook | None:
        asked = (window, candidate_key)
        return next((row for row in self.rows if (row.window, row.candidate_key) == asked and row.result), None)

    def begin_look(
        self, *, market_data: str, instruments: tuple[str, ...], window: Window, candidate_key: str
    ) -> RecordedLook:
        self.events.append("begin")
        for row in self.rows:
            if (row.window, row.candidate_key) == (window, candidate_key) and row.result is not None:
                return row
        k = 1 + sum(row.window.overlaps(window) for row in self.rows)
        look = RecordedLook(look_id=len(self.rows), k=k, result=None, window=window, candidate_key=candidate_key)
        self.rows.append(look)
        return look

    def finish_look(self, look_id: int, result: Mapping[str, object]) -> None:
        self.events.append("finish")
        self.rows[look_id] = replace(self.rows[look_id], result=json.loads(json.dumps(result)))


def good_days() -> np.ndarray:
    return np.random.default_rng(3).normal(0.004, 0.01, 90)


def recording(looks: RecordedLooks, returns: np.ndarray) -> Callable[[], np.ndarray]:
    def compute() -> np.ndarray:
        looks.events.append("compute")
        return returns

    return compute


def look_with(looks: RecordedLooks, rules: HoldoutRules, *, key: str = "candidate", searched: int = 0):
    computed = recording(looks, good_days())
    return look_at_holdout(looks, request(key), rules=rules, searched=searched, daily_returns=computed)


def test_a_look_is_written_before_its_result_is_computed(holdout_rules: HoldoutRules) -> None:
    looks = RecordedLooks()

    assert look_with(looks, holdout_rules).passed
    assert looks.events == ["begin", "compute", "finish"]


def test_a_look_stays_written_when_the_computation_dies(holdout_rules: HoldoutRules) -> None:
    looks = RecordedLooks()

    def die() -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look_at_holdout(looks, request(), rules=holdout_rules, searched=0, daily_returns=die)
    assert [row.result for row in looks.rows] == [None]


def test_a_look_that_died_is_paid_for(holdout_rules: HoldoutRules) -> None:
    looks = RecordedLooks()
    looks.begin_look(market_data="archive", instruments=(), window=WINDOW, candidate_key="candidate")

    assert look_with(looks, holdout_rules).threshold == 0.05 / 4


def test_a_finished_look_is_read_and_not_repeated(holdout_rules: HoldoutRules) -> None:
    looks = RecordedLooks()
    first = look_with(looks, holdout_rules)
    looks.events.clear()

    assert look_with(looks, holdout_rules) == first
    assert looks.events == ["begin"]


def test_each_look_by_another_candidate_halves_the_level_and_the_fourth_is_refused(
    holdout_rules: HoldoutRules,
) -> None:
    looks = RecordedLooks()
    results = [look_with(looks, holdout_rules, key=f"candidate {k}") for k in range(4)]

    assert [result.threshold for result in results] == [0.025, 0.0125, 0.00625, None]
    assert looks.events.count("compute") == 3
    assert results[3].passed is False
    assert "Wait for new bars." in results[3].explanation


def test_a_refused_look_is_computed_by_no_retry(holdout_rules: HoldoutRules) -> None:
    looks = RecordedLooks()
    for k in range(4):
        look_with(looks, holdout_rules, key=f"candidate {k}")
    looks.events.clear()

    assert look_with(looks, holdout_rules, key="candidate 3").passed is False
    assert "compute" not in looks.events


def test_bars_that_a_sweep_has_read_are_not_looked_at(holdout_rules: HoldoutRules) -> None:
    looks = RecordedLooks()

    refused = look_with(looks, holdout_rules, searched=1440)

    assert (refused.passed, looks.events, looks.rows) == (False, [], [])
    assert "1,440 trials of rounds that reach further" in refused.explanation


def test_a_look_finished_before_a_sweep_read_its_bars_stays_what_it_was(holdout_rules: HoldoutRules) -> None:
    looks = RecordedLooks()
    first = look_with(looks, holdout_rules)

    assert look_with(looks, holdout_rules, searched=1440) == first
    assert look_with(looks, holdout_rules, key="another", searched=1440).passed is False
    assert looks.events.count("compute") == 1


@given(st.integers(1, 60), st.floats(1e-6, 0.5))
def test_all_levels_together_stay_below_the_significance(most: int, significance: float) -> None:
    levels = [holdout_threshold(k, significance=significance) for k in range(1, most + 1)]

    assert all(later == earlier / 2 for earlier, later in pairwise(levels))
    assert sum(levels) <= significance


def test_a_gain_that_may_be_chance_fails(holdout_rules: HoldoutRules) -> None:
    returns = np.random.default_rng(5).normal(0.0, 0.01, 90)
    returns += 0.0003 - returns.mean()
    result = judge_holdout(returns, k=1, window=WINDOW, rules=holdout_rules)

    assert net_return(returns) > 0
    assert result.passed is False
    assert result.value is not None
    assert result.value > result.threshold == 0.025


def test_a_sure_loss_fails(holdout_rules: HoldoutRules) -> None:
    result = judge_holdout(-good_days(), k=1, window=WINDOW, rules=holdout_rules)

    assert result.passed is False
    assert result.value is not None
    assert result.value > 0.9


def test_a_candidate_that_does_not_trade_in_the_holdout_fails(holdout_rules: HoldoutRules) -> None:
    result = judge_holdout(np.zeros(90), k=1, window=WINDOW, rules=holdout_rules)

    assert (result.passed, result.value) == (False, None)
    assert "too few or too even" in result.explanation


def test_the_explanation_names_bars_return_chance_and_price(holdout_rules: HoldoutRules) -> None:
    result = judge_holdout(good_days(), k=2, window=WINDOW, rules=holdout_rules)

    assert result.explanation.startswith("On the untouched bars of 2025-04-01 to 2025-06-30 (90 days)")
    assert result.explanation.endswith("that it is chance; look 2 needs a gain and p below 0.0125.")


def test_looks_recorded_in_postgres_cost_the_same(database_url: str, holdout_rules: HoldoutRules) -> None:
    looks, computed = HoldoutStore(database_url), []

    def look(key: str) -> GateResult:
        def compute() -> np.ndarray:
            computed.append((key, looks.count_looks("archive", request().instruments, WINDOW)))
            return good_days()

        return look_at_holdout(looks, request(key), rules=holdout_rules, searched=0, daily_returns=compute)

    results = [look(key) for key in ("a", "b", "a", "c", "d", "d")]

    assert [result.threshold for result in results] == [0.025, 0.0125, 0.025, 0.00625, None, None]
    assert results[2] == results[0]
    assert computed == [("a", 1), ("b", 2), ("c", 3)]  # each look was on record when it was computed
