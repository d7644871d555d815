"""From what happened to a run of `agent_review` for it, so that nothing is lost when such a run fails.

A sensor's own cursor is not enough: Dagster never runs the same `run_key` twice, so once a requested run has failed,
its occurrence would be passed over for good. Here the cursor goes on only past occurrences whose run succeeded, and
each new attempt has a key of its own. (Dagster's run failure sensors advance by themselves, take five runs at a time
and don't see runs that a command line started; so failed runs are read from the event log like everything else.)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import dagster as dg

from helios_pipeline.adapters.postgres.reviews import Trigger
from jobs.agent_review import OP, ReviewConfig, agent_review

ATTEMPTS = 3
"""Runs of `agent_review` for one occurrence, each with the op's own retries; then it is given up, and that is said."""

OPEN = 20
"""Occurrences that may have a run in progress at once, so that a storm of failures leaves room for other runs."""

SCANNED = 500
"""Events read in one tick."""

OVERLAP = 100
"""Events before the cursor that are read again: their ids are given out before they are committed, so that one may
appear after a later one was read. What was requested before is known by its key."""

LOOK_BACK = timedelta(days=1)
"""How far a sensor looks back when it runs for the first time, or before its cursor; what is older is history."""

RUN_KEY = "dagster/run_key"
FAILED = {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One event that asks for a review.

    Attributes:
        event_id: its id in Dagster's event log.
        happened_at: seconds since 1970.
        trigger: its kind.
        key: names it for good: it holds the run's id, since event ids begin anew with a new event log.
        subject: the asset, or for a failed run the job.
        partition: the asset's partition, if it has one.
        run_id: the run in which it happened.
    """

    event_id: int
    happened_at: float
    trigger: Trigger
    key: str
    subject: str
    partition: str | None
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one look at the event log gave.

    Attributes:
        occurrences: those that ask for a review, oldest first.
        last_event_id: of the last event that was read, whether it asks or not; None if there was none.
    """

    occurrences: Sequence[Occurrence]
    last_event_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One run for an occurrence, numbered from 0."""

    occurrence: Occurrence
    number: int

    @property
    def run_key(self) -> str:
        """Dagster's key of the run: it starts at most one of each."""
        return f"{self.occurrence.key}__attempt{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a tick does.

    Attributes:
        cursor: every event up to this id is done with.
        requests: runs to start, or already started under that key.
        in_progress: occurrences whose run has neither succeeded nor failed yet.
        given_up: occurrences beyond the old cursor whose attempts are used up.
    """

    cursor: int | None
    requests: Sequence[Attempt]
    in_progress: int
    given_up: Sequence[Occurrence]


type Runs = Mapping[str, Sequence[dg.DagsterRunStatus]]
"""Statuses of the runs there are, by run key."""

type Read = Callable[[dg.DagsterInstance, int | None, float | None], Reading]
"""Reads at most `SCANNED` events after an id, oldest first; without one, those after a time in seconds since 1970."""


def possible_run_keys(occurrences: Sequence[Occurrence]) -> list[str]:
    """Keys of all runs that some occurrences can have."""
    return [Attempt(occurrence=each, number=number).run_key for each in occurrences for number in range(ATTEMPTS)]


def next_attempt(occurrence: Occurrence, runs: Runs) -> Attempt | None:
    """The first attempt that has not failed, or None if all have."""
    for number in range(ATTEMPTS):
        attempt = Attempt(occurrence=occurrence, number=number)
        statuses = runs.get(attempt.run_key, ())
        if not statuses or not FAILED.issuperset(statuses):
            return attempt
    return None


def decide(reading: Reading, runs: Runs, cursor: int | None) -> Decision:
    """Which runs to start, and how far the cursor may go: up to the first occurrence that is not done with.

    Args:
        reading: what was read, from `OVERLAP` before the cursor on.
        runs: the runs of these occurrences.
        cursor: where the last tick left it; None before the first.
    """
    requests: dict[str, Attempt] = {}
    first_open, in_progress = None, 0
    given_up: list[Occurrence] = []
    for occurrence in reading.occurrences:
        attempt = next_attempt(occurrence, runs)
        statuses = () if attempt is None else runs.get(attempt.run_key, ())
        if attempt is None:
            if occurrence.event_id > (cursor or 0):
                given_up.append(occurrence)
        elif dg.DagsterRunStatus.SUCCESS not in statuses:
            first_open = first_open or occurrence.event_id
            if len(requests) + in_progress == OPEN:
                break
            if statuses:
                in_progress += 1
            else:
                requests[attempt.run_key] = attempt  # two events of one occurrence are one request
    reached = reading.last_event_id if first_open is None else first_open - 1
    return Decision(
        cursor=max((each for each in (cursor, reached) if each is not None), default=None),
        requests=list(requests.values()),
        in_progress=in_progress,
        given_up=given_up,
    )


def without_history(reading: Reading, cursor: int, since: float) -> Reading:
    """A reading without what was passed long ago; nothing beyond the cursor is ever too old."""
    kept = [each for each in reading.occurrences if each.event_id > cursor or each.happened_at >= since]
    return replace(reading, occurrences=kept)


def request_reviews(context: dg.SensorEvaluationContext, read: Read) -> dg.SensorResult:
    """One tick: read on from the cursor, and start a review of what happened since."""
    instance, cursor = context.instance, None if context.cursor is None else int(context.cursor)
    since = (datetime.now(UTC) - LOOK_BACK).timestamp()
    if cursor is None:
        reading = read(instance, None, since)
    else:
        reading = without_history(read(instance, max(0, cursor - OVERLAP), None), cursor, since)
    decision = decide(reading, _runs_of(instance, reading.occurrences), cursor)
    for each in decision.given_up:
        context.log.error(
            f"{each.key}: expected one of {ATTEMPTS} runs of {agent_review.name} to record the request to review "
            f"{each.subject}, found all failed. No further one is started; their errors say why."
        )
    return dg.SensorResult(
        run_requests=[_run_request(attempt) for attempt in decision.requests],
        skip_reason=None if decision.requests else dg.SkipReason(_why_nothing(decision)),
        cursor=None if decision.cursor is None else str(decision.cursor),
    )


def _runs_of(instance: dg.DagsterInstance, occurrences: Sequence[Occurrence]) -> Runs:
    runs: dict[str, list[dg.DagsterRunStatus]] = {}
    if occurrences:
        filters = dg.RunsFilter(job_name=agent_review.name, tags={RUN_KEY: possible_run_keys(occurrences)})
        for run in instance.get_runs(filters):
            runs.setdefault(run.tags[RUN_KEY], []).append(run.status)
    return runs


def _run_request(attempt: Attempt) -> dg.RunRequest:
    each = attempt.occurrence
    config = ReviewConfig(
        trigger=each.trigger,
        trigger_key=each.key,
        subject=each.subject,
        partition=each.partition,
        run_id=each.run_id,
        event_id=each.event_id,
    )
    return dg.RunRequest(run_key=attempt.run_key, run_config=dg.RunConfig(ops={OP: config}))


def _why_nothing(decision: Decision) -> str:
    if decision.in_progress:
        return f"{decision.in_progress} requested before, not finished yet."
    return f"Nothing new up to event {decision.cursor}." if decision.cursor else "Nothing has happened yet."
