"""The books of an account: everything that follows from its journal's records, in exact numbers.

`quote_balance` is cash after everything bought and sold, so equity = `quote_balance` + Σ quantity × price. Sums do not
depend on the order in which records come, and a record whose natural key is there already changes nothing. Fills that a
library inferred are never summed.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, localcontext

from helios_pipeline.core.errors import DataError
from helios_pipeline.core.trading import (
    AccountSnapshot,
    ChampionChange,
    Decision,
    FundingPayment,
    Intent,
    JournalRecord,
    ModeChange,
    OrderEvent,
    Reconciliation,
    Transfer,
    VenueFill,
)
from helios_pipeline.core.venues import AccountHistory
from helios_pipeline.execution.day import DayStart
from helios_pipeline.execution.orders import OrderLine, Orders
from helios_pipeline.execution.positions import EXACT, ZERO, BookPosition, InstrumentBook, RoundTrip

OPENING = "opening"
"""Id of the transfer with which a journal begins: what the venue recorded up to then is no part of it."""

type NaturalKey = tuple[object, ...]


def natural_key(record: JournalRecord) -> NaturalKey | None:
    """What makes a record the same as another one; None for a kind of which each record is new.

    Events of orders have no key of their own: the same event told again, stamp included, is the same event.
    """
    match record:
        case Decision():
            return "decision", record.instrument_id, record.opened_at
        case Intent():
            return "intent", record.client_order_id
        case OrderEvent():
            return "order_event", record
        case VenueFill():
            return "fill", record.venue_fill_id
        case FundingPayment():
            return "funding", record.instrument_id, record.settled_at
        case Transfer():
            return "transfer", record.transfer_id
        case _:
            return None


class Books:
    """What an account has, owes and did, by its journal.

    Collections are copies, or are replaced and not changed, so another thread may read while records are applied; to
    read several things of one moment, hold `Journal.reading`.

    Args:
        account: whose.
    """

    def __init__(self, account: str) -> None:
        self.account = account
        self.began_at: datetime | None = None
        """When the journal began; None for one without an opening."""
        self.transferred = ZERO
        """Deposits less withdrawals."""
        self.fees = ZERO
        """Paid in all."""
        self.funding = ZERO
        """Received in all."""
        self.last_mode: ModeChange | None = None
        self.last_champion: ChampionChange | None = None
        """Newest that was taken over."""
        self.last_reconciliation: Reconciliation | None = None
        self.last_snapshot: AccountSnapshot | None = None
        self._traded = ZERO  # cash that fills moved, fees apart
        self._keys: set[NaturalKey] = set()
        self._instruments: dict[str, InstrumentBook] = {}
        self._round_trips: tuple[int, tuple[RoundTrip, ...]] = (0, ())  # of so many fills and payments
        self._orders = Orders()
        self._decisions: dict[str, Decision] = {}
        self._day = DayStart()
        self._intents: list[Intent] = []
        self._order_events: list[OrderEvent] = []
        self._fills: list[VenueFill] = []
        self._funding_payments: list[FundingPayment] = []
        self._transfers: list[Transfer] = []

    def apply(self, record: JournalRecord) -> bool:
        """Enter a record; False, and nothing changes, if its natural key is there already."""
        key = natural_key(record)
        if key is not None:
            if key in self._keys:
                return False
            self._keys.add(key)
        with localcontext(EXACT):
            self._enter(record)
        return True

    def knows(self, record: JournalRecord) -> bool:
        """Whether a record of this natural key was entered."""
        return natural_key(record) in self._keys

    @property
    def quote_balance(self) -> Decimal:
        """Cash after everything bought and sold, fees and funding included."""
        with localcontext(EXACT):
            return self.transferred + self._traded - self.fees + self.funding

    @property
    def positions(self) -> dict[str, BookPosition]:
        """Instrument id → position; flat ones absent."""
        books = tuple(self._instruments.values())
        return {book.instrument_id: book.position for book in books if book.position is not None}

    def quantity(self, instrument_id: str) -> Decimal:
        """Signed position in base currency; 0 when flat."""
        book = self._instruments.get(instrument_id)
        return ZERO if book is None or book.position is None else book.position.quantity

    def equity(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Cash and positions at prices of one moment.

        Raises:
            DataError: a position has no price.
        """
        with localcontext(EXACT):
            total = self.quote_balance
            for instrument_id, position in self.positions.items():
                if instrument_id not in prices:
                    raise DataError(
                        f"equity of {self.account}: expected a price for every position, found none for "
                        f"{instrument_id} ({position.quantity} held). Wait for the venue's prices."
                    )
                total += position.quantity * prices[instrument_id]
            return total

    @property
    def round_trips(self) -> tuple[RoundTrip, ...]:
        """Finished ones of all instruments, in the order in which they ended."""
        made_of, known = self._round_trips
        told = self.booked
        if made_of != told:
            trips = [trip for book in tuple(self._instruments.values()) for trip in tuple(book.round_trips)]
            known = tuple(sorted(trips, key=lambda trip: (trip.left_at, trip.instrument_id)))
            self._round_trips = told, known
        return known

    @property
    def orders(self) -> dict[str, OrderLine]:
        """Client order id → order. Not to be changed."""
        return self._orders.lines

    def open_orders(self, instrument_id: str | None = None) -> tuple[OrderLine, ...]:
        """Orders that the venue had and that may still fill; those without an outcome are in `unknown`."""
        return tuple(line for line in self._orders.live(instrument_id) if line.open)

    def unknown(self, instrument_id: str | None = None) -> tuple[OrderLine, ...]:
        """Orders that may have been sent, and of which nothing tells whether the venue has them."""
        return tuple(line for line in self._orders.live(instrument_id) if line.unknown)

    @property
    def intents(self) -> tuple[Intent, ...]:
        """Every order that was about to be sent, oldest first."""
        return tuple(self._intents)

    @property
    def fills(self) -> tuple[VenueFill, ...]:
        """In the order in which they were told."""
        return tuple(self._fills)

    @property
    def booked(self) -> int:
        """Number of fills and funding payments."""
        return len(self._fills) + len(self._funding_payments)

    def sent_as(self, venue_client_id: int) -> OrderLine | None:
        """The newest order that was about to be sent under a venue's client id; None for none."""
        return self._orders.sent_as(venue_client_id)

    def at_venue(self, venue_order_id: str) -> OrderLine | None:
        """The order that a venue has under its own id; None if that was told of none."""
        return self._orders.at_venue(venue_order_id)

    def decided(self, instrument_id: str, opened_at: datetime) -> bool:
        """Whether there is a decision for a bar."""
        return ("decision", instrument_id, opened_at) in self._keys

    def last_decision(self, instrument_id: str) -> Decision | None:
        """For the newest bar that was decided."""
        return self._decisions.get(instrument_id)

    @property
    def day_start_equity(self) -> Decimal | None:
        """Equity at 00:00 UTC of the newest snapshot's day, with what was transferred since; None without snapshots.

        It is the equity of the snapshot nearest to that instant, before or after it.
        """
        base = self._day.base
        if base is None:
            return None
        with localcontext(EXACT):
            since = (each.amount for each in tuple(self._transfers) if each.transferred_at > base.taken_at)
            return sum(since, base.equity)

    def history(self) -> AccountHistory:
        """What an execution client starts from."""
        return AccountHistory(
            account=self.account,
            intents=tuple(self._intents),
            order_events=tuple(self._order_events),
            fills=tuple(self._fills),
            funding=tuple(self._funding_payments),
            transfers=tuple(self._transfers),
        )

    def _enter(self, record: JournalRecord) -> None:
        match record:
            case VenueFill() | FundingPayment() | Transfer():
                self._enter_cash(record)
            case Intent():
                self._intents.append(record)
                self._orders.intend(record)
            case OrderEvent():
                self._order_events.append(record)
                self._orders.tell(record)
            case Decision():
                last = self._decisions.get(record.instrument_id)
                if last is None or record.opened_at > last.opened_at:
                    self._decisions[record.instrument_id] = record
            case _:
                self._enter_state(record)

    def _enter_cash(self, record: VenueFill | FundingPayment | Transfer) -> None:
        if isinstance(record, Transfer):
            self._transfers.append(record)
            self.transferred += record.amount
            if record.transfer_id == OPENING:
                self.began_at = record.transferred_at
            return
        self._instruments.setdefault(record.instrument_id, InstrumentBook(record.instrument_id)).take(record)
        if isinstance(record, FundingPayment):
            self._funding_payments.append(record)
            self.funding += record.amount
            return
        self._fills.append(record)
        self._traded -= record.side * record.quantity * record.price
        self.fees += record.fee
        if record.client_order_id is not None:
            self._orders.fill(record.client_order_id, record)

    def _enter_state(self, record: JournalRecord) -> None:
        match record:
            case AccountSnapshot():
                self.last_snapshot = record
                self._day.take(record)
            case ModeChange():
                self.last_mode = record
            case ChampionChange(action="taken_over"):
                self.last_champion = record
            case Reconciliation():
                self.last_reconciliation = record
            case _:
                pass  # refused champions, corrected bars and inferred fills are on record, and change nothing
