"""How long the engine takes from a bar's end to its decision, and to the order: what a trader watches first."""

from helios_pipeline.core.trading import Decision, Intent, JournalRecord
from live_engine.exposition import Histogram

ORDERED = ("entry", "exit")
"""Purposes of orders that a bar's decision sends; a stop follows a fill."""


class Durations:
    """Counts what the journal is told; it only has to be subscribed to it."""

    def __init__(self) -> None:
        self._decision = Histogram("helios_bar_to_decision_seconds", "From a bar's end to the decision on it.")
        self._order = Histogram("helios_bar_to_order_seconds", "From a bar's end to the order's intent.")

    @property
    def histograms(self) -> tuple[Histogram, ...]:
        """Of both, seconds."""
        return self._decision, self._order

    def hear(self, _: int, record: JournalRecord) -> None:
        """Count one record; decisions on bars that were missed say nothing of speed, and are passed over."""
        match record:
            case Decision(late=False):
                self._decision.observe((record.decided_at - record.closed_at).total_seconds())
            case Intent() if record.boundary is not None and record.purpose in ORDERED:
                self._order.observe((record.intended_at - record.boundary).total_seconds())
