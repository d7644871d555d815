"""Where the database is, and the URL of each service's role in it."""

import ipaddress
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, quote, urlencode, urlsplit

from helios_pipeline.adapters.postgres.embedded import ensure_server
from helios_pipeline.adapters.postgres.migrations import migrate
from helios_pipeline.adapters.postgres.roles import PasswordStore, ensure_passwords
from helios_pipeline.adapters.postgres.session import connect
from helios_pipeline.core.errors import DatabaseError

TRANSACTION_POOLER_PORT = 6543
OLDEST_VERSION = 15
URL_FORM = "postgresql://user:password@host:5432/name"
SUPABASE_POOLER = ".pooler.supabase.com"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DatabaseUrls:
    """One URL per role, each with its password, so never printed. No service uses the owner's.

    Attributes:
        owner: owns the tables: migrations and backups only.
        pipeline: writes research results.
        live: the trading engine; reads champions.
        agents: reads research.
        dagster: Dagster's storage in schema `dagster`, for SQLAlchemy. It names psycopg 2, because SQLAlchemy 2.1 would
            take psycopg 3, with which Dagster's NOTIFY fails.
        web: the dashboard's server; reads, and only as `authenticated`.
    """

    owner: str
    pipeline: str
    live: str
    agents: str
    dagster: str
    web: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A migrated database.

    Attributes:
        urls: one per role.
        describe: one line for people, without secrets.
    """

    urls: DatabaseUrls
    describe: str


@contextmanager
def open_database(home: Path, url: str | None, say: Callable[[str], None] = lambda _: None) -> Iterator[Database]:
    """Open the database at a URL, or the embedded one if there is none, and bring its schema up to date.

    The embedded server runs at least until the block ends; child processes need only the URLs.

    Args:
        home: Helios's folder.
        url: value of HELIOS_DATABASE_URL, as the owner of the schema.
        say: receives a line for each migration applied.

    Raises:
        DatabaseError: the server can't be started or reached, or the schema can't be brought up to date.
    """
    folder = home.resolve() / "postgres"
    if url is None:
        with ensure_server(home) as server:
            where = f"embedded on 127.0.0.1:{server.port}, data in {server.data}"
            yield _prepare(server.url, PasswordStore(folder=folder, server="embedded", ours=True), where, say)
        return
    owner = checked_url(url)
    parts = urlsplit(owner)
    server_name = f"{_host(parts)}:{parts.port or 5432}"
    store = PasswordStore(folder=folder, server=server_name, ours=False)
    yield _prepare(owner, store, f"at {server_name}{parts.path}", say)


def _prepare(owner: str, store: PasswordStore, where: str, say: Callable[[str], None]) -> Database:
    with connect(owner, autocommit=True) as connection:
        version = connection.info.server_version // 10_000
    if version < OLDEST_VERSION:
        raise DatabaseError(
            f"PostgreSQL {where}: expected version {OLDEST_VERSION} or newer, found {version}. Upgrade it."
        )
    migrate(owner, say=say)
    passwords = ensure_passwords(owner, store)
    urls = {role: role_url(owner, role, password) for role, password in passwords.items()}
    return Database(
        urls=DatabaseUrls(
            owner=owner,
            pipeline=urls["helios_pipeline"],
            live=urls["helios_live"],
            agents=urls["helios_agents"],
            dagster=urls["helios_dagster"].replace("postgresql://", "postgresql+psycopg2://", 1),
            web=urls["helios_web"],
        ),
        describe=f"PostgreSQL {version} {where}",
    )


def checked_url(url: str) -> str:
    """A URL that Helios can use: `postgresql://`, encrypted unless the server is on this machine.

    Raises:
        DatabaseError: it is no PostgreSQL URL, has no user, or leads to a transaction pooler.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise DatabaseError(f"HELIOS_DATABASE_URL: expected {URL_FORM}, found: {error}. Correct it.") from None
    if parts.scheme not in ("postgresql", "postgres") or not parts.username or not parts.path.strip("/"):
        raise DatabaseError(
            f"HELIOS_DATABASE_URL: expected {URL_FORM}, found scheme {parts.scheme!r}, user {parts.username!r}, "
            f"database {parts.path.strip('/')!r}. Correct it."
        )
    if port == TRANSACTION_POOLER_PORT:
        raise DatabaseError(
            f"HELIOS_DATABASE_URL: expected a direct or session endpoint, found port {port} of {parts.hostname}, a "
            "transaction pooler: notifications, locks and prepared statements fail there without a word. Use port 5432."
        )
    if not _is_local(_host(parts)) and "sslmode" not in parse_qs(parts.query):
        parts = parts._replace(query=f"{parts.query}&sslmode=require".lstrip("&"))
    return parts._replace(scheme="postgresql").geturl()


def role_url(owner: str, role: str, password: str) -> str:
    """The owner's URL with another role's name and password; Supabase's pooler wants the project in the name."""
    parts = urlsplit(owner)
    host = parts.netloc.rpartition("@")[2]
    if (parts.hostname or "").endswith(SUPABASE_POOLER):
        role += "." + (parts.username or "").partition(".")[2]
    query = parse_qs(parts.query)
    query = {name: values for name, values in query.items() if name not in ("user", "password")}
    login = f"{quote(role, safe='')}:{quote(password, safe='')}"
    return parts._replace(netloc=f"{login}@{host}", query=urlencode(query, doseq=True, quote_via=quote)).geturl()


def _host(parts: SplitResult) -> str:
    """Host of a URL: before the path, or as a parameter (the folder of a Unix socket); empty for the default socket."""
    return parts.hostname or parse_qs(parts.query).get("host", [""])[0]


def _is_local(host: str) -> bool:
    if host in ("", "localhost") or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
