"""Schedules: what happens every day without anybody."""

import os
from datetime import datetime

import dagster as dg

from assets.partitions import INSTRUMENTS, month_key
from assets.research import Research
from helios_pipeline.core.calendar import next_month
from jobs.automation import default_schedule_status
from jobs.selections import daily_refresh, data_quality

DAILY_REFRESH_CRON = "HELIOS_DAILY_REFRESH_CRON"
"""Environment variable that `helios dagster` sets from `dagster.daily_refresh_cron`."""

USUAL_CRON = "20 0 * * *"
QUALITY_CRON = "50 0 * * *"


def months_to_refresh(at: datetime) -> tuple[str, str]:
    """The month before and the month of an instant: until the archive has all of a month, REST fills its end."""
    month = f"{at:%Y-%m}"
    return next_month(month, -1), month


@dg.schedule(
    name="daily_refresh",
    job=daily_refresh,
    cron_schedule=os.environ.get(DAILY_REFRESH_CRON, USUAL_CRON),
    execution_timezone="UTC",
    default_status=default_schedule_status(),
    description="The months that still change, of every instrument, in one run.",
)
def refresh_daily(
    context: dg.ScheduleEvaluationContext, research: dg.ResourceParam[Research]
) -> dg.RunRequest | dg.SkipReason:
    """One run over all instruments."""
    if not research.has_tail:
        return dg.SkipReason(f"{research.market_data} has no REST interface, so nothing is added to its archive.")
    instruments = context.instance.get_dynamic_partitions(str(INSTRUMENTS.name))
    if not instruments:
        return dg.SkipReason("No instrument is known yet: the sensor `settings` adds those of helios.toml.")
    at = context.scheduled_execution_time
    before, current = months_to_refresh(at)
    first, last = month_key(instruments[0], before), month_key(instruments[-1], current)
    return dg.RunRequest(
        run_key=f"daily_refresh {at:%Y-%m-%dT%H:%M}",
        tags={
            "dagster/asset_partition_range_start": str(first),
            "dagster/asset_partition_range_end": str(last),
        },
    )


judge_daily = dg.ScheduleDefinition(
    name="data_quality",
    job=data_quality,
    cron_schedule=QUALITY_CRON,
    execution_timezone="UTC",
    default_status=default_schedule_status(),
    description="After the refresh: everything stored, judged across months.",
)
