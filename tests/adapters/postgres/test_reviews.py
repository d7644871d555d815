import json
from dataclasses import replace

import psycopg
import pytest

from helios_pipeline.adapters.postgres.reviews import ReviewRequest, ReviewStore

FAILED_CHECK = ReviewRequest(
    trigger="check_failed",
    trigger_key="check_failed:run-1:17",
    subject="bars_15m",
    partition="2025-01-01|BTCUSDT-PERP.BINANCE",
    run_id="run-1",
    evidence={"check": "prices_in_range", "rows": [{"opened_at": "2025-01-03", "close": -1}]},
)


@pytest.fixture
def store(database_url):
    return ReviewStore(database_url)


def test_a_request_is_recorded_as_it_was_made_and_waits_for_its_review(store):
    assert store.request(FAILED_CHECK)

    (stored,) = store.requests(10)
    assert stored.request == FAILED_CHECK
    assert stored.requested_at.tzinfo is not None
    assert (stored.state, stored.why, stored.reviewed_at) == ("not_reviewed", None, None)


def test_asking_again_for_the_same_thing_leaves_the_first_request(store):
    store.request(FAILED_CHECK)

    assert not store.request(replace(FAILED_CHECK, evidence={"check": "seen later"}))
    (stored,) = store.requests(10)
    assert stored.request == FAILED_CHECK


def test_requests_come_newest_first(store):
    for number in range(3):
        store.request(replace(FAILED_CHECK, trigger_key=f"check_failed:run-1:{number}", partition=None))

    assert [stored.request.trigger_key[-1] for stored in store.requests(10)] == ["2", "1", "0"]
    assert len(store.requests(1)) == 1


@pytest.mark.parametrize(
    "change", [{"trigger": "mood"}, {"trigger_key": ""}, {"evidence": []}, {"evidence": {"log": "x" * 70_000}}]
)
def test_a_request_of_another_kind_or_size_is_refused(store, change):
    with pytest.raises(psycopg.errors.CheckViolation, match="review_requests"):
        store.request(replace(FAILED_CHECK, **change))
    assert store.requests(10) == []


def test_listeners_are_told_of_a_new_request(store, database):
    with psycopg.connect(database.urls.agents, autocommit=True) as listener:
        listener.execute("listen helios")

        store.request(FAILED_CHECK)

        told = [json.loads(notify.payload) for notify in listener.notifies(timeout=30, stop_after=1)]
    assert told == [{"table": "review_requests", "op": "INSERT"}]


def test_agents_answer_a_request_and_the_pipeline_reads_the_answer(store, database):
    store.request(FAILED_CHECK)

    with psycopg.connect(database.urls.agents) as agents:
        agents.execute("update review_requests set state = 'reviewed', reviewed_at = now()")

    (stored,) = store.requests(10)
    assert (stored.state, stored.request) == ("reviewed", FAILED_CHECK)
    assert stored.reviewed_at >= stored.requested_at
