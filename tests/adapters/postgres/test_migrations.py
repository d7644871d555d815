import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pglast
import psycopg
import pytest

from helios_pipeline.adapters.postgres.binaries import SYSTEM_FOLDER
from helios_pipeline.adapters.postgres.migrations import CHECKOUT, list_migrations, migrate, migrations_folder
from helios_pipeline.adapters.postgres.session import connect
from helios_pipeline.core.errors import DatabaseError

VERSIONS = [migration.version for migration in list_migrations(CHECKOUT)]


@pytest.fixture
def folder(tmp_path):
    for path in CHECKOUT.glob("*.sql"):
        shutil.copy(path, tmp_path)
    return tmp_path


def history(url):
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select version, name, statements from supabase_migrations.schema_migrations order by version"
        ).fetchall()


def test_a_checkout_has_its_migrations_in_the_supabase_folder():
    assert migrations_folder() == CHECKOUT
    assert len(VERSIONS) >= 2


def test_migrations_are_applied_once_in_order_and_said(empty_database_url):
    said = []

    first = migrate(empty_database_url, say=said.append)
    second = migrate(empty_database_url, say=said.append)

    assert first == VERSIONS
    assert second == []
    assert said == [f"applied {migration.path.name}" for migration in list_migrations(CHECKOUT)]


def test_the_history_is_the_supabase_clis_own(empty_database_url):
    migrate(empty_database_url)

    rows = history(empty_database_url)

    with psycopg.connect(empty_database_url) as connection:
        columns = connection.execute(
            "select column_name, data_type, is_nullable from information_schema.columns"
            " where table_schema = 'supabase_migrations' and table_name = 'schema_migrations' order by ordinal_position"
        ).fetchall()
    assert columns == [("version", "text", "NO"), ("statements", "ARRAY", "YES"), ("name", "text", "YES")]
    assert [row[0] for row in rows] == VERSIONS
    assert rows[0][1] == "platform_and_roles"
    assert rows[0][2] == [list_migrations(CHECKOUT)[0].path.read_text()]


