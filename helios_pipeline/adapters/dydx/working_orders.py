"""What is to be made of an order that is not done, from what the venue has shown of it; pure.

Only what can't change any more ends an order: a final status in a block, or blocks past the last one that may include
it, read with all their fills. What a validator says before the block is not final.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

from helios_pipeline.adapters.dydx.order_ids import OrderFlags

_FINAL = ("FILLED", "CANCELED")
_OPEN = ("OPEN", "UNTRIGGERED", "BEST_EFFORT_OPENED")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownOrder:
    """What the indexer said of an order last.

    Attributes:
        status: the indexer's word.
        filled: in base currency, as the order itself counts.
        reason: why it was removed, where the indexer says so; else empty.
    """

    status: str
    filled: Decimal
    reason: str

    @property
    def is_final(self) -> bool:
        """Whether nothing more can happen to it."""
        return self.status in _FINAL

    @property
    def is_open(self) -> bool:
        """Whether it may fill."""
        return self.status in _OPEN


@dataclass(slots=True, kw_only=True)
class WorkingOrder:
    """An order that was or may have been sent and is not known to be done.

    Attributes:
        client_order_id: NautilusTrader's; None for an order that is not ours.
        venue_order_id: the indexer's.
        instrument_id: where.
        flags: how the chain keeps it.
        client_id: the u32 that the venue sees.
        quantity: in base currency.
        last_block: last block that may include it.
        filled: by the fills that are known.
        shown: what the indexer said last; None if it has not been seen.
        accepted: whether its acceptance was told.
        cancel_until: last block that may include its cancel; None if none was sent.
    """

    client_order_id: str | None
    venue_order_id: str
    instrument_id: str
    flags: OrderFlags
    client_id: int
    quantity: Decimal
    last_block: int
    filled: Decimal = Decimal(0)
    shown: ShownOrder | None = None
    accepted: bool = False
    cancel_until: int | None = None

    def show(self, shown: ShownOrder) -> None:
        """Take what the indexer says; nothing follows a final status, however late another one comes."""
        if self.shown is None or not self.shown.is_final or shown.is_final:
            self.shown = shown

    @property
    def is_urgent(self) -> bool:
        """Whether its fate is to be asked for: all but what is known to rest."""
        rests = self.flags is not OrderFlags.SHORT_TERM and self.shown is not None and self.shown.is_open
        return not rests or self.cancel_until is not None


class Verdict(Enum):
    """What is to be done about a working order."""

    WAIT = "nothing yet"
    ACCEPT = "the venue has it, which was not told yet"
    DONE = "all of it is filled"
    GONE = "what is not filled never will be"
    CANCEL_FAILED = "its cancel was in no block, and it still works"


def judge(order: WorkingOrder, read_height: int) -> Verdict:
    """What is to be done.

    Args:
        order: one whose fills up to `read_height` are all counted.
        read_height: block up to which everything about it was read.
    """
    if order.filled >= order.quantity:
        return Verdict.DONE
    shown = order.shown
    if shown is not None and shown.is_final:
        missing = shown.status == "FILLED" or order.filled < shown.filled
        return Verdict.WAIT if missing else Verdict.GONE
    past = read_height > order.last_block
    if past and (shown is None or order.flags is OrderFlags.SHORT_TERM):
        return Verdict.GONE
    if shown is None:
        return Verdict.WAIT
    if order.cancel_until is not None and shown.is_open and read_height > order.cancel_until:
        return Verdict.CANCEL_FAILED
    return Verdict.ACCEPT if shown.is_open and not order.accepted else Verdict.WAIT


def read_shown(document: dict[str, Any]) -> ShownOrder:
    """What an order's document says, of REST or the WebSocket."""
    return ShownOrder(
        status=str(document["status"]),
        filled=Decimal(document.get("totalFilled") or 0),
        reason=str(document.get("removalReason") or "").removeprefix("ORDER_REMOVAL_REASON_").lower(),
    )
