from decimal import Decimal

import pytest

from helios_pipeline.adapters.dydx.unlisted_funding import first_height, unlisted_funding


def position(ticker, opened, received):
    return {"market": ticker, "createdAtHeight": str(opened), "netFunding": received}


def payment(ticker, height, amount):
    return {"ticker": ticker, "createdAtHeight": str(height), "payment": amount}


def subaccount(*positions):
    return {"openPerpetualPositions": {each["market"]: each for each in positions}}


LISTED = [payment("BTC-USD", 30, "-0.2"), payment("ETH-USD", 30, "0.7"), payment("BTC-USD", 20, "-0.1")]


@pytest.mark.parametrize(
    ("positions", "missing"),
    [
        ((), "0"),
        ((position("BTC-USD", 15, "-0.3"),), "0"),
        ((position("BTC-USD", 15, "-0.55"),), "-0.25"),
        ((position("BTC-USD", 25, "-0.2"), position("ETH-USD", 5, "1.7")), "1.0"),
        # A payment in the block of its opening is the one before it's, or its own.
        ((position("BTC-USD", 20, "-0.2"),), "0"),
        ((position("BTC-USD", 20, "-0.3"),), "0"),
    ],
)
def test_what_positions_received_and_nobody_lists_is_found(positions, missing):
    assert unlisted_funding(subaccount(*positions), LISTED) == Decimal(missing)


def test_payments_are_read_from_the_oldest_position_on():
    assert first_height(subaccount()) is None
    assert first_height(subaccount(position("BTC-USD", 9, "0"), position("ETH-USD", 12, "0"))) == 9
