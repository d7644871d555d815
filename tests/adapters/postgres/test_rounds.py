from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from helios_pipeline.adapters.postgres.rounds import RoundStore, SweepRound
from helios_pipeline.core.records import Window

SWEEP = SweepRound(
    round="2024 first",
    market_data="binance",
    instruments=("BTCUSDT-PERP.BINANCE", "ETHUSDT-PERP.BINANCE"),
    window=Window(first=datetime(2024, 1, 1, tzinfo=UTC), last=datetime(2024, 7, 1, tzinfo=UTC)),
    grid={"entry_z": {"values": [1.5, 2.0]}},
    sets=2,
    passed=1,
    trials=7,
    best={"parameters": {"entry_z": 2.0}, "sharpe": 1.75},
    distribution={"sharpe": [0.1, 0.5, 1.75]},
    input_version="abc",
)


@pytest.fixture
def store(database_url):
    return RoundStore(database_url)


def test_a_round_comes_back_as_it_was_stored(store):
    store.replace_sweep(SWEEP)

    found = store.sweep("2024 first")

    assert replace(found, instruments=tuple(found.instruments)) == SWEEP
    assert store.sweep("another") is None


def test_a_repeated_round_replaces_its_results_and_leaves_others(store):
    store.replace_sweep(replace(SWEEP, round="other"))
    store.replace_sweep(SWEEP)

    store.replace_sweep(replace(SWEEP, passed=0, trials=9, best=None, input_version="def"))

    assert store.sweep("2024 first").best is None
    assert store.sweep("2024 first").input_version == "def"
    assert store.sweep("other").passed == 1
    assert store.sweep("2024 first").trials == 7


def test_a_repeated_round_keeps_its_place_among_the_others(store):
    for name in ("first", "second", "first"):
        store.replace_sweep(replace(SWEEP, round=name))

    assert store.rounds() == ["second", "first"]


def test_walk_forward_and_backtest_reports_are_replaced_by_round(store):
    for number in (1, 2):
        store.replace_walk_forward("r", {"folds": number}, f"w{number}")
        store.replace_backtest("r", {"agreement": number}, f"b{number}")

    assert (store.walk_forward("r").report, store.walk_forward("r").input_version) == ({"folds": 2}, "w2")
    assert (store.backtest("r").report, store.backtest("r").input_version) == ({"agreement": 2}, "b2")
    assert store.walk_forward("r").created_at.tzinfo is not None
    assert store.walk_forward("another") is None
    assert store.backtest("another") is None


@pytest.mark.parametrize("change", [{"passed": 3}, {"trials": 1}])
def test_a_round_that_passed_more_sets_than_it_has_or_was_not_counted_is_refused(store, change):
    with pytest.raises(psycopg.errors.CheckViolation):
        store.replace_sweep(replace(SWEEP, **change))

    assert store.rounds() == []
