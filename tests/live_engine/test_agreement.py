"""The drills' judge, judged: what is equal passes, and each thing that could be wrong is seen."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from helios_pipeline.core.trading import FundingPayment, InferredFill, Intent, JournalRecord, Transfer, VenueFill
from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.dydx.venue import DydxVenue
from simulated_venues.market import SimulatedMarket
from simulated_venues.venue import embedded
from tests.live_engine.agreement import (
    SIGN,
    Ledger,
    Told,
    broken_rules,
    differences,
    instrument_of,
    paper_differences,
    read_ledger,
)
from tests.simulated_venues.conftest import BTC, make_settings
from tests.simulated_venues.dydx.trader import BUY, CONDITIONAL, IOC, SELL, Trader

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """An account at a real simulated dYdX that bought, sold a part and left a stop."""
    settings = DydxSettings(state_folder=tmp_path_factory.mktemp("chain"), block_ms=80)
    with embedded(DydxVenue(SimulatedMarket(make_settings(ids=(BTC,))), settings)) as venue:
        trader = Trader(venue.addresses)
        bid, ask = trader.best()
        for side, size, price in ((BUY, "0.05", ask * 2), (SELL, "0.02", bid / 2)):
            done = trader.place(side, size, int(price), time_in_force=IOC)
            trader.wait_for(done, "FILLED")
        stop = int(bid * Decimal("0.9"))
        resting = trader.place(
            SELL,
            "0.03",
            stop,
            trigger=stop,
            flags=CONDITIONAL,
            condition_type=1,
            time_in_force=IOC,
            reduce_only=True,
        )
        trader.wait_for(resting, "UNTRIGGERED")
        return read_ledger(venue.addresses["url"], trader.address)


@pytest.fixture(scope="module")
def told(ledger: Ledger) -> Told:
    """What a journal would hold of it."""
    intents = [
        Intent(
            account="a",
            instrument_id=instrument_of(order["ticker"]),
            client_order_id=order["clientId"],
            venue_client_id=int(order["clientId"]),
            side=SIGN[order["side"]],
            kind="market",
            quantity=Decimal(order["size"]),
            limit_price=None,
            trigger_price=None,
            reduce_only=order["reduceOnly"],
            purpose="entry" if order["side"] == "BUY" else "exit",
            reason="signal",
            boundary=NOW,
            atr=None,
            good_til_block=None,
            intended_at=NOW,
        )
        for order in ledger.orders
    ]
    numbers = {order["id"]: order["clientId"] for order in ledger.orders}
    fills = [
        VenueFill(
            account="a",
            instrument_id=instrument_of(fill["market"]),
            venue_fill_id=fill["id"],
            venue_order_id=fill["orderId"],
            client_order_id=numbers[fill["orderId"]],
            side=SIGN[fill["side"]],
            quantity=Decimal(fill["size"]),
            price=Decimal(fill["price"]),
            fee=Decimal(fill["fee"]),
            liquidity=fill["liquidity"].lower(),
            filled_at=datetime.fromisoformat(fill["createdAt"]),
        )
        for fill in ledger.fills
    ]
    opening = Transfer(
        account="a", transfer_id="opening", amount=Decimal(100_000), reason="opening", transferred_at=NOW
    )
    return Told(records=(opening, *intents, *fills))


def changed(told: Told, kind: type, change: Callable[[JournalRecord], list[JournalRecord]]) -> Told:
    """The first record of a kind made into others."""
    first = told.of(kind)[0]
    return Told(records=tuple(new for each in told.records for new in (change(each) if each is first else [each])))


def test_what_is_equal_passes(told: Told, ledger: Ledger) -> None:
    assert len(ledger.fills) >= 2
    assert [order["type"] for order in ledger.open_orders] == ["STOP_LIMIT"]
    assert differences(told, ledger) == []
    assert broken_rules(told) == []


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        (VenueFill, lambda fill: [], "fill that only the other has"),
        (VenueFill, lambda fill: [replace(fill, fee=fill.fee + Decimal("0.000001"))], "USDC: the journal has"),
        (VenueFill, lambda fill: [replace(fill, price=fill.price + 1)], "fill that only the journal has"),
        (VenueFill, lambda fill: [replace(fill, quantity=fill.quantity * 2)], "positions: the journal has"),
        (Intent, lambda intent: [], "the venue has an order without an intent"),
        (Intent, lambda intent: [replace(intent, quantity=intent.quantity * 2)], "order "),
        (Intent, lambda intent: [replace(intent, side=-intent.side)], "order "),
        (Transfer, lambda transfer: [], "USDC: the journal has"),
    ],
)
def test_what_the_venue_tells_otherwise_is_seen(
    told: Told, ledger: Ledger, kind: type, change: Callable[[JournalRecord], list[JournalRecord]], says: str
) -> None:
    found = differences(changed(told, kind, change), ledger)

    assert any(line.startswith(says) for line in found), found


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        (VenueFill, lambda fill: [fill, fill], "expected once, found 2 times"),
        (VenueFill, lambda fill: [replace(fill, client_order_id="77")], "fill without an intent"),
        (VenueFill, lambda fill: [fill, replace(fill, venue_fill_id="another")], "filled, found"),
        (Intent, lambda intent: [intent, intent], "expected once, found 2 times"),
        (Intent, lambda intent: [replace(intent, venue_client_id=1)], "the venue's number"),
    ],
)
def test_what_may_never_happen_is_seen(
    told: Told, kind: type, change: Callable[[JournalRecord], list[JournalRecord]], says: str
) -> None:
    found = broken_rules(changed(told, kind, change))

    assert any(says in line for line in found), found


def test_two_entries_of_one_bar_are_seen_unless_the_first_was_refused(told: Told) -> None:
    entry = next(intent for intent in told.of(Intent) if intent.purpose == "entry")
    again = replace(entry, client_order_id="9", venue_client_id=9)

    found = broken_rules(Told(records=(*told.records, again)))

    assert any(line.startswith("entry of one bar") for line in found)


def test_a_fill_that_was_made_up_is_seen(told: Told) -> None:
    made_up = InferredFill(
        account="a",
        instrument_id="BTC-USD-PERP.DYDX",
        client_order_id="1",
        side=1,
        quantity=Decimal(1),
        price=Decimal(0),
        inferred_at=NOW,
    )

    assert broken_rules(Told(records=(*told.records, made_up)))


def test_a_paper_account_pays_exactly_what_was_settled() -> None:
    name = "BTC-USD-PERP.DYDX"
    bought = VenueFill(
        account="DYDX-paper",
        instrument_id=name,
        venue_fill_id="1",
        venue_order_id="1",
        client_order_id="1",
        side=1,
        quantity=Decimal("0.01"),
        price=Decimal("30000.1"),
        fee=Decimal("0.150001"),
        liquidity="taker",
        filled_at=NOW,
    )
    paid = FundingPayment(
        account="DYDX-paper",
        instrument_id=name,
        settled_at=NOW + timedelta(minutes=1),
        rate=Decimal("0.00001"),
        position_quantity=Decimal("0.01"),
        price=Decimal("30001.23"),
        amount=Decimal("-0.003001"),
    )
    settled = {
        name: {
            NOW: (Decimal("0.00002"), Decimal(30_000)),
            NOW + timedelta(minutes=1): (Decimal("0.00001"), Decimal("30001.23")),
        }
    }
    later = NOW + timedelta(minutes=2)

    assert paper_differences(Told(records=(bought, paid)), settled, later) == []
    assert paper_differences(Told(records=(bought,)), settled, later)
    assert paper_differences(Told(records=(bought, replace(paid, amount=Decimal("-0.003")))), settled, later)
    assert paper_differences(Told(records=(replace(bought, fee=Decimal("0.15")), paid)), settled, later)
    assert paper_differences(Told(records=(bought, paid, replace(paid, settled_at=NOW))), settled, later)
