"""The ledger: every parameter set ever evaluated, on which bars, and its returns in blocks."""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from helios_pipeline.adapters.postgres.session import transaction
from helios_pipeline.core.ledger import LedgerEntry
from helios_pipeline.core.records import Window

BLOCK_SHAPE = (16, 3)
COLUMNS = {
    "key": "text",
    "market_data": "text",
    "window_first": "timestamptz",
    "window_last": "timestamptz",
    "strategy_version": "text",
    "instruments": "text[]",
    "costs": "jsonb",
    "vol_target": "float8",
    "parameters": "jsonb",
    "round": "text",
    "round_trips": "int8",
    "blocks": "bytea",
}


class LedgerStore:
    """The ledger in PostgreSQL. Entries are added and never changed.

    Args:
        url: as role `helios_pipeline`.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def record(self, entries: Sequence[LedgerEntry]) -> int:
        """Add entries; one with the key, bars and window of an earlier entry is left out.

        Returns:
            How many were new.

        Raises:
            DatabaseError: the database can't be reached; then nothing was added.
            ValueError: an entry's blocks are not float64[16, 3].
        """
        names = ", ".join(COLUMNS)
        with transaction(self._url) as connection, connection.cursor() as cursor:
            cursor.execute(
                f"create temporary table incoming on commit drop as select {names} from ledger_entries limit 0"
            )
            with cursor.copy(f"copy incoming ({names}) from stdin (format binary)") as copy:
                copy.set_types(list(COLUMNS.values()))
                for entry in entries:
                    copy.write_row(_row(entry))
            cursor.execute(
                f"insert into ledger_entries ({names}) select {names} from incoming order by key on conflict do nothing"
            )
            return cursor.rowcount

    def count_trials(self, market_data: str, instruments: Sequence[str], window: Window) -> int:
        """Distinct sets ever evaluated on bars of this window.

        Args:
            market_data: only sets evaluated on these bars count.
            instruments: a set counts if it traded at least one of them.
            window: a set counts if its window overlaps this one.
        """
        with transaction(self._url) as connection:
            row = connection.execute(
                "select count(*) from (select distinct key from ledger_entries where market_data = %s"
                " and instruments && %s::text[] and window_first < %s and window_last > %s) as trials",
                (market_data, list(instruments), window.last, window.first),
            ).fetchone()
        return int(str(row[0])) if row else 0

    def blocks(
        self, market_data: str, instruments: Sequence[str], window: Window, min_round_trips: int
    ) -> tuple[list[str], NDArray[np.float64]]:
        """Returns in blocks of the sets evaluated on exactly this window and these instruments.

        Args:
            market_data: which bars.
            instruments: instrument ids, in any order.
            window: exactly this one.
            min_round_trips: sets with fewer are left out.

        Returns:
            Keys in ascending order, and float64[sets, 16, 3] in the same order; both empty if there are none.
        """
        with transaction(self._url) as connection, connection.cursor(binary=True) as cursor:
            rows = cursor.execute(
                "select key, blocks from ledger_entries where market_data = %s and instruments = %s::text[]"
                " and window_first = %s and window_last = %s and round_trips >= %s order by key",
                (market_data, sorted(instruments), window.first, window.last, min_round_trips),
            ).fetchall()
        content = b"".join(bytes(blocks) for _, blocks in rows)  # type: ignore[call-overload]
        return [str(key) for key, _ in rows], np.frombuffer(content, "<f8").reshape(len(rows), *BLOCK_SHAPE)


def _row(entry: LedgerEntry) -> tuple[object, ...]:
    blocks = np.ascontiguousarray(entry.blocks, dtype="<f8")
    if blocks.shape != BLOCK_SHAPE:
        raise ValueError(f"ledger entry {entry.key}: expected blocks of shape {BLOCK_SHAPE}, found {blocks.shape}")
    return (
        entry.key,
        entry.market_data,
        entry.window.first,
        entry.window.last,
        entry.strategy_version,
        sorted(entry.instruments),
        Jsonb(entry.costs, dumps=_canonical),
        entry.vol_target,
        Jsonb(entry.parameters, dumps=_canonical),
        entry.round,
        entry.round_trips,
        blocks.tobytes(),
    )


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
