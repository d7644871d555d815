import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from helios_pipeline.adapters.postgres.ledger import LedgerEntry, LedgerStore
from helios_pipeline.core.errors import DatabaseError
from helios_pipeline.core.records import Window

BTC, ETH, SOL = "BTCUSDT-PERP.BINANCE", "ETHUSDT-PERP.BINANCE", "SOLUSDT-PERP.BINANCE"


def months(first: int, last: int) -> Window:
    return Window(first=datetime(2024, first, 1, tzinfo=UTC), last=datetime(2024, last, 1, tzinfo=UTC))


def entry(number: int, **changes) -> LedgerEntry:
    made = LedgerEntry(
        key=hashlib.sha256(str(number).encode()).hexdigest(),
        market_data="binance",
        strategy_version="mean_reversion_funding/1",
        instruments=[ETH, BTC],
        costs={"fee_fraction": "0.0005"},
        vol_target=0.3,
        parameters={"entry_z": 2.0, "lookback_bars": number},
        window=months(1, 7),
        round="first",
        round_trips=number,
        blocks=np.full((16, 3), number, dtype=np.float64),
    )
    return replace(made, **changes)


@pytest.fixture
def ledger(database_url):
    return LedgerStore(database_url)


def test_an_entry_is_counted_once_however_often_it_is_recorded(ledger):
    entries = [entry(number) for number in range(5)]

    assert ledger.record(entries) == 5
    assert ledger.record([*entries, entry(5), entry(5)]) == 1
    assert ledger.count_trials("binance", [BTC], months(1, 7)) == 6
    assert ledger.record([]) == 0


@pytest.mark.parametrize(
    ("market_data", "instruments", "window", "trials"),
    [
        ("binance", [BTC], months(1, 7), 1),
        ("binance", [SOL, BTC], months(6, 9), 1),
        ("binance", [SOL], months(1, 7), 0),
        ("binance", [BTC], months(7, 9), 0),
        ("simulated seed 7", [BTC], months(1, 7), 0),
    ],
)
def test_a_trial_counts_where_its_bars_are_used_again(ledger, market_data, instruments, window, trials):
    ledger.record([entry(1)])

    assert ledger.count_trials(market_data, instruments, window) == trials


def test_a_set_evaluated_on_two_windows_is_one_trial(ledger):
    assert ledger.record([entry(1), entry(1, window=months(3, 9)), entry(1, market_data="simulated seed 7")]) == 3

    assert ledger.count_trials("binance", [ETH], months(1, 12)) == 1


def test_blocks_are_those_of_exactly_this_window_and_these_instruments_by_key(ledger):
    elsewhere = [
        entry(40, window=months(1, 8)),
        entry(41, instruments=[BTC]),
        entry(42, market_data="simulated seed 7"),
    ]
    ledger.record([entry(number) for number in (30, 10, 19, 20)] + elsewhere)

    keys, blocks = ledger.blocks("binance", [BTC, ETH], months(1, 7), 20)

    expected = sorted((entry(number).key, number) for number in (20, 30))
    assert keys == [key for key, _ in expected]
    assert blocks.shape == (2, 16, 3)
    assert blocks[:, 3, 1].tolist() == [number for _, number in expected]


def test_blocks_come_back_bit_for_bit(ledger):
    given = np.random.default_rng(7).normal(size=(16, 3))
    ledger.record([entry(30, blocks=given)])

    _, blocks = ledger.blocks("binance", [ETH, BTC], months(1, 7), 0)

    np.testing.assert_array_equal(blocks[0], given)


def test_a_window_without_entries_has_no_blocks(ledger):
    keys, blocks = ledger.blocks("binance", [BTC], months(1, 2), 0)

    assert keys == []
    assert blocks.shape == (0, 16, 3)


def test_blocks_of_another_shape_are_refused_and_nothing_is_stored(ledger):
    with pytest.raises(ValueError, match="expected blocks of shape"):
        ledger.record([entry(1), entry(2, blocks=np.zeros((16, 2)))])

    assert ledger.count_trials("binance", [BTC], months(1, 7)) == 0


def test_a_round_of_20736_sets_is_recorded_and_counted(ledger):
    assert ledger.record([entry(number) for number in range(20_736)]) == 20_736
    assert ledger.record([entry(number) for number in range(20_736)]) == 0

    assert ledger.count_trials("binance", [BTC], months(1, 7)) == 20_736


def test_a_database_that_is_away_is_told_in_one_line():
    with pytest.raises(DatabaseError, match="expected to connect"):
        LedgerStore("postgresql://u:p@127.0.0.1:1/helios").count_trials("binance", [BTC], months(1, 2))
