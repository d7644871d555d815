"""Every fault of the simulated venues, each while the engine trades across the close of a bar.

After each, the engine runs and is ready for entries again, and the account is the same in the journal and at the venue
to the last quantum.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from helios_pipeline.core.trading import Decision, Intent
from simulated_venues.faults import KINDS, Fault
from simulated_venues.remote import RemoteVenue
from tests.live_engine.agreement import Told, await_agreement
from tests.live_engine.harness import BAR_SECONDS, EAGER, Engine, FastWorld, Installation, fast_world, installation

BEFORE_SECONDS = 2.0
"""A fault begins so long before a bar closes."""
LASTS_SECONDS = 6.0
RECOVER_SECONDS = 60.0

BINANCE, DYDX = "binance", "dydx"

DRILLS: dict[str, Sequence[tuple[str, Fault]]] = {
    "messages come twice and out of order": (
        (BINANCE, Fault(kind="duplicate_messages")),
        (BINANCE, Fault(kind="reorder_messages", share=0.3)),
        (DYDX, Fault(kind="duplicate_messages")),
        (DYDX, Fault(kind="reorder_messages", share=0.3)),
    ),
    "messages are lost and late": (
        (BINANCE, Fault(kind="drop_messages", share=0.2)),
        (BINANCE, Fault(kind="delay_messages", value=300)),
        (DYDX, Fault(kind="drop_messages", share=0.2)),
        (DYDX, Fault(kind="delay_messages", value=300)),
    ),
    "requests fail, and another signer is at work": (
        (BINANCE, Fault(kind="http_status", value=503)),
        (DYDX, Fault(kind="http_status", where="/v4/*", value=503)),
        (DYDX, Fault(kind="bump_sequence", value=3)),
    ),
    "requests are slow and cut short, and the oracle jumps": (
        (BINANCE, Fault(kind="slow_response", value=400)),
        (BINANCE, Fault(kind="truncated_response", share=0.3)),
        (DYDX, Fault(kind="slow_response", where="/v4/*", value=400)),
        (DYDX, Fault(kind="truncated_response", where="/v4/*", share=0.3)),
        (DYDX, Fault(kind="oracle_jump", value=0.01)),
    ),
    "connections break and are refused": (
        (BINANCE, Fault(kind="refuse_connections")),
        (BINANCE, Fault(kind="disconnect")),
        (DYDX, Fault(kind="refuse_connections")),
        (DYDX, Fault(kind="disconnect")),
    ),
    "Binance says nothing, and fills are hidden": (
        (BINANCE, Fault(kind="mute")),
        (DYDX, Fault(kind="hide_fills")),
    ),
    "dYdX says nothing": ((DYDX, Fault(kind="mute")),),
    "prices stand still, and the indexer is behind": (
        (BINANCE, Fault(kind="stale_prices")),
        (DYDX, Fault(kind="stale_prices")),
        (DYDX, Fault(kind="indexer_lag", value=6)),
    ),
    "a depth message is missing, and transactions are swallowed": (
        (BINANCE, Fault(kind="depth_gap", count=2)),
        (DYDX, Fault(kind="swallow_transaction", count=2)),
    ),
    "orders are refused": ((DYDX, Fault(kind="reject_orders", value=1_000, count=3)),),
    "orders are filled in parts, and after their cancel": (
        (DYDX, Fault(kind="partial_fills", value=0.4)),
        (DYDX, Fault(kind="late_fill_after_cancel")),
    ),
    "Binance restarts, and the chain halts": (
        (BINANCE, Fault(kind="restart", value=3)),
        (DYDX, Fault(kind="halt_chain")),
    ),
    "dYdX restarts": ((DYDX, Fault(kind="restart", value=3)),),
    "clocks are wrong": (
        (BINANCE, Fault(kind="clock_skew", value=3_000)),
        (DYDX, Fault(kind="clock_skew", value=-3_000)),
    ),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastWorld]:
    with fast_world(tmp_path_factory.mktemp("dydx")) as made:
        yield made


@pytest.fixture(scope="module")
def home(world: FastWorld, memory_folder: str | None) -> Iterator[Installation]:
    with installation(world, network="mainnet", parent=memory_folder) as made:
        made.promote(EAGER)
        yield made


@pytest.fixture(scope="module")
def engine(home: Installation) -> Engine:
    engine = home.engine()
    engine.await_trading()
    return engine


def test_every_fault_has_a_drill() -> None:
    drilled = {(venue, fault.kind) for drill in DRILLS.values() for venue, fault in drill}

    assert drilled == {(venue, kind) for kind, about in KINDS.items() for venue in about.venues}


@pytest.mark.parametrize("drill", DRILLS)
def test_the_account_agrees_after(engine: Engine, home: Installation, world: FastWorld, drill: str) -> None:
    engine.await_trading(RECOVER_SECONDS)
    time.sleep((-time.time() - BEFORE_SECONDS) % BAR_SECONDS)
    for venue, fault in DRILLS[drill]:
        RemoteVenue(world.venue(venue).url).start(_lasting(fault))
    time.sleep(LASTS_SECONDS)

    engine.await_trading(RECOVER_SECONDS)
    assert await_agreement(home) == [], engine.tail()


def _lasting(fault: Fault) -> Fault:
    once = str(KINDS[fault.kind].nature) == "once"
    return fault if once or fault.kind == "restart" else replace(fault, seconds=LASTS_SECONDS)


def test_no_entry_was_sent_where_the_decision_says_it_was_blocked(home: Installation, engine: Engine) -> None:
    told = Told(records=tuple(home.journal()))
    blocked = {(d.instrument_id, d.closed_at) for d in told.of(Decision) if d.outcome.startswith("blocked:")}
    entered = {(i.instrument_id, i.boundary) for i in told.of(Intent) if i.purpose == "entry"}

    assert blocked, "expected faults to block at least one wanted entry"
    assert not blocked & entered
    assert engine.process.poll() is None
