"""Assets kept in the lake by month and instrument: one way to version, make and replace them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import polars as pl

from assets.partitions import instrument_and_month
from assets.research import Research
from helios_pipeline.core.version import content_version

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
        prepare: called once for all months of a run, to fetch what they need side by side.
        settled: what a stored month was made from, if that can't change any more; else None.
    """

    name: str
    code_version: str
    plan: Callable[[Research, Sequence[Month]], dict[Month, Plan]]
    make: Callable[[Research, Month, Plan], Made]
    prepare: Callable[[Research, Mapping[Month, Plan]], None] = field(default=fetch_nothing)
    settled: Callable[[Research, Month], Mapping[str, object] | None] = field(default=may_change)

    def stale(self, research: Research, months: Sequence[Month]) -> list[Month]:
        """Months that are not stored as they would be made now, in the order given."""
        settled = {month: None if research.refresh else self.settled(research, month) for month in months}
        plans = self.plan(research, [month for month in months if settled[month] is None])
        versions = {
            month: self._version(plans[month].made_from if made_from is None else made_from)
            for month, made_from in settled.items()
        }
        return [month for month in months if self._stored_version(research, month) != versions[month]]

    def replace(self, research: Research, month: Month, plan: Plan) -> dict[str, Any]:
        """Make one month and store it whole; returns Dagster metadata."""
        made, version = self.make(research, month, plan), self._version(plan.made_from)
        where = {"instrument": month[0], "month": month[1]}
        if made.quarantine is not None:
            research.lake.replace(f"quarantine/{self.name}", made.quarantine, **where, version=version, facts={})
        quarantined = 0 if made.quarantine is None else made.quarantine.height
        facts = {**made.facts, "made_from": dict(plan.made_from), "quarantined_rows": quarantined}
        research.lake.replace(self.name, made.frame, **where, version=version, facts=facts)
        return {
            "dagster/row_count": made.frame.height,
            "version": version,
            **{name: _shown(value) for name, value in facts.items() if name != "made_from"},
        }

    def _version(self, made_from: Mapping[str, object]) -> str:
        return content_version(self.name, self.code_version, **made_from)

    def _stored_version(self, research: Research, month: Month) -> str | None:
        return research.lake.version(self.name, instrument=month[0], month=month[1])


def replace_months(
    context: dg.AssetExecutionContext, research: Research, asset: MonthlyAsset
) -> Iterator[dg.AssetMaterialization | dg.MaterializeResult[Any]]:
    """Replace every partition of a run, one after the other.

    When one fails, those already stored are reported before the error goes on, so a second run does only the rest.
    """
    keys = {instrument_and_month(key): key for key in context.partition_keys}
    finished: list[tuple[str, dict[str, Any]]] = []
    try:
        with research.lock(asset.name, *keys.values()):
            plans = asset.plan(research, list(keys))
            asset.prepare(research, plans)
            for month, key in keys.items():
                metadata = asset.replace(research, month, plans[month])
                context.add_asset_metadata(metadata, partition_key=key)
                finished.append((key, metadata))
                research.progress(f"{asset.name} {month[0]}", len(finished), len(keys))
    except BaseException:
        for key, metadata in finished:
            yield dg.AssetMaterialization(asset_key=asset.name, partition=key, metadata=metadata)
        raise
    yield dg.MaterializeResult()


def _shown(value: object) -> Any:  # noqa: ANN401 - whatever Dagster takes as metadata
    """Dagster metadata of a fact: a list of rows becomes a table."""
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        rows = [row for row in value[:100] if isinstance(row, dict)]
        return dg.MetadataValue.table(
            records=[dg.TableRecord({name: str(cell) for name, cell in row.items()}) for row in rows]
        )
    return dg.MetadataValue.json(value) if isinstance(value, list | dict) else value
