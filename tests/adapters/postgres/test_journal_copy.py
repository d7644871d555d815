from dataclasses import fields
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from helios_pipeline.adapters.postgres.journal_copy import PLACE, TABLES, JournalCopy
from helios_pipeline.core.errors import DatabaseError
from helios_pipeline.core.trading import RECORD_KINDS, BarDifference, JournalEntry, Reconciliation
from tests.execution.any_records import records_of
from tests.execution.made_records import ACCOUNT, BTC, START, decision, event, fill, intent, transfer


@pytest.fixture
def copy(database):
    made = JournalCopy(database.urls.live)
    yield made
    made.close()


def entries(*records, epoch=1, first=1):
    return [
        JournalEntry(epoch=epoch, sequence=number, journalled_at=START + timedelta(seconds=number), record=record)
        for number, record in enumerate(records, first)
    ]


def reached(entries):
    last = entries[-1]
    return last.epoch, last.sequence, last.journalled_at


def rows(database, table):
    with psycopg.connect(database.urls.agents, row_factory=dict_row) as connection:
        return connection.execute(f"select * from {table} order by epoch, sequence".encode()).fetchall()


def test_every_kind_has_a_table_whose_columns_are_its_fields(database):
    assert set(TABLES) == set(RECORD_KINDS.values())
    with psycopg.connect(database.urls.owner) as connection:
        for kind, table in TABLES.items():
            columns = connection.execute(
                "select column_name from information_schema.columns where table_name = %s and table_schema = 'public'",
                (table,),
            ).fetchall()
            assert {name for (name,) in columns} == {*PLACE, *(field.name for field in fields(kind))}


@pytest.mark.parametrize("kind", RECORD_KINDS.values(), ids=RECORD_KINDS)
def test_a_record_of_any_kind_is_stored_to_the_last_digit(database, copy, kind):
    @settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(records_of(kind), min_size=1, max_size=4))
    def stored(records):
        with psycopg.connect(database.urls.owner) as connection:
            connection.execute(f"truncate {TABLES[kind]}, journal_positions".encode())
        told = entries(*records)
        copy.write(ACCOUNT, reached(told), told)
        found = rows(database, TABLES[kind])
        for row in found:
            record = told[row["sequence"] - 1].record
            for field in fields(record):
                wanted, value = getattr(record, field.name), row[field.name]
                if isinstance(wanted, str):
                    wanted = wanted.replace("\0", "\ufffd")
                if isinstance(wanted, tuple):
                    wanted = [each.replace("\0", "\ufffd") if isinstance(each, str) else each for each in wanted]
                assert value == wanted
        assert found

    stored()


def test_rows_and_position_are_written_together_or_not_at_all(database, copy):
    good = entries(transfer("a", 1), fill(1, 1, "1", "100"))
    copy.write(ACCOUNT, reached(good), good)
    bad = entries(transfer("b", 1), event("1", "accepted"), first=3)
    with psycopg.connect(database.urls.owner) as connection:
        connection.execute("alter table order_events add constraint planted check (state <> 'accepted')")

    with pytest.raises(DatabaseError, match=r"expected to copy the journal, found: .*planted.* Its local log has ever"):
        copy.write(ACCOUNT, reached(bad), bad)

    assert [row["transfer_id"] for row in rows(database, "transfers")] == ["a"]
    assert copy.positions(ACCOUNT) == {1: 2}


def test_what_is_there_is_not_added_again_and_the_position_never_goes_back(database, copy):
    told = entries(decision(1), intent("1"), fill(1, 1, "1", "100"), transfer("t", 5))
    copy.write(ACCOUNT, reached(told), told)
    copy.write(ACCOUNT, reached(told[:2]), told[:2])
    again = entries(decision(1), intent("1"), fill(1, 1, "1", "100"), transfer("t", 5), epoch=2)
    copy.write(ACCOUNT, reached(again), again)

    assert copy.positions(ACCOUNT) == {1: 4, 2: 4}
    for table in ("live_decisions", "intents", "fills", "transfers"):
        assert [row["epoch"] for row in rows(database, table)] == [1]


def test_positions_are_per_account_and_move_without_records_too(database, copy):
    assert copy.positions(ACCOUNT) == {}

    copy.write(ACCOUNT, (3, 9, START), [])

    assert copy.positions(ACCOUNT) == {3: 9}
    assert copy.positions("another") == {}


def test_listeners_hear_which_tables_changed(database, copy):
    with psycopg.connect(database.urls.owner, autocommit=True) as listener:
        listener.execute("listen helios")
        told = entries(fill(1, 1, "1", "100"), fill(2, 1, "1", "100"))
        copy.write(ACCOUNT, reached(told), told)
        said = [each.payload for each in listener.notifies(timeout=5, stop_after=2)]

    assert sorted(said) == sorted(
        ['{"table" : "journal_positions", "op" : "INSERT"}', '{"table" : "fills", "op" : "INSERT"}']
    )


def test_lists_of_texts_and_of_numbers_are_stored_in_order(database, copy):
    differences = ('one {odd} "text"', "two, with \\ and \0")
    made = tuple(map(Decimal, ("1.10", "2", "0.5", "1.2", "1000000.00000001")))
    told = entries(
        Reconciliation(account=ACCOUNT, agreed=False, differences=differences, height=None, compared_at=START),
        BarDifference(account=ACCOUNT, instrument_id=BTC, opened_at=START, made=made, published=()),
    )

    copy.write(ACCOUNT, reached(told), told)

    assert rows(database, "reconciliations")[0]["differences"] == [differences[0], "two, with \\ and \ufffd"]
    assert list(map(str, rows(database, "bar_differences")[0]["made"])) == list(map(str, made))
    assert rows(database, "bar_differences")[0]["published"] == []


def test_a_server_that_is_gone_is_told_without_its_password(database):
    with pytest.raises(DatabaseError, match="expected to connect") as raised:
        JournalCopy(database.urls.live.replace("/test_", "/none_"))

    assert "postgresql://" not in str(raised.value)
