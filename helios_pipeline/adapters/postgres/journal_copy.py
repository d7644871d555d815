"""The journal's copy in PostgreSQL: rows and the position that they reach in one transaction, each row once."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, cast

import psycopg
from psycopg import sql

from helios_pipeline.adapters.postgres.session import connect, lasting, one_line, place_of
from helios_pipeline.core.errors import DatabaseError
from helios_pipeline.core.trading import (
    AccountSnapshot,
    BarDifference,
    ChampionChange,
    Decision,
    FundingPayment,
    InferredFill,
    Intent,
    JournalEntry,
    ModeChange,
    OrderEvent,
    Reconciliation,
    Transfer,
    VenueFill,
)

TABLES: Mapping[type, str] = {
    Decision: "live_decisions",
    Intent: "intents",
    OrderEvent: "order_events",
    VenueFill: "fills",
    InferredFill: "inferred_fills",
    FundingPayment: "funding_payments",
    Transfer: "transfers",
    ModeChange: "mode_changes",
    ChampionChange: "champion_changes",
    Reconciliation: "reconciliations",
    AccountSnapshot: "account_snapshots",
    BarDifference: "bar_differences",
}
"""Table of each kind of record; its columns are the record's fields, behind epoch, sequence and journalled_at."""

PLACE = ("epoch", "sequence", "journalled_at")

# It takes the row's lock first, so that two copiers of one log come one after the other.
REACH = """
insert into journal_positions (account, epoch, sequence, journalled_at) values (%s, %s, %s, %s)
on conflict (account, epoch) do update set
  sequence = greatest(journal_positions.sequence, excluded.sequence),
  journalled_at = greatest(journal_positions.journalled_at, excluded.journalled_at),
  copied_at = clock_timestamp()
"""


class JournalCopy:
    """A connection that a log is copied through; after an error it is of no more use.

    Args:
        url: as role `helios_live`.

    Raises:
        DatabaseError: the server can't be reached.
    """

    def __init__(self, url: str) -> None:
        self._place = place_of(url)
        self._connection = connect(lasting(url), autocommit=True)

    def positions(self, account: str) -> dict[int, int]:
        """Epoch → sequence number up to which that epoch's records are here.

        Raises:
            DatabaseError: the server went away.
        """
        try:
            rows = self._connection.execute(
                "select epoch, sequence from journal_positions where account = %s", (account,)
            ).fetchall()
        except psycopg.Error as error:
            raise self._failed(error) from error
        return dict(cast("list[tuple[int, int]]", rows))

    def write(self, account: str, reached: tuple[int, int, datetime], entries: Sequence[JournalEntry]) -> None:
        """Add records and move the position, both or neither; what is there already stays as it is.

        Args:
            account: whose log.
            reached: epoch, sequence number and time of writing of the last entry that this brings the copy to.
            entries: of that epoch; those of the log itself are left out.

        Raises:
            DatabaseError: the server went away, or refuses a record.
        """
        try:
            with self._connection.transaction(), self._connection.cursor() as cursor:
                cursor.execute(REACH, (account, *reached))
                for kind in TABLES:
                    rows = [_row(entry) for entry in entries if type(entry.record) is kind]
                    if rows:
                        cursor.executemany(_insert(kind), rows)
        except psycopg.Error as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """End the connection. Harmless when repeated."""
        self._connection.close()

    def _failed(self, error: psycopg.Error) -> DatabaseError:
        return DatabaseError(
            f"{self._place}: expected to copy the journal, found: {one_line(error)}. "
            "Its local log has everything, and is copied when this is mended."
        )


def _insert(kind: type) -> sql.Composed:
    columns = [*PLACE, *(field.name for field in fields(kind))]
    return sql.SQL("insert into {} ({}) values ({}) on conflict do nothing").format(
        sql.Identifier(TABLES[kind]),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
    )


def _row(entry: JournalEntry) -> list[object]:
    record: Any = entry.record
    values = (getattr(record, field.name) for field in fields(record))
    return [entry.epoch, entry.sequence, entry.journalled_at, *map(_storable, values)]


def _storable(value: object) -> object:
    """A value as PostgreSQL takes it: its text can't hold NUL, which a venue's might, and its arrays are lists."""
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, tuple):
        return [_storable(each) for each in value]
    return value
