"""Dagster's form of a monthly asset: what all of them share stands here once."""

from collections.abc import Sequence

import dagster as dg
import polars as pl

from assets.columns import column_schema
from assets.month_records import check_specs
from assets.month_runs import MonthEvents, replace_months
from assets.months import MonthlyAsset
from assets.partitions import DAILY, MONTH_BY_INSTRUMENT
from assets.research import OWNER, Research

VENUE_POOL = "venue"
"""Steps that ask the venue: `dagster.venue_requests` of them run at once, whichever runs they belong to."""

VENUE_RETRIES = dg.RetryPolicy(max_retries=3, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""Each request is tried several times by itself; this is for a venue that is away for minutes."""


def define_monthly_asset(
    asset: MonthlyAsset,
    *,
    group: str,
    schema: pl.Schema,
    description: str,
    deps: Sequence[dg.AssetsDefinition] = (),
    asks_venue: bool = False,
) -> dg.AssetsDefinition:
    """Dagster's asset of a monthly asset: month × instrument, one run over any range, checked before it is stored.

    Args:
        asset: how its months are made.
        group: in the graph.
        schema: of every month's rows.
        description: what it is, in a sentence.
        deps: the assets it reads.
        asks_venue: whether making it asks the venue: then it is tried again when that does not answer, and waits for a
            place among the runs that ask.
    """

    @dg.asset(
        name=asset.name,
        deps=deps,
        partitions_def=MONTH_BY_INSTRUMENT,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=group,
        kinds={"polars", "parquet"},
        owners=[OWNER],
        tags={"stage": group, "partitioned": "month_by_instrument"},
        code_version=asset.code_version,
        description=description,
        metadata={"dagster/column_schema": column_schema(schema)},
        check_specs=check_specs(asset),
        pool=VENUE_POOL if asks_venue else None,
        retry_policy=VENUE_RETRIES if asks_venue else None,
        freshness_policy=DAILY,
    )
    def monthly(context: dg.AssetExecutionContext, research: dg.ResourceParam[Research]) -> MonthEvents:
        yield from replace_months(context, research, asset)

    return monthly
