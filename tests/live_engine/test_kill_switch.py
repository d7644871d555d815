"""The stricter of file and PostgreSQL is in force, through restarts, damage and a database that is away."""

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_pipeline.core.errors import DatabaseError, EngineError
from helios_pipeline.core.trading import STRICTNESS, ModeChange
from live_engine.kill_switch import KillSwitch, stricter
from live_engine.mode_file import FLATTEN_FILE, MODE_FILE

ACCOUNT = "DYDX-paper"


class Store:
    """A database that can be away; what it was told last is what it says."""

    def __init__(self):
        self.away = False
        self.row = None

    def read(self, account):
        self._reach()
        return self.row

    def write(self, change):
        self._reach()
        self.row = change

    def _reach(self):
        if self.away:
            raise DatabaseError("away")


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / ACCOUNT


def load(folder, store):
    return KillSwitch.load(folder, ACCOUNT, store)


def change(mode, seconds=0):
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return ModeChange(account=ACCOUNT, mode=mode, who="ops", why="drill", changed_at=moment)


def test_an_account_that_nobody_ever_stopped_begins_active(folder, store):
    assert load(folder, store).mode == "ACTIVE"
    assert store.row.mode == "ACTIVE"
    assert load(folder, None).mode == "ACTIVE"


def test_an_account_of_which_neither_file_nor_database_says_anything_only_reduces(folder, store):
    store.away = True

    for switch in (load(folder, None), load(folder, store)):
        assert switch.mode == "REDUCING"
        assert "neither" in switch.why
    assert not (folder / MODE_FILE).exists()


def test_a_halt_outlives_the_process_and_says_who_and_why(folder, store):
    load(folder, store).set("HALTED", "ops", "venue looks wrong")

    again = load(folder, None)

    assert (again.mode, again.who, again.why) == ("HALTED", "ops", "venue looks wrong")
    assert (folder / MODE_FILE).stat().st_mode & 0o777 == 0o600


def test_halting_needs_no_database_which_is_told_when_it_is_back(folder, store):
    switch = load(folder, store)
    store.away = True

    assert switch.set("HALTED", "ops", "drill").mode == "HALTED"
    assert not switch.told_store
    assert not switch.sync()

    store.away = False
    assert switch.sync()
    assert switch.told_store
    assert store.row.mode == "HALTED"


@pytest.mark.parametrize(("before", "wanted"), [("HALTED", "ACTIVE"), ("REDUCING", "ACTIVE"), ("HALTED", "REDUCING")])
def test_what_allows_more_needs_the_database(folder, store, before, wanted):
    switch = load(folder, store)
    switch.set(before, "ops", "drill")
    store.away = True

    with pytest.raises(DatabaseError):
        switch.set(wanted, "ops", "all clear")
    assert switch.mode == before

    store.away = False
    assert switch.set(wanted, "ops", "all clear").mode == wanted
    assert load(folder, store).mode == wanted


def test_what_allows_more_needs_a_database_at_all(folder, store):
    load(folder, store).set("HALTED", "ops", "drill")

    with pytest.raises(DatabaseError, match="Start it"):
        load(folder, None).set("ACTIVE", "ops", "all clear")


def test_the_stricter_of_both_is_in_force_wherever_it_stands(folder, store):
    switch = load(folder, store)

    store.row = change("HALTED", 10**9)
    assert switch.sync()
    assert switch.mode == "HALTED"
    assert load(folder, None).mode == "HALTED"

    store.row = change("ACTIVE", 2 * 10**9)
    assert switch.sync()
    assert switch.mode == "HALTED"
    assert store.row.mode == "HALTED"


def test_a_file_that_another_process_replaces_is_seen_at_once(folder, store):
    running, other = load(folder, store), load(folder, None)
    seen = []
    running.watch(seen.append)

    other.set("HALTED", "watchdog", "five starts in a row")

    assert running.mode == "HALTED"
    assert [(each.mode, each.who) for each in seen] == [("HALTED", "watchdog")]


def test_watchers_hear_each_mode_once(folder, store):
    switch = load(folder, store)
    seen = []
    switch.watch(seen.append)

    switch.set("REDUCING", "ops", "drill")
    switch.sync()
    switch.set("ACTIVE", "ops", "all clear")
    _ = switch.state

    assert [each.mode for each in seen] == ["REDUCING", "ACTIVE"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"mode":"ACTIVE"}', b"\xff"])
