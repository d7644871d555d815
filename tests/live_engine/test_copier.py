"""The log's copy in a real PostgreSQL: in order, once, whatever happens to the server, the engine and the copier."""

import os
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from helios_pipeline.adapters.postgres.connection import open_database
from helios_pipeline.adapters.postgres.embedded import ensure_server, wait_until_stopped
from helios_pipeline.adapters.postgres.journal_copy import JournalCopy
from helios_pipeline.core.errors import DatabaseError
from live_engine.copier import Copier
from live_engine.journal import Journal
from tests.execution.made_records import ACCOUNT, decision, event, fill, intent

DEADLINE_SECONDS = 60.0


@pytest.fixture
def folder(memory_folder):
    with tempfile.TemporaryDirectory(dir=memory_folder) as name:
        yield Path(name) / "log"


@pytest.fixture
def journal(folder):
    opened = Journal.open(folder, ACCOUNT, segment_bytes=20_000)
    yield opened
    opened.close()


@pytest.fixture
def copier_of(database):
    made = []

    def make(journal, url=None):
        copier = Copier(journal.folder, lambda: JournalCopy(url or database.urls.live))
        journal.subscribe(copier.wake)
        made.append(copier)
        return copier

    yield make
    for copier in made:
        copier.stop()


def until(condition):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition was never met"
        time.sleep(0.01)


def copied(url, table="fills", column="venue_fill_id"):
    with psycopg.connect(url) as connection:
        found = connection.execute(f"select {column} from {table} order by epoch, sequence".encode()).fetchall()
    return [value for (value,) in found]


def journal_some(journal, first, count):
    for number in range(first, first + count):
        journal.append(intent(str(number)))
        journal.append(event(str(number), "accepted"))
        journal.append(fill(number, 1, "1", "100", order=str(number)))


def test_what_is_journalled_arrives_in_order_and_the_lag_ends(database, journal, copier_of):
    copier = copier_of(journal)
    journal_some(journal, 0, 50)
    journal.append(decision(1))
    assert (copier.copied_sequence, copier.trouble) == (0, None)

    copier.start()
    until(lambda: copier.copied_sequence == journal.sequence)
    journal_some(journal, 50, 50)
    until(lambda: copier.copied_sequence == journal.sequence and copier.lag_seconds == 0)

    url = database.urls.agents
    assert copied(url) == [str(number) for number in range(100)]
    assert copied(url, "order_events", "client_order_id") == [str(number) for number in range(100)]
    assert copied(url, "live_decisions", "instrument_id") == [decision(1).instrument_id]
    assert copied(url, "journal_positions", "sequence") == [journal.sequence]


def test_stopping_copies_what_is_there(database, journal, copier_of):
    copier = copier_of(journal)
    copier.start()
    journal_some(journal, 0, 100)

    copier.stop()

    assert len(copied(database.urls.agents)) == 100


def test_another_copier_goes_on_where_the_last_one_stopped(database, journal, copier_of):
    for first in (0, 40, 80):
        copier = copier_of(journal)
        journal_some(journal, first, 40)
        copier.start()
        copier.stop()
        assert copier.copied_sequence == journal.sequence

    assert copied(database.urls.agents) == [str(number) for number in range(120)]


def test_two_copiers_at_once_double_nothing(database, journal, copier_of):
    one, other = copier_of(journal), copier_of(journal)
    one.start()
    other.start()
    journal_some(journal, 0, 150)
    until(lambda: one.copied_sequence == other.copied_sequence == journal.sequence)

    url = database.urls.agents
    assert copied(url) == [str(number) for number in range(150)]
    assert len(copied(url, "order_events", "client_order_id")) == 150
    assert copied(url, "journal_positions", "sequence") == [journal.sequence]


def test_epochs_of_one_log_each_have_their_position(database, journal, copier_of):
    journal_some(journal, 0, 5)
    journal.close()
    second = Journal.open(journal.folder, ACCOUNT)
    second.raise_epoch(30)
    journal_some(second, 5, 5)
    copier = copier_of(second)
    copier.start()
    until(lambda: copier.copied_sequence == second.sequence)
    copier.stop()
    second.close()

    assert copied(database.urls.agents) == [str(number) for number in range(10)]
    assert copied(database.urls.agents, "fills", "epoch") == [1] * 5 + [30] * 5
    assert copied(database.urls.agents, "journal_positions", "epoch") == [1, 2, 30]


