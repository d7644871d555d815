import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import psycopg
import pytest
from psycopg.rows import dict_row

from helios_pipeline.adapters.postgres.ledger import LedgerStore
from helios_pipeline.core.errors import DatabaseError
from helios_pipeline.core.ledger import Trials
from helios_pipeline.core.records import Window

BTC, ETH, SOL = "BTCUSDT-PERP.BINANCE", "ETHUSDT-PERP.BINANCE", "SOLUSDT-PERP.BINANCE"


def months(first: int, last: int) -> Window:
    return Window(first=datetime(2024, first, 1, tzinfo=UTC), last=datetime(2024, last, 1, tzinfo=UTC))


def trials(*numbers: int, **changes) -> Trials:
    """A trial for each number."""
    made = Trials(
        keys=[key_of(number) for number in numbers],
        parameters=[json.dumps({"entry_z": 2.0, "lookback_bars": number}) for number in numbers],
        round_trips=np.array(numbers, np.int64),
        blocks=np.repeat(np.array(numbers, np.float64), 48).reshape(-1, 16, 3),
        market_data="binance",
        strategy_version="mean_reversion_funding/1",
        instruments=[ETH, BTC],
        costs={"fee_fraction": "0.0005"},
        vol_target=0.3,
        window=months(1, 7),
        round="first",
    )
    return replace(made, **changes)


def key_of(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


@pytest.fixture
def ledger(database_url):
    return LedgerStore(database_url)


def test_a_trial_is_counted_once_however_often_it_is_recorded(ledger):
    assert ledger.record(trials(*range(5))) == 5
    assert ledger.record(trials(*range(5), 5, 5)) == 1
    assert ledger.count_trials("binance", [BTC], months(1, 7)) == 6
    assert ledger.record(trials()) == 0


def test_every_column_is_stored_as_it_was_given(ledger, database_url):
    ledger.record(trials(7, 100))

    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        row, other = connection.execute("select * from ledger_entries order by round_trips").fetchall()

    assert row.pop("recorded_at") is not None
    assert row == {
        "key": key_of(7),
        "market_data": "binance",
        "window_first": months(1, 7).first,
        "window_last": months(1, 7).last,
        "strategy_version": "mean_reversion_funding/1",
        "instruments": [BTC, ETH],
        "costs": {"fee_fraction": "0.0005"},
        "vol_target": 0.3,
        "parameters": {"entry_z": 2.0, "lookback_bars": 7},
        "round": "first",
        "round_trips": 7,
        "blocks": np.full(48, 7.0).tobytes(),
    }
    assert other["parameters"] == {"entry_z": 2.0, "lookback_bars": 100}


def test_portions_over_one_connection_are_there_one_by_one(ledger):
    with ledger.recorder() as record:
        assert record(trials(1, 2)) == 2
        assert ledger.count_trials("binance", [BTC], months(1, 7)) == 2
        assert record(trials(2, 3)) == 1

    assert ledger.count_trials("binance", [BTC], months(1, 7)) == 3


@pytest.mark.parametrize(
    ("market_data", "instruments", "window", "counted"),
    [
        ("binance", [BTC], months(1, 7), 1),
        ("binance", [SOL, BTC], months(6, 9), 1),
        ("binance", [SOL], months(1, 7), 0),
        ("binance", [BTC], months(7, 9), 0),
        ("simulated seed 7", [BTC], months(1, 7), 0),
    ],
)
def test_a_trial_counts_where_its_bars_are_used_again(ledger, market_data, instruments, window, counted):
    ledger.record(trials(1))

    assert ledger.count_trials(market_data, instruments, window) == counted


def test_a_set_evaluated_on_two_windows_is_one_trial(ledger):
    for others in ({}, {"window": months(3, 9)}, {"market_data": "simulated seed 7"}):
        assert ledger.record(trials(1, **others)) == 1

    assert ledger.count_trials("binance", [ETH], months(1, 12)) == 1


def test_blocks_are_those_of_exactly_this_window_and_these_instruments_by_key(ledger):
    ledger.record(trials(40, window=months(1, 8)))
    ledger.record(trials(41, instruments=[BTC]))
    ledger.record(trials(42, market_data="simulated seed 7"))
    ledger.record(trials(30, 10, 19, 20))

    keys, blocks = ledger.blocks("binance", [BTC, ETH], months(1, 7), 20)

    expected = sorted((key_of(number), number) for number in (20, 30))
    assert keys == [key for key, _ in expected]
    assert blocks.shape == (2, 16, 3)
    assert blocks[:, 3, 1].tolist() == [number for _, number in expected]


def test_blocks_come_back_bit_for_bit(ledger):
    given = np.random.default_rng(7).normal(size=(1, 16, 3))
    ledger.record(trials(30, blocks=given))

    _, blocks = ledger.blocks("binance", [ETH, BTC], months(1, 7), 0)

    np.testing.assert_array_equal(blocks, given)


def test_a_window_without_entries_has_no_blocks(ledger):
    keys, blocks = ledger.blocks("binance", [BTC], months(1, 2), 0)

    assert keys == []
    assert blocks.shape == (0, 16, 3)


@pytest.mark.parametrize(
    "other", [{"blocks": np.zeros((2, 16, 2))}, {"keys": []}, {"round_trips": np.zeros(3, np.int64)}]
)
def test_columns_that_do_not_belong_together_are_refused(other):
    with pytest.raises(ValueError, match="trials of round first: expected"):
        trials(1, 2, **other)


def test_a_round_of_20736_sets_is_recorded_and_counted(ledger):
    assert ledger.record(trials(*range(20_736))) == 20_736
    assert ledger.record(trials(*range(20_736))) == 0

    assert ledger.count_trials("binance", [BTC], months(1, 7)) == 20_736


def test_a_database_that_is_away_is_told_in_one_line():
    with pytest.raises(DatabaseError, match="expected to connect"):
        LedgerStore("postgresql://u:p@127.0.0.1:1/helios").count_trials("binance", [BTC], months(1, 2))
