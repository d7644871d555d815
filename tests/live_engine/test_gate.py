"""The gate of a running engine looks at the moment: what was sent, what is unknown, what was lost in a row."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from helios_pipeline.core.trading import AccountSnapshot, Intent, ModeChange, OrderEvent, Transfer, VenueFill
from helios_pipeline.execution.books import Books
from helios_pipeline.execution.positions import RoundTrip
from live_engine.gate import GateSources, RiskGate, losses_in_a_row, open_quantities
from tests.live_engine.test_risk_gate import BTC, ENTRY, ETH, LIMITS, SIGNALS, streams

ACCOUNT = "DYDX-paper"
NOW = datetime.now(UTC)
CASH = Decimal(100_000)


class Agreed:
    agreed_at = NOW
    differences = ()


def intent(number=7, **changes):
    made = Intent(
        account=ACCOUNT,
        instrument_id=BTC,
        client_order_id=str(number),
        venue_client_id=number,
        side=1,
        kind="market",
        quantity=Decimal("0.5"),
        limit_price=None,
        trigger_price=None,
        reduce_only=False,
        purpose="entry",
        reason="signal",
        boundary=None,
        atr=None,
        good_til_block=None,
        intended_at=NOW,
    )
    return replace(made, **changes)


def told(state, number=7):
    return OrderEvent(
        account=ACCOUNT, client_order_id=str(number), state=state, venue_order_id="V", reason="", occurred_at=NOW
    )


def fill(quantity, number=7):
    return VenueFill(
        account=ACCOUNT,
        instrument_id=BTC,
        venue_fill_id=f"{number}-{quantity}",
        venue_order_id="V",
        client_order_id=str(number),
        side=1,
        quantity=Decimal(quantity),
        price=Decimal(60_000),
        fee=Decimal(0),
        liquidity="taker",
        filled_at=NOW,
    )


def gate_of(*records, mode=None, marks=None, **sources):
    books = Books(ACCOUNT)
    books.apply(Transfer(account=ACCOUNT, transfer_id="opening", amount=CASH, reason="", transferred_at=NOW))
    books.apply(AccountSnapshot(account=ACCOUNT, quote_balance=CASH, equity=CASH, taken_at=NOW))
    for record in records:
        books.apply(record)
    active = ModeChange(account=ACCOUNT, mode="ACTIVE", who="ops", why="", changed_at=NOW - timedelta(days=1))
    made = GateSources(
        books=books,
        signals=SIGNALS,
        mode=lambda: mode or active,
        marks=lambda: {BTC: Decimal(60_000), ETH: Decimal(2_500)} if marks is None else marks,
        streams=streams,
        clock_skew_ms=lambda: 0.0,
        copy_lag_seconds=lambda: 0.0,
        agreement=Agreed(),
        others=lambda: (),
    )
    return RiskGate(LIMITS, replace(made, **sources))


def gate_name(gate, order=ENTRY):
    refusal = gate.judge(order)
    return None if refusal is None else refusal.gate


def test_a_sound_engine_lets_an_entry_through_and_counts_what_it_refuses():
    gate = gate_of()

    assert gate_name(gate) is None
    assert gate_name(gate, replace(ENTRY, quantity=Decimal(9))) == "order_notional"
    assert gate.refused == {"order_notional": 1}
    assert gate.blocked() == ()


def test_why_entries_are_blocked_is_said_for_one_market_and_for_all():
    gate = gate_of(streams=lambda: streams(trades=99.0), others=lambda: ("no champion is in force",))

    assert "engine: no champion is in force" in gate.blocked()
    assert len(gate.blocked()) == 3
    assert len(gate.blocked(BTC)) == 2


def test_an_order_of_an_earlier_engine_is_unknown_at_once_and_one_of_this_after_a_moment():
    earlier = gate_of(intent(intended_at=NOW - timedelta(seconds=1)))
    assert earlier.state().unknown == {BTC}

    books = Books(ACCOUNT)
    gate = gate_of(books=books)
    books.apply(intent(intended_at=datetime.now(UTC)))
    assert gate.state().unknown == frozenset()
    assert gate_of(intent(), told("accepted")).state().unknown == frozenset()


def test_orders_that_an_earlier_engine_sent_count_for_the_rate():
    recent = [
        intent(number, intended_at=datetime.now(UTC) - timedelta(seconds=30), instrument_id=ETH) for number in range(29)
    ]
    old = [intent(number, intended_at=datetime.now(UTC) - timedelta(seconds=90)) for number in range(100, 130)]
    gate = gate_of(*recent, *old, *(told("canceled", each.client_order_id) for each in (*recent, *old)))

    assert gate_name(gate) is None
    gate.sent()
    assert gate_name(gate) == "order_rate"


def test_a_position_whose_mark_is_missing_leaves_the_equity_unknown():
    gate = gate_of(intent(), told("accepted"), fill("0.5"), marks={})

    assert gate.state().equity is None
    assert gate_name(gate) == "daily_loss"


def test_equity_is_counted_at_the_marks():
    gate = gate_of(intent(), told("accepted"), fill("0.5"), marks={BTC: Decimal(50_000)})

    assert gate.state().equity == Decimal(95_000)
    assert gate_name(gate) == "daily_loss"


def test_only_what_may_still_fill_is_open():
    books = Books(ACCOUNT)
    for record in (
        intent(1),
        intent(2),
        told("accepted", 2),
        fill("0.2", 2),
        intent(3),
        told("canceled", 3),
        intent(4, reduce_only=True, side=-1),
        told("rejected", 5),
    ):
        books.apply(record)

    found = sorted((each.side, each.quantity, each.reduce_only) for each in open_quantities(books))
    assert found == [(-1, Decimal("0.5"), True), (1, Decimal("0.3"), False), (1, Decimal("0.5"), False)]


def trip(pnl, hours):
    return RoundTrip(
        instrument_id=BTC,
        side=1,
        quantity=Decimal(1),
        entry_price=Decimal(1),
        exit_price=Decimal(1),
        entered_at=NOW,
        left_at=NOW + timedelta(hours=hours),
        fees=Decimal(0),
        funding=Decimal(0),
        pnl=Decimal(pnl),
        exit_order=None,
    )


def test_losses_are_counted_back_to_the_last_profit_or_the_last_resume():
    trips = [trip(pnl, hours) for hours, pnl in enumerate([-1, 5, -1, -2, -3])]

    assert losses_in_a_row(trips, None) == 3
    assert losses_in_a_row(trips, NOW + timedelta(hours=3)) == 1
    assert losses_in_a_row(trips, NOW + timedelta(hours=4)) == 0
    assert losses_in_a_row([*trips, trip(0, 9)], None) == 0


@given(st.lists(st.integers(-3, 3), max_size=20), st.none() | st.integers(0, 20))
def test_losses_in_a_row_are_a_run_at_the_end(pnls, since):
    trips = [trip(pnl, hours) for hours, pnl in enumerate(pnls)]
    moment = None if since is None else NOW + timedelta(hours=since)

    count = losses_in_a_row(trips, moment)

    assert all(each.pnl < 0 for each in trips[len(trips) - count :])
    before = trips[: len(trips) - count]
    assert not before or before[-1].pnl >= 0 or (moment is not None and before[-1].left_at <= moment)
