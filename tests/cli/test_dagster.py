"""`helios dagster`: the web interface and the daemon, until somebody stops them."""

import json
import os
import signal
import socket
import time
import urllib.request
from urllib.error import URLError

import pytest

from helios_pipeline.cli.dagster import open_instance
from helios_pipeline.core.errors import DatabaseError
from tests.helios_home import await_end

HEALTH = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"
LOCATIONS = """
{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError {
  ... on PythonError { message }
  ... on RepositoryLocation { repositories { assetNodes { assetKey { path } } } } } } } } }
"""
UP_WITHIN_SECONDS = 120
STOPPED_WITHIN_SECONDS = 30
WITHOUT_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def fetch(url, body=None):
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with WITHOUT_PROXY.open(request, timeout=30) as answer:
        return json.load(answer)


def ask(port, query):
    return fetch(f"http://127.0.0.1:{port}/graphql", json.dumps({"query": query}).encode())["data"]


def await_answer(process, question, *, until):
    """Ask until the answer is as wanted; the process ending first is an error."""
    deadline, answer = time.monotonic() + UP_WITHIN_SECONDS, None
    while time.monotonic() < deadline:
        try:
            answer = question()
            if until(answer):
                return answer
        except (URLError, ConnectionError, TimeoutError) as error:
            answer = error
        assert not await_end(process.pid, 0.2), process.stdout.read()
    raise AssertionError(f"not in time: {answer}")


def daemons_are_healthy(answer):
    statuses = answer["instance"]["daemonHealth"]["allDaemonStatuses"]
    return all(status["healthy"] for status in statuses if status["required"])


def assert_stops(home, process, number):
    known = home.processes()
    os.kill(process.pid, number)
    said, _ = process.communicate(timeout=STOPPED_WITHIN_SECONDS)

    assert len(known) > 3
    assert home.left_after(STOPPED_WITHIN_SECONDS) == {}
    assert "Traceback" not in said.rpartition("Stopping Dagster")[2]
    return said


def test_it_serves_the_assets_with_a_healthy_daemon_until_ctrl_c(make_home):
    home, port = make_home(), free_port()
    with home.started("dagster", "--port", str(port)) as process:
        await_answer(process, lambda: fetch(f"http://127.0.0.1:{port}/server_info"), until=bool)
        await_answer(process, lambda: ask(port, HEALTH), until=daemons_are_healthy)
        (location,) = ask(port, LOCATIONS)["workspaceOrError"]["locationEntries"]
        said = assert_stops(home, process, signal.SIGINT)

    assert location["loadStatus"] == "LOADED"
    (repository,) = location["locationOrLoadError"]["repositories"]
    assert len(repository["assetNodes"]) == 9
    assert f"http://127.0.0.1:{port}" in said
    assert process.returncode == 0


def test_it_stops_whole_when_it_is_terminated(make_home):
    home, port = make_home(), free_port()
    with home.started("dagster", "--port", str(port)) as process:
        await_answer(process, lambda: fetch(f"http://127.0.0.1:{port}/server_info"), until=bool)
        assert_stops(home, process, signal.SIGTERM)


def test_nothing_is_left_when_it_is_killed(make_home):
    home, port = make_home(), free_port()
    with home.started("dagster", "--port", str(port)) as process:
        await_answer(process, lambda: fetch(f"http://127.0.0.1:{port}/server_info"), until=bool)
        process.kill()

    assert home.left_after(UP_WITHIN_SECONDS) == {}


def test_a_port_that_is_taken_is_refused_before_anything_starts(make_home):
    home = make_home()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        outcome = home.run("dagster", "--port", port)

    assert (outcome.code, len(outcome.lines)) == (2, 1)
    assert f"{port}: Address already in use" in outcome.err
    assert not home.home.exists()


def test_a_database_that_does_not_answer_is_one_line_without_its_password(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "")
    port = free_port()

    with (
        pytest.raises(DatabaseError, match="Dagster's tables: expected the database to answer") as error,
        open_instance(tmp_path, f"postgresql://helios:hunter2@127.0.0.1:{port}/helios"),
    ):
        pass

    assert str(port) in str(error.value)
    assert "\n" not in str(error.value)
    assert "hunter2" not in str(error.value)
