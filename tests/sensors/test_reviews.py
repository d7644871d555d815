"""The sensors on a real instance: what was really materialized, checked and failed, and the runs that record it."""

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from jobs.agent_review import OP, agent_review
from sensors import requests
from sensors.reviews import REVIEW_SENSORS, failed_checks, failed_runs, promotions, walk_forward_reports

ROUNDS = dg.StaticPartitionsDefinition(["first", "second"])
CHECKS = [dg.AssetCheckSpec("prices", asset="bars_15m"), dg.AssetCheckSpec("gaps", asset="bars_15m")]


class WrongPrice(Exception):
    pass


class BarsConfig(dg.Config):
    prices: bool = True
    gaps: bool = True


@dg.asset(check_specs=CHECKS)
def bars_15m(config: BarsConfig):
    yield dg.AssetCheckResult(check_name="prices", passed=config.prices)
    yield dg.AssetCheckResult(check_name="gaps", passed=config.gaps, severity=dg.AssetCheckSeverity.WARN)
    yield dg.MaterializeResult()


@dg.asset
def raw_klines():
    raise WrongPrice("close: expected a price above 0, found -1")


@dg.asset(partitions_def=ROUNDS)
def walk_forward_report():
    return dg.MaterializeResult(metadata={"summary": {"sharpe": 1.2}})


@dg.asset(partitions_def=ROUNDS)
def promoted_parameters():
    return dg.MaterializeResult(metadata={"promoted": False})


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def make(instance, asset, **options):
    config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}} | options.pop("run_config", {})
    return dg.materialize([asset], instance=instance, raise_on_error=False, run_config=config, **options)


def make_bars(instance, **passed):
    return make(instance, bars_15m, run_config={"ops": {"bars_15m": {"config": passed}}})


def tick(sensor, instance, cursor=None):
    return sensor.evaluate_tick(dg.build_sensor_context(instance=instance, cursor=cursor))


def configs(done):
    return [request.run_config["ops"][OP]["config"] for request in done.run_requests]


def keys(done):
    return [request.run_key for request in done.run_requests]


def record_run(instance, run_key, status):
    """A run of the requested job as the daemon would have started it."""
    return create_run_for_test(instance, job_name=agent_review.name, tags={"dagster/run_key": run_key}, status=status)


@pytest.mark.parametrize("sensor", REVIEW_SENSORS, ids=lambda sensor: sensor.name)
def test_where_nothing_happened_nothing_is_requested_and_that_is_said(instance, sensor):
    done = tick(sensor, instance)

    assert (done.run_requests, done.skip_message) == ([], "Nothing has happened yet.")


def test_a_failed_run_is_requested_with_its_job_and_run(instance):
    failed = make(instance, raw_klines)
    make_bars(instance)

    done = tick(failed_runs, instance)

    (config,) = configs(done)
    assert keys(done) == [f"run_failed:{failed.run_id}__attempt0"]
    assert (config["trigger"], config["run_id"]) == ("run_failed", failed.run_id)
    assert config["subject"] == instance.get_run_by_id(failed.run_id).job_name


def test_a_failure_of_the_recording_job_itself_is_never_requested(instance):
    for _ in range(3):
        instance.report_run_failed(record_run(instance, "k", dg.DagsterRunStatus.STARTED))

    done = tick(failed_runs, instance)

    assert done.run_requests == []
    assert int(done.cursor) > 0


def test_only_checks_that_failed_are_requested_each_evaluation_once(instance):
    make_bars(instance)
    first = make_bars(instance, prices=False)
    second = make_bars(instance, prices=False, gaps=False)

    done = tick(failed_checks, instance)

    found = configs(done)
    assert [config["run_id"] for config in found] == [first.run_id, second.run_id, second.run_id]
    assert {(config["trigger"], config["subject"]) for config in found} == {("check_failed", "bars_15m")}
    assert len({config["trigger_key"] for config in found}) == 3


def test_checks_that_passed_are_read_past(instance):
    make_bars(instance)

    done = tick(failed_checks, instance)

    assert done.run_requests == []
    assert tick(failed_checks, instance, done.cursor).cursor == done.cursor
    assert done.skip_message == f"Nothing new up to event {done.cursor}."


