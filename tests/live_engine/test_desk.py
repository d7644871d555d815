"""The desk answers the strategy from a real journal and a real champion."""

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from helios_pipeline.core.trading import ChampionChange, Decision, Intent, OrderEvent, Transfer, VenueFill
from helios_pipeline.execution.champion_terms import make_terms
from helios_pipeline.execution.decision_records import nanoseconds
from helios_pipeline.strategy.allocation import AccountState
from helios_pipeline.strategy.desk import BoundaryDecision, Features, MarketDecision
from helios_pipeline.strategy.signal import MarketState
from live_engine.champion import ChampionHolder, TrustedDeployment
from live_engine.desk import DeskParts, LiveDesk
from live_engine.journal import Journal
from tests.live_engine.manifests import BITCOIN, ETHER, HERE, TRUSTED, signed

ACCOUNT = "DYDX-paper"
BAR = timedelta(minutes=15)
CLOSED = datetime(2026, 1, 1, 12, tzinfo=UTC)
MARKETS = (BITCOIN, ETHER)


class Fixed:
    def __init__(self, manifest):
        self._manifest = manifest

    def read(self):
        return self._manifest


class Office:
    """A desk over a journal in a folder; opened again, it is the desk of a restarted engine."""

    def __init__(self, folder, manifest):
        self.folder, self.manifest = folder, manifest
        self.mode, self.reasons = "ACTIVE", ()
        self.open()

    def open(self):
        self.journal = Journal.open(self.folder / "log", ACCOUNT)
        self.champion = ChampionHolder(
            TrustedDeployment(deployment=HERE, trusted=TRUSTED),
            Fixed(self.manifest),
            self.folder / "champions",
            lambda manifest, name: make_terms(manifest, name, MARKETS),
            lambda name, why: None,
        )
        self.champion.poll()
        parts = DeskParts(
            journal=self.journal,
            sink=self.journal,
            champion=self.champion,
            mode=lambda: self.mode,
            blocked=lambda instrument_id: self.reasons,
            missed_bars=lambda since: [since],
        )
        self.desk = LiveDesk(parts, MARKETS, BAR)

    def reopen(self):
        self.journal.close()
        self.open()
        return self.desk

    def intend(self, order_id, purpose, side, quantity, *, state=None):
        boundary = {"boundary": CLOSED, "atr": 120.5} if purpose != "other" else {"boundary": None, "atr": None}
        self.journal.append(
            Intent(
                account=ACCOUNT,
                instrument_id=BITCOIN.instrument_id,
                client_order_id=order_id,
                venue_client_id=int(order_id),
                side=side,
                kind="market",
                quantity=Decimal(quantity),
                limit_price=None,
                trigger_price=None,
                reduce_only=purpose != "entry",
                purpose=purpose,
                reason="signal",
                good_til_block=None,
                intended_at=CLOSED,
                **boundary,
            )
        )
        if state:
            self.journal.append(
                OrderEvent(
                    account=ACCOUNT,
                    client_order_id=order_id,
                    state=state,
                    venue_order_id=None,
                    reason="",
                    occurred_at=CLOSED,
                )
            )

    def fill(self, order_id, side, quantity, price, fee="0"):
        self.journal.append(
            VenueFill(
                account=ACCOUNT,
                instrument_id=BITCOIN.instrument_id,
                venue_fill_id=f"{order_id}-{quantity}-{price}",
                venue_order_id=order_id,
                client_order_id=order_id,
                side=side,
                quantity=Decimal(quantity),
                price=Decimal(price),
                fee=Decimal(fee),
                liquidity="taker",
                filled_at=CLOSED + timedelta(seconds=1),
            )
        )

    def deposit(self, amount):
        self.journal.append(
            Transfer(account=ACCOUNT, transfer_id="opening", amount=Decimal(amount), reason="", transferred_at=CLOSED)
        )


@pytest.fixture
def office(tmp_path):
    made = Office(tmp_path, signed(signal_ids=(BITCOIN.signal_instrument_id, ETHER.signal_instrument_id)))
    yield made
    made.journal.close()


def decision(office, outcomes=("enter", "flat"), sides=(0, 0)):
    manifest_hash = office.champion.current.manifest_hash
    return BoundaryDecision(
        closed_at=nanoseconds(CLOSED),
        decided_at=nanoseconds(CLOSED) + 12_345_678,
        features=Features(
            np.array([-2.5, math.nan]), np.array([0.25, math.nan]), np.array([0.4, 0.5]), np.array([120.5, math.nan])
        ),
        closes=(412_345, 0),
        account=AccountState(10_000_123_456_789, 250_000, 1),
        mode="ACTIVE",
        late=False,
        markets=tuple(
            MarketDecision(m, manifest_hash, MarketState(side, 0, True), 0, "", m == 0, 1 if m == 0 else 0, outcome, 7)
            for m, (side, outcome) in enumerate(zip(sides, outcomes, strict=True))
        ),
    )


