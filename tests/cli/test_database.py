"""`helios db`: which database is in use, and keeping it up for other tools."""

import os
import signal

import psycopg
import pytest


@pytest.fixture
def home(make_home):
    return make_home()


def test_the_schema_is_applied_once_and_its_state_told(home):
    first, second, status = home.run("db", "migrate"), home.run("db", "migrate"), home.run("db", "status")

    assert "applied 2026" in first.out
    assert "Nothing to apply: the schema is up to date." in second.out
    assert "PostgreSQL 18 embedded on 127.0.0.1:" in status.out
    assert "0 optimization rounds" in status.out
    assert home.left_after(30) == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_is_kept_up_for_other_tools_until_somebody_stops_it(home, number):
    with home.started("db", "run") as process:
        while "Up until Ctrl-C" not in (line := process.stdout.readline()):
            assert line, "ended before it was up"
        url = home.run("db", "url").out.strip()
        with psycopg.connect(url) as connection:
            (user,) = connection.execute("select current_user").fetchone()
        os.kill(process.pid, number)
        said, _ = process.communicate(timeout=30)

    assert user == "helios_pipeline"
    assert (process.returncode, said) == (0, "")
    assert home.left_after(30) == {}
