"""An account as the indexer has it at one block, read by REST alone.

`quote_balance` is the subaccount's USDC with exactly the funding that is listed in `fundingPayments`. The chain books
funding when a position is next touched; the indexer serves the balance as if that had been done in the block of the
settlement (comlink, `adjustUSDCAssetPosition`), and lists the payment later: what is not listed yet is taken out again.
Where listed payments have more digits than a USDC has (millionths), the chain rounds what it books: of a position that
is closed, each of them may then differ from the balance by less than a millionth.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from helios_pipeline.adapters.dydx.account_records import (
    Owner,
    read_fill,
    read_order,
    read_payments,
    read_positions,
    read_quote_balance,
    read_transfer,
)
from helios_pipeline.adapters.dydx.addresses import DydxAddresses
from helios_pipeline.adapters.dydx.indexer import DydxIndexer, read_instant
from helios_pipeline.adapters.dydx.unlisted_funding import first_height, unlisted_funding
from helios_pipeline.core.errors import UnreachableError
from helios_pipeline.core.venues import VenueAccount

type Json = dict[str, Any]

_ATTEMPTS = 8


class DydxAccountReader:
    """Reads one account; see `core.venues.AccountReader`. It remembers nothing between two readings."""

    def __init__(self, addresses: DydxAddresses, address: str) -> None:
        self._addresses, self._address = addresses, address

    def read(self, since: datetime | None) -> VenueAccount:
        """The account at one block, with what was booked after `since`; client order ids are not known here.

        Raises:
            UnreachableError: no answer, or the account changed during each of several readings.
            VenueError: an answer is not as the indexer documents it.
        """
        addresses = self._addresses
        with DydxIndexer(addresses.http, self._address, addresses.subaccount) as indexer:
            return read_account(indexer, addresses.account(self._address), since, _nobody)


def read_account(indexer: DydxIndexer, account: str, since: datetime | None, owner: Owner) -> VenueAccount:
    """An account at one block.

    Its money is read before and after all else, and again until nothing changed in between: then fills, payments,
    balance and positions are of one moment. Rows of later blocks are left out.

    Args:
        indexer: of the subaccount.
        account: its name.
        since: rows booked at or before it are left out; None: all.
        owner: knows our own orders.

    Raises:
        UnreachableError: no answer, or it changed during each of several readings.
    """
    before = indexer.subaccount()
    for _ in range(_ATTEMPTS):
        found = _read_rows(indexer, account, before, since, owner)
        after = indexer.subaccount()
        if _money(before) == _money(after):
            return found
        before = after
    raise UnreachableError(
        f"account {account}: expected it to stand still for one reading, found it changed in each of {_ATTEMPTS}. "
        "It is read again."
    )


def _read_rows(
    indexer: DydxIndexer, account: str, subaccount: Json | None, since: datetime | None, owner: Owner
) -> VenueAccount:
    height = indexer.block().height if subaccount is None else int(subaccount["latestProcessedBlockHeight"])
    empty = VenueAccount(
        account=account,
        read_at=datetime.now(UTC),
        height=height,
        quote_balance=Decimal(0),
        positions={},
        open_orders=(),
        fills=(),
        funding=(),
        transfers=(),
    )
    if subaccount is None:
        return empty
    wanted = booked_after(since)
    oldest = first_height(subaccount)
    # Those of open positions are read from their beginning, to see what is not listed yet.
    listed = [
        row
        for row in indexer.funding_payments(
            lambda row: wanted(row) or (oldest is not None and int(row["createdAtHeight"]) >= oldest)
        )
        if int(row["createdAtHeight"]) <= height
    ]

    def kept(rows: list[Json]) -> list[Json]:
        return [row for row in rows if int(row["createdAtHeight"]) <= height]

    return replace(
        empty,
        fills=tuple(read_fill(row, account, owner) for row in reversed(kept(indexer.fills(wanted)))),
        funding=tuple(read_payments([row for row in listed if wanted(row)], account)),
        transfers=tuple(read_transfer(row, account) for row in reversed(kept(indexer.transfers(wanted)))),
        open_orders=tuple(read_order(row) for row in indexer.open_orders()),
        positions=read_positions(subaccount),
        quote_balance=read_quote_balance(subaccount) - unlisted_funding(subaccount, listed),
    )


def booked_after(since: datetime | None) -> Callable[[Json], bool]:
    """Whether a row was booked after an instant, in whole milliseconds as the indexer has them."""
    if since is None:
        return lambda row: True  # noqa: ARG005
    floor = since - timedelta(microseconds=since.microsecond % 1_000)
    return lambda row: read_instant(row["createdAt"]) > floor


def _money(subaccount: Json | None) -> object:
    """What changes with every fill, payment and transfer."""
    if subaccount is None:
        return None
    return read_quote_balance(subaccount), read_positions(subaccount), subaccount["updatedAtHeight"]


def _nobody(venue_order_id: str) -> None:
    del venue_order_id
