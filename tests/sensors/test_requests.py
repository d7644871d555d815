"""Which reviews a tick starts, and how far its cursor goes: decided from what was read and the runs there are."""

import dagster as dg
import pytest

from sensors.requests import (
    ATTEMPTS,
    OPEN,
    Attempt,
    Occurrence,
    Reading,
    decide,
    next_attempt,
    possible_run_keys,
    without_history,
)

QUEUED, STARTED = dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED
SUCCESS, FAILURE, CANCELED = (
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
)


def occurrence(event_id, key=None):
    return Occurrence(
        event_id=event_id,
        happened_at=float(event_id),
        trigger="check_failed",
        key=key or f"check_failed:run:{event_id}",
        subject="bars_15m",
        partition=None,
        run_id="run",
    )


def reading(*event_ids, last=None):
    last = last or max(event_ids, default=None)
    return Reading(occurrences=[occurrence(each) for each in event_ids], last_event_id=last)


def runs(**statuses):
    """Runs by event and attempt: `e7_0=[FAILURE]`."""
    named = {tuple(name[1:].split("_")): each for name, each in statuses.items()}
    return {f"check_failed:run:{event}__attempt{number}": each for (event, number), each in named.items()}


def requested(decision):
    return [attempt.run_key.removeprefix("check_failed:run:") for attempt in decision.requests]


def test_nothing_read_leaves_the_cursor_where_it_is():
    assert decide(reading(), {}, 5).cursor == 5
    assert decide(reading(), {}, None).cursor is None


def test_events_that_ask_for_nothing_are_passed():
    decision = decide(reading(last=9), {}, 5)

    assert (decision.cursor, decision.requests) == (9, [])


def test_a_new_occurrence_is_requested_and_holds_the_cursor_before_it():
    decision = decide(reading(7, last=9), {}, 5)

    assert requested(decision) == ["7__attempt0"]
    assert decision.cursor == 6


def test_a_request_that_was_not_launched_is_made_again_under_the_same_key():
    first = decide(reading(7), {}, None)
    second = decide(reading(7), {}, first.cursor)

    assert requested(first) == requested(second) == ["7__attempt0"]


@pytest.mark.parametrize("status", [QUEUED, STARTED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.CANCELING])
def test_a_run_in_progress_is_waited_for(status):
    decision = decide(reading(7), runs(e7_0=[status]), 6)

    assert (requested(decision), decision.in_progress, decision.cursor) == ([], 1, 6)


def test_a_success_lets_the_cursor_pass():
    decision = decide(reading(7, 8, last=12), runs(e7_0=[SUCCESS], e8_0=[SUCCESS]), 6)

    assert (requested(decision), decision.cursor) == ([], 12)


@pytest.mark.parametrize("status", [FAILURE, CANCELED])
def test_a_failed_run_is_followed_by_another_under_a_new_key(status):
    decision = decide(reading(7), runs(e7_0=[status]), 6)

    assert (requested(decision), decision.cursor) == (["7__attempt1"], 6)


def test_a_failed_run_that_a_person_ran_again_with_success_is_done():
    assert decide(reading(7), runs(e7_0=[FAILURE, SUCCESS]), 6).cursor == 7


def test_when_all_attempts_have_failed_the_occurrence_is_given_up_and_said_once():
    failed = runs(**{f"e7_{number}": [FAILURE] for number in range(ATTEMPTS)})

    first = decide(reading(7, last=9), failed, 6)
    again = decide(reading(7, last=9), failed, first.cursor)

    assert [each.event_id for each in first.given_up] == [7]
    assert (first.cursor, first.requests) == (9, [])
    assert again.given_up == []


def test_one_that_is_open_holds_the_cursor_and_not_the_others():
    decision = decide(reading(7, 8, 9), runs(e7_0=[STARTED], e8_0=[SUCCESS]), 6)

    assert (requested(decision), decision.cursor) == (["9__attempt0"], 6)


def test_a_storm_is_requested_in_portions():
    storm = reading(*range(1, 100))

    first = decide(storm, {}, None)
    busy = decide(storm, {attempt.run_key: [QUEUED] for attempt in first.requests}, first.cursor)
    half_done = {attempt.run_key: [SUCCESS] for attempt in first.requests[: OPEN // 2]} | {
        attempt.run_key: [STARTED] for attempt in first.requests[OPEN // 2 :]
    }
    later = decide(storm, half_done, busy.cursor)

    assert requested(first) == [f"{number}__attempt0" for number in range(1, OPEN + 1)]
    assert (busy.requests, busy.in_progress) == ([], OPEN)
    assert requested(later) == [f"{number}__attempt0" for number in range(OPEN + 1, OPEN + 1 + OPEN // 2)]
    assert later.cursor == OPEN // 2


def test_an_event_that_appears_behind_the_cursor_is_requested_and_the_cursor_stays():
    decision = decide(reading(7, 9), runs(e9_0=[SUCCESS]), 9)

    assert (requested(decision), decision.cursor) == (["7__attempt0"], 9)


def test_behind_the_cursor_history_is_left_alone_beyond_it_nothing_is_too_old():
    kept = without_history(reading(5, 7, 9, 11), cursor=9, since=8.0)

    assert [each.event_id for each in kept.occurrences] == [9, 11]
    assert [each.event_id for each in without_history(kept, cursor=9, since=99.0).occurrences] == [11]
    assert kept.last_event_id == 11


def test_two_events_of_one_occurrence_are_one_request():
    both = Reading(occurrences=[occurrence(7, "run_failed:a"), occurrence(8, "run_failed:a")], last_event_id=8)

    assert [attempt.run_key for attempt in decide(both, {}, None).requests] == ["run_failed:a__attempt0"]


def test_keys_of_all_attempts_are_looked_up_and_no_other_can_be_chosen():
    seven = occurrence(7)
    keys = possible_run_keys([seven])

    assert keys == [Attempt(occurrence=seven, number=number).run_key for number in range(ATTEMPTS)]
    assert next_attempt(seven, {key: [FAILURE] for key in keys}) is None


def test_a_run_key_fits_dagsters_index():
    long = occurrence(2**63, f"walk_forward_report:{'f' * 36}:{2**63}")

    assert max(len(key) for key in possible_run_keys([long])) < 200
