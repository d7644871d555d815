"""The write-ahead log's writing end: an entry is durable when `sync` returns, or nothing is written any more.

Threads that append at once share one fdatasync. After the first failure of the disk everything is refused: what the
kernel did with pages that it could not write is unknown, so a second try could promise what is lost.
"""

import fcntl
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from helios_pipeline.core.errors import JournalError
from live_engine.frames import Entry, encode_entry
from live_engine.segments import Follower, Segment, list_segments, segment_path

SEGMENT_BYTES = 16 * 1024 * 1024
"""A segment that has grown to this is followed by another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """Where a log ended when it was opened.

    Attributes:
        segment: its last.
        last: sequence number of the last whole entry.
        size: bytes of the segment up to there.
        torn: bytes behind that, which were no whole entry and are cut.
    """

    segment: Segment
    last: int
    size: int
    torn: int


class WriteAheadLog:
    """A log that this process alone writes; made by `open`.

    Attributes:
        tail: where the log ended when it was opened; what was torn there is cut.
    """

    def __init__(self, folder: Path, directory: int, tail: Tail, segment_bytes: int) -> None:
        self.tail = tail
        self._folder, self._directory, self._segment_bytes = folder, directory, segment_bytes
        self._path, self._size = tail.segment.path, tail.size
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._written = self._durable = tail.last
        self._failure: str | None = None
        self._syncing = threading.Lock()

    @classmethod
    def open(cls, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> Self:
        """Open a folder's log, or begin it; a torn tail is cut.

        Raises:
            JournalError: another process writes it, the disk refuses, or entries that were acknowledged are damaged.
        """
        directory = -1
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            _hold(folder, directory)
            segments = list_segments(folder) or [_begin_segment(folder, directory, 1)]
            tail = _find_tail(folder, segments[-1])
            _cut(tail)
            return cls(folder, directory, tail, segment_bytes)
        except BaseException as error:
            if directory >= 0:
                os.close(directory)
            if isinstance(error, OSError):
                raise JournalError(f"{folder}: expected to open the log, found: {error}. {_MAKE_ROOM}") from error
            raise

    @property
    def written(self) -> int:
        """Sequence number of the newest entry."""
        return self._written

    @property
    def durable(self) -> int:
        """Sequence number up to which everything is on disk."""
        return self._durable

    @property
    def failure(self) -> str | None:
        """Why nothing is written any more; None while all is well."""
        return self._failure

    def write(self, epoch: int, kind: str, document: object) -> int:
        """Hand an entry to the kernel; the caller lets one thread in at a time, and calls `sync` before relying on it.

        Returns:
            Its sequence number.

        Raises:
            JournalError: the disk refuses, now or earlier.
            ManifestError: a text is none that UTF-8 can hold; nothing is written.
        """
        self._refuse_after_failure()
        entry = Entry(
            sequence=self._written + 1,
            epoch=epoch,
            durable=self._durable,
            journalled_at=datetime.now(UTC),
            kind=kind,
            document=document,
        )
        data = encode_entry(entry)
        try:
            if self._size >= self._segment_bytes:
                self._roll()
            _write_all(self._file, data)
        except OSError as error:
            raise self._fail("write", error) from error
        self._size += len(data)
        self._written = entry.sequence
        return entry.sequence

    def sync(self, sequence: int) -> None:
        """Return when an entry, and all before it, are on disk.

        Raises:
            JournalError: the disk refuses, now or earlier; whether the entry is on disk is unknown.
        """
        with self._syncing:
            if self._durable >= sequence:
                return
            self._refuse_after_failure()
            reached = self._written
            try:
                os.fdatasync(self._file)
            except OSError as error:
                raise self._fail("fdatasync", error) from error
            self._durable = reached

    def close(self) -> None:
        """Stop writing. Harmless when repeated."""
        with self._syncing:
            if self._failure is None:
                self._failure = f"{self._folder}: the log is closed."
            for descriptor in (self._file, self._directory):
                if descriptor >= 0:
                    with suppress(OSError):
                        os.close(descriptor)
            self._file = self._directory = -1

    def _roll(self) -> None:
        """Begin the next segment, when everything in this one is on disk."""
        self.sync(self._written)
        segment = _begin_segment(self._folder, self._directory, self._written + 1)
        with self._syncing:
            os.close(self._file)
            self._file = os.open(segment.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            self._path, self._size = segment.path, 0

    def _fail(self, doing: str, error: OSError) -> JournalError:
        self._failure = (
            f"{self._path} offset {self._size}: expected to {doing}, found: {error}. "
            f"Nothing is sent any more. {_MAKE_ROOM}"
        )
        return JournalError(self._failure)

    def _refuse_after_failure(self) -> None:
        if self._failure is not None:
            raise JournalError(self._failure)


_MAKE_ROOM = "Make room on the disk or repair it, and start the engine again: it begins where the log is whole."


def _hold(folder: Path, directory: int) -> None:
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise JournalError(
            f"{folder}: expected to be the only writer, found another. Stop that engine first."
        ) from None


def _begin_segment(folder: Path, directory: int, first: int) -> Segment:
    segment = Segment(path=segment_path(folder, first), first=first)
    os.close(os.open(segment.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    os.fsync(directory)
    return segment


def _find_tail(folder: Path, last: Segment) -> Tail:
    follower = Follower(folder, after=last.first - 1)
    while follower.read():
        pass
    segment, following, size = follower.place
    return Tail(segment=segment, last=following - 1, size=size, torn=segment.path.stat().st_size - size)


def _cut(tail: Tail) -> None:
    """Remove what is torn; and make sure of the rest, which a killed writer may not have synced."""
    descriptor = os.open(tail.segment.path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if tail.torn:
            os.ftruncate(descriptor, tail.size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
