"""Pruning a real Dagster instance's event log: what its interface shows must be the same before and after."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg
import pytest
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as CheckStatus
from dagster._core.storage.event_log.base import PartitionKeyFilter
from dagster._core.test_utils import create_run_for_test

from helios_pipeline.adapters.postgres import event_logs
from helios_pipeline.adapters.postgres.event_logs import OF_ASSETS, VERBOSE, EventLogStore, Pruned
from helios_pipeline.cli.dagster import open_instance
from helios_pipeline.settings import load_settings
from tests.helios_home import SMALL, write_settings

MONTHS = dg.StaticPartitionsDefinition(["2025-01", "2025-02", "2025-03"])
BARS, REPORT = dg.AssetKey("bars_15m"), dg.AssetKey("walk_forward_report")
CHECK = dg.AssetCheckKey(BARS, "prices")
MATERIALIZATION = dg.DagsterEventType.ASSET_MATERIALIZATION
NOTHING = Pruned(events=0, check_executions=0, bytes=0)


class BarsConfig(dg.Config):
    close: float = 1.0
    fails: bool = False


@dg.asset(partitions_def=MONTHS, check_specs=[dg.AssetCheckSpec("prices", asset=BARS)])
def bars_15m(context: dg.AssetExecutionContext, config: BarsConfig):
    context.log.info("a message that nobody reads twice")
    if config.fails:
        raise ArithmeticError("close: expected a price, found none")
    yield dg.AssetCheckResult(check_name="prices", passed=config.close > 0)
    yield dg.MaterializeResult(metadata={"close": config.close}, data_version=dg.DataVersion(str(config.close)))


@dg.asset
def walk_forward_report():
    return dg.MaterializeResult(metadata={"sharpe": 1.2})


@pytest.fixture
def instance(tmp_path, database, monkeypatch):
    for name in ("DAGSTER_HOME", "DAGSTER_POSTGRES_URL"):
        monkeypatch.setenv(name, "")  # put back after the test
    write_settings(tmp_path / "helios.toml", SMALL)
    with open_instance(load_settings(tmp_path / "helios.toml", {}), database.urls.dagster) as opened:
        yield opened


@pytest.fixture
def store(database):
    return EventLogStore(database.urls.dagster)


@pytest.fixture
def age(database):
    """Lets runs have ended a hundred days ago."""

    def let(*run_ids):
        with psycopg.connect(plain(database)) as connection:
            connection.execute(
                "update dagster.runs set end_time = end_time - 100 * 86400 where run_id = any(%s)", (list(run_ids),)
            )

    return let


def plain(database):
    return database.urls.dagster.replace("+psycopg2", "")


def make_bars(instance, month, **config):
    return make(instance, bars_15m, partition_key=month, ops={"bars_15m": {"config": config}})


def make(instance, asset, ops=None, **options):
    config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}, "ops": ops or {}}
    return dg.materialize([asset], instance=instance, run_config=config, raise_on_error=False, **options).run_id


@pytest.fixture
def history(instance, age):
    """Runs of long ago and of now: made again, failed checks, a failed run after a good one, and an asset made once."""
    old = [
        make_bars(instance, "2025-01", close=1.0),
        make_bars(instance, "2025-01", close=2.0),
        make_bars(instance, "2025-02", close=-3.0),
        make_bars(instance, "2025-03", close=4.0),
        make_bars(instance, "2025-03", fails=True),
        make(instance, walk_forward_report),
        make(instance, walk_forward_report),
    ]
    age(*old)
    return [*old, make_bars(instance, "2025-01", close=5.0)]


@pytest.fixture
def cutoff():
    return datetime.now(UTC) - timedelta(days=30)


def state(instance):
    """What the interface shows of the present, through the instance's own methods."""
    storage, months = instance.event_log_storage, MONTHS.get_partition_keys()
    latest = {month: latest_made(instance, month) for month in months}
    return {
        "materialized": instance.get_materialized_partitions(BARS),
        "latest": latest,
        "report": instance.get_latest_materialization_event(REPORT).asset_materialization.metadata,
        "statuses": dict(instance.get_status_by_partition(BARS, months, MONTHS)),
        "attempts": storage.get_latest_asset_partition_materialization_attempts_without_materializations(BARS),
        "planned": storage.get_latest_planned_materialization_info(BARS),
        "versions": storage.get_latest_tags_by_partition(BARS, MATERIALIZATION, [DATA_VERSION_TAG]),
        "checks": {month: checked(storage, month) for month in (None, *months)},
        "check": storage.get_latest_asset_check_execution_by_key([CHECK]),
        "summary": storage.get_asset_check_summary_records([CHECK])[CHECK],
        "runs": {record.dagster_run.run_id: shown_run(instance, record) for record in instance.get_run_records()},
    }


def latest_made(instance, month):
    made = instance.fetch_materializations(dg.AssetRecordsFilter(BARS, asset_partitions=[month]), limit=1).records
    return [(each.storage_id, each.asset_materialization.metadata) for each in made]


