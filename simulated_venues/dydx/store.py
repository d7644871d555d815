"""What the chain keeps on disk: one SQLite database in the state folder, one database transaction a block.

A process that is killed at any moment leaves the last committed block. SQLite's write-ahead log with `synchronous =
NORMAL` loses nothing when a process dies; a machine that loses power may lose the last blocks, and never a part of one.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TextIO, get_args

import msgspec

from helios_pipeline.core.errors import SimulationError
from simulated_venues.dydx.records import Event, Moment
from simulated_venues.dydx.signers import Signer
from simulated_venues.dydx.state import ROW_TYPES, Change, Row

KEPT_RESULTS = 100_000
"""Results of transactions that `GetTx` finds; older ones are forgotten."""

_FORMAT = "1"
_DATABASE, _LOCK = "chain.sqlite", "lock"
_EVENT_KINDS = {kind.__name__: kind for kind in get_args(Event)}
_SCHEMA = """
create table if not exists about (name text primary key, value text not null) without rowid;
create table if not exists blocks (height integer primary key, at_ms integer not null);
create table if not exists events (
    number integer primary key, height integer not null, kind text not null, body text not null
);
create table if not exists signers (address text primary key, body text not null) without rowid;
create table if not exists banks (address text primary key, quote_quantums integer not null) without rowid;
create table if not exists rows (
    place text not null, name text not null, body text not null, primary key (place, name)
) without rowid;
create table if not exists results (
    number integer primary key, hash text not null unique, height integer not null, at_ms integer not null,
    code integer not null, codespace text not null, log text not null, gas_used integer not null, raw blob not null
);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionResult:
    """What became of a transaction in its block.

    Attributes:
        hash: its name.
        raw: its bytes.
        moment: the block.
        code, codespace, log: 0 and empty if it was carried out, else why not.
        gas_used: in units of gas.
    """

    hash: str
    raw: bytes
    moment: Moment
    code: int = 0
    codespace: str = ""
    log: str = ""
    gas_used: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedBlock:
    """All that a block changes.

    Attributes:
        moment: its height and time.
        events: what happened to accounts, in order.
        results: of the transactions in it.
        signers: whose number, sequence or nonces changed.
        banks: address → USDC outside of subaccounts in quote quantums, where it changed.
        changes: rows of the exchange's state that are new, different or gone.
    """

    moment: Moment
    events: tuple[Event, ...]
    results: tuple[TransactionResult, ...] = ()
    signers: tuple[Signer, ...] = ()
    banks: Mapping[str, int]
    changes: tuple[Change, ...] = ()


