"""Looks at holdout windows: each is on record before its result exists, so none can be taken in secret."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import psycopg
from psycopg.types.json import Jsonb

from helios_pipeline.adapters.postgres.session import transaction
from helios_pipeline.core.errors import DatabaseError
from helios_pipeline.core.records import Window

type Connection = psycopg.Connection[tuple[object, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One use of a holdout window.

    Attributes:
        look_id: its number, for `finish_look`.
        k: 1 for the first look at any of these bars, 2 for the second …
        result: what was found; None as long as it isn't finished.
    """

    look_id: int
    k: int
    result: Mapping[str, object] | None


class HoldoutStore:
    """Looks in PostgreSQL. They are added and finished once; none is ever removed.

    Looks concern the same bars if they are of one `market_data`, share an instrument, and their windows overlap.

    Args:
        url: as role `helios_pipeline`.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def count_looks(self, market_data: str, instruments: Sequence[str], window: Window) -> int:
        """Looks ever taken at bars of this window, crashed ones included."""
        with transaction(self._url) as connection:
            return _count(connection, market_data, instruments, window)

    def find_look(
        self, market_data: str, instruments: Sequence[str], window: Window, candidate_key: str
    ) -> Look | None:
        """The finished look of this candidate at exactly this window and these instruments, if there is one."""
        with transaction(self._url) as connection:
            return _finished(connection, market_data, instruments, window, candidate_key)

    def begin_look(self, market_data: str, instruments: Sequence[str], window: Window, candidate_key: str) -> Look:
        """Record a look before its result is computed; it is committed when this returns.

        A finished look of the same candidate at the same bars is returned instead, with its result: nothing new would
        be learned, so nothing is used up. A look that crashed counts, and the candidate takes another.

        Raises:
            DatabaseError: the database can't be reached; then no look was taken.
        """
        with transaction(self._url) as connection:
            connection.execute("select pg_advisory_xact_lock(hashtextextended('helios.holdout', 0))")
            if earlier := _finished(connection, market_data, instruments, window, candidate_key):
                return earlier
            k = 1 + _count(connection, market_data, instruments, window)
            row = connection.execute(
                "insert into holdout_looks (market_data, instruments, window_first, window_last, candidate_key, k)"
                " values (%s, %s, %s, %s, %s, %s) returning look_id",
                (market_data, sorted(instruments), window.first, window.last, candidate_key, k),
            ).fetchone()
        (look_id,) = cast(tuple[int], row)
        return Look(look_id=look_id, k=k, result=None)

    def finish_look(self, look_id: int, result: Mapping[str, object]) -> None:
        """Store what a look found, once.

        Raises:
            DatabaseError: there is no such look, or it has a result already.
        """
        with transaction(self._url) as connection:
            changed = connection.execute(
                "update holdout_looks set result = %s, finished_at = now() where look_id = %s and result is null",
                (Jsonb(result), look_id),
            ).rowcount
        if changed != 1:
            raise DatabaseError(
                f"holdout look {look_id}: expected one without a result, found none. "
                "A look's result is written once; begin another look."
            )


def _count(connection: Connection, market_data: str, instruments: Sequence[str], window: Window) -> int:
    row = connection.execute(
        "select count(*) from holdout_looks where market_data = %s and instruments && %s::text[]"
        " and window_first < %s and window_last > %s",
        (market_data, list(instruments), window.last, window.first),
    ).fetchone()
    (count,) = cast(tuple[int], row)
    return count


def _finished(
    connection: Connection, market_data: str, instruments: Sequence[str], window: Window, candidate_key: str
) -> Look | None:
    row = connection.execute(
        "select look_id, k, result from holdout_looks where market_data = %s and instruments = %s::text[]"
        " and window_first = %s and window_last = %s and candidate_key = %s and result is not null"
        " order by look_id limit 1",
        (market_data, sorted(instruments), window.first, window.last, candidate_key),
    ).fetchone()
    if row is None:
        return None
    look_id, k, result = cast(tuple[int, int, Mapping[str, object]], row)
    return Look(look_id=look_id, k=k, result=result)
