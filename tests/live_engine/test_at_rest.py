"""What a graceful stop waits for."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest

from helios_pipeline.core.trading import Intent, OrderEvent, VenueFill
from helios_pipeline.execution.books import Books
from live_engine.at_rest import unfinished

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BTC = "BTC-USD-PERP.DYDX"
ENTRY = Intent(
    account="A",
    instrument_id=BTC,
    client_order_id="1",
    venue_client_id=1,
    side=1,
    kind="market",
    quantity=Decimal("0.5"),
    limit_price=None,
    trigger_price=None,
    reduce_only=False,
    purpose="entry",
    reason="signal",
    boundary=NOW,
    atr=10.0,
    good_til_block=None,
    intended_at=NOW,
)
STOP = replace(
    ENTRY,
    client_order_id="2",
    venue_client_id=2,
    side=-1,
    kind="stop_market",
    trigger_price=Decimal(90),
    reduce_only=True,
    purpose="stop",
)
FILL = VenueFill(
    account="A",
    instrument_id=BTC,
    venue_fill_id="f",
    venue_order_id="v",
    client_order_id="1",
    side=1,
    quantity=Decimal("0.5"),
    price=Decimal(100),
    fee=Decimal(0),
    liquidity="taker",
    filled_at=NOW,
)


def accepted(order_id):
    return OrderEvent(
        account="A", client_order_id=order_id, state="accepted", venue_order_id="v", reason="", occurred_at=NOW
    )


def market(stop_atr):
    """What is asked of a market: its contract's id and its terms."""
    return SimpleNamespace(
        traded=SimpleNamespace(id=BTC), terms=SimpleNamespace(parameters=SimpleNamespace(stop_atr=stop_atr))
    )


def left(*records, stop_atr=2.0):
    books = Books("A")
    for record in records:
        books.apply(record)
    return list(unfinished(books, [market(stop_atr)]))


def test_an_account_without_orders_and_positions_is_at_rest():
    assert left() == []


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([ENTRY], "order 1 has no answer yet"),
        ([ENTRY, accepted("1")], "entry 1 may still fill"),
        ([ENTRY, FILL], f"{BTC}: 0.5 held without a stop of that size"),
        ([ENTRY, FILL, STOP], "order 2 has no answer yet"),
        (
            [ENTRY, FILL, replace(STOP, quantity=Decimal("0.4")), accepted("2")],
            f"{BTC}: 0.5 held without a stop of that size",
        ),
    ],
)
def test_it_says_what_is_under_way(records, expected):
    assert expected in left(*records)


def test_a_position_whose_stop_rests_is_at_rest():
    assert left(ENTRY, FILL, STOP, accepted("2")) == []


def test_a_champion_without_stops_leaves_none():
    assert left(ENTRY, FILL, stop_atr=0.0) == []
