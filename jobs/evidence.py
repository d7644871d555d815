"""What Dagster knows of something that happened, as one JSON object of bounded size, for whoever reviews it later.

It is gathered when it happens: months later logs are pruned, and partitions have been made again.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster import DagsterEventType as Event
from dagster import EventLogRecord
from dagster_shared.error import SerializableErrorInfo

MAX_BYTES = 32 * 1024
"""Of one request's evidence as JSON; the table's own limit is twice that, since it stores JSON with more spaces."""

MOST_ENTRIES, MOST_CHARACTERS = 64, 4096
"""Of a list or object, and of a text, before any has to be halved to keep `MAX_BYTES`."""

STACK_FRAMES = 8
PICTURE = re.compile(r"data:image/[\w.+-]+;base64,[A-Za-z0-9+/=]+")
PASSWORD = re.compile(r"(\w://[^\s:/@]*:)[^\s/@]+(?=@)")

type Json = bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None


def evidence_of_run(instance: dg.DagsterInstance, run_id: str) -> dict[str, object]:
    """Of a failed run: where and why it failed, what it was to make, and what of that was finished."""
    records = [
        *_events(instance, run_id, {Event.STEP_FAILURE, Event.RUN_FAILURE}),
        *_events(instance, run_id, {Event.ASSET_MATERIALIZATION_PLANNED, Event.ASSET_MATERIALIZATION}),
    ]
    return {
        "run": run_facts(instance, run_id),
        "failed_steps": [_step_failure(record) for record in records if _type(record) is Event.STEP_FAILURE],
        "failures": [_run_failure(record) for record in records if _type(record) is Event.RUN_FAILURE],
        "assets": _aimed_and_finished(records),
    }


def evidence_of_check(instance: dg.DagsterInstance, run_id: str, event_id: int) -> dict[str, object]:
    """Of a failed check: what it says, the rows that failed, and where to look."""
    record = _event(instance, run_id, event_id, Event.ASSET_CHECK_EVALUATION)
    evaluation = None if record is None else record.event_log_entry.asset_check_evaluation
    if evaluation is None:
        return _gone(instance, run_id, event_id)
    return {
        "run": run_facts(instance, run_id),
        "asset": evaluation.asset_key.to_user_string(),
        "check": evaluation.check_name,
        "partition": evaluation.partition,
        "severity": evaluation.severity.value.lower(),
        "blocking": evaluation.blocking,
        "description": evaluation.description,
        "metadata": plain_metadata(evaluation.metadata),
    }


def evidence_of_materialization(instance: dg.DagsterInstance, run_id: str, event_id: int) -> dict[str, object]:
    """Of something that was made: its figures, tables and links as they stand in the interface."""
    record = _event(instance, run_id, event_id, Event.ASSET_MATERIALIZATION)
    made = None if record is None else record.asset_materialization
    if made is None:
        return _gone(instance, run_id, event_id)
    return {
        "run": run_facts(instance, run_id),
        "asset": made.asset_key.to_user_string(),
        "partition": made.partition,
        "tags": dict(made.tags or {}),
        "metadata": plain_metadata(made.metadata),
    }


def run_facts(instance: dg.DagsterInstance, run_id: str) -> dict[str, object]:
    """What a run was, and the path of its page in the interface."""
    record = instance.get_run_record_by_id(run_id) if run_id else None
    if record is None:
        return {"run_id": run_id, "found": False}
    run = record.dagster_run
    return {
        "run_id": run_id,
        "url": f"/runs/{run_id}",
        "job": run.job_name,
        "status": run.status.value,
        "started_at": record.start_time,
        "ended_at": record.end_time,
        "tags": {name: value for name, value in run.tags.items() if not name.startswith(".")},
    }


def plain_metadata(metadata: Mapping[str, dg.MetadataValue[Any]]) -> dict[str, object]:
    """Metadata as JSON values: tables as their rows, everything else as Dagster holds it."""
    return {name: _plain(value) for name, value in metadata.items()}


def bounded(document: Mapping[str, object]) -> dict[str, object]:
    """A document that PostgreSQL takes as JSON of at most `MAX_BYTES`.

    What is too long is cut, and how much was cut is said in its place; the passwords of addresses and pictures are
    left out; numbers that JSON does not know, or writes at length, become text.
    """
    for halvings in range(8):
        cut = _cut(document, MOST_ENTRIES >> halvings, MOST_CHARACTERS >> halvings)
        size = len(json.dumps(cut).encode())
        if size <= MAX_BYTES and isinstance(cut, dict):
            return cut
    return {"left_out": f"evidence of more than {MAX_BYTES} bytes, even when cut"}


def _events(instance: dg.DagsterInstance, run_id: str, kinds: set[Event]) -> Sequence[EventLogRecord]:
    return instance.get_records_for_run(run_id, of_type=kinds).records


def _event(instance: dg.DagsterInstance, run_id: str, event_id: int, kind: Event) -> EventLogRecord | None:
    return next((each for each in _events(instance, run_id, {kind}) if each.storage_id == event_id), None)


def _gone(instance: dg.DagsterInstance, run_id: str, event_id: int) -> dict[str, object]:
    return {"run": run_facts(instance, run_id), "event_id": event_id, "found": False}


def _type(record: EventLogRecord) -> Event | None:
    return record.event_log_entry.dagster_event_type


def _step_failure(record: EventLogRecord) -> dict[str, object]:
    event = record.event_log_entry.get_dagster_event()
    data = event.step_failure_data
    return {
        "step": event.step_key,
        "errors": [] if data.error is None else [_error(each) for each in _chain(data.error)],
        "metadata": plain_metadata(data.user_failure_data.metadata) if data.user_failure_data else {},
    }


def _run_failure(record: EventLogRecord) -> dict[str, object]:
    event = record.event_log_entry.get_dagster_event()
    data = event.event_specific_data  # none where the process that would have said it is gone
    error = None if data is None else event.job_failure_data.error
    return {"message": event.message, "errors": [] if error is None else [_error(each) for each in _chain(error)]}


def _chain(error: SerializableErrorInfo) -> Iterator[SerializableErrorInfo]:
    """The error that our code raised, then its causes; Dagster's wrapping of it says nothing."""
    if error.cause is None or not str(error.cls_name).startswith("Dagster"):
        yield error
    if error.cause is not None:
        yield from _chain(error.cause)