def test_a_damaged_file_may_have_said_halted_so_it_allows_only_reducing(folder, store, content):
    load(folder, store)
    (folder / MODE_FILE).write_bytes(content)

    assert load(folder, None).mode == "REDUCING"
    damaged = load(folder, store)
    assert damaged.mode == "REDUCING"
    assert "damaged" in damaged.why
    assert damaged.set("ACTIVE", "ops", "looked at it").mode == "ACTIVE"


def test_a_file_that_was_lost_leaves_what_the_database_says(folder, store):
    load(folder, store).set("HALTED", "ops", "drill")
    (folder / MODE_FILE).unlink()

    assert load(folder, store).mode == "HALTED"
    assert (folder / MODE_FILE).exists()


def test_a_mode_that_cannot_be_written_is_said(folder, store):
    switch = load(folder, store)
    (folder / MODE_FILE).unlink()
    (folder / MODE_FILE).mkdir()

    with pytest.raises(EngineError, match=r"mode\.json: expected to write it"):
        switch.set("HALTED", "ops", "drill")


def test_a_request_to_flatten_halts_and_stands_until_it_is_done(folder, store):
    load(folder, store).request_flatten("ops", "leaving")

    again = load(folder, None)
    assert again.mode == "HALTED"
    assert again.flatten_request.why == "leaving"

    again.flattened()
    again.flattened()
    assert again.flatten_request is None
    assert again.mode == "HALTED"


def test_a_damaged_request_to_flatten_is_one(folder, store):
    switch = load(folder, store)
    (folder / FLATTEN_FILE).write_text("?")

    assert "damaged" in switch.flatten_request.why


modes = st.sampled_from(["ACTIVE", "REDUCING", "HALTED"])


@given(st.lists(st.tuples(modes, st.integers(0, 9)), min_size=1))
def test_the_stricter_is_never_weaker_than_any(changes):
    every = [change(mode, seconds) for mode, seconds in changes]

    chosen = stricter(*every)

    assert chosen in every
    assert STRICTNESS[chosen.mode] == max(STRICTNESS[each.mode] for each in every)


def resume(switch, store):
    """Whether trading was resumed; that takes a database which is there."""
    if store.away:
        with pytest.raises(DatabaseError):
            switch.set("ACTIVE", "ops", "all clear")
        return False
    return switch.set("ACTIVE", "ops", "all clear").mode == "ACTIVE"


@given(st.lists(st.sampled_from(["resume", "halt", "stale row", "away", "back", "restart", "sync"]), max_size=12))
def test_after_a_halt_nothing_but_a_resume_that_the_database_was_told_allows_more(steps):
    with TemporaryDirectory() as place:
        store, halted = Store(), True
        switch = load(Path(place), store)
        switch.set("HALTED", "ops", "drill")
        for step in steps:
            match step:
                case "resume":
                    halted = not resume(switch, store) and halted
                case "halt":
                    halted = switch.set("HALTED", "ops", "drill").mode == "HALTED"
                case "stale row":
                    store.row = change("ACTIVE")
                case "away" | "back":
                    store.away = step == "away"
                case "restart":
                    switch = load(Path(place), store)
                case _:
                    switch.sync()

            assert switch.mode == ("HALTED" if halted else "ACTIVE")


def test_nobody_waits_for_a_database_that_does_not_answer(folder, store):
    switch = load(folder, store)
    asked, answered = threading.Event(), threading.Event()

    def hang(*_):
        asked.set()
        answered.wait(10.0)

    store.write = store.read = hang
    syncing = threading.Thread(target=switch.sync)
    syncing.start()
    try:
        assert asked.wait(10.0)
        halting = threading.Thread(target=switch.set, args=("HALTED", "ops", "drill"))
        halting.start()
        deadline = time.monotonic() + 10.0
        while switch.mode != "HALTED" and time.monotonic() < deadline:
            pass

        assert not answered.is_set()
        assert switch.mode == "HALTED"
    finally:
        answered.set()
        syncing.join()
        halting.join()


def test_who_halts_while_the_database_is_told_to_resume_has_the_last_word(folder, store):
    switch, other = load(folder, store), load(folder, None)
    switch.set("HALTED", "ops", "drill")

    def told(change):
        store.row = change
        other.set("HALTED", "watchdog", "five starts")

    store.write = told

    assert switch.set("ACTIVE", "ops", "all clear").mode == "HALTED"
    assert switch.who == "watchdog"