class Store:
    """The open database of one chain; no two processes or objects have the same folder open."""

    def __init__(self, folder: Path, about: Mapping[str, str]) -> None:
        """Open a state folder, or make it.

        Args:
            folder: where the state is.
            about: what the state belongs to (market identity, chain id); a folder of another is refused.

        Raises:
            SimulationError: the folder is in use, or belongs to another market or chain.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock_folder(folder)
        try:
            self._database = sqlite3.connect(folder / _DATABASE, isolation_level=None, check_same_thread=False)
            self._database.execute("pragma journal_mode = wal")
            self._database.execute("pragma synchronous = normal")
            self._database.executescript(_SCHEMA)
            self._check_about(folder, {"format": _FORMAT, **about})
        except sqlite3.DatabaseError as error:
            self.close()
            raise SimulationError(
                f"dYdX state folder {folder}: expected a database of a simulated chain in {_DATABASE}, found one that "
                f"can't be read ({error}). Move the folder away to begin anew."
            ) from error
        except SimulationError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the folder."""
        if hasattr(self, "_database"):
            self._database.close()
        self._lock.close()

    def commit(self, block: CommittedBlock) -> None:
        """Write a block, all of it or nothing."""
        height, database = block.moment.height, self._database
        database.execute("begin immediate")
        try:
            database.execute("insert into blocks values (?, ?)", (height, block.moment.at_ms))
            database.executemany(
                "insert into events (height, kind, body) values (?, ?, ?)",
                [(height, type(event).__name__, _encode(event)) for event in block.events],
            )
            self._write_signers(block.signers)
            database.executemany("insert or replace into banks values (?, ?)", block.banks.items())
            self._write_rows(block.changes)
            self._write_results(block.results)
        except BaseException:
            database.execute("rollback")
            raise
        database.execute("commit")

    def write_signer(self, signer: Signer) -> None:
        """Write an account at once, so that the number it was told by and what it was promised stay its own."""
        self._write_signers([signer])

    def last_block(self) -> Moment | None:
        """The last committed block; None for a new chain."""
        row = self._database.execute("select height, at_ms from blocks order by height desc limit 1").fetchone()
        return None if row is None else Moment(height=row[0], at_ms=row[1])

    def block(self, height: int) -> Moment | None:
        """A committed block."""
        row = self._database.execute("select height, at_ms from blocks where height = ?", (height,)).fetchone()
        return None if row is None else Moment(height=row[0], at_ms=row[1])

    def moments(self) -> Iterator[Moment]:
        """Every block, oldest first."""
        for height, at_ms in self._database.execute("select height, at_ms from blocks order by height"):
            yield Moment(height=height, at_ms=at_ms)

    def events(self) -> Iterator[tuple[Moment, list[Event]]]:
        """The events of every block that has some, oldest first."""
        rows = self._database.execute(
            "select b.height, b.at_ms, e.kind, e.body from events e join blocks b using (height) order by e.number"
        )
        moment, events = None, list[Event]()
        for height, at_ms, kind, body in rows:
            if moment is None or moment.height != height:
                if moment is not None:
                    yield moment, events
                moment, events = Moment(height=height, at_ms=at_ms), []
            events.append(msgspec.json.decode(body, type=_EVENT_KINDS[kind]))
        if moment is not None:
            yield moment, events

    def signers(self) -> dict[str, Signer]:
        """All accounts by address, in the order of their numbers."""
        rows = self._database.execute("select body from signers")
        signers = [msgspec.json.decode(body, type=Signer) for (body,) in rows]
        return {signer.address: signer for signer in sorted(signers, key=lambda each: each.number)}

    def banks(self) -> dict[str, int]:
        """USDC outside of subaccounts, in quote quantums, by address."""
        return dict(self._database.execute("select address, quote_quantums from banks"))

    def rows(self) -> list[tuple[str, Row]]:
        """The exchange's state: (table, row)."""
        found = self._database.execute("select place, body from rows order by place, name")
        return [(table, msgspec.json.decode(body, type=ROW_TYPES[table])) for table, body in found]

    def result(self, transaction_hash: str) -> TransactionResult | None:
        """What became of a transaction, if it is in one of the last blocks."""
        names = [field.name for field in fields(TransactionResult) if field.name != "moment"]
        row = self._database.execute(
            f"select height, at_ms, {', '.join(names)} from results where hash = ?",
            (transaction_hash,),
        ).fetchone()
        if row is None:
            return None
        values = dict(zip(names, row[2:], strict=True))
        return TransactionResult(**values, moment=Moment(height=row[0], at_ms=row[1]))

    def _check_about(self, folder: Path, about: Mapping[str, str]) -> None:
        found = dict(self._database.execute("select name, value from about"))
        if not found:
            self._database.executemany("insert into about values (?, ?)", about.items())
            return
        for name, expected in about.items():
            if found.get(name) != expected:
                raise SimulationError(
                    f"dYdX state folder {folder}: expected the state of {name} {expected!r}, found that of "
                    f"{found.get(name)!r}. Choose another state folder, or move this one away to begin anew."
                )

    def _write_signers(self, signers: Iterable[Signer]) -> None:
        self._database.executemany(
            "insert or replace into signers values (?, ?)", [(each.address, _encode(each)) for each in signers]
        )

    def _write_rows(self, changes: Iterable[Change]) -> None:
        gone, kept = list[tuple[str, str]](), list[tuple[str, str, str]]()
        for change in changes:
            if change.row is None:
                gone.append((change.table, change.key))
            else:
                kept.append((change.table, change.key, _encode(change.row)))
        self._database.executemany("delete from rows where place = ? and name = ?", gone)
        self._database.executemany("insert or replace into rows values (?, ?, ?)", kept)

    def _write_results(self, results: Iterable[TransactionResult]) -> None:
        self._database.executemany(
            "insert or replace into results (hash, height, at_ms, code, codespace, log, gas_used, raw) "
            "values (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    each.hash,
                    each.moment.height,
                    each.moment.at_ms,
                    each.code,
                    each.codespace,
                    each.log,
                    each.gas_used,
                    each.raw,
                )
                for each in results
            ],
        )
        self._database.execute(
            "delete from results where number <= (select max(number) from results) - ?", (KEPT_RESULTS,)
        )


def _encode(record: Event | Row | Signer) -> str:
    return msgspec.json.encode(record).decode()


def _lock_folder(folder: Path) -> TextIO:
    """Hold the folder until the file is closed, or the process is gone."""
    file = (folder / _LOCK).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        raise SimulationError(
            f"dYdX state folder {folder}: expected it to be free, found it in use by process {holder or 'unknown'}. "
            "Stop that venue, or choose another state folder."
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
