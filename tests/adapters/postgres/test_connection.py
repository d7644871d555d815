import json
import stat
from dataclasses import asdict
from pathlib import Path

import dagster as dg
import psycopg
import pytest
import yaml

from helios_pipeline.adapters.postgres.connection import checked_url, open_database, role_url
from helios_pipeline.adapters.postgres.roles import LOGIN_ROLES, PasswordStore, ensure_passwords, replace_passwords
from helios_pipeline.core.errors import DatabaseError


def user_of(url: str) -> str:
    with psycopg.connect(url.replace("+psycopg2", "")) as connection:
        return connection.execute("select current_user").fetchone()[0]


def test_the_embedded_database_is_opened_migrated_with_a_url_per_role(postgres_server):
    home = postgres_server.places.folder.parent

    with open_database(home, None) as database:
        users = {name: user_of(url) for name, url in asdict(database.urls).items()}

    assert users == {"owner": "helios"} | {role.removeprefix("helios_"): role for role in LOGIN_ROLES}
    assert "embedded on 127.0.0.1" in database.describe


def test_passwords_are_kept_in_a_file_that_only_its_owner_reads(postgres_server, migrated_template):
    path = postgres_server.places.folder / "roles.json"
    before = path.read_text()

    with open_database(postgres_server.places.folder.parent, None) as database:
        shown = repr(database) + database.describe

    assert stat.filemode(path.stat().st_mode) == "-rw-------"
    assert path.read_text() == before
    assert all(password not in shown for password in json.loads(before)["embedded"].values())


def test_the_servers_log_never_holds_a_password(postgres_server, migrated_template):
    log = postgres_server.places.server_log.read_text(errors="replace")
    kept = json.loads((postgres_server.places.folder / "roles.json").read_text())["embedded"]

    assert all(password not in log for password in kept.values())


def test_an_external_database_is_opened_by_its_url(postgres_server, empty_database_url, tmp_path):
    server = f"127.0.0.1:{postgres_server.port}"
    kept = json.loads((postgres_server.places.folder / "roles.json").read_text())["embedded"]
    PasswordStore(folder=tmp_path / "postgres", server=server, ours=False).path.parent.mkdir()
    PasswordStore(folder=tmp_path / "postgres", server=server, ours=False).write(kept)

    with open_database(tmp_path, empty_database_url) as database:
        user = user_of(database.urls.web)

    assert user == "helios_web"
    assert f"at {server}/" in database.describe


def test_another_home_does_not_lock_services_out_by_setting_their_passwords_anew(migrated_template, tmp_path):
    stranger = PasswordStore(folder=tmp_path / "postgres", server="db.example:5432", ours=False)

    with pytest.raises(DatabaseError, match="set from another home"):
        ensure_passwords(migrated_template.urls.owner, stranger)

    assert user_of(migrated_template.urls.pipeline) == "helios_pipeline"
    assert not stranger.path.exists()


def test_a_server_made_anew_gets_the_passwords_that_are_kept(postgres_server, migrated_template):
    store = PasswordStore(folder=postgres_server.places.folder, server="embedded", ours=True)
    with psycopg.connect(migrated_template.urls.owner) as connection:
        connection.execute("alter role helios_web password null")
        connection.execute("comment on role helios_web is null")
    with pytest.raises(psycopg.OperationalError):
        user_of(migrated_template.urls.web)

    ensure_passwords(migrated_template.urls.owner, store)

    assert user_of(migrated_template.urls.web) == "helios_web"


def test_replaced_passwords_end_the_old_ones(postgres_server, migrated_template, tmp_path):
    owner = migrated_template.urls.owner
    kept = PasswordStore(folder=postgres_server.places.folder, server="embedded", ours=True)
    other = PasswordStore(folder=tmp_path, server="db.example:5432", ours=False)

    new = replace_passwords(owner, other)

    assert user_of(role_url(owner, "helios_web", new["helios_web"])) == "helios_web"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        user_of(migrated_template.urls.web)
    ensure_passwords(owner, kept)
    assert user_of(migrated_template.urls.web) == "helios_web"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgres://u:p@localhost/d", "postgresql://u:p@localhost/d"),
        ("postgresql://u:p@127.0.0.1:5433/d", "postgresql://u:p@127.0.0.1:5433/d"),
        ("postgresql://u:p@[::1]:5433/d", "postgresql://u:p@[::1]:5433/d"),
        ("postgresql://u@/d?host=/run/postgresql", "postgresql://u@/d?host=/run/postgresql"),
        ("postgresql://u:p@db.example/d", "postgresql://u:p@db.example/d?sslmode=require"),
        (
            "postgresql://u:p@db.example/d?connect_timeout=5",
            "postgresql://u:p@db.example/d?connect_timeout=5&sslmode=require",
        ),
        ("postgresql://u:p@db.example/d?sslmode=verify-full", "postgresql://u:p@db.example/d?sslmode=verify-full"),
    ],
)
def test_a_server_elsewhere_is_reached_encrypted(given, used):
    assert checked_url(given) == used


def test_a_transaction_pooler_is_refused():
    with pytest.raises(
        DatabaseError, match=r"found port 6543 of aws-0\.pooler\.supabase\.com, a transaction pooler"
    ) as raised:
        checked_url("postgresql://postgres.ref:secret@aws-0.pooler.supabase.com:6543/postgres")

    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["mysql://u:p@h/d", "postgresql://h/d", "postgresql://u:p@h", "postgresql://u:p@h:port/d"]
)
def test_what_is_no_url_of_postgresql_is_refused(url):
    with pytest.raises(DatabaseError, match="HELIOS_DATABASE_URL: expected postgresql://user:password@host:5432/name"):
        checked_url(url)


def test_a_role_behind_supabases_pooler_is_named_with_its_project():
    url = role_url(
        "postgresql://postgres.ref:x@aws-0.pooler.supabase.com:5432/postgres?sslmode=require", "helios_web", "a/b"
    )

    assert url == "postgresql://helios_web.ref:a%2Fb@aws-0.pooler.supabase.com:5432/postgres?sslmode=require"


def test_a_role_keeps_the_unix_socket_of_the_owners_url():
    url = role_url("postgresql://u@/d?host=/run/postgresql", "helios_web", "p")

    assert psycopg.conninfo.conninfo_to_dict(url)["host"] == "/run/postgresql"


@dg.asset
def materialized_once() -> int:
    return 1


def test_dagster_stores_its_events_in_its_own_schema(database, tmp_path):
    storage = {"postgres": {"postgres_url": database.urls.dagster}}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({"storage": storage, "telemetry": {"enabled": False}}))

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        done = dg.materialize([materialized_once], instance=instance)
        event = instance.get_latest_materialization_event(dg.AssetKey("materialized_once"))

    with psycopg.connect(database.urls.owner) as connection:
        rows = connection.execute(
            "select schemaname, count(*) from pg_tables where tableowner = 'helios_dagster' group by 1"
        ).fetchall()
    assert done.success
    assert event.run_id == done.run_id
    assert [schema for schema, _ in rows] == ["dagster"]
    assert rows[0][1] > 15


def test_the_home_of_a_database_need_not_exist(tmp_path, postgres_server):
    with (
        pytest.raises(DatabaseError, match="expected to connect"),
        open_database(Path(tmp_path / "new"), f"postgresql://helios:wrong@127.0.0.1:{postgres_server.port}/helios"),
    ):
        pass
