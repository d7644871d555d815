"""What an agent should look at: failed runs, failed checks, walk-forward reports and decisions about candidates."""

from functools import partial

import dagster as dg

from helios_pipeline.adapters.postgres.reviews import Trigger
from jobs.agent_review import agent_review
from sensors.requests import SCANNED, Occurrence, Reading, request_reviews
from sensors.status import default_sensor_status, sensor_seconds

review_sensor = partial(
    dg.sensor,
    job=agent_review,
    minimum_interval_seconds=sensor_seconds(),
    default_status=default_sensor_status(),
)


def read_failed_runs(instance: dg.DagsterInstance, after: int | None, since: float | None) -> Reading:
    """Failures of any job but the one that records them, whoever started the run."""
    events = instance.fetch_run_status_changes(
        dg.RunStatusChangeRecordsFilter(
            event_type=dg.DagsterEventType.RUN_FAILURE, after_storage_id=after, after_timestamp=since
        ),
        limit=SCANNED,
        ascending=True,
    ).records
    occurrences = [
        Occurrence(
            event_id=event.storage_id,
            happened_at=event.timestamp,
            trigger="run_failed",
            key=f"run_failed:{event.run_id}",
            subject=str(event.event_log_entry.job_name),
            partition=None,
            run_id=event.run_id,
        )
        for event in events
        if event.event_log_entry.job_name != agent_review.name
    ]
    return Reading(occurrences=occurrences, last_event_id=events[-1].storage_id if events else None)


def read_failed_checks(instance: dg.DagsterInstance, after: int | None, since: float | None) -> Reading:
    """Evaluations that did not pass, errors and warnings alike; those that passed are only read past."""
    events = instance.event_log_storage.get_event_records(
        dg.EventRecordsFilter(
            event_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION, after_cursor=after, after_timestamp=since
        ),
        limit=SCANNED,
        ascending=True,
    )
    occurrences = []
    for event in events:
        evaluation = event.event_log_entry.asset_check_evaluation
        if evaluation is not None and not evaluation.passed:
            asset, partition = evaluation.asset_key.to_user_string(), evaluation.partition
            occurrences.append(_event_of_asset("check_failed", event, asset, partition))
    return Reading(occurrences=occurrences, last_event_id=events[-1].storage_id if events else None)


def read_materializations(
    asset: str, trigger: Trigger, instance: dg.DagsterInstance, after: int | None, since: float | None
) -> Reading:
    """Everything that was made of an asset."""
    events = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), after_storage_id=after, after_timestamp=since),
        limit=SCANNED,
        ascending=True,
    ).records
    return Reading(
        occurrences=[_event_of_asset(trigger, event, asset, event.partition_key) for event in events],
        last_event_id=events[-1].storage_id if events else None,
    )


read_walk_forward_reports = partial(read_materializations, "walk_forward_report", "walk_forward_report")
read_promotions = partial(read_materializations, "promoted_parameters", "promotion")


@review_sensor(description="Asks for a review of every run that failed, whoever started it.")
def failed_runs(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Failed runs."""
    return request_reviews(context, read_failed_runs)


@review_sensor(description="Asks for a review of every check that did not pass.")
def failed_checks(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Failed checks."""
    return request_reviews(context, read_failed_checks)


@review_sensor(description="Asks for a review of every walk-forward report.")
def walk_forward_reports(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """New walk-forward reports."""
    return request_reviews(context, read_walk_forward_reports)


@review_sensor(description="Asks for a review of every decision about a candidate, promotion or refusal.")
def promotions(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """New decisions."""
    return request_reviews(context, read_promotions)


REVIEW_SENSORS = (failed_runs, failed_checks, walk_forward_reports, promotions)


def _event_of_asset(trigger: Trigger, event: dg.EventLogRecord, asset: str, partition: str | None) -> Occurrence:
    return Occurrence(
        event_id=event.storage_id,
        happened_at=event.timestamp,
        trigger=trigger,
        key=f"{trigger}:{event.run_id}:{event.storage_id}",
        subject=asset,
        partition=partition,
        run_id=event.run_id,
    )
