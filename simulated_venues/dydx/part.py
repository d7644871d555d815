"""An account's side of a match."""

from dataclasses import dataclass
from typing import Self

from simulated_venues.dydx.records import Side, SubaccountId
from simulated_venues.dydx.state import Working

LIMIT, LIQUIDATED, LIQUIDATION = "LIMIT", "LIQUIDATED", "LIQUIDATION"
TAKER, MAKER = "TAKER", "MAKER"


@dataclass(slots=True)
class Part:
    """What one account wants of matches.

    Attributes:
        working: its order; None if it is liquidated.
        wanted: quantums that it still wants.
        limit: its worst price, subticks.
        fee: what it pays for the next match, quote quantums: to the fee collector, or to the insurance fund.
    """

    subaccount: SubaccountId
    side: Side
    working: Working | None
    liquidity: str
    kind: str
    wanted: int
    limit: int
    fee: int = 0

    @classmethod
    def taker(cls, working: Working) -> Self:
        """An order as it comes."""
        return cls._of(working, TAKER, LIMIT)

    @classmethod
    def maker(cls, working: Working, *, against_liquidation: bool = False) -> Self:
        """An order that rests."""
        return cls._of(working, MAKER, LIQUIDATION if against_liquidation else LIMIT)

    @classmethod
    def _of(cls, working: Working, liquidity: str, kind: str) -> Self:
        order = working.order
        return cls(order.order_id.subaccount, order.side, working, liquidity, kind, working.remaining, order.subticks)

    def would_take(self, subticks: int) -> bool:
        """Whether a price is within its limit."""
        return subticks <= self.limit if self.side is Side.BUY else subticks >= self.limit

    def signed(self, quantums: int) -> int:
        """Quantums as its position sees them."""
        return quantums if self.side is Side.BUY else -quantums
