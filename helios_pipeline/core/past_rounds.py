"""What is on record of each round of a search: enough to see whether it converges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from helios_pipeline.core.records import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRound:
    """One round as it was stored.

    Attributes:
        name: of the round.
        market_data: which bars: `binance`, or a simulated market with its seed.
        instruments: instrument ids, ascending.
        window: bars that were evaluated.
        sampler: how the sets were chosen.
        sets: that were evaluated.
        passed: those that met every constraint.
        trials: N of the ledger on its window when it was made, its own sets included.
        best_parameters: of the candidate, or of the best set where none passed.
        best_sharpe: annualised; None without one.
        best_proscore2: from 0 to 100.
        grid: the values of each parameter.
        proposal: of the next round, as it was stored: `grid` (None at the search's end), `reason`, `axes`.
        made_at: UTC.
    """

    name: str
    market_data: str
    instruments: tuple[str, ...]
    window: Window
    sampler: str
    sets: int
    passed: int
    trials: int
    best_parameters: Mapping[str, float]
    best_sharpe: float | None
    best_proscore2: float
    grid: Mapping[str, Sequence[float]]
    proposal: Mapping[str, Any]
    made_at: datetime

    @property
    def pass_rate(self) -> float:
        """Fraction of the sets that met every constraint."""
        return self.passed / self.sets

    def searched_the_same(self, other: "PastRound") -> bool:
        """Whether both looked at the same bars of the same instruments: rounds of one search."""
        mine, theirs = (
            (each.market_data, each.instruments, each.window.first, each.window.last) for each in (self, other)
        )
        return mine == theirs
