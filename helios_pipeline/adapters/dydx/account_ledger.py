"""What an execution client knows of its account: fills, payments, transfers and the names of its own orders.

It begins with the journal's history and grows by what the venue says. Everything new is written to the journal before
it is anybody else's; what is there already changes nothing, however often and in whatever order it comes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from helios_pipeline.adapters.dydx.market import Market, ticker_of
from helios_pipeline.adapters.dydx.order_ids import OrderFlags, order_uuid
from helios_pipeline.core.trading import CLOSED, FundingPayment, Intent, OrderState, Transfer, VenueFill
from helios_pipeline.core.venues import AccountHistory, RecordSink, VenueAccount

OPENING = "opening"
"""Transfer id of the balance that a journal begins with."""

_BEFORE = timedelta(milliseconds=1)
_READ_AGAIN = timedelta(days=1)
"""Before the newest fill that a journal knows; everything is read every few seconds, so nothing older is missing."""
_PAYMENTS_READ_AGAIN = timedelta(minutes=10)


@dataclass(slots=True)
class AccountLedger:
    """Of one account.

    Attributes:
        account: its name.
        sink: the journal.
        fills: by the venue's id, oldest first.
        intents: by client order id.
        closed: client order ids whose end the journal knows, with how they ended.
        opening: the balance the journal begins with; nothing booked at or before it counts. None before the first
            start.
        known_since: everything booked at or before it was read in an earlier life; None for nothing.
        newest_payment: when the newest known funding payment was booked; None for none.
    """

    account: str
    sink: RecordSink
    fills: dict[str, VenueFill] = field(default_factory=dict)
    intents: dict[str, Intent] = field(default_factory=dict)
    closed: dict[str, OrderState] = field(default_factory=dict)
    opening: Transfer | None = None
    known_since: datetime | None = None
    newest_payment: datetime | None = None
    _filled: dict[str, Decimal] = field(default_factory=dict)
    _owners: dict[str, str] = field(default_factory=dict)
    _others: set[tuple[str, object]] = field(default_factory=set)

    @classmethod
    def from_history(cls, history: AccountHistory, sink: RecordSink) -> "AccountLedger":
        """What the journal knows."""
        ledger = cls(
            account=history.account, sink=sink, intents={each.client_order_id: each for each in history.intents}
        )
        for event in history.order_events:
            if event.state in CLOSED:
                ledger.closed[event.client_order_id] = event.state
        for fill in history.fills:
            ledger._count(fill)
        for payment in history.funding:
            ledger._note_payment(payment)
        for transfer in history.transfers:
            ledger._note_transfer(transfer)
        newest = max((fill.filled_at for fill in history.fills), default=None)
        ledger.known_since = None if newest is None else newest - _READ_AGAIN
        return ledger

    @property
    def known_until(self) -> datetime | None:
        """Nothing that was booked at or before it need be read again; None for nothing."""
        opened = self.opening.transferred_at if self.opening is not None else None
        return max(filter(None, (opened, self.known_since)), default=None)

    @property
    def payments_known_until(self) -> datetime | None:
        """The same of funding payments, which are listed in order, but later than they are booked."""
        if self.newest_payment is None:
            return self.known_until
        return self.newest_payment - _PAYMENTS_READ_AGAIN

    def name_orders(self, address: str, subaccount: int, markets: dict[str, Market]) -> None:
        """Learn what the venue calls the orders of all intents, whichever kind they became there."""
        for intent in self.intents.values():
            market = markets.get(ticker_of(intent.instrument_id))
            if market is not None:
                for flags in OrderFlags:
                    name = order_uuid(address, subaccount, intent.venue_client_id, market.clob_pair_id, flags)
                    self._owners[name] = intent.client_order_id

    def own(self, venue_order_id: str, client_order_id: str) -> None:
        """An order of ours is about to be sent."""
        self._owners[venue_order_id] = client_order_id

    def owner(self, venue_order_id: str) -> str | None:
        """Our client order id of a venue's order; None for another's."""
        return self._owners.get(venue_order_id)

    def filled(self, venue_order_id: str) -> Decimal:
        """How much of an order is filled, in base currency."""
        return self._filled.get(venue_order_id, Decimal(0))

    def take_fill(self, fill: VenueFill) -> bool:
        """Journal a fill; whether the journal did not have it: who put it there before has told it too."""
        if fill.venue_fill_id in self.fills or not self._counts(fill.filled_at):
            return False
        is_news = self.sink.append(fill) is not None
        self._count(fill)
        return is_news

    def take_payments(self, payments: Iterable[FundingPayment]) -> None:
        """Journal the funding payments that are news."""
        for payment in payments:
            if _payment_key(payment) not in self._others and self._counts(payment.settled_at):
                self.sink.append(payment)
                self._note_payment(payment)

    def take_transfers(self, transfers: Iterable[Transfer]) -> None:
        """Journal the transfers that are news."""
        for transfer in transfers:
            if _transfer_key(transfer) not in self._others and self._counts(transfer.transferred_at):
                self.sink.append(transfer)
                self._note_transfer(transfer)

    def begin(self, found: VenueAccount, read_from: datetime) -> None:
        """Begin a journal with an account as it is found, and take what was booked since then.

        Its balance is what the journal begins with. Positions that are held already are begun with the fills that made
        them: then the balance is the one at the last moment at which all was flat.

        Args:
            found: the account with everything that was ever booked.
            read_from: time of a block before it was read, for an account on which nothing was booked.
        """
        booked = [each.filled_at for each in found.fills]
        booked += [each.settled_at for each in found.funding] + [each.transferred_at for each in found.transfers]
        flat_until = _flat_until(found, max(booked, default=read_from))
        since = (
            sum((cash_of(each) for each in found.fills if each.filled_at > flat_until), Decimal(0))
            + sum((each.amount for each in found.funding if each.settled_at > flat_until), Decimal(0))
            + sum((each.amount for each in found.transfers if each.transferred_at > flat_until), Decimal(0))
        )
        opening = Transfer(
            account=self.account,
            transfer_id=OPENING,
            amount=found.quote_balance - since,
            reason="balance that the journal begins with",
            transferred_at=flat_until,
        )
        self.sink.append(opening)
        self._note_transfer(opening)

    def _counts(self, booked_at: datetime) -> bool:
        return self.opening is None or booked_at > self.opening.transferred_at

    def _count(self, fill: VenueFill) -> None:
        self.fills[fill.venue_fill_id] = fill
        self._filled[fill.venue_order_id] = self.filled(fill.venue_order_id) + fill.quantity

    def _note_payment(self, payment: FundingPayment) -> None:
        self._others.add(_payment_key(payment))
        self.newest_payment = max(self.newest_payment or payment.settled_at, payment.settled_at)

    def _note_transfer(self, transfer: Transfer) -> None:
        if transfer.transfer_id == OPENING:
            self.opening = transfer
        self._others.add(_transfer_key(transfer))


def cash_of(fill: VenueFill) -> Decimal:
    """What a fill did to the quote balance."""
    return -fill.side * fill.quantity * fill.price - fill.fee


def _flat_until(found: VenueAccount, newest: datetime) -> datetime:
    """The last instant at or before `newest` at which no position was held."""
    held = {instrument_id: position.quantity for instrument_id, position in found.positions.items()}
    until = newest
    for fill in reversed(found.fills):
        if not any(held.values()) and fill.filled_at <= until:
            break
        held[fill.instrument_id] = held.get(fill.instrument_id, Decimal(0)) - fill.side * fill.quantity
        until = fill.filled_at - _BEFORE
    return until


def _payment_key(payment: FundingPayment) -> tuple[str, object]:
    return payment.instrument_id, payment.settled_at


def _transfer_key(transfer: Transfer) -> tuple[str, object]:
    return "transfer", transfer.transfer_id
