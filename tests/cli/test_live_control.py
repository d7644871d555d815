"""The kill switch's commands work whatever is dead: the engine, PostgreSQL, or both."""

import asyncio
import os
import pty
import subprocess
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from helios_pipeline.core.canonical import to_document
from helios_pipeline.core.errors import DatabaseError
from helios_pipeline.core.status import EngineStatus, MarketStatus, StreamStatus
from live_engine.control import ControlServer
from live_engine.heartbeat import HEARTBEAT, write_heartbeat
from live_engine.home_lock import HomeLock
from live_engine.kill_switch import KillSwitch
from live_engine.mode_file import FLATTEN_FILE
from tests.helios_home import SMALL, write_settings

ACCOUNT, NOW = "DYDX-paper", datetime(2026, 1, 1, 12, tzinfo=UTC)
NO_DATABASE = "postgresql://helios@127.0.0.1:9/helios?connect_timeout=1"
STATUS = EngineStatus(
    account=ACCOUNT,
    network="paper",
    venue="DYDX",
    pid=4711,
    epoch=3,
    started_at=NOW,
    told_at=NOW,
    trader_running=True,
    mode="ACTIVE",
    mode_who="ops",
    mode_why="all well",
    blocked=("stale_mark: mark of BTC-USD-PERP.DYDX: never heard, at most 30.0 s allowed",),
    champion=None,
    champion_note="no manifest is signed for paper",
    quote_balance=Decimal("94000"),
    equity=Decimal("100123.45"),
    day_pnl=Decimal("123.45"),
    height=None,
    reconciled_at=NOW,
    differences=(),
    sequence=99,
    copy_lag_seconds=0.0,
    markets=(
        MarketStatus(
            instrument_id="BTC-USD-PERP.DYDX",
            signal_instrument_id="BTCUSDT-PERP.BINANCE",
            quantity=Decimal("0.1"),
            entry_price=Decimal(60_000),
            mark_price=Decimal(61_000),
            stop_price=None,
            unrealised=Decimal(100),
            signal=-2.5,
            outcome="hold",
            closed_at=NOW,
            unknown_orders=0,
        ),
    ),
    streams=(StreamStatus(stream="mark", instrument_id="BTC-USD-PERP.DYDX", age_seconds=None, limit_seconds=30.0),),
    counters={"orders": 2},
)


@pytest.fixture
def helios(run_here, tmp_path):
    """Runs the command in a home of its own."""
    write_settings(tmp_path / "helios.toml", SMALL)
    return lambda *arguments, **variables: run_here(*arguments, folder=tmp_path, **variables)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "home" / "live" / ACCOUNT
    made.mkdir(parents=True)
    return made


def switch_of(folder):
    return KillSwitch(folder, ACCOUNT, None)


@contextmanager
def engine(folder, handler):
    """A control socket that is served by a loop of its own."""
    loop, server = asyncio.new_event_loop(), ControlServer(folder, handler)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result()
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
        asyncio.run_coroutine_threadsafe(end_others(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def end_others():
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def answering(asked, **answer):
    async def handle(request, say):
        asked.append(request)
        say("one line on the way")
        return {"mode": "HALTED", "who": request.who, "why": request.why, "told_store": True} | answer

    return handle


def test_halting_needs_no_engine_no_database_and_no_folder(helios, tmp_path):
    outcome = helios("halt", "--why", "prices look wrong", HELIOS_DATABASE_URL=NO_DATABASE)

    assert outcome.code == 0
    assert "DYDX-paper: HALTED by " in outcome.out
    assert "prices look wrong" in outcome.out
    assert "the next one starts in this mode" in outcome.out
    assert "PostgreSQL is told when an engine runs" in outcome.out
    switch = switch_of(tmp_path / "home" / "live" / ACCOUNT)
    assert (switch.mode, switch.why) == ("HALTED", "prices look wrong")


@pytest.mark.parametrize(("command", "mode"), [("halt", "HALTED"), ("reduce", "REDUCING")])
def test_a_running_engine_is_told_at_its_socket(helios, folder, command, mode):
    asked = []
    with engine(folder, answering(asked, mode=mode)):
        outcome = helios(command, "--why", "drill")

    assert outcome.code == 0
    assert [(each.command, each.why) for each in asked] == [(command, "drill")]
    assert f"DYDX-paper: {mode}" in outcome.out
    assert "The engine runs in this mode, and PostgreSQL has it." in outcome.out
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (["prices look wrong"], "prices look wrong"),
        (["prices", "look", "wrong"], "prices look wrong"),
        (["a drill", "--why", "of March"], "a drill of March"),
        ([], "no reason given"),
    ],
)
def test_a_reason_is_taken_however_it_is_put(helios, folder, said, why):
    asked = []
    with engine(folder, answering(asked, flat=True)):
        codes = [helios(command, *said).code for command in ("halt", "reduce", "resume")]
        codes.append(helios("flatten", "--yes", *said).code)

    assert codes == [0, 0, 0, 0]
    assert [each.why for each in asked] == [why] * 3 + [why if said else "flattened by hand"]


