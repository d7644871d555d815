from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from helios_pipeline.adapters.postgres.round_history import RoundHistory
from helios_pipeline.adapters.postgres.rounds import RoundStore, SweepRound
from helios_pipeline.core.records import Window

START = datetime(2025, 1, 1, tzinfo=UTC)
PROPOSAL = {"grid": {"entry_z": [1.5, 2.0]}, "reason": "2 of 4 sets passed", "axes": []}


@pytest.fixture
def store(database_url):
    return RoundStore(database_url)


@pytest.fixture
def history(database_url):
    return RoundHistory(database_url)


def sweep(name, **changes):
    sweep = SweepRound(
        round=name,
        market_data="binance",
        instruments=["ETHUSDT-PERP.BINANCE", "BTCUSDT-PERP.BINANCE"],
        window=Window(first=START, last=START + timedelta(days=90)),
        grid={"values": {"entry_z": [1.0, 2.0]}, "next_round": PROPOSAL},
        sets=4,
        passed=2,
        trials=6,
        best={"parameters": {"entry_z": 2.0}, "metrics": {"sharpe": 1.8, "proscore2": 44.0}},
        distribution={},
        input_version="v1",
    )
    return replace(sweep, **changes)


def test_rounds_are_told_in_the_order_in_which_they_were_made(store, history):
    for name in ("b", "a"):
        store.replace_sweep(sweep(name))

    first, second = history.rounds()

    assert (first.name, second.name) == ("b", "a")
    assert (first.sets, first.pass_rate, first.best_sharpe, first.best_proscore2) == (4, 0.5, 1.8, 44.0)
    assert (first.trials, second.trials) == (6, 6)
    assert (first.sampler, first.proposal) == ("grid", PROPOSAL)
    assert first.made_at < second.made_at


def test_a_rounds_search_is_what_came_before_it_on_the_same_bars(store, history):
    other = Window(first=START, last=START + timedelta(days=91))
    store.replace_sweep(sweep("1"))
    store.replace_sweep(sweep("other bars", window=other))
    store.replace_sweep(sweep("other market", instruments=["BTCUSDT-PERP.BINANCE"]))
    sampled = {"values": {}, "next_round": PROPOSAL, "search": {"sampler": "sobol", "sets": 4, "seed": 1}}
    store.replace_sweep(sweep("2", grid=sampled))
    store.replace_sweep(sweep("3"))

    found = history.until("2")

    assert [(each.name, each.sampler) for each in found] == [("1", "grid"), ("2", "sobol")]
    assert history.until("unknown") == []
