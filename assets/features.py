"""As-of features at each bar's close."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import dagster as dg
import polars as pl

from assets.bars import bars_15m
from assets.market_data import raw_funding_rates, raw_open_interest
from assets.months import Made, Month, MonthlyAsset, Plan, replace_months
from assets.partitions import MONTH_BY_INSTRUMENT
from assets.research import Research
from helios_pipeline.core.calendar import month_start, next_month
from helios_pipeline.features.frame import make_features, warm_up_months

INPUTS = ("bars_15m", "raw_funding_rates", "raw_open_interest")


def _months_read(research: Research, asset: str, month: Month) -> list[str]:
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
        for read in _months_read(research, asset, month)
    }
    return {"inputs": versions, "settings": asdict(research.settings.feature_settings)}


def _make(research: Research, month: Month, plan: Plan) -> Made:  # noqa: ARG001 - one shape for every asset
    bars, funding, open_interest = (
        pl.concat(
            research.lake.read(asset, instrument=month[0], month=read) for read in _months_read(research, asset, month)
        )
        for asset in INPUTS
    )
    span = (month_start(month[1]), month_start(next_month(month[1])))
    features = make_features(
        bars, funding, open_interest, research.settings.feature_settings, instrument_id=month[0]
    ).filter(pl.col("opened_at").is_between(*span, closed="left"))
    return Made(
        frame=features,
        facts={
            "bars_without_funding_score": int(features["z_funding"].is_nan().sum()),
            "bars_without_volatility": int(features["volatility"].is_nan().sum()),
            "bars_without_open_interest": int(features["open_interest"].null_count()),
        },
    )


FUNDING_FEATURES = MonthlyAsset(name="funding_features", code_version="1", plan=_plan, make=_make)


@dg.asset(
    deps=[bars_15m, raw_funding_rates, raw_open_interest],
    partitions_def=MONTH_BY_INSTRUMENT,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="features",
    kinds={"polars", "parquet"},
    owners=["team:research"],
    code_version=FUNDING_FEATURES.code_version,
    description="What was known at each bar's close: funding score, volatility, ATR, open interest.",
)
def funding_features(
    context: dg.AssetExecutionContext, research: dg.ResourceParam[Research]
) -> Iterator[dg.AssetMaterialization | dg.MaterializeResult[Any]]:
    """As-of features."""
    yield from replace_months(context, research, FUNDING_FEATURES)
