import threading
from datetime import UTC, datetime

import pytest

from helios_pipeline.adapters.postgres.holdout import HoldoutStore
from helios_pipeline.core.errors import DatabaseError
from helios_pipeline.core.records import Window

BTC, ETH, SOL = "BTCUSDT-PERP.BINANCE", "ETHUSDT-PERP.BINANCE", "SOLUSDT-PERP.BINANCE"


def months(first: int, last: int) -> Window:
    return Window(first=datetime(2024, first, 1, tzinfo=UTC), last=datetime(2024, last, 1, tzinfo=UTC))


@pytest.fixture
def holdout(database_url):
    return HoldoutStore(database_url)


def test_a_look_is_on_record_before_its_result(holdout):
    look = holdout.begin_look("binance", [BTC], months(1, 3), "candidate")

    assert (look.k, look.result) == (1, None)
    assert holdout.count_looks("binance", [BTC], months(1, 3)) == 1
    assert holdout.find_look("binance", [BTC], months(1, 3), "candidate") is None


def test_each_look_at_overlapping_bars_is_the_next_one(holdout):
    looks = [
        holdout.begin_look("binance", [BTC, ETH], months(1, 3), "a"),
        holdout.begin_look("binance", [ETH], months(2, 4), "b"),
        holdout.begin_look("binance", [BTC], months(1, 2), "c"),
    ]

    assert [look.k for look in looks] == [1, 2, 2]


@pytest.mark.parametrize(
    ("market_data", "instruments", "window"),
    [("binance", [SOL], months(1, 3)), ("binance", [BTC], months(3, 5)), ("simulated seed 7", [BTC], months(1, 3))],
)
def test_a_look_at_other_bars_is_a_first_look(holdout, market_data, instruments, window):
    holdout.begin_look("binance", [BTC], months(1, 3), "a")

    assert holdout.begin_look(market_data, instruments, window, "a").k == 1


def test_a_look_that_crashed_has_been_taken(holdout):
    crashed = holdout.begin_look("binance", [BTC], months(1, 3), "a")

    again = holdout.begin_look("binance", [BTC], months(1, 3), "a")

    assert again.look_id != crashed.look_id
    assert again.k == 2


def test_a_finished_look_is_returned_instead_of_taking_another(holdout):
    look = holdout.begin_look("binance", [BTC, ETH], months(1, 3), "a")
    holdout.finish_look(look.look_id, {"p": 0.01})

    again = holdout.begin_look("binance", [ETH, BTC], months(1, 3), "a")

    assert again == holdout.find_look("binance", [BTC, ETH], months(1, 3), "a")
    assert (again.look_id, again.k, again.result) == (look.look_id, 1, {"p": 0.01})
    assert holdout.count_looks("binance", [BTC], months(1, 3)) == 1
    assert holdout.begin_look("binance", [BTC, ETH], months(1, 3), "b").k == 2


def test_a_result_is_written_once(holdout):
    look = holdout.begin_look("binance", [BTC], months(1, 3), "a")
    holdout.finish_look(look.look_id, {"p": 0.5})

    with pytest.raises(DatabaseError, match="expected one without a result"):
        holdout.finish_look(look.look_id, {"p": 0.0001})

    assert holdout.find_look("binance", [BTC], months(1, 3), "a").result == {"p": 0.5}
    with pytest.raises(DatabaseError, match="expected one without a result"):
        holdout.finish_look(look.look_id + 1, {"p": 0.5})


def test_looks_taken_at_the_same_moment_are_told_apart(holdout):
    looks = []
    lookers = [
        threading.Thread(
            target=lambda name=name: looks.append(holdout.begin_look("binance", [BTC], months(1, 3), name))
        )
        for name in "abcd"
    ]

    for looker in lookers:
        looker.start()
    for looker in lookers:
        looker.join()

    assert sorted(look.k for look in looks) == [1, 2, 3, 4]