def test_a_decision_is_in_the_journal_with_everything_it_was_made_on(office):
    office.desk.record(decision(office))

    first, second = office.journal.records()
    assert (first.instrument_id, first.opened_at, first.closed_at) == ("BTC-USD-PERP.DYDX", CLOSED - BAR, CLOSED)
    assert first.decided_at == CLOSED + timedelta(microseconds=12_345)
    assert (first.z_price, first.z_funding, first.volatility, first.atr) == (-2.5, 0.25, 0.4, 120.5)
    assert (first.close, first.equity, first.gross_kept) == (
        Decimal("41234.5"),
        Decimal("100001.23456789"),
        Decimal("0.00250000"),
    )
    assert (first.wanted, first.outcome, first.lots) == (1, "enter", 7)
    assert (second.z_price, second.atr, second.close) == (None, None, None)


def test_one_bar_is_decided_once_even_if_it_is_recorded_again(office):
    office.desk.record(decision(office))
    office.desk.record(decision(office, outcomes=("flat", "flat")))

    assert [each.outcome for each in office.journal.records()] == ["enter", "flat"]


def test_equity_is_the_journals_cash_and_what_it_holds_at_the_closes(office):
    office.deposit("100000")
    office.intend("11", "entry", 1, "0.5")
    office.fill("11", 1, "0.5", "40000", fee="10.5")

    # 100,000 − 0.5 × 40,000 − 10.5 + 0.5 × 41,234.5
    assert office.desk.equity_quanta((412_345, 0)) == 10_060_675_000_000


def test_a_restart_gives_position_stop_and_decision_back(office):
    office.desk.record(decision(office))
    office.intend("11", "entry", 1, "0.5")
    office.fill("11", 1, "0.2", "40000")
    office.fill("11", 1, "0.3", "40010")
    office.intend("12", "stop", -1, "0.5", state="accepted")

    desk = office.reopen()

    left = desk.restored(0)
    assert (left.holding.side, left.holding.lots, left.holding.entry_ticks) == (1, 5_000, 40_006)
    assert (left.holding.entered_at, left.holding.atr) == (nanoseconds(CLOSED), 120.5)
    assert left.decided_at == nanoseconds(CLOSED)
    assert (left.close, left.manifest_hash) == ("41234.5", office.champion.current.manifest_hash)
    assert [order.purpose for order in left.sent.values()] == ["entry", "stop"]
    assert desk.restored(1).holding.side == 0


def test_what_is_journalled_between_desk_and_strategy_is_in_the_restored_market(office):
    office.desk.record(decision(office))
    office.intend("11", "entry", 1, "0.5")
    office.fill("11", 1, "0.2", "40000")

    desk = office.reopen()
    office.fill("11", 1, "0.3", "40010")

    assert desk.restored(0).holding.lots == 5_000
    assert list(desk.restored(0).taken) == ["11-0.2-40000", "11-0.3-40010"]
    assert desk.restored(0) == office.reopen().restored(0)


def test_an_order_id_is_never_given_twice_not_even_after_a_restart(office):
    given = [office.desk.next_order_id() for _ in range(5)]

    given += [office.reopen().next_order_id() for _ in range(3)]

    assert len(set(given)) == 8
    assert all(0 < int(each) < 2**31 for each in given)


def test_nothing_but_what_is_known_waits_for_an_order_of_unknown_outcome(office):
    assert office.desk.waits(0, "exit") == ""

    office.intend("11", "exit", -1, "0.5")

    assert office.desk.waits(0, "exit") == office.desk.waits(0, "stop") == "order 11 is unknown"
    assert office.desk.waits(1, "exit") == ""


def test_halted_holds_exits_back_and_not_stops(office):
    office.mode = "HALTED"

    assert (office.desk.waits(0, "exit"), office.desk.waits(0, "stop")) == ("halted", "")


def test_the_first_gate_names_why_an_entry_is_blocked(office):
    office.reasons = ("stale_quotes: quotes of BTC-USD-PERP.DYDX are 40 s old", "mode: REDUCING")

    assert office.desk.blocked(0) == "stale_quotes"


def test_a_champion_that_is_taken_over_is_journalled_with_its_instruments(office):
    office.desk.took_over("abc", [1])

    (change,) = office.journal.records()
    assert isinstance(change, ChampionChange)
    assert (change.action, change.manifest_hash, change.instruments) == ("taken_over", "abc", ("ETH-USD-PERP.DYDX",))


def test_terms_are_those_of_the_champion_and_of_earlier_ones(office):
    terms = office.desk.terms()

    assert terms is office.desk.terms_of(terms.manifest_hash)
    assert office.desk.terms_of("0" * 64) is None


def test_missed_bars_are_asked_for_from_the_last_decision(office):
    assert office.desk.missed_bars(nanoseconds(CLOSED)) == [CLOSED]


def test_an_exit_that_was_decided_before_the_restart_is_still_wanted(office):
    office.intend("11", "entry", 1, "0.5")
    office.fill("11", 1, "0.5", "40000")
    office.desk.record(decision(office, outcomes=("exit:max_holding", "flat"), sides=(1, 0)))

    left = office.reopen().restored(0)

    assert left.holding.leaving == "max_holding"
    assert isinstance(next(iter(office.journal.records())), Intent)
    assert sum(isinstance(each, Decision) for each in office.journal.records()) == 2
