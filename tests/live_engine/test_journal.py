import tempfile
import threading
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_pipeline.core.errors import JournalError
from helios_pipeline.core.trading import Decision, Intent
from helios_pipeline.execution.books import Books
from live_engine.client_order_ids import AT_ONCE, ZERO
from live_engine.journal import Journal
from live_engine.segments import list_segments, read_entries, read_records
from tests.execution.any_records import any_record
from tests.execution.made_records import ACCOUNT, BTC, decision, event, fill, funding, intent, transfer


@pytest.fixture
def folder(memory_folder):
    with tempfile.TemporaryDirectory(dir=memory_folder) as name:
        yield Path(name) / "log"


@pytest.fixture
def journal(folder):
    opened = Journal.open(folder, ACCOUNT)
    yield opened
    opened.close()


def reopened(journal):
    journal.close()
    return Journal.open(journal.folder, ACCOUNT)


def test_what_was_journalled_is_there_after_a_restart(journal):
    told = [transfer("t", 1000), intent("5"), event("5", "accepted"), fill(1, 1, "1", "100", order="5"), decision(1)]
    numbers = [journal.append(record) for record in told]

    again = reopened(journal)

    assert numbers == [2, 3, 4, 5, 6]
    assert list(again.records()) == told
    assert list(again.records(Intent, Decision)) == [each for each in told if isinstance(each, Intent | Decision)]
    assert list(read_records(again.folder)) == list(zip(numbers, told, strict=True))
    assert again.books.quote_balance == journal.books.quote_balance == 900
    assert again.books.positions == journal.books.positions
    assert again.history() == journal.history()
    assert (journal.epoch, again.epoch) == (1, 2)
    again.close()


@settings(deadline=None, max_examples=60)
@given(st.lists(any_record, max_size=25))
def test_books_after_a_restart_are_the_books_before_it(records):
    with tempfile.TemporaryDirectory() as name:
        journal = Journal.open(Path(name), ACCOUNT, segment_bytes=2000)
        for record in records:
            journal.append(record)
        again = reopened(journal)
        by_hand = Books(ACCOUNT)
        for record in records:
            by_hand.apply(record)

        for books in (again.books, by_hand):
            assert books.history() == journal.books.history()
            assert books.quote_balance == journal.books.quote_balance
            assert books.orders == journal.books.orders
            assert books.day_start_equity == journal.books.day_start_equity
            assert books.last_reconciliation == journal.books.last_reconciliation
        again.close()


@pytest.mark.parametrize(
    "record",
    [decision(1), intent("1"), event("1", "accepted"), fill(1, 1, "1", "2"), funding(1, "1"), transfer("t", 1)],
    ids=lambda record: type(record).__name__,
)
def test_a_record_is_journalled_once_whatever_it_says_the_second_time(journal, record):
    assert journal.append(record) is not None
    assert journal.append(record) is None

    again = reopened(journal)

    assert again.append(record) is None
    assert len(list(again.records())) == 1
    again.close()


def test_a_fill_of_a_known_id_is_known_whatever_its_price(journal):
    journal.append(fill(1, 1, "1", "100"))

    assert journal.append(replace(fill(1, 1, "1", "100"), price=Decimal(101))) is None


def test_records_of_another_account_and_without_a_spelling_are_refused_and_harm_nothing(journal):
    with pytest.raises(JournalError, match="expected a record of that account, found one of other"):
        journal.append(replace(transfer("t", 1), account="other"))
    with pytest.raises(JournalError, match="finite"):
        journal.append(replace(transfer("t", 1), amount=Decimal("NaN")))
    with pytest.raises(JournalError, match="UTF-8"):
        journal.append(replace(transfer("t", 1), reason="\ud800"))

    with pytest.raises(
        JournalError, match=r"Transfer\.amount: expected a finite amount of at most 100 digits on either"
    ):
        journal.append(transfer("t", "1e900"))
    with pytest.raises(
        JournalError, match="expected side −1 or \\+1 and a positive quantity, found side 1, quantity 0"
    ):
        journal.append(fill(1, 1, "0", "1"))

    assert journal.failure is None
    assert journal.append(transfer("t", 1)) == 2


def test_the_log_of_another_account_is_refused(journal):
    journal.close()

    with pytest.raises(JournalError, match=f"expected the log of other, found one of {ACCOUNT}"):
        Journal.open(journal.folder, "other")
    Journal.open(journal.folder, ACCOUNT).close()