def test_an_engine_that_hangs_is_halted_by_the_file(helios, folder, monkeypatch):
    monkeypatch.setattr("helios_pipeline.cli.live_control.ANSWER_SECONDS", 0.2)

    async def hang(request, say):
        await asyncio.sleep(1.0)

    with engine(folder, hang):
        outcome = helios("halt", "--why", "drill")
        resumed = helios("resume")

    assert outcome.code == 0
    assert "It hangs" in outcome.err
    assert switch_of(folder).mode == "HALTED"
    assert resumed.code == 9


def test_resuming_without_a_database_changes_nothing(helios, folder):
    switch_of(folder).set("HALTED", "ops", "drill")

    for command in ("resume", "reduce"):
        outcome = helios(command, HELIOS_DATABASE_URL=NO_DATABASE)
        assert outcome.code == DatabaseError.exit_code
        assert len(outcome.err.splitlines()) == 1

    assert switch_of(folder).mode == "HALTED"


def test_resuming_without_an_engine_takes_both_file_and_database(make_home):
    home = make_home()
    folder = home.home / "live" / ACCOUNT

    assert home.run("halt", "--why", "drill").code == 0
    switch_of(folder).request_flatten("ops", "leaving")
    outcome = home.run("resume", "--why", "all clear")

    assert (outcome.code, outcome.err) == (0, "")
    assert "ACTIVE" in outcome.out
    switch = switch_of(folder)
    assert (switch.mode, switch.why, switch.flatten_request) == ("ACTIVE", "all clear", None)


def test_what_the_engine_refuses_is_one_line(helios, folder):
    async def refuse(request, say):
        raise DatabaseError("PostgreSQL is away.")

    with engine(folder, refuse):
        outcome = helios("resume")

    assert outcome.code == 9
    assert outcome.lines == ["helios: engine of DYDX-paper: PostgreSQL is away."]


def test_flattening_asks_first_and_shows_what_is_held(helios, folder, monkeypatch):
    write_heartbeat(folder / HEARTBEAT, STATUS)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("typer.confirm", lambda text, abort: shown.append(text))
    shown, asked = [], []

    with engine(folder, answering(asked, flat=True)):
        outcome = helios("flatten", "--why", "leaving")

    assert outcome.code == 0
    assert shown == ["Cancel every order and close every position of DYDX-paper?"]
    assert "+0.1" in outcome.out
    assert "one line on the way" in outcome.out
    assert [(each.command, each.why) for each in asked] == [("flatten", "leaving")]


def test_an_account_that_is_not_flat_afterwards_is_an_error(helios, folder):
    with engine(folder, answering([], flat=False)):
        outcome = helios("flatten", "--yes")

    assert outcome.code == 9
    assert "expected it to be flat" in outcome.err


@pytest.mark.parametrize("answer", [b"n\n", b"\x04"], ids=["no", "Ctrl-D"])
def test_nothing_is_flattened_without_a_yes(make_home, answer):
    home = make_home()
    person, terminal = pty.openpty()
    try:
        os.write(person, answer)
        with subprocess.Popen(
            [*home.command, "flatten"],
            cwd=home.folder,
            env=home.environment,
            stdin=terminal,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        ) as asking:
            said = asking.stderr.read()
    finally:
        os.close(person)
        os.close(terminal)

    assert (asking.returncode, said.splitlines()[-1]) == (
        130,
        "helios: stopped: the question was not answered with yes.",
    )
    assert not (home.home / "live" / ACCOUNT).exists()


