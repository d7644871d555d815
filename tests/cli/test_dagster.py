"""`helios dagster`: the web interface and the daemon, until somebody stops them."""

import os
import signal
import socket
from contextlib import contextmanager

import pytest

from helios_pipeline.cli.dagster import open_instance
from helios_pipeline.core.errors import DatabaseError
from helios_pipeline.settings import load_settings
from jobs.research import STEPS
from tests.served_dagster import STOPPED_WITHIN_SECONDS, UP_WITHIN_SECONDS, ServedDagster, fetch, free_port

LOCATIONS = """
{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError {
  ... on PythonError { message }
  ... on RepositoryLocation { repositories { assetNodes { assetKey { path } } } } } } } } }
"""


def assert_stops(home, process, number):
    known = home.processes()
    os.kill(process.pid, number)
    said, _ = process.communicate(timeout=STOPPED_WITHIN_SECONDS)

    assert len(known) > 3
    assert home.left_after(STOPPED_WITHIN_SECONDS) == {}
    assert "Traceback" not in said.rpartition("Stopping Dagster")[2]
    return said


@contextmanager
def starting(home):
    port = free_port()
    with home.started("dagster", "--port", str(port)) as process:
        yield ServedDagster(home=home, process=process, port=port)


def test_it_serves_the_assets_with_a_healthy_daemon_until_ctrl_c(make_home):
    home = make_home()
    with starting(home) as dagster:
        dagster.await_up()
        (location,) = dagster.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
        said = assert_stops(home, dagster.process, signal.SIGINT)

    assert location["loadStatus"] == "LOADED"
    (repository,) = location["locationOrLoadError"]["repositories"]
    assert {node["assetKey"]["path"][0] for node in repository["assetNodes"]} >= set(STEPS)
    assert dagster.url in said
    assert dagster.process.returncode == 0


def test_it_stops_whole_when_it_is_terminated(make_home):
    home = make_home()
    with starting(home) as dagster:
        dagster.await_answer(lambda: fetch(f"{dagster.url}/server_info"), bool, within=UP_WITHIN_SECONDS)
        assert_stops(home, dagster.process, signal.SIGTERM)


def test_nothing_is_left_when_it_is_killed(make_home):
    home = make_home()
    with starting(home) as dagster:
        dagster.await_answer(lambda: fetch(f"{dagster.url}/server_info"), bool, within=UP_WITHIN_SECONDS)
        dagster.process.kill()

    assert home.left_after(UP_WITHIN_SECONDS) == {}


def test_a_port_that_is_taken_is_refused_before_anything_starts(make_home):
    home = make_home()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        outcome = home.run("dagster", "--port", port)

    assert (outcome.code, len(outcome.lines)) == (2, 1)
    assert f"{port}: Address already in use" in outcome.err
    assert not home.home.exists()


def test_a_port_that_no_machine_has_is_refused(make_home):
    outcome = make_home().run("dagster", "--port", "80000")

    assert outcome.code == 2
    assert "--port" in outcome.err
    assert "65535" in outcome.err


def test_a_database_that_does_not_answer_is_one_line_without_its_password(make_home, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "")
    port, settings = free_port(), load_settings(make_home().folder / "helios.toml", {})

    with (
        pytest.raises(DatabaseError, match="Dagster's tables: expected the database to answer") as error,
        open_instance(settings, f"postgresql://helios:hunter2@127.0.0.1:{port}/helios"),
    ):
        pass

    assert str(port) in str(error.value)
    assert "\n" not in str(error.value)
    assert "hunter2" not in str(error.value)
