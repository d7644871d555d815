"""Upkeep: what Dagster keeps of old runs beyond what its interface needs would grow for ever."""

import os
import shutil
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from assets.research import Installation
from helios_pipeline.adapters.postgres.event_logs import EventLogStore
from helios_pipeline.core.errors import DatabaseError
from jobs.automation import default_schedule_status


class PruneConfig(dg.Config):
    """How to prune.

    Attributes:
        dry_run: only say what would go.
    """

    dry_run: bool = False


def dagster_database() -> str:
    """Address of Dagster's own tables.

    Raises:
        DatabaseError: this process was started without one.
    """
    url = os.environ.get("DAGSTER_POSTGRES_URL")
    if not url:
        raise DatabaseError(
            "Dagster's tables: expected their address in DAGSTER_POSTGRES_URL, found none. Start Dagster with "
            "`helios dagster`, which brings the database up and passes its address on."
        )
    return url


def output_folders(storage: Path, run_ids: Collection[str]) -> list[Path]:
    """Folders with what some runs printed; everything else that Dagster stores beside them is left alone."""
    wanted = set(run_ids)
    entries = storage.iterdir() if storage.is_dir() else []
    return sorted(each for each in entries if each.name in wanted and each.is_dir() and not each.is_symlink())


def bytes_in(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


@dg.op(description="Removes events and printed output of runs that ended long ago; every present state stays.")
def prune_old_runs(
    context: dg.OpExecutionContext, config: PruneConfig, installation: dg.ResourceParam[Installation]
) -> None:
    """Prune runs that ended more than `dagster.keep_event_logs_days` ago."""
    days = installation.settings.dagster.keep_event_logs_days
    store = EventLogStore(dagster_database())
    runs = store.ended_before(datetime.now(UTC) - timedelta(days=days))
    pruned = store.count(runs) if config.dry_run else store.prune(runs)
    folders = output_folders(Path(context.instance.storage_directory()), runs)
    freed = sum(bytes_in(folder) for folder in folders)
    if not config.dry_run:
        for folder in folders:
            shutil.rmtree(folder)
    figures = {
        "runs": len(runs),
        "events": pruned.events,
        "check_executions": pruned.check_executions,
        "event_bytes": pruned.bytes,
        "output_folders": len(folders),
        "output_bytes": freed,
    }
    context.add_output_metadata({"dry_run": config.dry_run, **figures})
    did = "would remove" if config.dry_run else "removed"
    context.log.info(
        f"Of {len(runs):,} runs that ended more than {days} days ago: {did} "
        f"{pruned.events:,} events and {pruned.check_executions:,} executions of checks with {pruned.bytes:,} bytes, "
        f"and printed output of {len(folders):,} runs with {freed:,} bytes."
    )


@dg.job(description="Keeps Dagster's storage from growing for ever; dry_run only says what would go.")
def prune_event_logs() -> None:
    """Prune once."""
    prune_old_runs()


weekly_upkeep = dg.ScheduleDefinition(
    name="weekly_upkeep",
    job=prune_event_logs,
    cron_schedule="40 3 * * 0",
    execution_timezone="UTC",
    default_status=default_schedule_status(),
    description="Sundays at 03:40 UTC: what Dagster keeps of old runs.",
)
