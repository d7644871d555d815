"""What the exchange remembers from block to block: rows in tables that know which of them have changed.

Every row is a plain record of numbers and texts that names itself, so that a store can write the changed ones and an
exchange can be filled again from them alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from simulated_venues.dydx.records import Order, OrderFlags, OrderId, Position, Side, SubaccountId


class House(StrEnum):
    """Who has money beside the subaccounts. Everybody's money together is zero, always."""

    BACKGROUND = "background"
    """The other side of every fill; a match of two accounts passes through it and leaves nothing."""
    FEE_COLLECTOR = "fee_collector"
    INSURANCE_FUND = "insurance_fund"
    FUNDING_POOL = "funding_pool"
    OUTSIDE = "outside"
    """Where deposits come from."""


Holder = SubaccountId | House


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Somebody's USDC in quote quantums."""

    holder: Holder
    quote_quantums: int


@dataclass(slots=True, kw_only=True, eq=False)
class Working:
    """An order that is not done yet; changes in place while it works.

    Attributes:
        filled_quantums: of the order, by all its fills, those before it was replaced included.
        is_waiting: a conditional order whose trigger has not been met.
        height, place: since when it rests: a block, and the place in it; its priority in time.
        since_ms: that block's time.
        ahead_quantums: the background's quantity at its price that background trades take before it.
    """

    order: Order
    filled_quantums: int = 0
    is_waiting: bool = False
    height: int = 0
    place: int = 0
    since_ms: int = 0
    ahead_quantums: int = 0

    @property
    def remaining(self) -> int:
        """Base quantums that are not filled."""
        return self.order.quantums - self.filled_quantums

    @property
    def is_short_term(self) -> bool:
        """Whether it ends with a block, and not at an instant."""
        return self.order.order_id.flags == OrderFlags.SHORT_TERM


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How much of a short-term order is filled, remembered until its last block, so that its id can't fill twice."""

    order_id: OrderId
    filled_quantums: int
    good_til_block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Canceled:
    """A short-term order's cancel: until its last block the order may not come (back)."""

    order_id: OrderId
    good_til_block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What accounts took of a level of the background, as it was set at `since_ms`.

    Attributes:
        side: BUY for a bid.
        seen_ms: when it was last taken from.
    """

    clob_pair_id: int
    side: Side
    subticks: int
    since_ms: int
    quantums: int
    seen_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """An owner's traded quote quantums in one funding interval, `interval` counted since 1970.

    Attributes:
        taker_quote_quantums: those of them that it took; rows of older states do not tell, and count as made.
    """

    owner: str
    interval: int
    quote_quantums: int
    taker_quote_quantums: int = 0


Row = Balance | Position | Working | Finished | Canceled | Taken | Volume

ROW_TYPES: MappingProxyType[str, type[Row]] = MappingProxyType(
    {
        "balances": Balance,
        "positions": Position,
        "working": Working,
        "finished": Finished,
        "canceled": Canceled,
        "taken": Taken,
        "volumes": Volume,
    }
)
"""The record that each table is made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A row that is new or different, or None if it is gone; `key` is unique in its table."""

    table: str
    key: str
    row: Row | None


@dataclass(slots=True)
class Table[Key, Value]:
    """A dict that knows which of its keys have changed since it was last asked."""

    rows: dict[Key, Value] = field(default_factory=dict)
    _changed: dict[Key, None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def get(self, key: Key) -> Value | None:
        """The row, None if there is none."""
        return self.rows.get(key)

    def put(self, key: Key, row: Value) -> None:
        """Set a row."""
        self.rows[key] = row
        self._changed[key] = None

    def drop(self, key: Key) -> None:
        """Remove a row if it is there."""
        if self.rows.pop(key, None) is not None:
            self._changed[key] = None

    def touch(self, key: Key) -> None:
        """Say that a row has changed in place."""
        self._changed[key] = None

    def take_changed(self) -> list[Key]:
        """Keys that changed since the last call."""
        changed = list(self._changed)
        self._changed.clear()
        return changed


def changes[Key, Value](
    name: str, table: Table[Key, Value], text: Callable[[Key], str], row: Callable[[Key, Value], Row]
) -> Iterator[Change]:
    """A table's changes since they were last taken."""
    for key in table.take_changed():
        value = table.get(key)
        yield Change(table=name, key=text(key), row=None if value is None else row(key, value))


def holder_text(holder: Holder) -> str:
    """`owner/number`, or the house account's name."""
    return str(holder) if isinstance(holder, House) else f"{holder.owner}/{holder.number}"


def order_text(order_id: OrderId) -> str:
    """`owner/number/client/flags/pair`."""
    return f"{holder_text(order_id.subaccount)}/{order_id.client_id}/{int(order_id.flags)}/{order_id.clob_pair_id}"
