"""The thread that copies the log to a database, in order, while the engine works.

It reads files, so nothing that the engine does waits for the database. Where the database is away the copy lags, and
catches up later; the database itself says how far it has come, in the transaction that holds the rows.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Protocol

from helios_pipeline.core.errors import HeliosError, JournalError
from helios_pipeline.core.trading import JournalEntry
from live_engine.frames import Entry
from live_engine.segments import COUNTER, Follower, record_of

POLL_SECONDS = 0.25
ASK_SECONDS = 2.0
FIRST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 5.0

log = logging.getLogger(__name__)


class CopyStore(Protocol):
    """Where a log is copied to; after an error another one is connected."""

    def positions(self, account: str) -> dict[int, int]:
        """Epoch → sequence number up to which that epoch's records are there."""

    def write(self, account: str, reached: tuple[int, int, datetime], entries: Sequence[JournalEntry]) -> None:
        """Add records and move the position to epoch, sequence and time, both or neither."""

    def close(self) -> None:
        """End the connection."""


class Copier:
    """Copies a log until it is stopped; errors are kept in `trouble`, and tried again with growing pauses.

    Args:
        folder: of the log.
        connect: makes a store, or raises a HeliosError.
    """

    def __init__(self, folder: Path, connect: Callable[[], CopyStore]) -> None:
        self._folder, self._connect = folder, connect
        self._thread = threading.Thread(target=self._run, name="journal copier", daemon=True)
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._copied = 0
        self._behind_since: datetime | None = datetime.now(UTC)
        self._trouble: str | None = None

    @property
    def copied_sequence(self) -> int:
        """Sequence number up to which the log is known to be copied; 0 before the database has said anything."""
        return self._copied

    @property
    def lag_seconds(self) -> float:
        """Age of the oldest entry that is not copied; 0 when there is none.

        Where the database is away with nothing to copy, the time since that was noticed; and until it has said how far
        it is, the time since this copier was started.
        """
        since = self._behind_since
        return 0.0 if since is None else max(0.0, (datetime.now(UTC) - since).total_seconds())

    @property
    def trouble(self) -> str | None:
        """Why nothing is copied at present; None while all is well."""
        return self._trouble

    def start(self) -> None:
        """Begin."""
        self._behind_since = datetime.now(UTC)
        self._thread.start()

    def wake(self, *_: object) -> None:
        """There is something new: `journal.subscribe(copier.wake)`. Without it the log is looked at now and then."""
        self._news.set()

    def stop(self, within_seconds: float = 5.0) -> None:
        """Copy what is there, unless the database is away, and end."""
        self._stopping.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(within_seconds)

    def _run(self) -> None:
        pause = FIRST_BACKOFF_SECONDS
        while True:
            before = self._copied
            try:
                self._copy()
            except HeliosError as error:
                self._note(str(error))
            except Exception:  # a thread that dies without a word would look like one that has nothing to do
                log.exception("the copier failed")
                self._note("unexpected failure, see the log")
            if self._stopping.is_set():
                return
            pause = FIRST_BACKOFF_SECONDS if self._copied > before else min(2 * pause, LONGEST_BACKOFF_SECONDS)
            self._stopping.wait(pause)

    def _copy(self) -> None:
        """Copy until stopped, and all that is there then."""
        store = self._connect()
        try:
            account = _account(self._folder)
            after, positions = self._begin(store, account)
            follower = Follower(self._folder, after)
            asked_at = time.monotonic()
            while True:
                self._news.clear()
                entries = follower.read()
                while entries:
                    entries = self._copy_some(store, account, entries, positions) or follower.read()
                self._all_copied()
                if self._stopping.is_set():
                    return
                if not self._news.wait(POLL_SECONDS) and time.monotonic() > asked_at + ASK_SECONDS:
                    store.positions(account)  # with nothing to copy, a database that is away would not be noticed
                    asked_at = time.monotonic()
        finally:
            store.close()

    def _begin(self, store: CopyStore, account: str) -> tuple[int, dict[int, int]]:
        """Sequence number up to which everything in the log is copied, and the positions of its epochs."""
        positions = store.positions(account)
        newest = max(positions, default=0)
        last = positions.get(newest, 0)
        follower = Follower(self._folder, max(0, last - 1))
        first = next(iter(follower.read()), None)
        ours = first is not None and (first.epoch, first.sequence) == (newest, last)
        return (last if ours else 0), positions

    def _copy_some(
        self, store: CopyStore, account: str, entries: list[Entry], positions: dict[int, int]
    ) -> list[Entry]:
        """Copy the entries of the first one's epoch; returns the others."""
        epoch = entries[0].epoch
        batch = list(takewhile(lambda entry: entry.epoch == epoch, entries))
        last = batch[-1]
        if last.sequence > positions.get(epoch, 0):
            self._behind_since = batch[0].journalled_at
            records = ((entry, record_of(entry)) for entry in batch if entry.sequence > positions.get(epoch, 0))
            store.write(
                account,
                (epoch, last.sequence, last.journalled_at),
                [
                    JournalEntry(epoch=epoch, sequence=entry.sequence, journalled_at=entry.journalled_at, record=record)
                    for entry, record in records
                    if record is not None
                ],
            )
        self._copied = last.sequence
        return entries[len(batch) :]

    def _all_copied(self) -> None:
        if self._trouble is not None:
            log.warning("the journal is copied again")
        self._behind_since = self._trouble = None

    def _note(self, trouble: str) -> None:
        if self._trouble is None:
            log.warning("the journal is not copied: %s", trouble)
        self._trouble = trouble
        if self._behind_since is None:
            self._behind_since = datetime.now(UTC)


def _account(folder: Path) -> str:
    first = next(iter(Follower(folder).read()), None)
    if first is None or first.kind != COUNTER or not isinstance(first.document, dict):
        raise JournalError(f"{folder}: expected a log, found none. Start the engine.")
    return str(first.document["account"])
