import shutil
import socket
import subprocess
import sysconfig
import tempfile
import threading
from pathlib import Path

import pglast
import psycopg
import pytest

from helios_pipeline.adapters.postgres.account import server_account
from helios_pipeline.adapters.postgres.binaries import SYSTEM_FOLDER, find_installation
from helios_pipeline.adapters.postgres.migrations import CHECKOUT, list_migrations, migrate, migrations_folder
from helios_pipeline.adapters.postgres.roles import LOGIN_ROLES, PasswordStore, ensure_passwords
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
        [Path(sysconfig.get_path("scripts"), "squawk"), "--assume-in-transaction", "--pg-version", "15", *files],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout


@pytest.fixture(params=["wheel", "system"])
def bare_server_url(request, memory_folder):
    """URL, as superuser, of a server that has never seen Helios: of the wheel's version and of the system's oldest."""
    programs = find_installation().folder / "bin"
    if request.param == "system":
        servers = sorted(SYSTEM_FOLDER.glob("*/bin/postgres"))
        if not servers:
            pytest.skip(f"no PostgreSQL in {SYSTEM_FOLDER}: migrations were not tried on an older version")
        programs = servers[0].parent
    account = server_account()
    base = Path(tempfile.mkdtemp(prefix="helios-bare-", dir=memory_folder))
    account.give(base)
    data, environment = base / "data", {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}

    def run(*command):
        subprocess.run(command, check=True, capture_output=True, cwd="/", env=environment, **account.identity)

    try:
        run(programs / "initdb", "-D", data, "-U", "admin", "--auth=trust", "--no-sync", "--locale=C.UTF-8")
        run(programs / "pg_ctl", "-D", data, "-w", "-l", base / "log", "-o", f"-k {base} -h '' -F", "start")
        yield f"postgresql://admin@/postgres?host={base}"
    finally:
        if (data / "postmaster.pid").exists():
            run(programs / "pg_ctl", "-D", data, "-w", "-m", "fast", "stop")
        shutil.rmtree(base)


def test_migrations_apply_on_old_and_new_servers(bare_server_url):
    assert migrate(bare_server_url) == VERSIONS
    assert migrate(bare_server_url) == []


def test_an_owner_without_superuser_rights_can_migrate_where_the_platform_exists(bare_server_url, tmp_path):
    """As on Supabase: `postgres` may make roles, administers the platform's, and does not own schema auth."""
    with psycopg.connect(bare_server_url, autocommit=True) as admin:
        admin.execute("create role hosted login createrole")
        for role in ("anon", "authenticated", "service_role"):
            admin.execute(f"create role {role} nologin noinherit")
            admin.execute(f"grant {role} to hosted with admin option")
        admin.execute("create database hosted owner hosted")
    url = bare_server_url.replace("admin@/postgres", "hosted@/hosted")
    with psycopg.connect(bare_server_url.replace("/postgres", "/hosted")) as admin:
        admin.execute("create schema auth")

    assert migrate(url) == VERSIONS
    store = PasswordStore(folder=tmp_path, server="hosted", ours=False)
    passwords = ensure_passwords(url, store)

    assert ensure_passwords(url, store) == passwords == store.read()
    with psycopg.connect(bare_server_url) as admin:
        set_for = admin.execute("select rolname from pg_authid where rolpassword like 'SCRAM%'").fetchall()
    assert {role for (role,) in set_for} == set(LOGIN_ROLES)


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


def test_rounds_on_record_get_the_trials_of_when_they_were_made(empty_database_url, folder):
    newest = folder / "20261126000003_round_trials.sql"
    content = newest.read_text()
    newest.unlink()
    migrate(empty_database_url, folder=folder)
    with psycopg.connect(empty_database_url) as connection:
        for key, first, last, recorded in (
            ("a", "2024-01-01", "2024-07-01", "2025-01-01"),
            ("a", "2024-02-01", "2024-03-01", "2025-01-01"),  # the same set in a fold
            ("b", "2024-06-01", "2024-09-01", "2025-01-01"),
            ("c", "2024-07-01", "2024-09-01", "2025-01-01"),  # on other bars
            ("d", "2024-01-01", "2024-07-01", "2025-01-03"),  # later
        ):
            connection.execute(
                "insert into ledger_entries (key, market_data, window_first, window_last, strategy_version,"
                " instruments, costs,"
                " vol_target, parameters, round, round_trips, blocks, recorded_at) values (repeat(%s, 64),"
                " 'binance', %s, %s, 's', '{BTC}', '{}', 0.2, '{}', 'r', 1, decode(repeat('00', 384), 'hex'), %s)",
                (key, first, last, recorded),
            )
        connection.execute(
            "insert into sweep_rounds (round, market_data, instruments, window_first, window_last, grid, sets, passed,"
            " distribution, input_version, created_at) values"
            " ('r', 'binance', '{BTC}', '2024-01-01', '2024-07-01', '{}', 1, 0, '{}', 'v', '2025-01-02'),"
            " ('forgotten', 'binance', '{ETH}', '2024-01-01', '2024-07-01', '{}', 5, 0, '{}', 'v', '2025-01-02')"
        )

    newest.write_text(content)
    migrate(empty_database_url, folder=folder)

    with psycopg.connect(empty_database_url) as connection:
        rows = connection.execute("select round, trials from sweep_rounds").fetchall()
    assert dict(rows) == {"r": 2, "forgotten": 5}
