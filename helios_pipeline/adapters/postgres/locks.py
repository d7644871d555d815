"""Locks that keep two processes from making the same partition at once; they end with their holder's connection."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from helios_pipeline.adapters.postgres.session import connect, one_line, place_of
from helios_pipeline.core.errors import DatabaseError

HOLDER = """
select application_name from pg_stat_activity join pg_locks using (pid)
where locktype = 'advisory' and granted and objsubid = 1 and datname = current_database()
  and ((classid::bigint << 32) | objid::bigint) = %s
"""


@contextmanager
def partition_lock(
    url: str, asset: str, *partitions: str, on_wait: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Hold partitions of an asset until the block ends, waiting for others that hold them.

    Args:
        url: as role `helios_pipeline`.
        asset: its name.
        partitions: their keys; none for an asset without partitions.
        on_wait: receives a line before each wait, naming who holds the partition.

    Raises:
        DatabaseError: the database can't be reached, or the connection broke inside the block: then the partitions were
            unprotected for a time, and the asset must be made again.
    """
    connection = connect(url, autocommit=True)
    try:
        with _loss_told(url, asset):
            connection.execute("select set_config('application_name', %s, false)", (f"helios process {os.getpid()}",))
            for partition in sorted(set(partitions)) or [""]:  # one order for all, so no two can block each other
                _take(connection, asset, partition, on_wait)
        yield
        with _loss_told(url, asset):
            connection.execute("select pg_advisory_unlock_all()")
    finally:
        connection.close()


@contextmanager
def _loss_told(url: str, asset: str) -> Iterator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        raise DatabaseError(
            f"lock on {asset} at {place_of(url)}: expected to hold it to the end, found: {one_line(error)}. "
            "Run the command again."
        ) from error


def _take(
    connection: psycopg.Connection[tuple[object, ...]], asset: str, partition: str, on_wait: Callable[[str], None]
) -> None:
    key = lock_key(asset, partition)
    if connection.execute("select pg_try_advisory_lock(%s)", (key,)).fetchone() == (True,):
        return
    holder = connection.execute(HOLDER, (key,)).fetchone()
    named = f"{asset} {partition}".strip()
    on_wait(f"waiting for {named}, held by {holder[0] if holder else 'another process'}")
    connection.execute("select pg_advisory_lock(%s)", (key,))


def lock_key(asset: str, partition: str) -> int:
    """The advisory lock of a partition: 64 bits, signed, of a hash."""
    digest = hashlib.sha256(f"helios.partition\0{asset}\0{partition}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
