"""What the strategy has to remember of a market, from the journal alone.

The journal's records of a market are folded through the same functions as NautilusTrader's events are in the running
strategy, so a restart at any record ends where the strategy was when it was written.
"""

from collections.abc import Callable, Iterable

from helios_pipeline.core.trading import Decision, Intent, JournalRecord, VenueFill
from helios_pipeline.execution.decision_records import nanoseconds
from helios_pipeline.execution.traded_market import TradedMarket
from helios_pipeline.strategy.desk import RestoredMarket
from helios_pipeline.strategy.holding import (
    FOREIGN,
    FilledLots,
    Holding,
    SentOrder,
    after_exit_decision,
    after_fill,
    is_new_fill,
    remember,
)

type Cooldown = Callable[[str], int]
"""Hash of a manifest → its cooldown in nanoseconds; 0 for a manifest that is lost."""

REMEMBERED: tuple[type[JournalRecord], ...] = (Decision, Intent, VenueFill)
"""Kinds of records that a fold takes; it passes over all others."""


class MarketFold:
    """One market's memory, record by record.

    Args:
        market: whose records count; others are passed over.
        cooldown: of the champions that were traded.
    """

    def __init__(self, market: TradedMarket, cooldown: Cooldown) -> None:
        self._market = market
        self._cooldown = cooldown
        self._holding = Holding()
        self._manifest_hash = ""
        self._decided_at = 0
        self._close = ""
        self._sent: dict[str, SentOrder] = {}
        self._taken: dict[str, None] = {}

    def take(self, record: JournalRecord) -> None:
        """Fold the next record."""
        match record:
            case Decision() if record.instrument_id == self._market.instrument_id:
                self._take_decision(record)
            case Intent() if record.instrument_id == self._market.instrument_id:
                boundary = 0 if record.boundary is None else nanoseconds(record.boundary)
                atr = float("nan") if record.atr is None else record.atr
                remember(self._sent, record.client_order_id, SentOrder(record.purpose, record.reason, boundary, atr))
            case VenueFill() if record.instrument_id == self._market.instrument_id:
                self._take_fill(record)
            case _:
                pass  # of another market, or nothing that a strategy remembers

    @property
    def restored(self) -> RestoredMarket:
        """The market after the records so far."""
        return RestoredMarket(
            holding=self._holding,
            manifest_hash=self._manifest_hash,
            decided_at=self._decided_at,
            close=self._close,
            sent=dict(self._sent),
            taken=tuple(self._taken),
        )

    def _take_decision(self, decision: Decision) -> None:
        self._decided_at = max(self._decided_at, nanoseconds(decision.closed_at))
        self._manifest_hash = decision.manifest_hash
        if decision.close is not None:
            self._close = str(decision.close)
        if decision.outcome.startswith("exit:"):
            self._holding = after_exit_decision(self._holding, decision.outcome.removeprefix("exit:"))

    def _take_fill(self, record: VenueFill) -> None:
        if not is_new_fill(self._taken, record.venue_fill_id):
            return
        fill = FilledLots(
            record.side,
            int(record.quantity // self._market.lot),
            int(record.price // self._market.tick),
            nanoseconds(record.filled_at),
        )
        sent = FOREIGN if record.client_order_id is None else self._sent.get(record.client_order_id, FOREIGN)
        self._holding = after_fill(self._holding, fill, sent, self._cooldown(self._manifest_hash))


def restore_market(records: Iterable[JournalRecord], market: TradedMarket, cooldown: Cooldown) -> RestoredMarket:
    """A market as the journal left it.

    Args:
        records: of the account, in the journal's order.
        market: that is restored.
        cooldown: of the champions that were traded.
    """
    fold = MarketFold(market, cooldown)
    for record in records:
        fold.take(record)
    return fold.restored
