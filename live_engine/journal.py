"""The journal of an account: a record is journalled when it is on disk, and in the books.

`append` may be called from any thread. Records reach books and listeners in the order of their sequence numbers, when
they are durable and before `append` returns.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from helios_pipeline.core.canonical import from_document, to_document
from helios_pipeline.core.errors import JournalError, ManifestError
from helios_pipeline.core.trading import RECORD_KINDS, BarDifference, InferredFill, JournalRecord, Reconciliation
from helios_pipeline.core.venues import AccountHistory
from helios_pipeline.execution.amounts import check_amounts
from helios_pipeline.execution.books import Books, NaturalKey, natural_key
from live_engine.client_order_ids import ClientOrderIds, highest_id
from live_engine.frames import Entry
from live_engine.segments import COUNTER, read_entries, read_records, record_of
from live_engine.write_ahead_log import SEGMENT_BYTES, Tail, WriteAheadLog

KIND_NAMES = {kind: name for name, kind in RECORD_KINDS.items()}
RECONCILIATION = KIND_NAMES[Reconciliation]
SKIPPED = frozenset({RECONCILIATION, KIND_NAMES[InferredFill], KIND_NAMES[BarDifference]})
"""Kinds of which the books keep the last one at most: most of a long log, so a start does not parse them."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """The log's own entry: whose it is, and the last client order id that is taken."""

    account: str
    client_order_id: int