def test_what_the_supabase_cli_applied_is_not_applied_again(empty_database_url, folder):
    migrate(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(
            "update supabase_migrations.schema_migrations set statements = array['select 1'], name = null"
        )

    assert migrate(empty_database_url) == []


def test_two_runners_at_once_apply_each_migration_once(empty_database_url):
    applied = []
    runners = [threading.Thread(target=lambda: applied.append(migrate(empty_database_url))) for _ in range(2)]

    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()

    assert sorted(applied) == [[], VERSIONS]


def test_a_migration_that_comes_too_late_is_refused(empty_database_url, folder):
    migrate(empty_database_url, folder)
    (folder / "20200101000000_late.sql").write_text("create table late (id int);")

    with pytest.raises(DatabaseError, match=f"20200101000000_late.sql: expected a version after {VERSIONS[-1]}"):
        migrate(empty_database_url, folder)


def test_a_database_that_a_newer_helios_changed_is_refused(empty_database_url, folder):
    migrate(empty_database_url, folder)
    (folder / "20990101000000_future.sql").write_text("create table future (id int);")
    migrate(empty_database_url, folder)

    with pytest.raises(DatabaseError, match="found 20990101000000 future: a newer Helios") as raised:
        migrate(empty_database_url)

    assert "helios:" not in str(raised.value)


def test_a_failing_migration_leaves_nothing_behind_and_names_its_line(empty_database_url, folder):
    (folder / "20990101000000_broken.sql").write_text("create table half (id int);\n\nselect no_such_column;\n")

    with pytest.raises(DatabaseError, match=r"20990101000000_broken.sql line 3: .*no_such_column"):
        migrate(empty_database_url, folder)

    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select to_regclass('public.half')").fetchone() == (None,)
    assert [row[0] for row in history(empty_database_url)] == VERSIONS


@pytest.mark.parametrize("name", ["roles.sql", "2026_roles.sql", "20261123000001-roles.sql"])
def test_a_misnamed_migration_is_refused(tmp_path, name):
    (tmp_path / name).touch()

    with pytest.raises(DatabaseError, match="expected a name like"):
        list_migrations(tmp_path)


def test_two_migrations_of_one_version_are_refused(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"20261123000001_{name}.sql").touch()

    with pytest.raises(DatabaseError, match="expected a version of its own"):
        list_migrations(tmp_path)


def test_a_folder_without_migrations_is_refused(tmp_path):
    with pytest.raises(DatabaseError, match="found none"):
        list_migrations(tmp_path)


def test_every_migration_parses():
    for migration in list_migrations(CHECKOUT):
        assert pglast.parse_sql(migration.path.read_text())


def test_the_migration_linter_finds_nothing():
    files = [str(migration.path) for migration in list_migrations(CHECKOUT)]

    done = subprocess.run(
        [Path(sys.executable).with_name("squawk"), "--assume-in-transaction", "--pg-version", "15", *files],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout


def test_an_owner_without_superuser_rights_can_migrate_where_the_platform_roles_exist(
    postgres_server, empty_database_url
):
    """As on Supabase: `postgres` may make roles, and administers the platform's."""
    name = psycopg.conninfo.conninfo_to_dict(empty_database_url)["dbname"]
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        migrate(postgres_server.url)  # the server's roles exist now, made by another owner
        connection.execute("create role hosted_owner login createrole password 'hosted'")
        try:
            for role in ("anon", "authenticated", "service_role"):
                connection.execute(f"grant {role} to hosted_owner with admin option")
            for role in ("pipeline", "live", "agents", "dagster", "web"):
                connection.execute(f"grant helios_{role} to hosted_owner with admin option")
            connection.execute(f"alter database {name} owner to hosted_owner")
            connection.execute("create schema auth")  # on Supabase it is there, and not ours
            url = psycopg.conninfo.make_conninfo(empty_database_url, user="hosted_owner", password="hosted")

            applied = migrate(url)

            with psycopg.connect(url) as hosted:
                assert hosted.execute("select rolsuper from pg_roles where rolname = current_user").fetchone() == (
                    False,
                )
            assert applied == VERSIONS
        finally:
            connection.execute("reassign owned by hosted_owner to current_user")
            connection.execute("drop owned by hosted_owner cascade")
            connection.execute("drop role hosted_owner")


def debian_servers():
    return sorted(SYSTEM_FOLDER.glob("*/bin/postgres"))


@pytest.fixture
def debian_server_url():
    """An empty database of the system's own PostgreSQL, served over a Unix socket only."""
    servers = debian_servers()
    if not servers:
        pytest.skip(f"no PostgreSQL in {SYSTEM_FOLDER}: migrations were not tried on an older version")
    programs = servers[0].parent
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
    base = Path(tempfile.mkdtemp(prefix="helios-debian-"))
    data, environment = base / "data", {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    if account:
        os.chown(base, account.pw_uid, account.pw_gid)
    initdb = [programs / "initdb", "-D", data, "-U", "owner", "--auth=trust", "--no-sync", "--locale=C.UTF-8"]
    subprocess.run(initdb, check=True, capture_output=True, cwd="/", env=environment, **identity)
    start = [programs / "pg_ctl", "-D", data, "-w", "-l", base / "log", "-o", f"-k {base} -h '' -F", "start"]
    subprocess.run(start, check=True, capture_output=True, cwd="/", env=environment, **identity)
    try:
        yield f"postgresql://owner@/postgres?host={base}"
    finally:
        stop = [programs / "pg_ctl", "-D", data, "-w", "-m", "fast", "stop"]
        subprocess.run(stop, check=True, capture_output=True, cwd="/", env=environment, **identity)
        shutil.rmtree(base)


def test_migrations_apply_on_the_systems_older_postgresql(debian_server_url):
    with connect(debian_server_url, autocommit=True) as connection:
        assert connection.info.server_version >= 150000

    assert migrate(debian_server_url) == VERSIONS
    assert migrate(debian_server_url) == []


def test_a_server_that_is_not_there_is_named_without_its_password():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

    with pytest.raises(
        DatabaseError, match=rf"PostgreSQL someone@127.0.0.1:{port}/helios: expected to connect"
    ) as raised:
        migrate(f"postgresql://someone:secret@127.0.0.1:{port}/helios")

    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)