def test_a_new_log_after_a_lost_one_is_copied_beside_it(database, journal, copier_of, folder):
    journal_some(journal, 0, 5)
    copier = copier_of(journal)
    copier.start()
    copier.stop()
    journal.close()
    shutil.rmtree(folder)

    new = Journal.open(folder, ACCOUNT)
    new.raise_epoch(8)
    journal_some(new, 3, 5)
    copier = copier_of(new)
    copier.start()
    until(lambda: copier.copied_sequence == new.sequence)
    new.close()

    assert copied(database.urls.agents) == [str(number) for number in range(8)]


def test_a_database_that_refuses_a_record_is_told_and_caught_up_with_once_mended(database, journal, copier_of):
    with psycopg.connect(database.urls.owner) as connection:
        connection.execute("alter table fills add constraint planted check (venue_fill_id <> '3')")
    copier = copier_of(journal)
    copier.start()
    journal_some(journal, 0, 6)
    until(lambda: copier.trouble is not None and "planted" in copier.trouble)
    lag = copier.lag_seconds
    assert 0 < lag < copier.lag_seconds

    with psycopg.connect(database.urls.owner) as connection:
        connection.execute("alter table fills drop constraint planted")
    until(lambda: copier.copied_sequence == journal.sequence and copier.trouble is None)

    assert copied(database.urls.agents) == [str(number) for number in range(6)]


def test_a_log_that_is_damaged_is_told(database, journal, copier_of):
    journal_some(journal, 0, 3)
    (path,) = journal.folder.glob("*.log")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)

    copier = copier_of(journal)
    copier.start()

    until(lambda: copier.trouble is not None and f"{path} offset" in copier.trouble)
    assert copier.lag_seconds > 0


def test_a_database_that_goes_away_with_nothing_to_copy_is_noticed(database, journal, copier_of):
    copier = copier_of(journal)
    copier.start()
    until(lambda: copier.copied_sequence == journal.sequence and copier.lag_seconds == 0)
    name = database.urls.owner.rpartition("/")[2]
    elsewhere = database.urls.owner.replace(f"/{name}", "/postgres")
    with psycopg.connect(elsewhere, autocommit=True) as connection:
        connection.execute(f"alter database {name} allow_connections false".encode())
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
        until(lambda: copier.lag_seconds > 0.5)
        connection.execute(f"alter database {name} allow_connections true".encode())

    until(lambda: copier.lag_seconds == 0 and copier.trouble is None)
    assert copier.copied_sequence == journal.sequence


def test_an_unreachable_database_makes_the_lag_grow_from_the_start(journal):
    def connect():
        raise DatabaseError("nobody there")

    journal_some(journal, 0, 1)
    copier = Copier(journal.folder, connect)
    copier.start()

    until(lambda: copier.trouble == "nobody there" and copier.lag_seconds > 0.3)
    assert copier.copied_sequence == 0
    copier.stop()


@pytest.fixture
def own_server(memory_folder):
    """A server of this test's own, so that it may be killed."""
    home = Path(tempfile.mkdtemp(prefix="helios-copier-", dir=memory_folder))
    home.chmod(0o711)
    with ensure_server(home) as server, open_database(home, None) as database:
        yield SimpleNamespace(home=home, server=server, urls=database.urls)
    wait_until_stopped(server.places)
    shutil.rmtree(home)


def test_a_server_killed_while_copying_loses_and_doubles_nothing(own_server, journal):
    copier = Copier(journal.folder, lambda: JournalCopy(own_server.urls.live))
    journal.subscribe(copier.wake)
    copier.start()
    enough = threading.Event()

    def write():
        number = 0
        while not enough.wait(0.002):
            journal_some(journal, number, 1)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    until(lambda: copier.copied_sequence > 100)
    os.kill(own_server.server.pid, signal.SIGKILL)
    until(lambda: copier.trouble is not None)
    behind = journal.sequence
    until(lambda: journal.sequence > behind + 100 and copier.lag_seconds > 0)
    with ensure_server(own_server.home):
        until(lambda: copier.copied_sequence > behind)
        enough.set()
        writer.join()
        until(lambda: copier.copied_sequence == journal.sequence and copier.lag_seconds == 0)
        copier.stop()

        fills = [record.venue_fill_id for record in journal.books.fills]
        assert copied(own_server.urls.agents) == fills
        assert copied(own_server.urls.agents, "intents", "client_order_id") == fills
        assert len(copied(own_server.urls.agents, "order_events", "sequence")) == len(fills) > 50
