"""Dagster's event log, which nothing else ever shortens: what no view of present state needs goes, in small batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched
from typing import LiteralString, cast

from helios_pipeline.adapters.postgres.session import transaction

BATCH_ROWS = 5_000
"""Rows of one transaction, so that no run waits long for a lock of ours."""

BATCH_RUNS = 200

VERBOSE = [
    "ASSET_CHECK_EVALUATION_PLANNED",
    "ENGINE_EVENT",
    "HANDLED_OUTPUT",
    "HOOK_COMPLETED",
    "HOOK_SKIPPED",
    "LOADED_INPUT",
    "LOGS_CAPTURED",
    "RESOURCE_INIT_STARTED",
    "RESOURCE_INIT_SUCCESS",
    "STEP_EXPECTATION_RESULT",
    "STEP_INPUT",
    "STEP_OUTPUT",
    "STEP_RESTARTED",
    "STEP_SKIPPED",
    "STEP_START",
    "STEP_SUCCESS",
    "STEP_UP_FOR_RETRY",
    "STEP_WORKER_STARTED",
    "STEP_WORKER_STARTING",
]
"""Types that only tell how a run went; log messages have no type. What is not listed, or not known yet, is kept."""

OF_ASSETS = [
    "ASSET_FAILED_TO_MATERIALIZE",
    "ASSET_MATERIALIZATION",
    "ASSET_MATERIALIZATION_PLANNED",
    "ASSET_OBSERVATION",
]
"""Types of which the latest of each asset and partition is its state."""

ENDED = """
select run_id from dagster.runs where status in ('SUCCESS', 'FAILURE', 'CANCELED')
and coalesce(to_timestamp(end_time), update_timestamp at time zone 'UTC') < %s order by id
"""

# A check's state is its latest execution, and its latest that came to a verdict.
SUPERSEDED_CHECK = """
exists (
  select from dagster.asset_check_executions later
  where later.asset_key = x.asset_key and later.check_name = x.check_name and later.id > x.id
  and later.partition is not distinct from x.partition
  and (later.execution_status <> 'PLANNED' or x.execution_status = 'PLANNED')
)
"""

SUPERSEDED_EVENT = """
case when e.partition is null then exists (
  select from dagster.event_logs later where later.asset_key = e.asset_key and later.partition is null
  and later.dagster_event_type = e.dagster_event_type and later.id > e.id
) else exists (
  select from dagster.event_logs later where later.asset_key = e.asset_key and later.partition = e.partition
  and later.dagster_event_type = e.dagster_event_type and later.id > e.id
) end
"""

DOOMED_EVENTS = f"""
select e.id, octet_length(e.event) as bytes from dagster.event_logs e where e.run_id = any(%(runs)s) and (
  e.dagster_event_type is null
  or e.dagster_event_type = any(%(verbose)s)
  or (e.dagster_event_type = any(%(of_assets)s) and {SUPERSEDED_EVENT})
  or (e.dagster_event_type = 'ASSET_CHECK_EVALUATION' and not exists (
    select from dagster.asset_check_executions x
    where x.run_id = e.run_id and x.evaluation_event_storage_id = e.id and not {SUPERSEDED_CHECK}
  ))
) order by e.id limit %(rows)s
"""

DOOMED_CHECKS = f"""
select x.id, octet_length(x.evaluation_event) as bytes from dagster.asset_check_executions x
where x.run_id = any(%(runs)s) and {SUPERSEDED_CHECK} order by x.id limit %(rows)s
"""

DELETE_EVENTS = f"""
with doomed as ({DOOMED_EVENTS}),
tags as (delete from dagster.asset_event_tags t using doomed where t.event_id = doomed.id),
gone as (delete from dagster.event_logs e using doomed where e.id = doomed.id returning doomed.bytes)
select count(*), coalesce(sum(bytes), 0) from gone
"""

DELETE_CHECKS = f"""
with doomed as ({DOOMED_CHECKS}),
gone as (delete from dagster.asset_check_executions x using doomed where x.id = doomed.id returning doomed.bytes)
select count(*), coalesce(sum(bytes), 0) from gone
"""

COUNT_EVENTS = f"with doomed as ({DOOMED_EVENTS}) select count(*), coalesce(sum(bytes), 0) from doomed"
COUNT_CHECKS = f"with doomed as ({DOOMED_CHECKS}) select count(*), coalesce(sum(bytes), 0) from doomed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What went, or would go.

    Attributes:
        events: rows of the event log.
        check_executions: rows of the checks' history.
        bytes: of both, as Dagster wrote them; PostgreSQL compresses them, and reuses the room it gets back.
    """

    events: int
    check_executions: int
    bytes: int


class EventLogStore:
    """Dagster's event log in PostgreSQL.

    Args:
        url: as role `helios_dagster`, in Dagster's spelling (`postgresql+psycopg2://…`) or the usual one.
    """

    def __init__(self, url: str) -> None:
        self._url = url.replace("postgresql+psycopg2://", "postgresql://", 1)

    def ended_before(self, cutoff: datetime) -> list[str]:
        """Runs that ended before an instant, the oldest first; one that has not ended is never among them."""
        with transaction(self._url) as connection:
            rows = connection.execute(ENDED, (cutoff,)).fetchall()
        return [str(run_id) for (run_id,) in rows]

    def prune(self, run_ids: Sequence[str]) -> Pruned:
        """Remove what no view of present state needs of some ended runs.

        Kept are how each run started and ended, failures of steps, the latest event of every asset and partition, and
        the latest execution of every check. Such a run can't be resumed from its failure any more.
        """
        return self._sum(run_ids, DELETE_EVENTS, DELETE_CHECKS, rows=BATCH_ROWS)

    def count(self, run_ids: Sequence[str]) -> Pruned:
        """What `prune` would remove; nothing is changed."""
        return self._sum(run_ids, COUNT_EVENTS, COUNT_CHECKS, rows=None)

    def _sum(
        self, run_ids: Sequence[str], of_events: LiteralString, of_checks: LiteralString, *, rows: int | None
    ) -> Pruned:
        events = check_executions = total = 0
        for runs in batched(run_ids, BATCH_RUNS, strict=False):
            for count, size in self._batches(of_events, runs, rows):
                events, total = events + count, total + size
            for count, size in self._batches(of_checks, runs, rows):
                check_executions, total = check_executions + count, total + size
        return Pruned(events=events, check_executions=check_executions, bytes=total)

    def _batches(self, statement: LiteralString, runs: Sequence[str], rows: int | None) -> Iterator[tuple[int, int]]:
        """Run a statement, each time in a transaction of its own, until it finds fewer rows than it may take."""
        values = {"runs": list(runs), "verbose": VERBOSE, "of_assets": OF_ASSETS, "rows": rows}
        while True:
            with transaction(self._url) as connection:
                count, size = cast(tuple[int, int], connection.execute(statement, values).fetchone())
            yield count, int(size)
            if rows is None or count < rows:
                return
