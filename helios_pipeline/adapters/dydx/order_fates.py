"""Orders whose end is open, and what is told of each when it is not open any more."""

from dataclasses import dataclass, field

from helios_pipeline.adapters.dydx.account_ledger import AccountLedger
from helios_pipeline.adapters.dydx.account_listener import AccountListener
from helios_pipeline.adapters.dydx.working_orders import ShownOrder, Verdict, WorkingOrder, judge


@dataclass(slots=True)
class OrderFates:
    """Of one account.

    Attributes:
        ledger: knows what is filled.
        listener: is told.
        working: orders that are not known to be done, by venue order id.
        read_height: block up to which fills and orders were read for certain.
    """

    ledger: AccountLedger
    listener: AccountListener
    working: dict[str, WorkingOrder] = field(default_factory=dict)
    read_height: int = 0

    @property
    def are_urgent(self) -> bool:
        """Whether the fate of an order is to be asked for."""
        return any(order.is_urgent for order in self.working.values())

    def names(self, *, resting: bool) -> list[str]:
        """Venue order ids of those to be asked for, also those that are known to rest if wanted."""
        return [order.venue_order_id for order in self.working.values() if resting or order.is_urgent]

    def show(self, venue_order_id: str, shown: ShownOrder) -> None:
        """Take what the venue says of an order, if it is one of these."""
        order = self.working.get(venue_order_id)
        if order is not None:
            order.show(shown)

    def settle(self, venue_order_id: str) -> None:
        """Tell what became of an order, if it is one of these and that is known."""
        order = self.working.get(venue_order_id)
        if order is None:
            return
        order.filled = self.ledger.filled(venue_order_id)
        match judge(order, self.read_height):
            case Verdict.ACCEPT:
                self.listener.accepted(order)
            case Verdict.DONE:
                del self.working[venue_order_id]
            case Verdict.GONE:
                del self.working[venue_order_id]
                self.listener.gone(order)
            case Verdict.CANCEL_FAILED:
                order.cancel_until = None
                self.listener.cancel_failed(order)

    def settle_all(self, read_height: int) -> None:
        """Tell what became of all, after everything up to a block was read."""
        self.read_height = max(self.read_height, read_height)
        for venue_order_id in tuple(self.working):
            self.settle(venue_order_id)
