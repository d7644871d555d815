from datetime import UTC, datetime

import psycopg
import pytest

from helios_pipeline.adapters.postgres.modes import ModeStore
from helios_pipeline.core.trading import ModeChange

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def change(mode, account="DYDX-paper"):
    return ModeChange(account=account, mode=mode, who="operator", why="drill", changed_at=NOW)


def test_the_last_mode_of_each_account_is_kept(database):
    store = ModeStore(database.urls.live)
    assert store.read("DYDX-paper") is None

    for mode in ("HALTED", "ACTIVE", "REDUCING"):
        store.write(change(mode))
    store.write(change("HALTED", account="other"))

    assert store.read("DYDX-paper") == change("REDUCING")
    assert store.read("other") == change("HALTED", account="other")


def test_a_mode_that_does_not_exist_is_refused(database):
    with pytest.raises(psycopg.errors.CheckViolation):
        ModeStore(database.urls.live).write(change("SLEEPING"))
