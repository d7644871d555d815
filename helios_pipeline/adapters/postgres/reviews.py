"""What waits for an agent's review, with the evidence as it was when it happened."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from helios_pipeline.adapters.postgres.session import transaction

type Trigger = Literal["run_failed", "check_failed", "walk_forward_report", "promotion"]
"""What made the pipeline ask for a review."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRequest:
    """One thing that an agent should look at.

    Attributes:
        trigger: what made the pipeline ask.
        trigger_key: names the occurrence, so that asking again for the same thing changes nothing.
        subject: the asset, or for a failed run the job.
        partition: the asset's partition; None for a run over several or none.
        run_id: the Dagster run in which it happened.
        evidence: what is known of it, as a JSON object of at most 64 KiB.
    """

    trigger: Trigger
    trigger_key: str
    subject: str
    partition: str | None
    run_id: str
    evidence: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRequest:
    """A request on record.

    Attributes:
        request_id: its number.
        requested_at: when it was recorded.
        request: as it was made.
        state: how far its review is; agents write it.
        why: why there is no full review; None while nobody has taken it up.
        reviewed_at: when it was reviewed, if it was.
    """

    request_id: int
    requested_at: datetime
    request: ReviewRequest
    state: Literal["not_reviewed", "running", "reviewed", "partly_reviewed", "failed"]
    why: str | None
    reviewed_at: datetime | None


class ReviewStore:
    """Requests for reviews in PostgreSQL; asking twice for the same thing leaves one.

    Args:
        url: as role `helios_pipeline`; `helios_agents` may read.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def request(self, request: ReviewRequest) -> bool:
        """Record a request.

        Returns:
            Whether it is new; False leaves the one recorded before as it was, evidence and review included.
        """
        with transaction(self._url) as connection:
            done = connection.execute(
                "insert into review_requests (trigger, trigger_key, subject, partition, run_id, evidence)"
                " values (%s, %s, %s, %s, %s, %s) on conflict (trigger_key) do nothing",
                (
                    *(request.trigger, request.trigger_key, request.subject, request.partition, request.run_id),
                    Jsonb(request.evidence),
                ),
            )
        return done.rowcount == 1

    def requests(self, limit: int) -> list[StoredRequest]:
        """The newest requests, newest first."""
        with transaction(self._url) as connection, connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(
                "select * from review_requests order by request_id desc limit %s", (limit,)
            ).fetchall()
        about = ("request_id", "requested_at", "state", "why", "reviewed_at")
        return [StoredRequest(**{name: row.pop(name) for name in about}, request=ReviewRequest(**row)) for row in rows]
