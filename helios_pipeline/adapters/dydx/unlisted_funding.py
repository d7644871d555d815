"""Funding that is in a balance already, and not yet in the list of payments.

The indexer counts a settlement to balance and position in its block, and lists the payment up to a minute or two later
(v4-chain, `update-funding-payments`, once a minute). Until then the balance is ahead of everything that can be summed.
What is missing is known from open positions: each says what it received in all.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from helios_pipeline.adapters.dydx.account_records import instrument_of

type Json = dict[str, Any]


def unlisted_funding(subaccount: Json, payments: Iterable[Json]) -> Decimal:
    """What open positions received (negative: paid) and no listed payment tells.

    Args:
        subaccount: with its open positions.
        payments: all that are listed since the oldest of them was opened.
    """
    listed = list(payments)
    return sum((_of_position(each, listed) for each in subaccount["openPerpetualPositions"].values()), Decimal(0))


def first_height(subaccount: Json) -> int | None:
    """The block in which the oldest open position was opened; None without positions."""
    positions = subaccount["openPerpetualPositions"].values()
    return min((int(each["createdAtHeight"]) for each in positions), default=None)


def _of_position(position: Mapping[str, Any], payments: list[Json]) -> Decimal:
    opened, instrument_id = int(position["createdAtHeight"]), instrument_of(dict(position))
    own = [each for each in payments if instrument_of(each) == instrument_id]
    later = sum((Decimal(each["payment"]) for each in own if int(each["createdAtHeight"]) > opened), Decimal(0))
    # A payment of the block in which it was opened may be its own or that of the position before it.
    at_once = sum((Decimal(each["payment"]) for each in own if int(each["createdAtHeight"]) == opened), Decimal(0))
    received = Decimal(position["netFunding"])
    return min(received - later, received - later - at_once, key=abs)
