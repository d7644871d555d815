"""On what terms a paper account trades, and what it sees of the market."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import NamedTuple

MONEY_QUANTUM = Decimal("0.000001")
"""Fees and funding are rounded to it, against the account, as dYdX does with USDC. Nothing else is rounded."""

EXACT = Context(prec=100, traps=[InvalidOperation, Inexact])
"""Sums and products of money: one that would have to be rounded is an error."""

MARKET_ORDER_LIFETIME = timedelta(seconds=10)
"""In which a market order must have found a price; after that it has expired, as one that no block took would."""


class PaperFees(NamedTuple):
    """Fractions of notional; a negative one is a rebate."""

    maker: Decimal
    taker: Decimal


class Level(NamedTuple):
    """Quantity at a price."""

    price: Decimal
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperTerms:
    """What is agreed once for an account.

    Attributes:
        venue: whose prices are traded: `DYDX`.
        account: as NautilusTrader names it: `DYDX-paper`.
        currency: that the account is kept in: `USDC`.
        opening_balance: that a new account begins with; one that exists keeps what it has.
        funding_interval_seconds: between settlements.
        slippage_bps: most that a market order pays beyond the best price.
        fees: instrument id → fees; only these instruments are traded.
    """

    venue: str
    account: str
    currency: str
    opening_balance: Decimal
    funding_interval_seconds: int
    slippage_bps: Decimal
    fees: Mapping[str, PaperFees]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketPrices:
    """A market at one moment.

    Attributes:
        bids, asks: best first; empty while none are known.
        mark: that stops trigger on; None while it is not known.
        is_whole_book: whether quantities beyond the first level are known. If not, the first level takes any quantity:
            the honest choice would be to refuse, but a quote says how much rests at its price, not how much would.
    """

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    mark: Decimal | None
    is_whole_book: bool

    def against(self, side: int) -> tuple[Level, ...]:
        """What an order of a side would take."""
        return self.asks if side > 0 else self.bids