def test_without_a_terminal_flattening_needs_a_yes_on_the_command_line(helios, folder):
    outcome = helios("flatten")

    assert (outcome.code, outcome.lines) == (
        2,
        ["helios: flatten: expected a yes, found no terminal to ask at. Add --yes."],
    )
    assert list(folder.iterdir()) == []


def test_a_paper_account_without_an_engine_is_halted_and_flattened_by_the_next(helios, folder):
    outcome = helios("flatten", "--why", "leaving", "--yes")

    assert outcome.code == 0
    assert "the engine that starts next flattens it first" in outcome.out
    assert switch_of(folder).mode == "HALTED"
    assert switch_of(folder).flatten_request.why == "leaving"


def test_an_engine_that_holds_the_account_and_does_not_answer_is_named(helios, folder):
    lock = HomeLock.take(folder)
    try:
        outcome = helios("flatten", "--yes")
    finally:
        lock.close()

    assert outcome.code == 9
    assert "found process" in outcome.err
    assert switch_of(folder).mode == "HALTED"


def test_status_shows_what_the_engine_says(helios, folder):
    with engine(folder, answering([], mode="ACTIVE", status=to_document(STATUS))):
        outcome = helios("status")

    assert outcome.code == 0
    for words in ("ACTIVE", "process 4711", "100,123.45", "+0.1", "61,000", "no manifest is signed", "stale_mark"):
        assert words in outcome.out


def test_status_without_an_engine_shows_the_mode_and_the_last_heartbeat(helios, folder):
    switch_of(folder).set("HALTED", "watchdog", "five starts")
    write_heartbeat(folder / HEARTBEAT, STATUS)

    outcome = helios("status")

    assert outcome.code == 9
    assert "HALTED by watchdog: five starts" in outcome.out
    assert "process 4711" in outcome.out
    assert "expected an engine to answer, found none" in outcome.err


def test_an_account_that_does_not_exist_is_named_with_those_that_do(helios, folder):
    outcome = helios("halt", "--account", "DYDX-papr")

    assert outcome.code == 2
    assert "found DYDX-paper" in outcome.err
    assert not (folder.parent / "DYDX-papr").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "DYDX-paper/", "../live/DYDX-paper"])
def test_an_account_is_a_name_and_no_path(helios, folder, name):
    outcome = helios("halt", "--account", name)

    assert (outcome.code, len(outcome.lines)) == (2, 1)
    assert f"--account {name!r}: expected the name of a folder" in outcome.err
    assert list(folder.parent.rglob("mode.json")) == []


def test_a_real_account_must_be_named_where_there_are_several(run_here, tmp_path):
    write_settings(tmp_path / "helios.toml", SMALL | {"live.network": "testnet"})
    for name in ("DYDX-paper", "DYDX-dydx1aaa-0"):
        (tmp_path / "home" / "live" / name).mkdir(parents=True)

    assert "DYDX-dydx1aaa-0: HALTED" in run_here("halt", folder=tmp_path).out

    (tmp_path / "home" / "live" / "DYDX-dydx1bbb-0").mkdir()
    outcome = run_here("halt", folder=tmp_path)
    assert outcome.code == 2
    assert "Name it with --account" in outcome.err


def test_the_key_of_another_account_flattens_nothing(run_here, tmp_path):
    write_settings(tmp_path / "helios.toml", SMALL | {"live.network": "testnet"})
    folder = tmp_path / "home" / "live" / "DYDX-dydx1aaa-0"
    folder.mkdir(parents=True)

    outcome = run_here("flatten", "--yes", folder=tmp_path, HELIOS_DYDX_KEY="11" * 32)

    assert outcome.code == 2
    assert "expected the key of this account" in outcome.err
    assert (folder / FLATTEN_FILE).exists()
