"""What the engine asks of an execution venue, whichever it is: its account read independently, and a place to write.

`live_engine.venues` is the registry that puts a venue's parts together.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from helios_pipeline.core.trading import FundingPayment, Intent, JournalRecord, OrderEvent, Transfer, VenueFill


@dataclass(frozen=True, slots=True, kw_only=True)
class VenuePosition:
    """A position as the venue has it: signed quantity in base currency, average entry price."""

    quantity: Decimal
    entry_price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """An order that the venue still has.

    Attributes:
        venue_order_id: the venue's.
        venue_client_id: the u32 it was sent with.
        instrument_id: NautilusTrader's id.
        side: −1 or +1.
        quantity, filled: in base currency.
        limit_price: of the order.
        trigger_price: of a conditional order that has not triggered.
        reduce_only: as sent.
        good_til_block: last block it may be in; None where it rests.
    """

    venue_order_id: str
    venue_client_id: int
    instrument_id: str
    side: int
    quantity: Decimal
    filled: Decimal
    limit_price: Decimal | None
    trigger_price: Decimal | None
    reduce_only: bool
    good_til_block: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueAccount:
    """An account as its venue tells it, at one moment.

    Attributes:
        account: whose.
        read_at: when.
        height: block that it is of; None where there are none.
        quote_balance: cash after everything bought and sold and every funding payment booked:
            equity = quote_balance + Σ quantity × price.
        positions: instrument id → position; flat ones absent.
        open_orders: all that may still fill.
        fills, funding, transfers: since the instant that was asked for, oldest first.
    """

    account: str
    read_at: datetime
    height: int | None
    quote_balance: Decimal
    positions: Mapping[str, VenuePosition]
    open_orders: tuple[VenueOrder, ...]
    fills: tuple[VenueFill, ...]
    funding: tuple[FundingPayment, ...]
    transfers: tuple[Transfer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractSize:
    """The steps of a contract as its venue lists it.

    Attributes:
        tick: price step, quote currency.
        lot: quantity step, base currency.
        min_quantity: smallest order, base currency.
        min_notional_quote: smallest order, quote currency; 0 for none.
    """

    tick: Decimal
    lot: Decimal
    min_quantity: Decimal
    min_notional_quote: Decimal


class AccountReader(Protocol):
    """Reads an account by a way that is not the execution client's own memory."""

    def read(self, since: datetime | None) -> VenueAccount:
        """Everything, with fills, funding and transfers from `since` on (None: from the beginning). Blocks.

        Raises:
            UnreachableError: the venue does not answer.
        """


class RecordSink(Protocol):
    """Where venue clients write what the venue said, before anybody acts on it."""

    def append(self, record: JournalRecord) -> int | None:
        """Make a record durable; its sequence number, or None if its natural key is there already.

        Raises:
            JournalError: it could not be written: nothing may be sent.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountHistory:
    """What a journal knows of an account, oldest first: an execution client starts from it.

    Attributes:
        account: whose.
        intents: every order that was about to be sent.
        order_events, fills, funding, transfers: what became of them.
    """

    account: str
    intents: tuple[Intent, ...]
    order_events: tuple[OrderEvent, ...]
    fills: tuple[VenueFill, ...]
    funding: tuple[FundingPayment, ...]
    transfers: tuple[Transfer, ...]


def venue_client_id(client_order_id: str) -> int:
    """The u32 by which a venue knows an order: stateless, so that it is the same after a restart.

    Our own ids are decimal numbers below 2^31 and are sent as they are. Any other, from a library's own routes, is
    folded into the upper half.
    """
    if client_order_id.isascii() and client_order_id.isdigit() and int(client_order_id) < _OTHERS:
        return int(client_order_id)
    return _OTHERS + zlib.crc32(client_order_id.encode()) % _OTHERS


_OTHERS = 2**31
