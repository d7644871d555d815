"""What one market holds, and how fills change it: the same for the running strategy and for a restart.

The strategy folds NautilusTrader's events, a restart folds the journal's records; both through these functions, so that
both end at the same state. Prices are ticks of the traded instrument, quantities lots, stamps nanoseconds.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from helios_pipeline.core.trading import Purpose

KEPT_ORDERS = 64
"""Orders of a market whose purpose is remembered: a fill can be told late, but not by so many orders."""

KEPT_FILLS = 1024
"""Fills of a market whose ids are remembered: one may be told again, but not after so many others."""

UNASKED = "unasked"
"""Why a position is left that no decision asked for: it has no stop and no plan."""


class SentOrder(NamedTuple):
    """What an order was sent for.

    Attributes:
        purpose: entry, exit, stop, …
        reason: `signal`, `max_holding`, …
        boundary: closing instant of the bar that decided it; 0 for none.
        atr: of that bar, in price; NaN for none.
    """

    purpose: Purpose
    reason: str
    boundary: int
    atr: float


FOREIGN = SentOrder("other", "", 0, float("nan"))
"""An order that the strategy did not send."""


def remember(sent: dict[str, SentOrder], order_id: str, order: SentOrder) -> None:
    """Add an order to those whose purpose is known, and forget the oldest of too many."""
    sent[order_id] = order
    if len(sent) > KEPT_ORDERS:
        del sent[next(iter(sent))]


def is_new_fill(taken: dict[str, None], fill_id: str) -> bool:
    """Note a fill by its id, and forget the oldest of too many; False for one that is noted: it counts once."""
    if fill_id in taken:
        return False
    taken[fill_id] = None
    if len(taken) > KEPT_FILLS:
        del taken[next(iter(taken))]
    return True


class FilledLots(NamedTuple):
    """A fill.

    Attributes:
        side: −1 or +1.
        lots: filled.
        ticks: price.
        filled_at: by the venue's clock.
    """

    side: int
    lots: int
    ticks: int
    filled_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A market's position and what the strategy remembers of it.

    Attributes:
        side: −1, 0 or +1.
        lots: held.
        entry_lots, entry_value: lots that entered, and the sum of lots × ticks over their fills.
        entered_at: boundary that decided the entry.
        atr: of the bar that decided it, for its stop; NaN for none.
        leaving: why an exit was decided and is not filled yet; empty for none.
        enter_after: no entry before a bar that closes later than this.
    """

    side: int = 0
    lots: int = 0
    entry_lots: int = 0
    entry_value: int = 0
    entered_at: int = 0
    atr: float = 0.0
    leaving: str = ""
    enter_after: int = 0

    @property
    def entry_ticks(self) -> int:
        """Average price of the entry's fills, to the nearest tick (half a tick up); 0 when flat."""
        return (2 * self.entry_value + self.entry_lots) // (2 * self.entry_lots) if self.entry_lots else 0


def after_exit_decision(holding: Holding, reason: str) -> Holding:
    """The first reason to leave stays."""
    return replace(holding, leaving=reason) if holding.side and not holding.leaving else holding


def after_fill(holding: Holding, fill: FilledLots, sent: SentOrder, cooldown: int) -> Holding:
    """The holding after a fill of an order that was sent for something.

    Args:
        holding: before.
        fill: what was filled.
        sent: what for; `FOREIGN` for an order of somebody else.
        cooldown: nanoseconds without entry after a stop, and after an exit by time.
    """
    if holding.side in (0, fill.side):
        return _after_increase(holding, fill, sent)
    left = holding.lots - fill.lots
    if left > 0:
        return replace(holding, lots=left)
    cools = sent.purpose == "stop" or holding.leaving == "max_holding"
    flat = Holding(enter_after=fill.filled_at + cooldown if cools else holding.enter_after)
    return _after_increase(flat, fill._replace(lots=-left), FOREIGN) if left < 0 else flat


def _after_increase(holding: Holding, fill: FilledLots, sent: SentOrder) -> Holding:
    value = fill.lots * fill.ticks
    grown = replace(
        holding,
        side=fill.side,
        lots=holding.lots + fill.lots,
        entry_lots=holding.entry_lots + fill.lots,
        entry_value=holding.entry_value + value,
    )
    if sent.purpose != "entry":
        return replace(grown, leaving=grown.leaving or UNASKED, entered_at=grown.entered_at or fill.filled_at)
    return grown if holding.side else replace(grown, entered_at=sent.boundary, atr=sent.atr)
