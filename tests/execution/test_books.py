from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_pipeline.core.errors import DataError
from helios_pipeline.core.trading import ChampionChange, InferredFill, ModeChange, Reconciliation
from helios_pipeline.execution.books import OPENING, Books
from tests.execution.any_records import any_record
from tests.execution.made_records import (
    ACCOUNT,
    BTC,
    ETH,
    START,
    at,
    decision,
    event,
    fill,
    funding,
    intent,
    snapshot,
    transfer,
)

quantities = st.decimals("0.0001", 3, places=4).map(str)
prices = st.decimals("0.01", 99999, places=2).map(str)
fees = st.decimals(-1, 5, places=8).map(str)
instruments = st.sampled_from([BTC, ETH])
some_fills = st.lists(st.tuples(st.sampled_from([-1, 1]), quantities, prices, fees, instruments), max_size=40).map(
    lambda told: [
        fill(number, side, quantity, price, fee=fee, minute=number // 2, instrument=instrument)
        for number, (side, quantity, price, fee, instrument) in enumerate(told)
    ]
)
some_funding = st.lists(
    st.tuples(st.integers(0, 25), st.decimals(-9, 9, places=6), instruments), max_size=10, unique_by=lambda x: x[::2]
).map(lambda told: [funding(minute, amount, instrument) for minute, amount, instrument in told])
some_transfers = st.lists(st.decimals(-9999, 9999, places=6), max_size=4).map(
    lambda amounts: [transfer(f"t{number}", amount) for number, amount in enumerate(amounts)]
)


def books_of(*records):
    books = Books(ACCOUNT)
    for record in records:
        assert books.apply(record)
    return books


def fractions(fills, payments, transfers):
    """Cash and positions worked out in another way."""
    cash = sum((Fraction(each.amount) for each in [*payments, *transfers]), Fraction(0))
    held = {BTC: Fraction(0), ETH: Fraction(0)}
    for each in fills:
        cash -= Fraction(each.quantity) * Fraction(each.price) * each.side + Fraction(each.fee)
        held[each.instrument_id] += each.side * Fraction(each.quantity)
    return cash, held


@settings(deadline=None, max_examples=300)
@given(some_fills, some_funding, some_transfers)
def test_cash_and_positions_equal_sums_of_fractions(fills, payments, transfers):
    books = books_of(*transfers, *fills, *payments)
    cash, held = fractions(fills, payments, transfers)

    assert Fraction(books.quote_balance) == cash
    assert {name: Fraction(position.quantity) for name, position in books.positions.items()} == {
        name: quantity for name, quantity in held.items() if quantity
    }
    assert all(Fraction(books.quantity(name)) == quantity for name, quantity in held.items())


@settings(deadline=None, max_examples=300)
@given(some_fills, some_funding)
def test_profit_is_fills_less_fees_plus_funding_whether_held_or_finished(fills, payments):
    books = books_of(*fills, *payments)
    marks = {BTC: Decimal("61234.5"), ETH: Decimal("3210.12")}

    finished = sum((trip.pnl for trip in books.round_trips), Decimal(0))
    held = sum(
        (
            position.quantity * marks[name]
            - position.side * (position.entry_notional - position.exit_notional)
            - position.fees
            + position.funding
            for name, position in books.positions.items()
        ),
        Decimal(0),
    )
    loose = books.funding - sum((each.funding for each in [*books.round_trips, *books.positions.values()]), Decimal(0))

    assert finished + held + loose == books.equity(marks)
    assert books.fees == sum((each.fee for each in fills), Decimal(0))
    assert books.funding == sum((each.amount for each in payments), Decimal(0))


@settings(deadline=None, max_examples=200)
@given(some_fills, some_funding, some_transfers, st.integers())
def test_the_order_in_which_records_come_changes_nothing(fills, payments, transfers, seed):
    records = [*transfers, *fills, *payments]
    shuffled = Random(seed).sample(records, len(records))

    one, other = books_of(*records), books_of(*shuffled)

    assert one.quote_balance == other.quote_balance
    assert one.positions == other.positions
    assert one.round_trips == other.round_trips
    assert (one.fees, one.funding) == (other.fees, other.funding)


@settings(deadline=None, max_examples=200)
@given(st.lists(any_record, max_size=20), st.integers())
def test_a_record_told_again_changes_nothing(records, seed):
    books = Books(ACCOUNT)
    entered = [record for record in records if books.apply(record)]
    keyed = [record for record in entered if books.knows(record)]
    before = (books.quote_balance, books.positions, books.round_trips, dict(books.orders), books.history())

    again = [books.apply(record) for record in Random(seed).sample(keyed, len(keyed))]

    assert again == [False] * len(keyed)
    assert (books.quote_balance, books.positions, books.round_trips, dict(books.orders), books.history()) == before


def test_an_account_without_records_has_nothing():
    books = Books(ACCOUNT)

    assert (books.quote_balance, books.positions, books.round_trips, books.orders) == (0, {}, (), {})
    assert books.equity({}) == 0
    assert books.day_start_equity is None
    assert books.last_decision(BTC) is None


def test_a_fill_that_turns_a_position_around_ends_one_round_trip_and_begins_another():
    books = books_of(fill(1, 1, "2", "100", fee="0.2"), fill(2, -1, "3", "110", fee="0.3", order="9"))

    (trip,) = books.round_trips
    position = books.positions[BTC]
    assert (trip.side, trip.quantity, trip.entry_price, trip.exit_price, trip.exit_order) == (1, 2, 100, 110, "9")
    assert trip.pnl == 20 - Decimal("0.2") - Decimal("0.2")
    assert (position.quantity, position.entry_price, position.fees) == (-1, 110, Decimal("0.1"))
    assert position.opened_at == at(2)
    assert position.unrealised(Decimal(100)) == 10


def test_the_fee_of_a_fill_that_turns_around_is_shared_without_a_remainder():
    books = books_of(fill(1, 1, "1", "100"), fill(2, -1, "3", "100", fee="0.00000001"), fill(3, 1, "2", "100"))

    first, second = books.round_trips
    assert first.fees + second.fees == books.fees == Decimal("0.00000001")


def test_reducing_leaves_the_entry_price_and_adding_averages_it():
    books = books_of(fill(1, 1, "2", "100"), fill(2, -1, "1", "130"), fill(3, 1, "1", "110"))

    assert books.positions[BTC].entry_price == 105
    assert books.positions[BTC].quantity == 2


def test_funding_belongs_to_the_position_that_was_carried_into_its_instant():
    books = books_of(
        fill(1, 1, "1", "100", minute=10),
        fill(2, -1, "1", "100", minute=60),
        funding(60, "-0.5"),
        fill(3, 1, "1", "100", minute=60),
        funding(5, "7"),
    )

    assert [trip.funding for trip in books.round_trips] == [Decimal("-0.5")]
    assert books.positions[BTC].funding == 0
    assert books.funding == Decimal("6.5")


def test_equity_without_a_price_for_a_position_is_refused():
    books = books_of(fill(1, 1, "1", "100"))

    with pytest.raises(DataError, match=f"expected a price for every position, found none for {BTC}"):
        books.equity({ETH: Decimal(1)})


def test_inferred_fills_are_not_summed():
    inferred = InferredFill(
        account=ACCOUNT,
        instrument_id=BTC,
        client_order_id="1",
        side=1,
        quantity=Decimal(5),
        price=Decimal(100),
        inferred_at=START,
    )

    books = books_of(inferred, inferred)

    assert (books.quote_balance, books.positions, books.fills) == (0, {}, ())


def test_the_newest_decision_of_each_instrument_and_which_bars_are_decided():
    books = books_of(decision(2), decision(1), decision(5, instrument=ETH))

    assert books.last_decision(BTC) == decision(2)
    assert books.last_decision(ETH) == decision(5, instrument=ETH)
    assert books.decided(BTC, decision(1).opened_at)
    assert not books.decided(ETH, decision(1).opened_at)
    assert not books.apply(replace(decision(1), outcome="another"))


def test_the_day_is_measured_from_the_snapshot_nearest_to_midnight_with_transfers_since():
    books = books_of(
        snapshot("900", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        snapshot("1000", datetime(2026, 3, 1, 23, 59, 58, tzinfo=UTC)),
        snapshot("1010", datetime(2026, 3, 2, 0, 0, 30, tzinfo=UTC)),
        snapshot("1200", datetime(2026, 3, 2, 9, tzinfo=UTC)),
    )
    assert books.day_start_equity == 1000

    books.apply(replace(transfer("in", "50"), transferred_at=datetime(2026, 3, 2, 10, tzinfo=UTC)))

    assert books.day_start_equity == 1050


def test_after_two_days_away_the_day_is_measured_from_its_own_first_snapshot():
    books = books_of(
        snapshot("1000", datetime(2026, 3, 1, 9, tzinfo=UTC)), snapshot("700", datetime(2026, 3, 3, 6, tzinfo=UTC))
    )

    assert books.day_start_equity == 700


def test_the_last_of_what_is_a_state_is_kept():
    mode = ModeChange(account=ACCOUNT, mode="HALTED", who="me", why="drill", changed_at=START)
    taken = ChampionChange(
        account=ACCOUNT, manifest_hash="a", action="taken_over", instruments=(BTC,), why="", changed_at=START
    )
    refused = replace(taken, manifest_hash="b", action="refused", why="expired")
    agreed = Reconciliation(account=ACCOUNT, agreed=True, differences=(), height=5, compared_at=START)

    books = books_of(mode, taken, refused, agreed, snapshot("1", START))

    assert books.last_mode == mode
    assert books.last_champion == taken
    assert books.last_reconciliation == agreed
    assert books.last_snapshot == snapshot("1", START)


def test_a_journal_begins_with_its_opening():
    books = books_of(transfer("t", 5, minute=3), fill(1, 1, "1", "100"), funding(2, "1"))
    assert (books.began_at, books.booked) == (None, 2)

    books.apply(transfer(OPENING, 5, minute=1))
    assert books.began_at == at(1)


def test_history_has_what_an_execution_client_starts_from():
    told = [intent("1"), event("1", "accepted"), fill(1, 1, "1", "100", order="1"), funding(2, "1"), transfer("t", 5)]

    history = books_of(*told, decision(1)).history()

    assert history.account == ACCOUNT
    assert [
        *history.intents,
        *history.order_events,
        *history.fills,
        *history.funding,
        *history.transfers,
    ] == told
