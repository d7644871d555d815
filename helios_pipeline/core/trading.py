"""What live trading writes down: the journal's records, in exact numbers.

Prices, quantities and money are Decimal, instants UTC. Every record is a frozen dataclass that
`core.canonical.to_document` spells, so that bytes → record → bytes is the identity. Enumerations are literal texts for
the same reason.

An account is named as NautilusTrader names it: `DYDX-<address>-<subaccount>`, `DYDX-paper`.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

Purpose = Literal["entry", "exit", "stop", "flatten", "other"]
"""What an order is for; `other` for one that the strategy did not ask for."""

OrderKind = Literal["market", "limit", "stop_market"]

OrderState = Literal[
    "denied", "submitted", "accepted", "rejected", "triggered", "partially_filled", "filled", "canceled", "expired"
]

CLOSED: frozenset[OrderState] = frozenset({"denied", "rejected", "filled", "canceled", "expired"})
"""States after which nothing more can happen to an order, but for fills that are told late."""

Mode = Literal["ACTIVE", "REDUCING", "HALTED"]
"""ACTIVE: everything. REDUCING: only what makes positions smaller. HALTED: that only when a person asks (flatten)."""

STRICTNESS: dict[Mode, int] = {"ACTIVE": 0, "REDUCING": 1, "HALTED": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the strategy decided for one instrument at one bar, with everything it knew.

    Natural key: account, instrument_id, opened_at.

    Attributes:
        account: of the orders.
        instrument_id: traded: `BTC-USD-PERP.DYDX`.
        signal_instrument_id: heard: `BTCUSDT-PERP.BINANCE`.
        opened_at, closed_at: of the deciding bar.
        decided_at: when.
        manifest_hash: of the champion.
        z_price, z_funding, volatility, atr: features; None for no value.
        close: of the deciding bar; None if it is missing.
        position_side: −1, 0 or +1, before the decision.
        position_lots: before the decision, in lots of the traded instrument.
        bars_held: closed bars since the entry; 0 when flat.
        may_enter: whether the cooldown was over.
        leaving: why an exit was under way already; empty for none.
        equity: cash and unrealised profit at the closes; the same for all instruments of one boundary.
        gross_kept, open_kept: notional and number of positions kept at this boundary.
        mode: of the kill switch.
        late: whether the bar had closed too long ago to enter.
        wanted: −1, 0 or +1: what `decide` said.
        outcome: `hold`, `flat`, `exit:<reason>`, `enter`, or why a wanted entry was not made.
        lots: of the entry; 0 for none.
    """

    account: str
    instrument_id: str
    signal_instrument_id: str
    opened_at: datetime
    closed_at: datetime
    decided_at: datetime
    manifest_hash: str
    z_price: float | None
    z_funding: float | None
    volatility: float | None
    atr: float | None
    close: Decimal | None
    position_side: int
    position_lots: int
    bars_held: int
    may_enter: bool
    leaving: str
    equity: Decimal
    gross_kept: Decimal
    open_kept: int
    mode: Mode
    late: bool
    wanted: int
    outcome: str
    lots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """An order that is about to be sent: durable before anything leaves the machine, and never sent twice.

    Natural key: account, client_order_id.

    Attributes:
        account, instrument_id: where.
        client_order_id: NautilusTrader's.
        venue_client_id: the u32 that the venue sees.
        side: −1 or +1.
        kind: of the order.
        quantity: in base currency.
        limit_price, trigger_price: where the kind has them.
        reduce_only: whether it can only make a position smaller.
        purpose: what it is for.
        reason: `signal`, `max_holding`, `stop`, or who asked.
        boundary: closing instant of the bar that decided it; None for one that no decision made.
        atr: of the deciding bar, for the stop of an entry; None without.
        good_til_block: last block that may hold it; None for orders that rest.
        intended_at: when.
    """

    account: str
    instrument_id: str
    client_order_id: str
    venue_client_id: int
    side: int
    kind: OrderKind
    quantity: Decimal
    limit_price: Decimal | None
    trigger_price: Decimal | None
    reduce_only: bool
    purpose: Purpose
    reason: str
    boundary: datetime | None
    atr: float | None
    good_til_block: int | None
    intended_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent:
    """Something became of an order.

    Attributes:
        account, client_order_id: which order.
        state: it is in now.
        venue_order_id: once the venue has given one.
        reason: of a refusal or cancel; else empty.
        occurred_at: by the venue's clock where it says.
    """

    account: str
    client_order_id: str
    state: OrderState
    venue_order_id: str | None
    reason: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueFill:
    """A fill as the venue recorded it; fills that a library infers are `InferredFill`.

    Natural key: account, venue_fill_id.

    Attributes:
        account, instrument_id: where.
        venue_fill_id: the venue's id.
        venue_order_id: of the order.
        client_order_id: of the order as NautilusTrader knows it; None for an order that is not ours.
        side: −1 or +1.
        quantity: in base currency.
        price: in quote currency.
        fee: paid; negative for a rebate.
        liquidity: whose order rested.
        filled_at: the venue's stamp.
    """

    account: str
    instrument_id: str
    venue_fill_id: str
    venue_order_id: str
    client_order_id: str | None
    side: int
    quantity: Decimal
    price: Decimal
    fee: Decimal
    liquidity: Literal["maker", "taker"]
    filled_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredFill:
    """A fill that NautilusTrader made up to explain a position; recorded, never summed."""

    account: str
    instrument_id: str
    client_order_id: str
    side: int
    quantity: Decimal
    price: Decimal
    inferred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingPayment:
    """Cash that a settlement moved: positive is received.

    Natural key: account, instrument_id, settled_at.

    Attributes:
        account, instrument_id: which position.
        settled_at: instant of the settlement.
        rate: fraction of notional for its interval.
        position_quantity: signed, in base currency.
        price: that notional is counted at.
        amount: −position_quantity × price × rate, as the venue booked it.
    """

    account: str
    instrument_id: str
    settled_at: datetime
    rate: Decimal
    position_quantity: Decimal
    price: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Cash that came or went other than by trading: a deposit, a withdrawal, the balance a journal begins with.

    Natural key: account, transfer_id.
    """

    account: str
    transfer_id: str
    amount: Decimal
    reason: str
    transferred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeChange:
    """The kill switch was moved."""

    account: str
    mode: Mode
    who: str
    why: str
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionChange:
    """A champion was taken over, or one that was offered was refused.

    Attributes:
        account: that it trades.
        manifest_hash: of the manifest.
        action: what became of it.
        instruments: traded ids that it is in force for.
        why: of a refusal; else empty.
        changed_at: when.
    """

    account: str
    manifest_hash: str
    action: Literal["taken_over", "refused"]
    instruments: tuple[str, ...]
    why: str
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What a comparison of journal, NautilusTrader and venue found.

    Attributes:
        account: compared.
        agreed: whether all three were equal.
        differences: one line each.
        height: the venue's block, where it has blocks.
        compared_at: when.
    """

    account: str
    agreed: bool
    differences: tuple[str, ...]
    height: int | None
    compared_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSnapshot:
    """The account by the journal's own books.

    Attributes:
        account: whose.
        quote_balance: cash after everything bought and sold: equity = quote_balance + Σ quantity × price.
        equity: at mark prices.
        taken_at: when.
    """

    account: str
    quote_balance: Decimal
    equity: Decimal
    taken_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BarDifference:
    """A bar made from trades that the closed klines corrected; columns are open, high, low, close, volume."""

    account: str
    instrument_id: str
    opened_at: datetime
    made: tuple[Decimal, ...]
    published: tuple[Decimal, ...]


type JournalRecord = (
    Decision
    | Intent
    | OrderEvent
    | VenueFill
    | InferredFill
    | FundingPayment
    | Transfer
    | ModeChange
    | ChampionChange
    | Reconciliation
    | AccountSnapshot
    | BarDifference
)

RECORD_KINDS: dict[str, type] = {
    "decision": Decision,
    "intent": Intent,
    "order_event": OrderEvent,
    "fill": VenueFill,
    "inferred_fill": InferredFill,
    "funding": FundingPayment,
    "transfer": Transfer,
    "mode": ModeChange,
    "champion": ChampionChange,
    "reconciliation": Reconciliation,
    "account": AccountSnapshot,
    "bar_difference": BarDifference,
}
"""Name of each kind in the journal and its table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """A record with its place in an account's log.

    Attributes:
        epoch: of the engine that wrote it.
        sequence: counts on over the life of the log.
        journalled_at: when it was written.
        record: what was written.
    """

    epoch: int
    sequence: int
    journalled_at: datetime
    record: JournalRecord
