"""A paper account as the sum of its records: what was journalled is the account, and nothing else is."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, localcontext

from helios_pipeline.adapters.paper.terms import EXACT
from helios_pipeline.core.trading import (
    CLOSED,
    FundingPayment,
    Intent,
    JournalRecord,
    OrderEvent,
    OrderState,
    Transfer,
    VenueFill,
)
from helios_pipeline.core.venues import AccountHistory, VenuePosition

ZERO = Decimal(0)
FLAT = VenuePosition(quantity=ZERO, entry_price=ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperOrder:
    """An order and what became of it.

    Attributes:
        intent: what was asked for.
        accepted_at: when the paper venue took it in; None if it never arrived there.
        triggered: whether a stop has been triggered.
        filled: of its quantity.
        ended: state in which it ended; None while more may happen.
    """

    intent: Intent
    accepted_at: datetime | None = None
    triggered: bool = False
    filled: Decimal = ZERO
    ended: OrderState | None = None

    @property
    def venue_order_id(self) -> str:
        """The paper venue's own name for it."""
        return f"paper-{self.intent.client_order_id}"

    @property
    def remaining(self) -> Decimal:
        """Quantity that is not filled."""
        return self.intent.quantity - self.filled

    @property
    def is_unsent(self) -> bool:
        """Whether nothing became of it yet."""
        return self.accepted_at is None and self.ended is None

    @property
    def is_open(self) -> bool:
        """Whether the venue has it, and it may still fill."""
        return self.accepted_at is not None and self.ended is None


class PaperState:
    """Orders, positions and cash, in exact numbers.

    Records may be applied in any order that keeps the fills of an instrument in theirs, so an account can be put
    together again from a history that is sorted by kind.

    Attributes:
        orders: by client order id, in the order of their intents.
        positions: instrument id → position; flat ones are absent.
        quote_balance: cash after everything bought and sold: equity = quote_balance + Σ quantity × price.
        fills, funding, transfers: as they came.
    """

    def __init__(self) -> None:
        self.orders: dict[str, PaperOrder] = {}
        self.positions: dict[str, VenuePosition] = {}
        self.quote_balance = ZERO
        self.fills: list[VenueFill] = []
        self.funding: dict[tuple[str, datetime], FundingPayment] = {}
        self.transfers: dict[str, Transfer] = {}
        self._open: dict[str, dict[str, None]] = {}
        self._fill_ids: set[str] = set()

    @classmethod
    def of_history(cls, history: AccountHistory) -> "PaperState":
        """The account that a journal describes."""
        state = cls()
        kinds: tuple[Iterable[JournalRecord], ...] = (
            history.transfers,
            history.intents,
            history.order_events,
            history.fills,
            history.funding,
        )
        for kind in kinds:
            for record in kind:
                state.apply(record)
        return state

    def apply(self, record: JournalRecord) -> None:
        """Take in a record; one that is known changes nothing, and those of other matters are passed over."""
        match record:
            case Intent():
                self.orders.setdefault(record.client_order_id, PaperOrder(intent=record))
            case OrderEvent():
                self._apply_event(record)
            case VenueFill() if record.venue_fill_id not in self._fill_ids:
                self._apply_fill(record)
            case FundingPayment() if (record.instrument_id, record.settled_at) not in self.funding:
                self.funding[record.instrument_id, record.settled_at] = record
                self._move_cash(record.amount)
            case Transfer() if record.transfer_id not in self.transfers:
                self.transfers[record.transfer_id] = record
                self._move_cash(record.amount)

    def open_orders(self, instrument_id: str | None = None) -> tuple[PaperOrder, ...]:
        """Orders that may still fill, of one instrument or all, each instrument's in the order in which they came."""
        chosen = self._open if instrument_id is None else (instrument_id,)
        return tuple(self.orders[name] for each in chosen for name in self._open.get(each, ()))

    def has_open(self, instrument_id: str) -> bool:
        """Whether an order of an instrument may still fill."""
        return bool(self._open.get(instrument_id))

    def quantity(self, instrument_id: str) -> Decimal:
        """Signed position."""
        return self.positions.get(instrument_id, FLAT).quantity

    def quantity_before(self, instrument_id: str, instant: datetime) -> Decimal:
        """Signed position that was carried into an instant: fills at the instant itself are not in it."""
        return sum(
            (f.side * f.quantity for f in self.fills if f.instrument_id == instrument_id and f.filled_at < instant),
            ZERO,
        )

    def _move_cash(self, amount: Decimal) -> None:
        self.quote_balance = EXACT.add(self.quote_balance, amount)

    def _apply_event(self, event: OrderEvent) -> None:
        order = self.orders.get(event.client_order_id)
        if order is None:
            return
        if event.state in CLOSED:
            ended = order.ended if order.ended == "filled" else event.state
            self._keep(replace(order, ended=ended))
        elif event.state == "triggered":
            self._keep(replace(order, triggered=True))
        elif event.state == "accepted" and order.accepted_at is None:
            self._keep(replace(order, accepted_at=event.occurred_at))

    def _apply_fill(self, fill: VenueFill) -> None:
        self._fill_ids.add(fill.venue_fill_id)
        self.fills.append(fill)
        with localcontext(EXACT):
            cash = -fill.side * fill.quantity * fill.price - fill.fee
        self._move_cash(cash)
        self._apply_position(fill)
        order = self.orders.get(fill.client_order_id or "")
        if order is not None:
            filled = order.filled + fill.quantity
            ended = "filled" if filled >= order.intent.quantity else order.ended
            self._keep(replace(order, filled=filled, ended=ended, accepted_at=order.accepted_at or fill.filled_at))

    def _apply_position(self, fill: VenueFill) -> None:
        """Average the entry price while a position grows; a position that changes sides begins at the fill's price."""
        before = self.positions.get(fill.instrument_id, FLAT)
        change = fill.side * fill.quantity
        quantity = before.quantity + change
        if quantity == 0:
            self.positions.pop(fill.instrument_id, None)
            return
        if before.quantity * change >= 0:
            entry = (abs(before.quantity) * before.entry_price + fill.quantity * fill.price) / abs(quantity)
        else:
            entry = before.entry_price if before.quantity * quantity > 0 else fill.price
        self.positions[fill.instrument_id] = VenuePosition(quantity=quantity, entry_price=entry)

    def _keep(self, order: PaperOrder) -> None:
        self.orders[order.intent.client_order_id] = order
        of_instrument = self._open.setdefault(order.intent.instrument_id, {})
        if order.is_open:
            of_instrument.setdefault(order.intent.client_order_id)
        else:
            of_instrument.pop(order.intent.client_order_id, None)
