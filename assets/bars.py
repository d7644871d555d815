"""15-minute bars: validated before they are written, never filled."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import dagster as dg
import polars as pl

from assets.market_data import raw_klines
from assets.months import Made, Month, MonthlyAsset, Plan, replace_months
from assets.partitions import MONTH_BY_INSTRUMENT
from assets.research import Research
from helios_pipeline.core.calendar import month_start, next_month
from helios_pipeline.data.bars import make_bars


def _plan(research: Research, months: Sequence[Month]) -> dict[Month, Plan]:
    """A month's bars are made from its klines and those just before, which say the price level it begins at."""
    return {month: Plan(made_from={"raw_klines": _versions(research, month)}) for month in months}


def _versions(research: Research, month: Month) -> dict[str, str | None]:
    return {
        read: research.lake.version("raw_klines", instrument=month[0], month=read)
        for read in (next_month(month[1], -1), month[1])
    }


def _make(research: Research, month: Month, plan: Plan) -> Made:  # noqa: ARG001 - one shape for every asset
    where = {"instrument": month[0], "month": month[1]}
    stored = [read for read, version in _versions(research, month).items() if version is not None]
    klines = pl.concat(research.lake.read("raw_klines", instrument=month[0], month=read) for read in stored)
    covers_until = research.lake.facts("raw_klines", **where)["covers_until"]
    result = make_bars(klines, first=month_start(month[1]), last=datetime.fromisoformat(str(covers_until)))
    return Made(frame=result.bars, quarantine=result.quarantine, facts=result.facts())


BARS_15M = MonthlyAsset(name="bars_15m", code_version="1", plan=_plan, make=_make)


@dg.asset(
    deps=[raw_klines],
    partitions_def=MONTH_BY_INSTRUMENT,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="bars",
    kinds={"polars", "parquet"},
    owners=["team:research"],
    code_version=BARS_15M.code_version,
    description="Validated 15-minute bars from the finest klines there are; bad rows quarantined, gaps listed.",
)
def bars_15m(
    context: dg.AssetExecutionContext, research: dg.ResourceParam[Research]
) -> Iterator[dg.AssetMaterialization | dg.MaterializeResult[Any]]:
    """Validated 15-minute bars."""
    yield from replace_months(context, research, BARS_15M)
