import os
import shutil
import signal
import socket
import stat
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from helios_pipeline.adapters.postgres import embedded
from helios_pipeline.adapters.postgres.binaries import SYSTEM_FOLDER, installation_at
from helios_pipeline.adapters.postgres.embedded import ensure_server, wait_until_stopped
from helios_pipeline.adapters.postgres.lock_file import is_held
from helios_pipeline.core.errors import DatabaseError

BOTH_ACCOUNTS = pytest.mark.parametrize("person", ["caller", "normal_user"], indirect=True)
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another account")


def mode(path: Path) -> str:
    return stat.filemode(path.stat().st_mode)


def fill(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("create table kept as select generate_series(1, 1000) as row")


def count(url: str) -> int:
    with psycopg.connect(url) as connection:
        return connection.execute("select count(*) from kept").fetchone()[0]


@BOTH_ACCOUNTS
def test_a_second_process_joins_and_the_server_stops_after_the_last(launch, home, await_end):
    first, second = launch(), None
    assert first.facts["started"]
    second = launch()
    assert second.facts == first.facts | {"started": False}
    folder = home / "postgres"
    assert mode(folder / "password") == "-rw-------"
    assert mode(Path(first.facts["data"])) == "drwx------"
    assert "rwx" not in mode(folder)[4:]

    first.leave()
    with psycopg.connect(second.facts["url"]) as connection:
        (provider,) = connection.execute("select datlocprovider from pg_database where datname = 'helios'").fetchone()
        (addresses,) = connection.execute("show listen_addresses").fetchone()
    second.leave()

    assert (provider, addresses) == ("b", "127.0.0.1")
    assert await_end(first.facts["pid"])


@BOTH_ACCOUNTS
def test_a_killed_server_is_started_again_with_its_rows(launch, await_end):
    first = launch()
    fill(first.facts["url"])

    os.kill(first.facts["pid"], signal.SIGKILL)
    assert await_end(first.facts["pid"])
    second = launch()

    assert second.facts["started"]
    assert second.facts["url"] == first.facts["url"]
    assert count(second.facts["url"]) == 1000


@BOTH_ACCOUNTS
def test_the_guard_stops_the_server_when_its_only_user_is_killed_with_its_whole_group(launch, home, await_end, guards):
    user = launch()
    guarding = guards(home)
    assert user.facts["started"]

    user.kill()

    assert await_end(user.facts["pid"])
    assert all(await_end(pid) for pid in guarding or guards(home))


def test_the_server_stays_while_another_user_lives(launch, await_end):
    killed, living = launch(), launch()
    fill(killed.facts["url"])
    assert living.facts["pid"] == killed.facts["pid"]

    killed.kill()

    assert count(living.facts["url"]) == 1000
    living.leave()
    assert await_end(living.facts["pid"])


def test_a_killed_guard_is_replaced_by_the_next_user(launch, home, await_end, guards):
    first = launch()
    server = first.facts["pid"]
    (killed,) = guards(home)
    os.kill(killed, signal.SIGKILL)
    assert await_end(killed)

    second = launch()
    assert second.facts["pid"] == server
    assert killed not in guards(home)
    assert len(guards(home)) == 1
    first.kill()
    second.kill()

    assert await_end(server)


def test_a_user_whose_guard_was_killed_leaves_no_server_behind(launch, home, await_end, guards):
    user = launch()
    server = user.facts["pid"]
    (killed,) = guards(home)
    os.kill(killed, signal.SIGKILL)
    assert await_end(killed)

    user.leave()

    assert await_end(server)


@BOTH_ACCOUNTS
def test_of_processes_that_race_on_an_empty_home_one_starts_the_server(launch, home, await_end, guards):
    racing = [launch() for _ in range(4)]

    facts = [user.facts for user in racing]

    assert sorted(fact["started"] for fact in facts) == [False, False, False, True]
    assert len({fact["pid"] for fact in facts}) == 1
    assert len(guards(home)) == 1
    for user in racing:
        user.leave()
    assert await_end(facts[0]["pid"])


def test_a_user_killed_while_it_starts_the_server_leaks_none(launch, home):
    lock = home / "postgres/server.lock"
    user = launch()
    deadline = time.monotonic() + 60
    while not (lock.exists() and is_held(lock)):
        assert time.monotonic() < deadline

    user.kill()

    again = launch()
    assert again.facts["started"] or again.facts["pid"]
    again.leave()


def test_a_wrong_password_is_refused_over_tcp_and_over_the_unix_socket(home):
    with ensure_server(home) as server:
        for host in ("127.0.0.1", str(server.places.sockets)):
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(host=host, port=server.port, user="helios", password="guess", dbname="helios")
        for host in ("127.0.0.1", str(server.places.sockets)):
            with pytest.raises(psycopg.OperationalError, match="no password supplied"):
                psycopg.connect(host=host, port=server.port, user="helios", dbname="helios", passfile="/dev/null")


def test_the_port_is_kept_unless_another_program_has_it(home):
    with ensure_server(home) as server:
        port = server.port
    wait_until_stopped(server.places)
    with ensure_server(home) as server:
        assert server.port == port
    wait_until_stopped(server.places)

    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        with ensure_server(home) as server:
            assert server.port != port


def test_a_process_number_that_another_program_got_is_not_taken_for_the_server(home):
    with ensure_server(home) as server:
        fill(server.url)
        pid_file = server.data / "postmaster.pid"
        content = pid_file.read_text()
    wait_until_stopped(server.places)
    pid_file.write_text(content.replace(str(server.pid), str(os.getpid()), 1))

    with ensure_server(home) as server:
        assert server.started
        assert count(server.url) == 1000


def test_a_data_directory_that_was_only_half_made_is_made_again(home):
    partial = home / "postgres/.data-18.partial"
    partial.mkdir(parents=True)
    (partial / "PG_VERSION").write_text("18\n")

    with ensure_server(home) as server:
        assert server.started

    assert not partial.exists()


def test_data_of_another_major_version_are_refused_not_ignored(home):
    (home / "postgres/data-12").mkdir(parents=True)

    with pytest.raises(DatabaseError, match=r"expected data-\d+ for PostgreSQL .* found data-12"):
        ensure_server(home)


def test_a_server_that_cannot_start_is_told_in_one_line_with_its_log(home):
    with ensure_server(home) as server:
        pass
    wait_until_stopped(server.places)
    (server.data / "postgresql.conf").write_text("no_such_setting = 1\n")

    with pytest.raises(DatabaseError, match="no_such_setting") as raised:
        ensure_server(home)

    assert "\n" not in str(raised.value)
    assert "postgres.log" in str(raised.value)


def test_data_without_their_password_are_refused(home):
    with ensure_server(home) as server:
        pass
    wait_until_stopped(server.places)
    server.places.password.unlink()

    with pytest.raises(DatabaseError, match="expected the password of the data"):
        ensure_server(home)


def test_the_url_is_not_printed(home):
    with ensure_server(home) as server:
        assert server.places.password.read_text() not in repr(server)


def test_the_systems_older_postgresql_serves_where_there_is_no_wheel(home, monkeypatch):
    system = sorted(SYSTEM_FOLDER.glob("*/bin/postgres"))
    if not system:
        pytest.skip(f"no PostgreSQL in {SYSTEM_FOLDER}")
    older = installation_at(system[0].parents[1])
    monkeypatch.setattr(embedded, "find_installation", lambda: older)

    with ensure_server(home) as server, psycopg.connect(server.url) as connection:
        (collation,) = connection.execute("select datcollate from pg_database where datname = 'helios'").fetchone()

    assert server.data.name == f"data-{older.major}"
    assert collation == "C.UTF-8"


@ROOT_ONLY
def test_root_keeps_data_in_the_temporary_folder_when_the_home_is_out_of_the_servers_reach(home):
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    with ensure_server(closed / "home") as server:
        base = server.data.parent
        fill(server.url)
    wait_until_stopped(server.places)
    try:
        assert base.parent == Path(tempfile.gettempdir())
        assert mode(base) == "drwx--x--x"
        assert mode(server.data) == "drwx------"
        assert mode(closed) == "drwx------"
        with ensure_server(closed / "home") as server:
            assert server.data.parent == base
            assert count(server.url) == 1000
        wait_until_stopped(server.places)
    finally:
        shutil.rmtree(base)
