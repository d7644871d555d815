"""The ledger: every parameter set ever evaluated, on which bars, and its returns in blocks."""

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from helios_pipeline.adapters.postgres.session import transaction
from helios_pipeline.core.ledger import BLOCK_SHAPE, Trials
from helios_pipeline.core.records import Window

type Connection = psycopg.Connection[tuple[object, ...]]

_COPY_BEGINS = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_COPY_ENDS = struct.pack(">h", -1)
_JSONB_VERSION = b"\x01"
_BLOCKS = np.dtype(("<f8", BLOCK_SHAPE))
_OF_EACH_SET = (("key", "text"), ("parameters", "jsonb"), ("round_trips", "int8"), ("blocks", "bytea"))


class LedgerStore:
    """The ledger in PostgreSQL. Entries are added and never changed.

    Args:
        url: as role `helios_pipeline`.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def record(self, trials: Trials) -> int:
        """Add trials; one with the key, bars and window of an earlier entry is left out.

        Returns:
            How many were new.

        Raises:
            DatabaseError: the database can't be reached; then nothing was added.
        """
        with transaction(self._url) as connection:
            return _record(connection, trials)

    @contextmanager
    def recorder(self) -> Iterator[Callable[[Trials], int]]:
        """What `record` does, over one connection for many portions; each is there when its call returns.

        Raises:
            DatabaseError: the database can't be reached or went away; portions before stay.
        """
        with transaction(self._url) as connection:

            def record(trials: Trials) -> int:
                new = _record(connection, trials)
                connection.commit()
                return new

            yield record

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


def _record(connection: Connection, trials: Trials) -> int:
    columns = ", ".join(f"{name} {kind}" for name, kind in _OF_EACH_SET)
    with connection.cursor() as cursor:
        cursor.execute(f"create temporary table incoming ({columns}) on commit drop".encode())
        with cursor.copy("copy incoming from stdin (format binary)") as copy:
            copy.write(copy_bytes(trials))
        cursor.execute(
            "insert into ledger_entries (key, parameters, round_trips, blocks, market_data, window_first, window_last,"
            " strategy_version, instruments, costs, vol_target, round)"
            " select key, parameters, round_trips, blocks, %s, %s, %s, %s, %s, %s, %s, %s from incoming order by key"
            " on conflict do nothing",
            (
                trials.market_data,
                trials.window.first,
                trials.window.last,
                trials.strategy_version,
                sorted(trials.instruments),
                Jsonb(trials.costs, dumps=_canonical),
                trials.vol_target,
                trials.round,
            ),
        )
        return cursor.rowcount


def copy_bytes(trials: Trials) -> bytes:
    """What is different from set to set as PostgreSQL's binary COPY takes it, in one array for all sets.

    A row is its count of columns and each column's length and content, integers big-endian; parameters are JSON padded
    with blanks to one length, which jsonb forgets.
    Source: PostgreSQL documentation, COPY, Binary Format.
    """
    texts = [text.encode() for text in trials.parameters]
    longest = max(map(len, texts), default=0)
    contents = {
        "key": np.array(trials.keys, dtype="S64"),
        "parameters": np.array([_JSONB_VERSION + text.ljust(longest) for text in texts], dtype=f"S{1 + longest}"),
        "round_trips": trials.round_trips.astype(">i8"),
        "blocks": np.ascontiguousarray(trials.blocks, "<f8").reshape(-1).view(f"V{_BLOCKS.itemsize}"),
    }
    layout: list[tuple[str, str]] = [("columns", ">i2")]
    for name, content in contents.items():
        layout += [(f"{name} length", ">i4"), (name, content.dtype.str)]
    rows = np.zeros(len(trials), np.dtype(layout))
    rows["columns"] = len(contents)
    for name, content in contents.items():
        rows[name], rows[f"{name} length"] = content, content.itemsize
    return _COPY_BEGINS + rows.tobytes() + _COPY_ENDS


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
