"""As-of features at each bar's close."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import polars as pl

from assets.bars import bars_15m
from assets.judging import FUNDING_FEATURES_CHECKS, judge_funding_features
from assets.market_data import raw_funding_rates, raw_open_interest
from assets.month_assets import define_monthly_asset
from assets.months import Made, Month, MonthlyAsset, Plan
from assets.research import Research
from helios_pipeline.core.calendar import BAR_INTERVAL, month_start, next_month
from helios_pipeline.features.frame import FEATURES_SCHEMA, make_features, warm_up_months
from helios_pipeline.reports.figures import draw_features

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INPUTS = ("bars_15m", "raw_funding_rates", "raw_open_interest")


def months_read(research: Research, asset: str, month: Month) -> list[str]:
    """The month and as many before it as lookbacks reach back, as far as they are stored without a break."""
    stored = set(research.lake.months(asset, instrument=month[0]))
    read = [month[1]]
    while len(read) <= warm_up_months(research.settings.feature_settings) and next_month(read[0], -1) in stored:
        read.insert(0, next_month(read[0], -1))
    return read


def _plan(research: Research, months: Sequence[Month]) -> dict[Month, Plan]:
    return {month: Plan(made_from=_made_from(research, month)) for month in months}


def _made_from(research: Research, month: Month) -> dict[str, object]:
    versions = {
        f"{asset} {read}": research.lake.version(asset, instrument=month[0], month=read)
        for asset in INPUTS
        for read in months_read(research, asset, month)
    }
    return {"inputs": versions, "settings": asdict(research.settings.feature_settings)}


def _make(research: Research, month: Month, plan: Plan) -> Made:  # noqa: ARG001 - one shape for every asset
    bars, funding, open_interest = (
        pl.concat(
            research.lake.read(asset, instrument=month[0], month=read) for read in months_read(research, asset, month)
        )
        for asset in INPUTS
    )
    span = (month_start(month[1]), month_start(next_month(month[1])))
    features = make_features(
        bars, funding, open_interest, research.settings.feature_settings, instrument_id=month[0], interval=BAR_INTERVAL
    ).filter(pl.col("opened_at").is_between(*span, closed="left"))
    return Made(
        frame=features,
        facts={
            "bars_without_funding_score": int(features["z_funding"].is_nan().sum()),
            "bars_without_volatility": int(features["volatility"].is_nan().sum()),
            "bars_without_open_interest": int(features["open_interest"].null_count()),
        },
    )


def _draw(research: Research, month: Month, made: Made) -> "Figure":
    return draw_features(made.frame, research.lake.read("bars_15m", instrument=month[0], month=month[1]))


FUNDING_FEATURES = MonthlyAsset(
    name="funding_features",
    code_version="1",
    plan=_plan,
    make=_make,
    checks=FUNDING_FEATURES_CHECKS,
    judge=judge_funding_features,
    draw=_draw,
)

funding_features = define_monthly_asset(
    FUNDING_FEATURES,
    deps=[bars_15m, raw_funding_rates, raw_open_interest],
    group="features",
    schema=FEATURES_SCHEMA,
    description="What was known at each bar's close: funding score, volatility, ATR, open interest.",
)
