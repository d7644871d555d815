from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from helios_pipeline.adapters.dydx.account_ledger import AccountLedger
from helios_pipeline.core.trading import FundingPayment, Transfer, VenueFill
from helios_pipeline.core.venues import AccountHistory, VenueAccount, VenuePosition
from live_engine.journal import Journal

START = datetime(2026, 3, 1, tzinfo=UTC)
BTC, ETH = "BTC-USD-PERP.DYDX", "ETH-USD-PERP.DYDX"
EMPTY = AccountHistory(account="A", intents=(), order_events=(), fills=(), funding=(), transfers=())


def fill(number, minute, side, quantity, price="100", instrument=BTC):
    return VenueFill(
        account="A",
        instrument_id=instrument,
        venue_fill_id=str(number),
        venue_order_id=f"o{number}",
        client_order_id=None,
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(price),
        fee=Decimal("0.1"),
        liquidity="taker",
        filled_at=START + timedelta(minutes=minute),
    )


def payment(minute, amount):
    return FundingPayment(
        account="A",
        instrument_id=BTC,
        settled_at=START + timedelta(minutes=minute),
        rate=Decimal("0.1"),
        position_quantity=Decimal(1),
        price=Decimal(100),
        amount=Decimal(amount),
    )


def deposit(number, minute, amount):
    return Transfer(
        account="A",
        transfer_id=str(number),
        amount=Decimal(amount),
        reason="deposit",
        transferred_at=START + timedelta(minutes=minute),
    )


def account(balance, positions=None, fills=(), funding=(), transfers=()):
    held = {
        name: VenuePosition(quantity=Decimal(size), entry_price=Decimal(100))
        for name, size in (positions or {}).items()
    }
    return VenueAccount(
        account="A",
        read_at=START,
        height=1,
        quote_balance=Decimal(balance),
        positions=held,
        open_orders=(),
        fills=fills,
        funding=funding,
        transfers=transfers,
    )


@pytest.fixture(name="journal")
def journal_fixture(tmp_path):
    journal = Journal.open(tmp_path / "log", "A")
    yield journal
    journal.close()


def begin(journal, found):
    """Begin a journal with an account, then take everything that the venue tells."""
    ledger = AccountLedger.from_history(EMPTY, journal)
    ledger.begin(found, START - timedelta(hours=1))
    for each in found.fills:
        ledger.take_fill(each)
    ledger.take_payments(found.funding)
    ledger.take_transfers(found.transfers)
    return ledger


@pytest.mark.parametrize(
    "found",
    [
        account("0"),
        account("1000", transfers=(deposit(1, 1, "1000"),)),
        account("998.8", fills=(fill(1, 2, 1, "1"), fill(2, 3, -1, "1", "99")), transfers=(deposit(1, 1, "1000"),)),
        account("899.9", {BTC: "1"}, fills=(fill(1, 2, 1, "1"),), transfers=(deposit(1, 1, "1000"),)),
        account(
            "1002.8",
            {BTC: "-2", ETH: "2"},
            fills=(
                fill(1, 2, 1, "1"),
                fill(2, 3, -1, "3"),
                fill(3, 4, 1, "1", instrument=ETH),
                fill(4, 6, 1, "1", instrument=ETH),
            ),
            funding=(payment(5, "3"), payment(7, "0.2")),
            transfers=(deposit(1, 1, "999"), deposit(2, 5, "1")),
        ),
    ],
    ids=["empty", "cash alone", "flat again", "long", "turned, in two markets"],
)
def test_a_journal_begun_with_an_account_has_its_cash_and_positions(journal, found):
    begin(journal, found)

    assert journal.books.quote_balance == found.quote_balance
    held = {name: position.quantity for name, position in found.positions.items()}
    assert {name: position.quantity for name, position in journal.books.positions.items()} == held


def test_what_was_before_the_last_flat_moment_is_not_in_the_journal(journal):
    past = (fill(1, 2, 1, "1"), fill(2, 3, -1, "1"))
    begin(journal, account("500", {BTC: "1"}, fills=(*past, fill(3, 9, 1, "1"))))

    assert [each.venue_fill_id for each in journal.books.fills] == ["3"]


def test_what_is_told_again_changes_nothing(journal):
    found = account("899.9", {BTC: "1"}, fills=(fill(1, 2, 1, "1"),), transfers=(deposit(1, 1, "1000"),))
    ledger = begin(journal, found)
    sequence = journal.sequence
    again = AccountLedger.from_history(journal.history(), journal)
    for each in (ledger, again):
        assert not each.take_fill(fill(1, 2, 1, "1"))
        each.take_transfers(found.transfers)

    assert journal.sequence == sequence
    assert again.opening == ledger.opening


def test_a_fill_that_somebody_else_journalled_is_not_news_but_counts(journal):
    ledger = begin(journal, account("0"))
    journal.append(fill(9, 5, 1, "2"))

    assert not ledger.take_fill(fill(9, 5, 1, "2"))
    assert ledger.filled("o9") == 2
