"""What a check found: one record for everything that judges data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import polars as pl

Severity = Literal["error", "warning"]
"""An error keeps the data from being used; a warning is shown and stops nothing."""


def _no_rows() -> "pl.DataFrame":
    import polars as pl  # here, because settings name checks and a command line that only names them is quick

    return pl.DataFrame()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSpec:
    """A check that an asset's frame has to pass before it is written.

    Attributes:
        name: of the check, unique within the asset.
        description: one sentence: what holds when it passes.
    """

    name: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOutcome:
    """The verdict of one check on one frame.

    Attributes:
        check: name of the check.
        passed: the verdict.
        severity: what a failure means; of no account when it passed.
        summary: one sentence with figures: what was looked at and what was found.
        failures: the rows that failed, for people: any columns, empty if it passed.
        facts: figures behind the summary, as JSON values.
    """

    check: str
    passed: bool
    severity: Severity
    summary: str
    failures: "pl.DataFrame" = field(default_factory=_no_rows)
    facts: Mapping[str, object] = field(default_factory=dict)
