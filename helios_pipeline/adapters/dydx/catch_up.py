"""What is read of an account by REST, so that nothing depends on a stream having told everything.

The height is read first: what is read after it holds everything up to that block.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from helios_pipeline.adapters.dydx.account_reader import booked_after
from helios_pipeline.adapters.dydx.account_records import Owner, read_fill, read_payments, read_transfer
from helios_pipeline.adapters.dydx.indexer import DydxIndexer
from helios_pipeline.adapters.dydx.working_orders import ShownOrder, read_shown
from helios_pipeline.core.trading import FundingPayment, Transfer, VenueFill

type Json = dict[str, Any]

OVERLAP_BLOCKS = 20
"""Blocks that are read again: an indexer is many machines, and one may be behind another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFrom:
    """From where on rows are read.

    Attributes:
        height: rows of blocks before it are known; 0 for all.
        since: rows booked at or before it are known; None for all.
    """

    height: int
    since: datetime | None

    def wants(self) -> Callable[[Json], bool]:
        """Whether a row is to be read."""
        after = booked_after(self.since)
        return lambda row: int(row["createdAtHeight"]) >= self.height and after(row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """What is asked for while orders work.

    Attributes:
        height: block up to which it is complete.
        fills: oldest first.
        orders: by venue order id, those that were asked for; None for one that the indexer does not know.
    """

    height: int
    fills: tuple[VenueFill, ...]
    orders: dict[str, ShownOrder | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What is asked for from time to time.

    Attributes:
        payments, transfers: oldest first.
        subaccount: the indexer's document; None if the venue has never seen it.
        skew_ms: how far the venue's clock is ahead of ours.
        oracle_prices: ticker → price, as text.
    """

    payments: tuple[FundingPayment, ...]
    transfers: tuple[Transfer, ...]
    subaccount: Json | None
    skew_ms: float
    oracle_prices: dict[str, str]


def read_fresh(indexer: DydxIndexer, account: str, owner: Owner, start: ReadFrom, orders: Iterable[str]) -> Fresh:
    """Fills and the state of some orders."""
    height = indexer.block().height
    fills = tuple(read_fill(row, account, owner) for row in reversed(indexer.fills(start.wants())))
    documents = {each: indexer.order(each) for each in orders}
    shown = {each: None if document is None else read_shown(document) for each, document in documents.items()}
    return Fresh(height=height, fills=fills, orders=shown)


def read_whole(indexer: DydxIndexer, account: str, payments: ReadFrom, transfers: ReadFrom) -> Whole:
    """Funding payments, transfers, money and clock."""
    paid = read_payments(indexer.funding_payments(payments.wants()), account)
    moved = tuple(read_transfer(row, account) for row in reversed(indexer.transfers(transfers.wants())))
    subaccount = indexer.subaccount()
    asked = datetime.now(UTC)
    venue = indexer.time()
    ours = asked + (datetime.now(UTC) - asked) / 2
    markets = indexer.markets()
    return Whole(
        payments=tuple(paid),
        transfers=moved,
        subaccount=subaccount,
        skew_ms=(venue - ours).total_seconds() * 1_000,
        oracle_prices=read_oracle(markets),
    )


def read_oracle(markets: dict[str, Json]) -> dict[str, str]:
    """Oracle prices of the markets that have one, as text."""
    return {ticker: each["oraclePrice"] for ticker, each in markets.items() if each.get("oraclePrice")}
