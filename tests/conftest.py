"""Fixtures that tests of several parts share: one PostgreSQL server a session, one database a test."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import hypothesis
import psycopg
import pytest

from helios_pipeline.adapters.postgres.connection import Database, DatabaseUrls, open_database
from helios_pipeline.adapters.postgres.embedded import EmbeddedServer, ensure_server, wait_until_stopped

MEMORY_FOLDER = Path("/dev/shm")
ENOUGH_BYTES = 4 * 1024**3
hypothesis.settings.register_profile(
    "busy machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy machine")
"""How long an example takes is the machine's business; benchmarks measure."""

SLOWEST_FIRST = (
    "tests/simulation/",
    "tests/live_engine/",
    "tests/cli/test_dagster",
    "tests/test_planted_edge.py",
    "tests/cli/",
    "tests/jobs/",
    "tests/sensors/",
    "tests/assets/",
)
"""Files that take minutes: a worker that began one last would keep the other waiting."""

FAST_BUT_UNSAFE = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; tests of one file stay together, in their order."""

    def place(item: pytest.Item) -> int:
        slow = (at for at, path in enumerate(SLOWEST_FIRST) if item.nodeid.startswith(path))
        return next(slow, len(SLOWEST_FIRST))

    items.sort(key=place)


def server_folder() -> str | None:
    """Where servers of tests go: memory if there is plenty, since a server's start waits for the disk; else None."""
    free = shutil.disk_usage(MEMORY_FOLDER).free if os.access(MEMORY_FOLDER, os.W_OK) else 0
    return str(MEMORY_FOLDER) if free > ENOUGH_BYTES else None


@pytest.fixture(scope="session")
def memory_folder() -> str | None:
    """Folder for files whose safety does not matter, as the `dir` of `tempfile`."""
    return server_folder()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedServer]:
    """The embedded server, in a folder that the account it runs as can enter; pytest's own folders are 0700."""
    home = Path(tempfile.mkdtemp(prefix="helios-tests-", dir=server_folder()))
    home.chmod(0o711)
    server = ensure_server(home)
    try:
        with psycopg.connect(server.url, autocommit=True) as connection:
            for setting in FAST_BUT_UNSAFE:
                connection.execute(f"alter system set {setting}".encode())
            connection.execute("select pg_reload_conf()")
        yield server
    finally:
        server.close()
        wait_until_stopped(server.places)
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedServer) -> Database:
    """A migrated database that each test's own is copied from."""
    home = postgres_server.places.folder.parent
    with open_database(home, None) as database:
        return database


@pytest.fixture
def database(postgres_server: EmbeddedServer, migrated_template: Database) -> Iterator[Database]:
    """A migrated database of this test's own, with the URL of every role."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(server_url(postgres_server, "postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name} template helios".encode())
        try:
            yield renamed(migrated_template, name)
        finally:
            connection.execute(f"drop database {name} with (force)".encode())


@pytest.fixture
def database_url(database: Database) -> str:
    """URL of this test's own database as role helios_pipeline, which the stores take."""
    return database.urls.pipeline


@pytest.fixture
def empty_database_url(postgres_server: EmbeddedServer) -> Iterator[str]:
    """URL, as owner, of a database that was never migrated."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(server_url(postgres_server, "postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name} template template0".encode())
        try:
            yield server_url(postgres_server, name)
        finally:
            connection.execute(f"drop database {name} with (force)".encode())


def server_url(server: EmbeddedServer, name: str) -> str:
    return urlsplit(server.url)._replace(path=f"/{name}").geturl()


def renamed(database: Database, name: str) -> Database:
    """The same roles in another database of the server."""
    urls = {
        role: urlsplit(getattr(database.urls, role))._replace(path=f"/{name}").geturl()
        for role in DatabaseUrls.__dataclass_fields__
    }
    return replace(database, urls=DatabaseUrls(**urls))