def checked(storage, month):
    of_month, verdicts = PartitionKeyFilter(key=month), {CheckStatus.SUCCEEDED, CheckStatus.FAILED}
    latest = storage.get_asset_check_execution_history(CHECK, limit=1, partition_filter=of_month)
    return latest, storage.get_asset_check_execution_history(CHECK, limit=1, partition_filter=of_month, status=verdicts)


def shown_run(instance, record):
    run_id = record.dagster_run.run_id
    failures = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    stats = instance.get_run_stats(run_id)
    return record.dagster_run.status, record.start_time, stats.start_time, stats.end_time, stats.steps_failed, failures


def events_of(database, run_id):
    with psycopg.connect(plain(database)) as connection:
        rows = connection.execute(
            "select dagster_event_type, count(*)::int from dagster.event_logs where run_id = %s group by 1", (run_id,)
        ).fetchall()
    return dict(rows)


def tags_of_events(database):
    with psycopg.connect(plain(database)) as connection:
        return connection.execute(
            "select count(*) filter (where event_id not in (select id from dagster.event_logs)), count(*) filter"
            " (where event_id in (select id from dagster.event_logs)) from dagster.asset_event_tags"
        ).fetchone()


def test_everything_the_interface_shows_of_the_present_stays(instance, history, store, cutoff):
    before = state(instance)

    pruned = store.prune(store.ended_before(cutoff))

    assert state(instance) == before
    assert pruned.events > 50
    assert pruned.check_executions == 5
    assert before["latest"]["2025-01"][0][1]["close"].value == 5.0
    assert before["statuses"]["2025-03"].name == "FAILED"


def test_each_partitions_latest_check_stays(instance, history, store, cutoff, database):
    with psycopg.connect(plain(database)) as connection:  # as Dagster stores checks that have partitions
        connection.execute(
            "update dagster.asset_check_executions x set partition = t.value"
            " from dagster.run_tags t where t.run_id = x.run_id and t.key = 'dagster/partition'"
        )
    before = state(instance)

    pruned = store.prune(store.ended_before(cutoff))

    assert state(instance) == before
    (attempted,), (judged,) = before["checks"]["2025-03"]
    assert (attempted.status, judged.status) == (CheckStatus.PLANNED, CheckStatus.SUCCEEDED)
    assert pruned.check_executions == 2


def test_what_only_tells_how_an_old_run_went_is_gone(history, store, cutoff, database):
    store.prune(store.ended_before(cutoff))

    superseded, failed, recent = (events_of(database, history[number]) for number in (0, 4, -1))
    assert superseded == {"PIPELINE_START": 1, "PIPELINE_SUCCESS": 1}
    assert failed == {
        "PIPELINE_START": 1,
        "PIPELINE_FAILURE": 1,
        "STEP_FAILURE": 1,
        "ASSET_MATERIALIZATION_PLANNED": 1,
    }
    assert {"STEP_START", None, "ASSET_MATERIALIZATION"} < set(recent)
    orphaned, kept = tags_of_events(database)
    assert orphaned == 0
    assert kept > 0


def test_counting_says_what_pruning_in_any_batches_removes_and_a_second_time_nothing_is_left(
    history, store, cutoff, monkeypatch
):
    runs = store.ended_before(cutoff)
    counted = store.count(runs)
    monkeypatch.setattr(event_logs, "BATCH_ROWS", 7)
    monkeypatch.setattr(event_logs, "BATCH_RUNS", 2)

    assert store.prune(runs) == counted
    assert store.ended_before(cutoff) == runs
    assert store.count(runs) == store.prune(runs) == NOTHING


def test_a_run_that_has_not_ended_is_never_touched(instance, store, age, database, cutoff):
    run = create_run_for_test(instance, job_name="long", status=dg.DagsterRunStatus.STARTED)
    instance.report_engine_event("still at work", run)
    ended = make(instance, walk_forward_report)
    age(ended)
    with psycopg.connect(plain(database)) as connection:
        connection.execute("update dagster.runs set update_timestamp = '2020-01-01', create_timestamp = '2020-01-01'")

    runs = store.ended_before(cutoff)
    store.prune(runs)

    assert runs == [ended]
    assert events_of(database, run.run_id) == {"ENGINE_EVENT": 1}


def test_a_run_that_was_canceled_before_it_began_counts_as_ended(instance, store, database, cutoff):
    run = create_run_for_test(instance, job_name="waiting", status=dg.DagsterRunStatus.CANCELED)
    with psycopg.connect(plain(database)) as connection:
        connection.execute("update dagster.runs set update_timestamp = '2020-01-01'")

    assert store.ended_before(cutoff) == [run.run_id]


def test_every_type_that_is_removed_is_one_of_dagsters():
    known = {kind.value for kind in dg.DagsterEventType}

    assert {*VERBOSE, *OF_ASSETS} <= known
    assert not any("FAILURE" in kind or kind.startswith(("PIPELINE_", "RUN_")) for kind in VERBOSE)


def test_an_instance_keeps_its_connections(instance, database):
    def connected():
        with psycopg.connect(plain(database)) as connection:
            rows = connection.execute(
                "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
                " and backend_type = 'client backend'"
            )
            return {pid for (pid,) in rows}

    instance.get_run_records(limit=1)
    kept = connected()
    instance.get_run_records(limit=1)

    assert kept
    assert connected() == kept
