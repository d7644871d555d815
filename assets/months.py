"""Assets kept in the lake by month and instrument: one way to version, make, judge and replace them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.research import Research
from helios_pipeline.core.checks import CheckOutcome, CheckSpec
from helios_pipeline.core.version import content_version

if TYPE_CHECKING:
    from matplotlib.figure import Figure

type Month = tuple[str, str]
"""Instrument id and `YYYY-MM`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a partition would be made from now.

    Attributes:
        made_from: everything that decides the result; hashed into the version.
        payload: what `make` needs besides, e.g. the archive's files.
    """

    made_from: Mapping[str, object]
    payload: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A partition before it is stored.

    Attributes:
        frame: its rows.
        facts: what was counted while making it; kept beside the rows and shown in Dagster.
        quarantine: rows that may not be used, with the reason; kept apart. None where nothing is judged.
    """

    frame: pl.DataFrame
    facts: Mapping[str, object]
    quarantine: pl.DataFrame | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A month that was made and judged.

    Attributes:
        made: the month.
        outcomes: of every check of the asset, in the order of its specs.
        version: hash of what it was made from.
        stored: whether it took the place of what was there; a month that an error refuses does not.
    """

    made: Made
    outcomes: Sequence[CheckOutcome]
    version: str
    stored: bool

    @property
    def refusals(self) -> list[CheckOutcome]:
        """The outcomes that keep the month from being used."""
        return [outcome for outcome in self.outcomes if not outcome.passed and outcome.severity == "error"]


REFUSED_SCHEMA = pl.Schema({"check": pl.String(), "summary": pl.String(), "row": pl.String()})
"""Rows that stopped a month, each as JSON; a check that failed without a row has one that is null."""


def may_change(_research: Research, _month: Month) -> Mapping[str, object] | None:
    """Most assets are planned from the lake, which costs nothing."""
    return None


def fetch_nothing(_research: Research, _plans: Mapping[Month, Plan]) -> None:
    """Most assets read the lake alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyAsset:
    """How one asset's months are made.

    Attributes:
        name: the asset's name.
        code_version: grows when the code that makes it changes its result.
        plan: what each of some months would be made from now.
        make: makes one month.
        checks: what a month has to pass before it is stored.
        judge: the outcome of each of `checks`.
        draw: the picture that people are shown of a month.
        prepare: called once for all months of a run, to fetch what they need side by side.
        settled: what a stored month was made from, if that can't change any more; else None.
    """

    name: str
    code_version: str
    plan: Callable[[Research, Sequence[Month]], dict[Month, Plan]]
    make: Callable[[Research, Month, Plan], Made]
    checks: tuple[CheckSpec, ...]
    judge: Callable[[Research, Month, Made], Sequence[CheckOutcome]]
    draw: Callable[[Research, Month, Made], "Figure"]
    prepare: Callable[[Research, Mapping[Month, Plan]], None] = field(default=fetch_nothing)
    settled: Callable[[Research, Month], Mapping[str, object] | None] = field(default=may_change)

    def compare(self, research: Research, months: Sequence[Month]) -> dict[Month, Plan]:
        """Months that are not stored as they would be made now, in the order given, with what they'd be made from."""
        settled = {month: None if research.refresh else self.settled(research, month) for month in months}
        current = {
            month
            for month, made_from in settled.items()
            if made_from is not None and self._is_stored(research, month, made_from)
        }
        plans = self.plan(research, [month for month in months if month not in current])
        return {month: plan for month, plan in plans.items() if not self._is_stored(research, month, plan.made_from)}

    def replace(self, research: Research, month: Month, plan: Plan) -> Judged:
        """Make one month, judge it, and store it whole in place of what was there, unless a check refuses it."""
        made, version = self.make(research, month, plan), self.version_of(plan.made_from)
        outcomes = self.judge(research, month, made)
        judged = Judged(made=made, outcomes=outcomes, version=version, stored=False)
        where = {"instrument": month[0], "month": month[1]}
        if judged.refusals:
            rows = _refused_rows(judged.refusals)
            research.lake.replace(f"refused/{self.name}", rows, **where, version=version, facts={})
            return judged
        if made.quarantine is not None:
            research.lake.replace(f"quarantine/{self.name}", made.quarantine, **where, version=version, facts={})
        quarantined = 0 if made.quarantine is None else made.quarantine.height
        facts = {
            **made.facts,
            "made_from": dict(plan.made_from),
            "quarantined_rows": quarantined,
            "checks": [_verdict(outcome) for outcome in outcomes],
        }
        research.lake.replace(self.name, made.frame, **where, version=version, facts=facts)
        self.forget_refusal(research, month)
        return Judged(made=made, outcomes=outcomes, version=version, stored=True)

    def forget_refusal(self, research: Research, month: Month) -> None:
        """A refused attempt counts no longer: the month is stored as it would be made now."""
        research.lake.remove(f"refused/{self.name}", instrument=month[0], month=month[1])

    def refused(self, research: Research) -> dict[Month, pl.DataFrame]:
        """Months whose last attempt was refused and that were not stored since, with `REFUSED_SCHEMA` rows."""
        asset = f"refused/{self.name}"
        return {
            (instrument, month): research.lake.read(asset, instrument=instrument, month=month)
            for instrument in research.lake.instruments(asset)
            for month in research.lake.months(asset, instrument=instrument)
        }

    def stored_version(self, research: Research, month: Month) -> str | None:
        """The version that a month is stored with."""
        return research.lake.version(self.name, instrument=month[0], month=month[1])

    def version_of(self, made_from: Mapping[str, object]) -> str:
        """The version of a month that is made from that."""
        return content_version(self.name, self.code_version, **made_from)

    def _is_stored(self, research: Research, month: Month, made_from: Mapping[str, object]) -> bool:
        return self.stored_version(research, month) == self.version_of(made_from)


def _verdict(outcome: CheckOutcome) -> dict[str, object]:
    return {
        "check": outcome.check,
        "passed": outcome.passed,
        "severity": outcome.severity,
        "summary": outcome.summary,
        **({"failed_rows": outcome.failures.height} if not outcome.passed else {}),
    }


def _refused_rows(refusals: Sequence[CheckOutcome]) -> pl.DataFrame:
    parts = []
    for outcome in refusals:
        failures = outcome.failures
        rows = failures.select(row=pl.struct(pl.all()).struct.json_encode()) if failures.width else pl.DataFrame()
        shown = rows if rows.height else pl.DataFrame({"row": [None]}, schema={"row": pl.String})
        parts.append(
            shown.select(check=pl.lit(outcome.check), summary=pl.lit(outcome.summary), row="row").cast(REFUSED_SCHEMA)
        )
    return pl.concat(parts)
