"""The lease in a running engine: whoever may have lost the account enters nothing, and whoever has lost it stops."""

import psycopg
import pytest

from helios_pipeline.adapters.postgres.lease import Lease
from helios_pipeline.core.errors import EngineError
from live_engine.lease_keeper import LeaseKeeper

ACCOUNT = "DYDX-paper"


class Home:
    """The keeper of one home, and the epochs that its journal was told."""

    def __init__(self, database, name, *, lasts_seconds=360.0):
        self.epochs = []
        self.lease = Lease(database.urls.live, ACCOUNT, f"process {name}", home=name)
        self.keeper = LeaseKeeper(self.lease, self.epochs.append, lambda: 3, lasts_seconds)


def test_an_engine_enters_nothing_before_it_has_the_lease_and_takes_its_epoch(database):
    home = Home(database, "a")
    assert "could not be asked yet" in home.keeper.missing[0]

    home.keeper.keep()
    home.keeper.keep()

    assert home.keeper.missing == ()
    assert home.epochs == [3]


def test_a_second_home_is_refused_until_the_first_lets_go(database):
    first, second = Home(database, "a"), Home(database, "b")
    first.keeper.keep()

    with pytest.raises(EngineError, match="held by process a"):
        second.keeper.keep()
    assert second.keeper.missing

    first.keeper.release()
    second.keeper.keep()
    assert second.epochs == [4]


def test_an_engine_whose_account_was_taken_is_told_so_and_enters_nothing(database):
    old, new = Home(database, "a"), Home(database, "b")
    old.keeper.keep()
    with psycopg.connect(database.urls.owner) as connection:
        connection.execute("update engine_leases set expires_at = clock_timestamp()")
    new.keeper.keep()

    with pytest.raises(EngineError, match="held by process b"):
        old.keeper.keep()
    assert old.keeper.missing


def test_without_the_server_an_engine_enters_until_another_one_could_have_the_lease(database):
    held, outdated = Home(database, "a"), Home(database, "a", lasts_seconds=0.0)
    for home in (held, outdated):
        home.keeper.keep()
        home.lease._url = database.urls.live.replace("/test_", "/none_")
        home.keeper.keep()

    assert held.keeper.missing == ()
    assert "another engine may have taken the account" in outdated.keeper.missing[0]


def test_without_any_server_nothing_is_ever_entered():
    keeper = LeaseKeeper(None, lambda _: None, lambda: 1, 360.0)

    keeper.keep()
    keeper.release()

    assert keeper.missing
