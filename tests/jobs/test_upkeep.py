"""The upkeep job on a real instance with its database and its folders."""

from pathlib import Path

import dagster as dg
import psycopg
import pytest

from assets.research import Installation
from helios_pipeline.cli.dagster import open_instance
from helios_pipeline.core.errors import DatabaseError
from helios_pipeline.settings import load_settings
from jobs.upkeep import bytes_in, dagster_database, output_folders, prune_event_logs, weekly_upkeep
from tests.helios_home import SMALL, write_settings

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
DAYS = 30


@dg.asset
def walk_forward_report(context: dg.AssetExecutionContext):
    context.log.info("a message")
    return dg.MaterializeResult(metadata={"sharpe": 1.2})


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "archive").mkdir()
    changes = {"data.archive_url": (tmp_path / "archive").as_uri(), "dagster.keep_event_logs_days": DAYS}
    write_settings(tmp_path / "helios.toml", SMALL | changes)
    return load_settings(tmp_path / "helios.toml", {})


@pytest.fixture
def instance(settings, database, monkeypatch):
    for name in ("DAGSTER_HOME", "DAGSTER_POSTGRES_URL"):
        monkeypatch.setenv(name, "")  # put back after the test
    with open_instance(settings, database.urls.dagster) as opened:
        yield opened


@pytest.fixture
def made(instance, database):
    """Makes the asset in a run that ended some days ago; returns the run and the folder of what it printed."""

    def make(days):
        run_id = dg.materialize([walk_forward_report], instance=instance, run_config=QUIET).run_id
        with psycopg.connect(database.urls.dagster.replace("+psycopg2", "")) as connection:
            connection.execute(
                "update dagster.runs set end_time = end_time - %s * 86400 where run_id = %s", (days, run_id)
            )
        return run_id, Path(instance.storage_directory()) / run_id

    return make


@pytest.fixture
def prune(settings, instance, database):
    """Runs the job; returns the figures that it reports."""
    installation = Installation(settings=settings, database_url=database.urls.pipeline)

    def run(**config):
        ops = {"ops": {"prune_old_runs": {"config": config}}}
        done = prune_event_logs.execute_in_process(
            run_config=QUIET | ops, instance=instance, resources={"installation": installation}
        )
        (output,) = [event for event in done.all_events if event.event_type_value == "STEP_OUTPUT"]
        return {name: value.value for name, value in output.step_output_data.metadata.items()}

    return run


def types_of(instance, run_id):
    return {record.event_log_entry.dagster_event_type for record in instance.get_records_for_run(run_id).records}


def test_old_runs_lose_their_chatter_and_recent_ones_nothing(instance, made, prune):
    old, old_folder = made(DAYS + 1)
    recent, recent_folder = made(DAYS - 1)
    before = types_of(instance, recent)
    printed = bytes_in(old_folder)

    figures = prune()

    assert (figures["runs"], figures["output_folders"], figures["output_bytes"]) == (1, 1, printed)
    assert figures["events"] > 5
    assert figures["event_bytes"] > 0
    assert types_of(instance, old) == {dg.DagsterEventType.RUN_START, dg.DagsterEventType.RUN_SUCCESS}
    assert types_of(instance, recent) == before
    assert not old_folder.exists()
    assert recent_folder.exists()


def test_a_dry_run_says_the_same_and_removes_nothing(instance, made, prune):
    old, _ = made(DAYS + 1)
    before = types_of(instance, old)

    dry = prune(dry_run=True)

    assert dry["dry_run"] is True
    assert types_of(instance, old) == before
    assert prune() == dry | {"dry_run": False}
    assert prune() == dry | {
        "dry_run": False,
        "events": 0,
        "event_bytes": 0,
        "output_folders": 0,
        "output_bytes": 0,
    }


def test_only_folders_of_those_runs_are_chosen(tmp_path):
    for name in ("run-1", "run-2", "walk_forward_report"):
        (tmp_path / name).mkdir()
    (tmp_path / "run-3").write_text("no folder")
    (tmp_path / "run-4").symlink_to(tmp_path / "run-2")

    assert output_folders(tmp_path, ["run-1", "run-3", "run-4", "run-5", "../run-2"]) == [tmp_path / "run-1"]
    assert output_folders(tmp_path / "absent", ["run-1"]) == []


def test_without_dagsters_database_the_job_says_how_to_start(monkeypatch):
    monkeypatch.delenv("DAGSTER_POSTGRES_URL", raising=False)

    with pytest.raises(DatabaseError, match="expected their address in DAGSTER_POSTGRES_URL, found none"):
        dagster_database()


def test_upkeep_is_due_on_sundays_in_utc():
    assert (weekly_upkeep.cron_schedule, weekly_upkeep.execution_timezone) == ("40 3 * * 0", "UTC")
    assert weekly_upkeep.job_name == prune_event_logs.name
