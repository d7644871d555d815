from decimal import Decimal
from itertools import permutations

import pytest

from helios_pipeline.execution.books import Books
from tests.execution.made_records import ACCOUNT, BTC, ETH, event, fill, intent


def books_of(*records):
    books = Books(ACCOUNT)
    for record in records:
        books.apply(record)
    return books


def test_an_intent_of_which_nothing_was_heard_is_unknown():
    books = books_of(intent("1"), intent("2", instrument=ETH), event("2", "submitted"), intent("3"))
    books.apply(event("3", "accepted"))

    assert [line.client_order_id for line in books.unknown()] == ["1", "2"]
    assert [line.client_order_id for line in books.unknown(ETH)] == ["2"]
    assert [line.client_order_id for line in books.open_orders()] == ["3"]
    assert books.orders["1"].state is None


@pytest.mark.parametrize("state", ["denied", "rejected", "canceled", "expired", "filled"])
def test_an_order_with_an_end_is_neither_open_nor_unknown(state):
    books = books_of(intent("1"), event("1", "submitted"), event("1", state, reason="why"))

    assert (books.unknown(), books.open_orders(BTC)) == ((), ())
    assert (books.orders["1"].state, books.orders["1"].reason) == (state, "why")


def test_fills_say_how_far_an_order_is():
    books = books_of(intent("1", "3"), event("1", "accepted", venue_order_id="v"), fill(1, 1, "1", "100", order="1"))
    line = books.orders["1"]
    assert (line.state, line.filled, line.remaining, line.open) == ("partially_filled", 1, 2, True)

    books.apply(fill(2, 1, "2", "100", order="1"))

    line = books.orders["1"]
    assert (line.state, line.filled, line.remaining, line.open) == ("filled", 3, 0, False)
    assert line.venue_order_id == "venue-1"


@pytest.mark.parametrize("earlier", ["submitted", "rejected", "denied"])
def test_a_fill_beats_a_word_that_the_order_was_refused(earlier):
    books = books_of(intent("1", "2"), event("1", earlier), fill(1, 1, "1", "100", order="1"))

    assert books.orders["1"].state == "partially_filled"


def test_a_fill_told_after_the_cancel_is_counted_and_does_not_open_the_order_again():
    books = books_of(intent("1", "2"), event("1", "canceled"), fill(1, 1, "1", "100", order="1"))

    assert (books.orders["1"].state, books.orders["1"].filled) == ("canceled", 1)
    assert books.open_orders() == ()


def test_the_order_in_which_a_venue_tells_does_not_matter():
    told = [
        intent("1", "2"),
        event("1", "submitted"),
        event("1", "accepted"),
        event("1", "canceled", reason="user"),
        fill(1, 1, "1", "100", order="1"),
    ]

    ends = {
        (line.state, line.filled, line.reason)
        for order in permutations(told)
        for line in [books_of(*order).orders["1"]]
    }

    assert ends == {("canceled", Decimal(1), "user")}


def test_orders_that_are_not_ours_have_a_line_without_an_intent():
    books = books_of(event("x", "accepted"), fill(1, 1, "1", "100", order="y"), fill(2, 1, "1", "100"))

    assert books.orders["x"].intent is None
    assert books.orders["y"].remaining == 0
    assert books.unknown() == ()
    assert set(books.orders) == {"x", "y"}


def test_an_order_is_found_by_either_id_that_the_venue_has_of_it():
    books = books_of(intent("1"), event("1", "accepted", venue_order_id="v1"), fill(1, 1, "1", "100", order="2"))

    assert books.sent_as(7) == books.at_venue("v1") == books.orders["1"]
    assert books.at_venue(books.orders["2"].venue_order_id) == books.orders["2"]
    assert books.sent_as(8) is books.at_venue("v3") is books.at_venue("") is None
