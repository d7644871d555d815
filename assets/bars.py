"""15-minute bars: validated before they are written, never filled."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.judging import BARS_15M_CHECKS, judge_bars_15m
from assets.market_data import raw_klines
from assets.month_assets import define_monthly_asset
from assets.months import Made, Month, MonthlyAsset, Plan
from assets.research import Research
from helios_pipeline.core.calendar import month_start, next_month
from helios_pipeline.data.bars import make_bars
from helios_pipeline.data.validate import BARS_SCHEMA
from helios_pipeline.reports.figures import draw_bars

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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


def _draw(_research: Research, _month: Month, made: Made) -> "Figure":
    gaps: Any = made.facts["gaps"]
    return draw_bars(made.frame, gaps)


BARS_15M = MonthlyAsset(
    name="bars_15m",
    code_version="1",
    plan=_plan,
    make=_make,
    checks=BARS_15M_CHECKS,
    judge=judge_bars_15m,
    draw=_draw,
)

bars_15m = define_monthly_asset(
    BARS_15M,
    deps=[raw_klines],
    group="bars",
    schema=BARS_SCHEMA,
    description="Validated 15-minute bars from the finest klines there are; bad rows quarantined, gaps listed.",
)
