"""Who is told what became of an account."""

from typing import Any, Protocol

from helios_pipeline.adapters.dydx.working_orders import WorkingOrder
from helios_pipeline.core.trading import VenueFill

type Json = dict[str, Any]


class AccountListener(Protocol):
    """Who is told what became of an account; everything that is told is in the journal already."""

    def filled(self, fill: VenueFill) -> None:
        """A fill that was not told before."""

    def accepted(self, order: WorkingOrder) -> None:
        """The venue has an order."""

    def gone(self, order: WorkingOrder) -> None:
        """What is not filled of an order never will be."""

    def cancel_failed(self, order: WorkingOrder) -> None:
        """A cancel was in no block, and the order still works."""

    def money(self, subaccount: Json) -> None:
        """The subaccount as it is now."""

    def passed(self) -> None:
        """Another look was taken, whether or not there was news."""

    def warn(self, text: str) -> None:
        """Something is not as it should be, and is tried again."""