def test_after_the_disk_failed_nothing_is_journalled(journal):
    journal.append(transfer("t", 1))
    journal.close()

    for record in (transfer("u", 1), fill(1, 1, "1", "1")):
        with pytest.raises(JournalError):
            journal.append(record)
    assert journal.failure
    assert journal.books.quote_balance == 1


def test_client_order_ids_grow_over_restarts_and_are_never_given_twice(journal):
    given_ids = [journal.next_client_order_id() for _ in range(AT_ONCE + 3)]

    again = reopened(journal)
    given_ids += [again.next_client_order_id() for _ in range(3)]
    again.close()

    assert given_ids == sorted(set(given_ids))
    assert given_ids[: AT_ONCE + 3] == list(range(given_ids[0], given_ids[0] + AT_ONCE + 3))
    assert given_ids[-1] < given_ids[0] + 5 * AT_ONCE


def test_the_ids_of_a_new_log_are_beyond_all_that_a_lost_one_gave(folder):
    first = Journal.open(folder / "lost", ACCOUNT)
    lost = first.next_client_order_id()
    first.close()

    assert abs((datetime.now(UTC) - ZERO).total_seconds() - lost) < 60
    assert lost < 2**31


def test_ids_are_beyond_those_of_intents_that_a_log_holds(journal):
    highest = journal.next_client_order_id() + 1000
    journal.append(intent(str(highest)))
    journal.append(intent("O-20260301-1"))
    journal.append(intent(str(2**31 + 5)))

    again = reopened(journal)

    assert again.next_client_order_id() == highest + 1
    again.close()


def test_ids_end_before_those_that_a_venue_sees_for_others(journal):
    journal.append(intent(str(2**31 - 10)))
    journal.close()

    with pytest.raises(JournalError, match=f"expected one below {2**31}, found none left"):
        Journal.open(journal.folder, ACCOUNT)


def test_a_lease_may_raise_the_epoch_and_the_next_engine_goes_on_from_there(journal):
    journal.raise_epoch(40)
    journal.raise_epoch(7)
    journal.append(transfer("t", 1))

    again = reopened(journal)

    assert (journal.epoch, again.epoch) == (40, 41)
    assert [entry.epoch for entry in read_entries(journal.folder)] == [1, 40, 40, 41]
    again.close()


def test_listeners_hear_each_record_in_order_once_it_is_in_the_books(journal):
    heard = []
    journal.subscribe(lambda number, record: heard.append((number, record, journal.books.knows(record))))

    def append(name):
        for each in range(40):
            journal.append(transfer(f"{name}-{each}", 1))

    threads = [threading.Thread(target=append, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [number for number, _, _ in heard] == list(range(2, 122))
    assert all(known for _, _, known in heard)
    assert [record for _, record, _ in heard] == list(journal.records())
    assert journal.books.quote_balance == 120


def test_a_listener_may_append_and_one_that_fails_harms_nobody(journal, caplog):
    heard = []

    def answer(number, record):
        heard.append(record.transfer_id)
        if record.transfer_id == "a":
            journal.append(transfer("b", 1))
        raise RuntimeError("a listener's own trouble")

    journal.subscribe(answer)

    assert journal.append(transfer("a", 1)) == 2
    assert heard == ["a", "b"]
    assert journal.books.quote_balance == 2
    assert "a listener of the journal failed at entry 2" in caplog.text


def test_threads_that_append_the_same_fill_at_once_journal_it_once_and_know_it_when_they_return(journal):
    results, barrier = [], threading.Barrier(4)

    def append():
        for number in range(50):
            barrier.wait()
            sequence = journal.append(fill(number, 1, "1", "100"))
            results.append((number, sequence))
            assert len(journal.books.fills) > number

    threads = [threading.Thread(target=append) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) == 200
    assert len([number for number, sequence in results if sequence is not None]) == 50
    assert journal.books.quantity(BTC) == 50


def test_books_that_are_being_read_do_not_change(journal):
    entered = threading.Event()

    with journal.reading() as books:
        thread = threading.Thread(target=lambda: (journal.append(transfer("t", 1)), entered.set()))
        thread.start()
        while journal.sequence < 2:
            pass
        assert (books.quote_balance, entered.is_set()) == (0, False)
    thread.join()

    assert journal.books.quote_balance == 1


def test_a_long_journal_lies_in_several_files(folder):
    journal = Journal.open(folder, ACCOUNT, segment_bytes=5000)
    for number in range(100):
        journal.append(fill(number, 1, "1", "100"))
    again = reopened(journal)

    assert len(list_segments(folder)) > 5
    assert again.books.quantity(BTC) == 100
    again.close()
