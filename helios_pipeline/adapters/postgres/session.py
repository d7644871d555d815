"""Connections of the stores, with failures told in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from helios_pipeline.core.errors import DatabaseError

CONNECT_WITHIN_SECONDS = 15
LOST_AFTER_SECONDS = 15
"""A connection of the engine is lost when what was sent is not acknowledged for so long."""


def connect(url: str, *, autocommit: bool) -> psycopg.Connection[tuple[object, ...]]:
    """Connect.

    Args:
        url: `postgresql://…`, with the role that is to be used.
        autocommit: whether each statement is its own transaction.

    Raises:
        DatabaseError: the server can't be reached or refuses; the message names it without its password.
    """
    try:
        return psycopg.connect(
            url, autocommit=autocommit, connect_timeout=CONNECT_WITHIN_SECONDS, application_name="helios"
        )
    except psycopg.OperationalError as error:
        raise DatabaseError(
            f"{place_of(url)}: expected to connect, found: {one_line(error)}. "
            "Start the server, or correct HELIOS_DATABASE_URL."
        ) from None


@contextmanager
def transaction(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection whose work is committed at the end of the block, or not at all.

    Raises:
        DatabaseError: the server can't be reached, or went away in between.
    """
    with connect(url, autocommit=False) as connection:
        try:
            yield connection
            connection.commit()
        except psycopg.OperationalError as error:
            raise DatabaseError(
                f"{place_of(url)}: expected to finish a transaction, found: {one_line(error)}. "
                "Nothing of it was stored; run the command again."
            ) from error


def lasting(url: str) -> str:
    """A URL whose connections fail when the server is gone without a word, rather than wait for hours."""
    return psycopg.conninfo.make_conninfo(
        url, keepalives_idle=5, keepalives_interval=5, keepalives_count=2, tcp_user_timeout=LOST_AFTER_SECONDS * 1000
    )


def place_of(url: str) -> str:
    """Role, host, port and database of a URL, without its password."""
    parts = psycopg.conninfo.conninfo_to_dict(url)
    host = str(parts.get("host", "localhost"))
    return f"PostgreSQL {parts.get('user', '')}@{host}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


def one_line(said: object) -> str:
    """The last lines of an error or a log, without line breaks."""
    lines = [line.strip() for line in str(said).splitlines() if line.strip()]
    return " | ".join(lines[-8:])
