"""The gate in a running engine: it gathers the state that the pure judge needs, at the moment of each order."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Protocol

from helios_pipeline.core.status import StreamStatus
from helios_pipeline.core.trading import ModeChange
from helios_pipeline.execution.books import Books
from helios_pipeline.execution.positions import RoundTrip
from helios_pipeline.live_settings import RiskGateSection
from live_engine.gate_state import GateState, OpenQuantity, OrderRequest, Refusal
from live_engine.risk_gate import blocks, judge

MINUTE = timedelta(minutes=1)
IN_FLIGHT = timedelta(seconds=2)
"""An order that this engine sent may be without an answer for so long before its outcome counts as unknown."""


class Agreement(Protocol):
    """What the last comparison of journal, NautilusTrader and venue said."""

    @property
    def agreed_at(self) -> datetime | None:
        """When all three were last equal; None for never since the start."""

    @property
    def differences(self) -> tuple[str, ...]:
        """What stands between them, a line each; empty when they agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSources:
    """Where the gate looks.

    Attributes:
        books: of the account.
        signals: traded instrument → the instrument whose prices decide.
        mode: of the kill switch, as it is now.
        marks: the venue's mark prices, as far as they are known.
        streams: age of everything heard.
        clock_skew_ms: against the venues; None for not known.
        copy_lag_seconds: of PostgreSQL behind the local log.
        agreement: of journal, NautilusTrader and venue.
        others: why else nothing may be entered, a line each.
    """

    books: Books
    signals: Mapping[str, str]
    mode: Callable[[], ModeChange]
    marks: Callable[[], Mapping[str, Decimal]]
    streams: Callable[[], tuple[StreamStatus, ...]]
    clock_skew_ms: Callable[[], float | None]
    copy_lag_seconds: Callable[[], float]
    agreement: Agreement
    others: Callable[[], tuple[str, ...]]


class RiskGate:
    """Judges orders by the state of the moment, and counts what was sent and refused.

    Args:
        limits: of `[risk_gate]`.
        sources: where to look.
    """

    def __init__(self, limits: RiskGateSection, sources: GateSources) -> None:
        self.refused: dict[str, int] = {}
        """Refusals since the start, by gate."""
        self._limits = limits
        self._sources = sources
        self._began_at, moment = datetime.now(UTC), time.monotonic()
        # Orders that an engine before this one sent count too: a restart is no way around the rate.
        ages = (self._began_at - intent.intended_at for intent in sources.books.intents)
        self._sent = deque(moment - age.total_seconds() for age in ages if timedelta(0) <= age < MINUTE)

    def judge(self, order: OrderRequest) -> Refusal | None:
        """Whether an order may leave now: the gate that refuses it, or None."""
        refusal = judge(order, self.state(), self._limits)
        if refusal is not None:
            self.refused[refusal.gate] = self.refused.get(refusal.gate, 0) + 1
        return refusal

    def sent(self) -> None:
        """Count an order that is about to leave."""
        self._sent.append(time.monotonic())

    def blocked(self, instrument_id: str | None = None) -> tuple[str, ...]:
        """Why an entry would be refused now, a line each, of one instrument or at all; empty if it would not."""
        return tuple(str(refusal) for refusal in blocks(self.state(), self._limits, instrument_id))

    def state(self) -> GateState:
        """Everything that a judgement rests on, as it is now."""
        sources, books = self._sources, self._sources.books
        mode, marks = sources.mode(), sources.marks()
        positions = {each: position.quantity for each, position in books.positions.items()}
        resumed_at = mode.changed_at if mode.mode == "ACTIVE" else None
        return GateState(
            mode=mode.mode,
            mode_who=mode.who,
            mode_why=mode.why,
            signals=sources.signals,
            positions=positions,
            open_quantities=open_quantities(books),
            marks=marks,
            equity=books.equity(marks) if positions.keys() <= marks.keys() else None,
            day_start_equity=books.day_start_equity,
            losses_in_a_row=losses_in_a_row(books.round_trips, resumed_at),
            orders_last_minute=self._sent_last_minute(),
            streams=sources.streams(),
            clock_skew_ms=sources.clock_skew_ms(),
            copy_lag_seconds=sources.copy_lag_seconds(),
            reconciled=sources.agreement.agreed_at is not None,
            differences=sources.agreement.differences,
            unknown=self._unknown(),
            others=sources.others(),
        )

    def _unknown(self) -> frozenset[str]:
        sent = (line.intent for line in self._sources.books.unknown() if line.intent is not None)
        latest = datetime.now(UTC) - IN_FLIGHT
        return frozenset(
            intent.instrument_id
            for intent in sent
            if intent.intended_at <= self._began_at or intent.intended_at < latest
        )

    def _sent_last_minute(self) -> int:
        oldest = time.monotonic() - MINUTE.total_seconds()
        while self._sent and self._sent[0] < oldest:
            self._sent.popleft()
        return len(self._sent)


def open_quantities(books: Books) -> tuple[OpenQuantity, ...]:
    """What may still fill, of orders that the venue has and of those of which nobody knows."""
    lines = (*books.open_orders(), *books.unknown())
    return tuple(
        OpenQuantity(
            instrument_id=line.intent.instrument_id,
            side=line.intent.side,
            quantity=line.remaining,
            reduce_only=line.intent.reduce_only,
        )
        for line in lines
        if line.intent is not None and line.remaining
    )


def losses_in_a_row(round_trips: Iterable[RoundTrip], since: datetime | None) -> int:
    """How many of the last round trips were losses, after fees and funding.

    Args:
        round_trips: in the order in which they ended.
        since: those that ended before are not counted: a person has looked at them; None for no such moment.
    """
    count = 0
    for trip in reversed(tuple(round_trips)):
        if trip.pnl >= 0 or (since is not None and trip.left_at <= since):
            break
        count += 1
    return count
