from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from helios_pipeline.adapters.dydx.account_records import (
    read_fill,
    read_payments,
    read_positions,
    read_quote_balance,
    read_transfer,
)
from helios_pipeline.core.errors import VenueError

AT = datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)
FILL = {
    "id": "f",
    "side": "SELL",
    "liquidity": "MAKER",
    "market": "BTC-USD",
    "price": "40000.5",
    "size": "0.003",
    "fee": "-0.012",
    "createdAt": "2026-03-01T12:00:00.123Z",
    "createdAtHeight": "9",
    "orderId": "o",
}
PAYMENT = {
    "createdAt": "2026-03-01T12:00:00.123Z",
    "createdAtHeight": "9",
    "ticker": "BTC-USD",
    "oraclePrice": "40000",
    "size": "0.5",
    "side": "SHORT",
    "rate": "0.00001",
    "payment": "0.2",
}


def test_a_fill_is_exact_and_knows_its_order():
    fill = read_fill(FILL, "a", {"o": "17"}.get)
    assert (fill.venue_fill_id, fill.venue_order_id, fill.client_order_id) == ("f", "o", "17")
    assert (fill.side, fill.quantity, fill.price, fill.fee) == (
        -1,
        Decimal("0.003"),
        Decimal("40000.5"),
        Decimal("-0.012"),
    )
    assert (fill.liquidity, fill.filled_at) == ("maker", AT)


def test_the_stream_names_the_market_otherwise():
    message = {key: value for key, value in FILL.items() if key != "market"} | {"ticker": "BTC-USD"}
    assert read_fill(message, "a", {}.get) == read_fill(FILL, "a", {}.get)


def test_a_liquidation_has_no_order_and_is_named_after_its_fill():
    fill = read_fill({key: value for key, value in FILL.items() if key != "orderId"}, "a", {}.get)
    assert (fill.venue_order_id, fill.client_order_id) == ("liquidation-f", None)


def test_settlements_of_one_block_have_different_instants_in_their_order():
    rows = [PAYMENT | {"payment": "0.3"}, PAYMENT | {"ticker": "ETH-USD"}, PAYMENT]
    first, other, second = read_payments(rows, "a")
    assert (first.settled_at, second.settled_at) == (AT, AT + timedelta(microseconds=1))
    assert (first.amount, second.amount) == (Decimal("0.2"), Decimal("0.3"))
    assert (other.instrument_id, other.settled_at) == ("ETH-USD-PERP.DYDX", AT)
    assert first.position_quantity == Decimal("-0.5")


@pytest.mark.parametrize(
    ("kind", "amount"), [("DEPOSIT", 5), ("TRANSFER_IN", 5), ("WITHDRAWAL", -5), ("TRANSFER_OUT", -5)]
)
def test_a_transfer_has_the_sign_of_its_direction(kind, amount):
    row = {"id": "t", "type": kind, "size": "5", "createdAt": "2026-03-01T12:00:00.123Z"}
    assert read_transfer(row, "a").amount == amount


def test_money_that_is_owed_is_negative():
    owed = {"assetPositions": {"USDC": {"size": "12.5", "side": "SHORT"}}}
    assert read_quote_balance(owed) == Decimal("-12.5")
    assert read_quote_balance({"assetPositions": {}}) == 0


def test_a_size_is_signed_by_its_side_however_it_is_spelled():
    for size in ("0.5", "-0.5"):
        position = {"market": "BTC-USD", "side": "SHORT", "size": size, "entryPrice": "1"}
        found = read_positions({"openPerpetualPositions": {"BTC-USD": position}})
        assert found["BTC-USD-PERP.DYDX"].quantity == Decimal("-0.5")


@pytest.mark.parametrize("broken", [{}, FILL | {"price": "much"}, FILL | {"createdAt": "yesterday"}])
def test_what_is_not_as_documented_is_named(broken):
    with pytest.raises(VenueError, match="dYdX fill"):
        read_fill(broken, "a", {}.get)
