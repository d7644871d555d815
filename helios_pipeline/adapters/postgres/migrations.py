"""Applies `supabase/migrations/*.sql` into the Supabase CLI's own history, so either may follow the other."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from helios_pipeline.adapters.postgres.session import connect, one_line, place_of
from helios_pipeline.core.errors import DatabaseError

PACKAGED = Path(__file__).parent / "migrations"
CHECKOUT = Path(__file__).parents[3] / "supabase" / "migrations"
FILE_NAME = re.compile(r"(\d{14})_(\w+)\.sql")

HISTORY = b"""
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
alter table supabase_migrations.schema_migrations add column if not exists statements text[];
alter table supabase_migrations.schema_migrations add column if not exists name text;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file: `<version>_<name>.sql`."""

    version: str
    name: str
    path: Path


def migrations_folder() -> Path:
    """The folder in the installed package, or the checkout's `supabase/migrations`."""
    return PACKAGED if PACKAGED.is_dir() else CHECKOUT


def list_migrations(folder: Path) -> list[Migration]:
    """A folder's migrations, oldest first.

    Raises:
        DatabaseError: there are none, a name is not `<YYYYMMDDHHMMSS>_<name>.sql`, or a version occurs twice.
    """
    found: dict[str, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        parts = FILE_NAME.fullmatch(path.name)
        if parts is None:
            raise DatabaseError(f"{path}: expected a name like 20261123000001_roles.sql. Rename it.")
        if parts[1] in found:
            raise DatabaseError(
                f"{path}: expected a version of its own, found {parts[1]} in {found[parts[1]].path.name} too."
            )
        found[parts[1]] = Migration(version=parts[1], name=parts[2], path=path)
    if not found:
        raise DatabaseError(f"{folder}: expected migrations (*.sql), found none. Install Helios again.")
    return list(found.values())


def migrate(url: str, folder: Path | None = None, say: Callable[[str], None] = lambda _: None) -> list[str]:
    """Apply what is pending, one transaction each; several processes may try at once.

    Args:
        url: as the owner of the schema.
        folder: other than Helios's own migrations.
        say: receives a line for each migration applied.

    Returns:
        The versions applied now, oldest first.

    Raises:
        DatabaseError: a migration fails, comes too late, or the database is ahead of this version of Helios.
    """
    migrations = list_migrations(folder or migrations_folder())
    with connect(url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(hashtextextended('helios.migrations', 0))")
        pending = _pending(migrations, _history(connection), place_of(url))
        for migration in pending:
            _apply(connection, migration)
            say(f"applied {migration.path.name}")
    return [migration.version for migration in pending]


def _history(connection: psycopg.Connection[tuple[object, ...]]) -> dict[str, str | None]:
    """Versions applied so far, with their names; the table is made as the CLI makes it."""
    present = connection.execute("select to_regclass('supabase_migrations.schema_migrations') is not null").fetchone()
    if present != (True,):
        connection.execute(HISTORY)
    rows = connection.execute("select version, name from supabase_migrations.schema_migrations")
    return {str(version): None if name is None else str(name) for version, name in rows}


def _pending(migrations: Sequence[Migration], applied: Mapping[str, str | None], place: str) -> list[Migration]:
    newest = max(applied, default="")
    if newest > migrations[-1].version:
        raise DatabaseError(
            f"{place}: expected no migration after {migrations[-1].version}, found {newest} {applied[newest] or ''}: "
            "a newer Helios has changed this database. Update Helios, or use another database."
        )
    pending = [migration for migration in migrations if migration.version not in applied]
    for migration in pending:
        if migration.version < newest:
            raise DatabaseError(
                f"{migration.path.name}: expected a version after {newest}, which {place} has already. "
                "Give it a newer version; migrations are applied in order."
            )
    return pending


def _apply(connection: psycopg.Connection[tuple[object, ...]], migration: Migration) -> None:
    statements = migration.path.read_text()
    try:
        with connection.transaction():
            connection.execute(statements.encode())
            connection.execute(
                "insert into supabase_migrations.schema_migrations (version, name, statements) values (%s, %s, %s)",
                (migration.version, migration.name, [statements]),
            )
    except psycopg.Error as error:
        position = error.diag.statement_position
        line = f" line {statements[: int(position)].count(chr(10)) + 1}" if position else ""
        raise DatabaseError(
            f"{migration.path.name}{line}: expected to apply, found: {one_line(error)}. Nothing of it was kept."
        ) from error