def _error(error: SerializableErrorInfo) -> dict[str, object]:
    ours = [frame for frame in error.stack if "/site-packages/dagster" not in frame]
    return {"class": error.cls_name, "message": error.message.strip(), "stack": "".join(ours[-STACK_FRAMES:])}


def _aimed_and_finished(records: Sequence[EventLogRecord]) -> list[dict[str, object]]:
    aimed: dict[str, list[str | None]] = {}
    finished: dict[str, list[str | None]] = {}
    for record in records:
        if record.asset_key is not None:
            kept = finished if _type(record) is Event.ASSET_MATERIALIZATION else aimed
            kept.setdefault(record.asset_key.to_user_string(), []).append(record.partition_key)
    return [
        {
            "asset": asset,
            "url": f"/assets/{asset}",
            "aimed": len(partitions),
            "finished": _named(finished.get(asset, [])),
            "unfinished": _named({*partitions}.difference(finished.get(asset, []))),
        }
        for asset, partitions in aimed.items()
    ]


def _named(partitions: Iterable[str | None]) -> list[str]:
    return sorted(partition or "the whole asset" for partition in partitions)


def _plain(value: dg.MetadataValue[Any]) -> object:
    if isinstance(value, dg.TableMetadataValue):
        return [dict(record.data) for record in value.records]
    if isinstance(value, dg.TableSchemaMetadataValue | dg.TableColumnLineageMetadataValue):
        return str(value.value)
    return value.value


def _cut(value: object, entries: int, characters: int) -> Json:
    match value:
        case None | bool():
            return value
        case int() | float():
            # PostgreSQL writes numbers out: 1e300 would be 301 digits.
            return value if value == 0 or 1e-12 < abs(value) < 1e16 else str(value)
        case Mapping():
            kept = {
                _clean(str(key))[:200]: _cut(each, entries, characters) for key, each in list(value.items())[:entries]
            }
            return kept if len(value) <= entries else kept | {"left_out": f"{len(value) - entries} more"}
        case list() | tuple():
            some = [_cut(each, entries, characters) for each in value[:entries]]
            return some if len(value) <= entries else [*some, f"… {len(value) - entries} more"]
        case _:
            text = _clean(str(value))
            left_out = len(text) - characters
            return text if left_out <= 0 else f"{text[:characters]}… {left_out} more characters"


def _clean(text: str) -> str:
    """Without pictures, passwords, and the characters that JSON in PostgreSQL can't hold."""
    shown = PASSWORD.sub(r"\1***", PICTURE.sub("[picture]", text))
    return shown.replace("\0", "�").encode(errors="replace").decode()
