"""What the gate judges: an order, and the state it would meet. Records and arithmetic, no rule."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from helios_pipeline.core.status import StreamStatus
from helios_pipeline.core.trading import Mode, Purpose

SIDES = {1: "buy", -1: "sell"}
OWN, JOURNAL = "engine", "journal"
"""The gate of the engine's own reasons, and how the one begins for which exits are refused too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """An order that wants to leave.

    Attributes:
        instrument_id: traded.
        client_order_id: of the order.
        side: −1 or +1.
        quantity: in base currency, above zero.
        price: that it is sent at: its limit, its trigger, or the best quote of its side; None if none is known.
        reduce_only: whether the venue is told to let it only reduce.
        purpose: what it is for.
    """

    instrument_id: str
    client_order_id: str
    side: int
    quantity: Decimal
    price: Decimal | None
    reduce_only: bool
    purpose: Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenQuantity:
    """What may still fill of an order that was sent; one of unknown outcome counts whole."""

    instrument_id: str
    side: int
    quantity: Decimal
    reduce_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GateState:
    """Everything that a judgement rests on, at one moment.

    Attributes:
        mode, mode_who, mode_why: of the kill switch.
        signals: traded instrument → the instrument whose prices decide.
        positions: signed quantity by instrument; flat ones may be absent.
        open_quantities: of every order that may still fill.
        marks: the venue's mark price by instrument.
        equity: at the marks; None if a mark that it needs is missing.
        day_start_equity: at 00:00 UTC; None if it is not known.
        losses_in_a_row: round trips closed at a loss, since the last profit or the last `helios resume`.
        orders_last_minute: that were sent.
        streams: age of everything heard.
        clock_skew_ms: of this machine against its venues; None if none has said.
        copy_lag_seconds: of PostgreSQL behind the local log.
        reconciled: whether journal, NautilusTrader and venue have agreed since the start.
        differences: that stand between them; empty when they agree.
        unknown: instruments with an order whose outcome nobody knows.
        others: why else nothing may be entered, of `own_reasons`.
    """

    mode: Mode
    mode_who: str
    mode_why: str
    signals: Mapping[str, str]
    positions: Mapping[str, Decimal]
    open_quantities: tuple[OpenQuantity, ...]
    marks: Mapping[str, Decimal]
    equity: Decimal | None
    day_start_equity: Decimal | None
    losses_in_a_row: int
    orders_last_minute: int
    streams: tuple[StreamStatus, ...]
    clock_skew_ms: float | None
    copy_lag_seconds: float
    reconciled: bool
    differences: tuple[str, ...]
    unknown: frozenset[str]
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an order may not leave: the gate's name, and a line for people."""

    gate: str
    why: str

    def __str__(self) -> str:
        return f"{self.gate}: {self.why}"


def own_reasons(journal_failure: str | None, *, stopping: bool, lease: tuple[str, ...]) -> tuple[str, ...]:
    """Why an engine enters nothing whatever markets and account say, a line each; the gravest first.

    Args:
        journal_failure: why the journal can't be written; None if it can.
        stopping: whether the engine comes to its end.
        lease: why another engine may trade the account; empty if none may.
    """
    journal = () if journal_failure is None else (f"{JOURNAL}: {journal_failure}",)
    return (*journal, *(("stopping: the engine comes to an end",) if stopping else ()), *lease)


def only_reduces(order: OrderRequest, state: GateState) -> bool:
    """Whether an order can do nothing but make a position smaller, in whatever order the open ones fill."""
    if order.reduce_only:
        return True
    held = -order.side * state.positions.get(order.instrument_id, Decimal(0))
    promised = sum(
        (each.quantity for each in state.open_quantities if _same_direction(each, order)),
        start=Decimal(0),
    )
    return order.quantity <= held - promised


def worst_quantity(instrument_id: str, state: GateState, order: OrderRequest | None = None) -> Decimal:
    """The largest position, without sign, that open orders and one more can lead to.

    Orders that only reduce can make it worse: a stop that fills before an entry of its side leaves the entry whole.
    """
    held = state.positions.get(instrument_id, Decimal(0))
    adding, reducing = {1: Decimal(0), -1: Decimal(0)}, {1: Decimal(0), -1: Decimal(0)}
    for each in state.open_quantities:
        if each.instrument_id == instrument_id:
            kind = reducing if each.reduce_only else adding
            kind[each.side] += each.quantity
    if order is not None and order.instrument_id == instrument_id:
        kind = reducing if order.reduce_only else adding
        kind[order.side] += order.quantity
    closed = {side: min(reducing[side], max(Decimal(0), -side * held)) for side in SIDES}
    ends = (held + side * (closed[side] + adding[side]) for side in SIDES)
    return max(abs(held), *(abs(end) for end in ends))


def _same_direction(each: OpenQuantity, order: OrderRequest) -> bool:
    return each.instrument_id == order.instrument_id and each.side == order.side
