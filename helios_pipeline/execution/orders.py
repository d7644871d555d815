"""What became of every order: its intent, what was told of it, its fills.

Nothing depends on the order in which a venue tells it: of two states the later one of an order's life stands, and a
fill says more than any word that the order was refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext

from helios_pipeline.core.trading import CLOSED, Intent, OrderEvent, OrderState, VenueFill
from helios_pipeline.execution.positions import EXACT, ZERO

LIFE: dict[OrderState | None, int] = {
    None: 0,
    "submitted": 1,
    "denied": 2,
    "rejected": 2,
    "accepted": 3,
    "triggered": 4,
    "partially_filled": 5,
    "expired": 6,
    "canceled": 7,
    "filled": 8,
}
"""How far each state is in an order's life. A refusal comes before `accepted`: a venue that shows an order has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """One order.

    Attributes:
        client_order_id: NautilusTrader's.
        intent: as it was sent; None for one that was never about to be sent: denied, or not ours.
        state: furthest that is known; None for nothing.
        filled: by the venue's fills, in base currency.
        venue_order_id: once known.
        reason: of a refusal or cancel; else empty.
    """

    client_order_id: str
    intent: Intent | None
    state: OrderState | None
    filled: Decimal
    venue_order_id: str | None
    reason: str

    @property
    def unknown(self) -> bool:
        """Whether it may have been sent, and nothing tells whether the venue has it."""
        return self.intent is not None and self.state in (None, "submitted")

    @property
    def open(self) -> bool:
        """Whether the venue had it, and it may still fill."""
        return self.state not in CLOSED and self.state not in (None, "submitted")

    @property
    def remaining(self) -> Decimal:
        """Quantity not filled yet; 0 where the intent is not known."""
        return ZERO if self.intent is None else max(ZERO, EXACT.subtract(self.intent.quantity, self.filled))


class Orders:
    """All orders of an account by client order id."""

    def __init__(self) -> None:
        self._lines: dict[str, OrderLine] = {}
        self._live: dict[str, OrderLine] = {}
        self._sent_as: dict[int, str] = {}
        self._at_venue: dict[str, str] = {}

    @property
    def lines(self) -> dict[str, OrderLine]:
        """Every order, in the order in which they were first heard of. Not to be changed."""
        return self._lines

    def live(self, instrument_id: str | None) -> Iterator[OrderLine]:
        """Orders whose end is not known, of one instrument or of all."""
        for line in tuple(self._live.values()):
            if instrument_id is None or (line.intent is not None and line.intent.instrument_id == instrument_id):
                yield line

    def sent_as(self, venue_client_id: int) -> OrderLine | None:
        """The newest order that was about to be sent under a venue's client id; None for none."""
        return self._lines.get(self._sent_as.get(venue_client_id, ""))

    def at_venue(self, venue_order_id: str) -> OrderLine | None:
        """The order that a venue has under its own id; None if that was told of none."""
        return self._lines.get(self._at_venue.get(venue_order_id, ""))

    def intend(self, intent: Intent) -> None:
        """An order is about to be sent."""
        line = replace(self._line(intent.client_order_id), intent=intent)
        self._sent_as[intent.venue_client_id] = intent.client_order_id
        self._put(_advanced(line, _filled_state(line)))

    def tell(self, event: OrderEvent) -> None:
        """Something became of an order."""
        line = self._line(event.client_order_id)
        if LIFE[event.state] >= LIFE[line.state] and event.reason:
            line = replace(line, reason=event.reason)
        if event.venue_order_id is not None:
            line = replace(line, venue_order_id=event.venue_order_id)
        self._put(_advanced(line, event.state))

    def fill(self, client_order_id: str, fill: VenueFill) -> None:
        """An order was filled, wholly or in part."""
        line = self._line(client_order_id)
        with localcontext(EXACT):
            line = replace(line, filled=line.filled + fill.quantity, venue_order_id=fill.venue_order_id)
        self._put(_advanced(line, _filled_state(line)))

    def _line(self, client_order_id: str) -> OrderLine:
        return self._lines.get(client_order_id) or OrderLine(
            client_order_id=client_order_id, intent=None, state=None, filled=ZERO, venue_order_id=None, reason=""
        )

    def _put(self, line: OrderLine) -> None:
        self._lines[line.client_order_id] = line
        if line.venue_order_id:
            self._at_venue[line.venue_order_id] = line.client_order_id
        if line.state in CLOSED:
            self._live.pop(line.client_order_id, None)
        else:
            self._live[line.client_order_id] = line


def _filled_state(line: OrderLine) -> OrderState | None:
    if line.filled == 0:
        return line.state
    whole = line.intent is not None and line.filled >= line.intent.quantity
    return "filled" if whole else "partially_filled"


def _advanced(line: OrderLine, state: OrderState | None) -> OrderLine:
    return replace(line, state=state) if LIFE[state] > LIFE[line.state] else line