@pytest.mark.parametrize(
    ("sensor", "asset", "trigger"),
    [
        (walk_forward_reports, walk_forward_report, "walk_forward_report"),
        (promotions, promoted_parameters, "promotion"),
    ],
)
def test_every_materialization_is_requested_with_its_round(instance, sensor, asset, trigger):
    for name in ("first", "second"):
        make(instance, asset, partition_key=name)
    make_bars(instance)

    done = tick(sensor, instance)

    assert [(config["trigger"], config["partition"]) for config in configs(done)] == [
        (trigger, "first"),
        (trigger, "second"),
    ]


def test_a_request_is_made_under_the_same_key_until_it_is_launched(instance):
    make(instance, walk_forward_report, partition_key="first")

    first = tick(walk_forward_reports, instance)
    second = tick(walk_forward_reports, instance, first.cursor)

    assert keys(first) == keys(second)
    assert len(keys(first)) == 1


def test_a_request_in_progress_is_waited_for_one_that_succeeded_is_passed(instance):
    make(instance, walk_forward_report, partition_key="first")
    first = tick(walk_forward_reports, instance)
    run = record_run(instance, keys(first)[0], dg.DagsterRunStatus.STARTED)

    waiting = tick(walk_forward_reports, instance, first.cursor)
    instance.handle_run_event(run.run_id, run_event(run, "PIPELINE_SUCCESS"))
    passed = tick(walk_forward_reports, instance, waiting.cursor)

    assert (keys(waiting), waiting.skip_message) == ([], "1 requested before, not finished yet.")
    assert waiting.cursor == first.cursor
    assert keys(passed) == []
    assert int(passed.cursor) > int(first.cursor)


def test_a_failed_request_is_made_again_and_given_up_after_the_last_attempt(instance):
    make(instance, promoted_parameters, partition_key="first")
    cursor, seen = None, []
    for _ in range(requests.ATTEMPTS):
        done = tick(promotions, instance, cursor)
        seen += keys(done)
        record_run(instance, keys(done)[0], dg.DagsterRunStatus.FAILURE)
        cursor = done.cursor

    last = tick(promotions, instance, cursor)

    assert [key[-len("__attempt0") :] for key in seen] == ["__attempt0", "__attempt1", "__attempt2"]
    assert len({key.partition("__")[0] for key in seen}) == 1
    assert last.run_requests == []
    assert int(last.cursor) > int(cursor)


def test_new_occurrences_do_not_wait_for_one_that_is_open(instance):
    make_bars(instance, prices=False)
    first = tick(failed_checks, instance)
    record_run(instance, keys(first)[0], dg.DagsterRunStatus.STARTED)
    make_bars(instance, prices=False)

    second = tick(failed_checks, instance, first.cursor)

    assert len(keys(second)) == 1
    assert keys(second) != keys(first)
    assert second.cursor == first.cursor


def test_what_happened_long_before_the_first_tick_is_history(instance, monkeypatch):
    make_bars(instance, prices=False)
    monkeypatch.setattr(requests, "LOOK_BACK", -requests.LOOK_BACK)

    assert tick(failed_checks, instance).run_requests == []


def test_an_event_that_was_committed_behind_the_cursor_is_requested_while_it_is_new(instance, monkeypatch):
    make_bars(instance, prices=False)
    beyond = str(requests.OVERLAP // 2)

    assert len(keys(tick(failed_checks, instance, beyond))) == 1
    monkeypatch.setattr(requests, "LOOK_BACK", -requests.LOOK_BACK)
    assert keys(tick(failed_checks, instance, beyond)) == []


def test_a_tick_reads_a_bounded_number_of_events(instance, monkeypatch):
    monkeypatch.setattr("sensors.reviews.SCANNED", 3)
    monkeypatch.setattr(requests, "OVERLAP", 0)
    for _ in range(2):
        make_bars(instance)
    make_bars(instance, prices=False)

    first = tick(failed_checks, instance)
    second = tick(failed_checks, instance, first.cursor)

    assert (len(keys(first)), len(keys(second))) == (0, 1)


def run_event(run, kind):
    return dg.DagsterEvent(event_type_value=kind, job_name=run.job_name)