class Journal:
    """An account's log and books; made by `open`.

    Attributes:
        account: whose.
        folder: of the log.
        books: everything that follows from the records.
    """

    def __init__(self, folder: Path, account: str, wal: WriteAheadLog) -> None:
        self.folder, self.account = folder, account
        self.books = Books(account)
        self._wal = wal
        self._epoch = 0
        self._ids: ClientOrderIds
        self._writing = threading.Lock()
        self._publishing = threading.RLock()
        self._in_flight: dict[NaturalKey, int] = {}
        self._pending: deque[tuple[int, JournalRecord | None]] = deque()
        self._listeners: list[Callable[[int, JournalRecord], None]] = []

    @classmethod
    def open(cls, folder: Path, account: str, *, segment_bytes: int = SEGMENT_BYTES) -> Self:
        """Open the log of an account, or begin it, and enter every record into the books.

        Args:
            folder: of the log.
            account: whose; a log of another account is refused.
            segment_bytes: size at which a file of the log is followed by another.

        Raises:
            JournalError: another process writes it, the disk refuses, or entries that were acknowledged are damaged.
        """
        journal = cls(folder, account, WriteAheadLog.open(folder, segment_bytes=segment_bytes))
        try:
            journal._replay()
        except BaseException:
            journal.close()
            raise
        return journal

    @property
    def epoch(self) -> int:
        """Number of this engine: one more than the last that wrote the log, or what `raise_epoch` said."""
        return self._epoch

    @property
    def sequence(self) -> int:
        """Of the newest entry that is on disk; they count on over restarts."""
        return self._wal.durable

    @property
    def failure(self) -> str | None:
        """Why nothing can be journalled any more, and so nothing be sent; None while all is well."""
        return self._wal.failure

    @property
    def tail(self) -> Tail:
        """Where the log ended when it was opened; its `torn` bytes were cut."""
        return self._wal.tail

    def append(self, record: JournalRecord) -> int | None:
        """Make a record durable, enter it into the books and tell the listeners.

        Returns:
            Its sequence number; None if its natural key is there already, and durable: then nothing is written.

        Raises:
            JournalError: it could not be written, or is none of this account: nothing may be sent.
        """
        document = self._document(record)
        key = natural_key(record)
        with self._writing:
            known = self._in_flight.get(key) if key is not None else None
            if known is None and self.books.knows(record):
                return None
            sequence = known or self._write(KIND_NAMES[type(record)], document, record)
            if key is not None:
                self._in_flight[key] = sequence
        self._wal.sync(sequence)
        self._publish()
        return None if known else sequence

    def next_client_order_id(self) -> int:
        """A client order id that was never given before: below 2^31, growing, over restarts and lost logs too.

        Raises:
            JournalError: it could not be taken durably.
        """
        return self._ids.give()

    def raise_epoch(self, epoch: int) -> None:
        """Go on under a higher epoch, which a lease gave; a lower one changes nothing.

        Raises:
            JournalError: it could not be written.
        """
        if epoch > self._epoch:
            self._epoch = epoch
            self._count(self._ids.taken)

    def history(self) -> AccountHistory:
        """What an execution client starts from."""
        with self._publishing:
            return self.books.history()

    def records(self, *kinds: type[JournalRecord]) -> Iterator[JournalRecord]:
        """Records of some kinds, of all if none is named, from the log's beginning, read from its files."""
        unwanted = frozenset(name for name, kind in RECORD_KINDS.items() if kinds and kind not in kinds)
        return (record for _, record in read_records(self.folder, unwanted))

    @contextmanager
    def reading(self) -> Iterator[Books]:
        """The books of one moment: no other thread's record is entered until the block ends."""
        with self._publishing:
            yield self.books

    def subscribe(self, listener: Callable[[int, JournalRecord], None]) -> None:
        """Have a function called with sequence number and record of each new one, in the thread that appended it.

        It must be quick and not raise; what it raises is logged, since the record is on disk.
        """
        self._listeners.append(listener)

    def close(self) -> None:
        """Stop writing. Harmless when repeated."""
        self._wal.close()

    def _replay(self) -> None:
        taken = compared = 0
        for entry in read_entries(self.folder, unwanted=SKIPPED):
            self._epoch = entry.epoch
            if entry.kind == RECONCILIATION:
                compared = entry.sequence
            elif entry.kind == COUNTER:
                taken = self._read_counter(entry)
            elif entry.kind not in SKIPPED:
                self._enter(entry)
        if compared:
            self._enter(next(read_entries(self.folder, compared - 1)))
        self._epoch += 1
        self._ids = ClientOrderIds(self._count, max(taken, highest_id(self.books.orders)))

    def _enter(self, entry: Entry) -> None:
        record = record_of(entry)
        if record is not None:
            self.books.apply(record)

    def _read_counter(self, entry: Entry) -> int:
        counter = from_document(Counter, entry.document, f"journal entry {entry.sequence}")
        if counter.account != self.account:
            raise JournalError(
                f"{self.folder}: expected the log of {self.account}, found one of {counter.account}. "
                "Give each account a folder of its own."
            )
        return counter.client_order_id

    def _count(self, last: int) -> None:
        document = to_document(Counter(account=self.account, client_order_id=last))
        with self._writing:
            sequence = self._write(COUNTER, document, None)
        self._wal.sync(sequence)
        self._publish()

    def _document(self, record: JournalRecord) -> object:
        if record.account != self.account:
            raise JournalError(
                f"journal of {self.account}: expected a record of that account, found one of {record.account}."
            )
        check_amounts(record)
        try:
            return to_document(record)
        except ManifestError as error:
            raise JournalError(f"journal of {self.account}: {error} in {record!r}") from error

    def _write(self, kind: str, document: object, record: JournalRecord | None) -> int:
        try:
            sequence = self._wal.write(self._epoch, kind, document)
        except ManifestError as error:
            raise JournalError(f"journal of {self.account}: {error} in {document!r}") from error
        self._pending.append((sequence, record))
        return sequence

    def _publish(self) -> None:
        """Enter what is durable into the books, in order; another thread may have done so already."""
        with self._publishing:
            while self._pending and self._pending[0][0] <= self._wal.durable:
                sequence, record = self._pending.popleft()
                if record is not None:
                    self.books.apply(record)
                    self._in_flight.pop(natural_key(record) or (), None)
                    self._tell(sequence, record)

    def _tell(self, sequence: int, record: JournalRecord) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(sequence, record)
            except Exception:
                log.exception("a listener of the journal failed at entry %d", sequence)
