import threading

import psycopg
import pytest

from helios_pipeline.adapters.postgres.lease import Lease
from helios_pipeline.core.errors import DatabaseError, EngineError

ACCOUNT = "DYDX-paper"


def lease(database, name, *, home=None, seconds=30.0, account=ACCOUNT):
    return Lease(database.urls.live, account, f"process {name} on one", home=home or f"home of {name}", seconds=seconds)


def expire(database):
    with psycopg.connect(database.urls.owner) as connection:
        connection.execute("update engine_leases set expires_at = clock_timestamp()")


def test_the_first_lease_begins_with_the_journals_own_epoch(database):
    assert lease(database, "a").acquire() == 1
    assert lease(database, "b", account="other").acquire(at_least=7) == 7


def test_a_second_engine_is_refused_and_told_who_holds_the_account(database):
    lease(database, "a").acquire()

    with pytest.raises(
        EngineError,
        match=rf"lease on {ACCOUNT}: expected to hold it, found it held by process a on one \(epoch 1, renewed 20",
    ):
        lease(database, "b").acquire()


def test_an_engine_of_the_same_home_takes_over_at_once_with_a_higher_epoch(database):
    lease(database, "a", home="h").acquire()

    assert lease(database, "b", home="h").acquire() == 2
    assert lease(database, "c", home="h").acquire(at_least=9) == 9


def test_an_expired_lease_is_taken_and_its_old_holder_is_told_when_it_renews(database):
    old = lease(database, "a")
    old.acquire()
    expire(database)
    new = lease(database, "b")

    assert new.acquire() == 2
    with pytest.raises(EngineError, match="found it held by process b on one"):
        old.renew()
    old.release()
    new.renew()


def test_a_lease_that_expired_and_that_nobody_took_is_renewed(database):
    held = lease(database, "a")
    held.acquire()
    expire(database)

    held.renew()

    with pytest.raises(EngineError):
        lease(database, "b").acquire()


def test_a_lease_runs_out_after_its_seconds(database):
    held = lease(database, "a", seconds=0.0)
    held.acquire()

    assert lease(database, "b").acquire() == 2


def test_a_lease_let_go_is_free(database):
    held = lease(database, "a")
    held.acquire()

    held.release()

    assert lease(database, "b").acquire() == 2


def test_of_engines_that_start_at_once_one_holds_the_account(database):
    results, barrier = [], threading.Barrier(6)

    def start(name):
        barrier.wait()
        try:
            results.append(lease(database, name).acquire())
        except EngineError:
            results.append(None)

    threads = [threading.Thread(target=start, args=(name,)) for name in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results, key=str) == [1, None, None, None, None, None]


def test_without_the_server_the_lease_is_not_lost_but_unreachable(database):
    held = lease(database, "a")
    held.acquire()
    away = Lease(database.urls.live.replace("/test_", "/none_"), ACCOUNT, "a", home="h")

    with pytest.raises(DatabaseError):
        away.acquire()
