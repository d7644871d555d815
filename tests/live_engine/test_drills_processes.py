"""The engine among processes that die: database, venues, watchdog, itself for good; and commands while it trades."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from helios_pipeline.core.trading import ChampionChange, Decision, Intent, ModeChange, Reconciliation, VenueFill
from simulated_venues.faults import Fault
from simulated_venues.remote import RemoteVenue
from tests.live_engine.agreement import Told, await_agreement, read_ledger
from tests.live_engine.harness import (
    EAGER,
    HELIOS,
    STEADY,
    Engine,
    FastWorld,
    Installation,
    await_that,
    fast_world,
    installation,
    tampered,
)

OUTAGE_SECONDS = 30.0
BARS_3 = 60.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastWorld]:
    with fast_world(tmp_path_factory.mktemp("dydx")) as made:
        yield made


@pytest.fixture(scope="module")
def home(world: FastWorld, memory_folder: str | None) -> Iterator[Installation]:
    with installation(world, network="mainnet", parent=memory_folder) as made:
        made.promote(EAGER)
        yield made


@pytest.fixture
def engine(home: Installation) -> Engine:
    """An engine that trades: the one that runs, or a new one."""
    running = [each for each in home.started if isinstance(each, Engine) and each.process.poll() is None]
    found = running[-1] if running else home.engine()
    found.await_trading()
    return found


def helios(home: Installation, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HELIOS, *arguments], cwd=home.folder, env=home.environment, capture_output=True, text=True, timeout=60
    )


def records_so_far(home: Installation) -> int:
    return len(home.journal())


def test_postgresql_may_be_away_for_half_a_minute_and_misses_nothing(home: Installation, engine: Engine) -> None:
    before = records_so_far(home)
    home.kill_database()
    time.sleep(OUTAGE_SECONDS)
    told = engine.status()
    assert told is not None
    assert told.copy_lag_seconds > 0
    home.start_database()

    engine.await_status(lambda told: told.copy_lag_seconds == 0, "the copy to have everything")
    traded = [r for r in home.journal()[before:] if isinstance(r, Intent) and r.purpose == "entry"]
    assert traded, "expected entries while PostgreSQL was away"
    assert await_agreement(home) == []


def test_a_venue_that_is_killed_and_comes_back_finds_the_engine_waiting(
    home: Installation, engine: Engine, world: FastWorld
) -> None:
    for venue in (world.dydx, world.binance):
        venue.kill()
        engine.await_status(lambda told: bool(told.blocked), "entries to be blocked without the venue")
        venue.restart()
        engine.await_trading()

    engine.await_record(VenueFill, lambda _: True, "a fill", after=records_so_far(home))
    assert await_agreement(home) == []


def test_a_second_engine_on_the_account_ends_naming_the_first(home: Installation, engine: Engine) -> None:
    second = home.engine()

    assert second.await_end() not in (0, -signal.SIGKILL)
    assert str(engine.pid) in second.tail()
    assert engine.process.poll() is None


def test_a_manifest_with_one_byte_changed_is_refused_and_the_old_one_kept(home: Installation, engine: Engine) -> None:
    before = engine.status()
    assert before is not None
    signed = tampered(home.sign(STEADY))
    home.record(signed, STEADY)

    refused = engine.await_record(ChampionChange, lambda change: change.action == "refused", "the refusal", seconds=90)
    assert refused.manifest_hash == signed.content_hash
    told = engine.await_status(lambda told: bool(told.champion_note), "the status to say why")
    assert told.champion == before.champion
    engine.await_record(
        Decision, lambda made: made.manifest_hash == before.champion, "a decision", after=records_so_far(home)
    )


def test_reducing_refuses_entries_and_lets_exits_through(home: Installation, engine: Engine) -> None:
    engine.await_status(lambda told: any(market.quantity for market in told.markets), "a position", 90)
    before = records_so_far(home)
    said = helios(home, "reduce", "--why", "a drill")
    assert said.returncode == 0, said.stderr

    engine.await_status(lambda told: not any(market.quantity for market in told.markets), "every position to end", 90)
    changed = engine.await_record(ModeChange, lambda change: change.mode == "REDUCING", "the mode", after=before)
    engine.await_record(
        Decision,
        lambda made: made.outcome.startswith("blocked:"),
        "a refused entry",
        after=home.journal().index(changed),
    )
    sent = [record for record in home.journal()[home.journal().index(changed) :] if isinstance(record, Intent)]
    assert not [intent for intent in sent if intent.purpose == "entry"]
    said = helios(home, "resume", "--why", "the drill is over")
    assert said.returncode == 0, said.stderr


def test_a_halt_outlives_a_kill_and_only_resume_ends_it(home: Installation, engine: Engine) -> None:
    said = helios(home, "halt", "--why", "a drill")
    assert said.returncode == 0, said.stderr
    engine.await_status(lambda told: told.mode == "HALTED", "the halt")
    engine.kill()

    again = home.engine()
    told = again.await_status(lambda told: told.trader_running, "the trader to run")
    assert told.mode == "HALTED"
    assert "a drill" in told.mode_why
    before = records_so_far(home)
    again.await_record(Decision, lambda _: True, "a decision", after=before)
    assert not [r for r in home.journal()[before:] if isinstance(r, Intent) and r.purpose == "entry"]

    said = helios(home, "resume", "--why", "the drill is over")
    assert said.returncode == 0, said.stderr
    again.await_trading()
    assert await_agreement(home) == []


def test_engine_and_watchdog_killed_together_come_back_to_the_same_account(home: Installation, engine: Engine) -> None:
    engine.stop()
    before = len(home.journal())
    supervisor = home.command("live", "--plain")
    first = await_that(lambda: children(supervisor.pid), "engine and watchdog", 90, supervisor.tail)
    home.await_heartbeat(first["live_engine.main"])
    for pid in first.values():
        os.kill(pid, signal.SIGKILL)

    def others() -> dict[str, int]:
        found = children(supervisor.pid)
        return {} if set(found.values()) & set(first.values()) else found

    second = await_that(others, "another engine and another watchdog", 90, supervisor.tail)
    home.await_heartbeat(second["live_engine.main"])
    await_that(
        lambda: [each for each in home.journal()[before:] if isinstance(each, Reconciliation) and each.agreed],
        "all to agree",
        seen=supervisor.tail,
    )
    assert await_agreement(home) == [], supervisor.tail()
    supervisor.stop()


def children(pid: int) -> dict[str, int]:
    """Engine and watchdog that a process started, by module; empty unless both run."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            arguments = (folder / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if parent == pid:
            found |= {each: int(folder.name) for each in arguments if each.startswith("live_engine.")}
    return found if len(found) == 2 else {}


def test_a_stop_that_is_crossed_is_filled_by_the_venue_with_the_engine_dead(
    home: Installation, engine: Engine, world: FastWorld
) -> None:
    told = engine.await_status(
        lambda told: any(market.quantity and market.stop_price for market in told.markets),
        "a position and its stop",
        90,
    )
    engine.kill()
    market = next(market for market in told.markets if market.quantity and market.stop_price)
    jump = Decimal("-0.05") if market.quantity > 0 else Decimal("0.05")
    ticker = market.instrument_id.removesuffix("-PERP.DYDX")
    RemoteVenue(world.dydx.url).start(Fault(kind="oracle_jump", where=ticker, value=float(jump), seconds=10))

    await_that(
        lambda: market.instrument_id not in read_ledger(world.dydx.url, home.address).positions,
        "the venue to close the position",
    )
    back = home.engine()
    back.await_trading()
    assert await_agreement(home) == [], back.tail()
    told_records = Told(records=tuple(home.journal()))
    stops = {intent.client_order_id for intent in told_records.of(Intent) if intent.purpose == "stop"}
    assert any(fill.client_order_id in stops for fill in told_records.of(VenueFill))
