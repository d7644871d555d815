"""Asking for a review: what happened is kept with the evidence of that moment, until an agent looks at it."""

from collections.abc import Mapping
from typing import cast, get_args

import dagster as dg

from assets.research import Installation
from helios_pipeline.adapters.postgres.reviews import ReviewRequest, ReviewStore, Trigger
from jobs.evidence import bounded, evidence_of_check, evidence_of_materialization, evidence_of_run

OP = "record_review_request"


class ReviewConfig(dg.Config):
    """What happened."""

    trigger: str
    trigger_key: str
    subject: str
    partition: str | None = None
    run_id: str
    event_id: int


def gather_evidence(instance: dg.DagsterInstance, config: ReviewConfig) -> dict[str, object]:
    """Everything that Dagster knows of what happened.

    Raises:
        dg.Failure: no such trigger.
    """
    match config.trigger:
        case "run_failed":
            return evidence_of_run(instance, config.run_id)
        case "check_failed":
            return evidence_of_check(instance, config.run_id, config.event_id)
        case "walk_forward_report" | "promotion":
            return evidence_of_materialization(instance, config.run_id, config.event_id)
        case _:
            raise dg.Failure(
                f"trigger: expected one of {', '.join(get_args(Trigger.__value__))}, found {config.trigger!r}. "
                "Start this job through its sensors, or correct its configuration.",
                allow_retries=False,
            )


def subject_of(config: ReviewConfig, evidence: Mapping[str, object]) -> str:
    """What the review is about: for a run of Dagster's own job for whatever is asked, the assets it was to make."""
    assets = evidence.get("assets")
    if config.subject.startswith("__") and isinstance(assets, list) and assets:
        return ", ".join(str(each["asset"]) for each in assets)
    return config.subject


@dg.op(
    name=OP,
    retry_policy=dg.RetryPolicy(max_retries=3, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS),
    description="Keeps what happened with its evidence; asked again for the same thing, it changes nothing.",
)
def record_review_request(
    context: dg.OpExecutionContext, config: ReviewConfig, installation: dg.ResourceParam[Installation]
) -> None:
    """Record one request."""
    evidence = gather_evidence(context.instance, config)
    request = ReviewRequest(
        trigger=cast(Trigger, config.trigger),
        trigger_key=config.trigger_key,
        subject=subject_of(config, evidence),
        partition=config.partition,
        run_id=config.run_id,
        evidence=bounded(evidence),
    )
    new = ReviewStore(installation.database()).request(request)
    context.log.info(f"{config.trigger_key}: {'recorded' if new else 'was recorded before'}.")


@dg.job(description="Keeps what an agent should look at, with its evidence; started by sensors.")
def agent_review() -> None:
    """One request."""
    record_review_request()
