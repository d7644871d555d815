"""The files of a write-ahead log, read: segments named by the first sequence number they hold.

Reading needs no lock, and may go on while an engine writes: what is not whole yet at the end is left for the next time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from helios_pipeline.core.canonical import from_document
from helios_pipeline.core.errors import JournalError, ManifestError
from helios_pipeline.core.trading import RECORD_KINDS, JournalRecord
from live_engine.frames import NEWER, Entry, decode_entries, first_proof

COUNTER = "counter"
"""Kind of the entries that are the log's own: which account it is of, and which client order ids are taken."""

_CHUNK_BYTES = 1024 * 1024
_RESTORE = (
    "Stop the engine, keep the folder as it is, restore the file from a copy, or move the whole folder away: an engine "
    "that starts without it takes fills and positions in from the venue."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One file of a log.

    Attributes:
        path: where it is.
        first: sequence number of its first entry.
    """

    path: Path
    first: int


def segment_path(folder: Path, first: int) -> Path:
    """Name of the segment that begins with a sequence number."""
    return folder / f"{first:016d}.log"


def list_segments(folder: Path) -> list[Segment]:
    """Segments of a log, oldest first; none if there is no log.

    Raises:
        JournalError: the folder can't be read, or a file's name is none of a segment.
    """
    try:
        paths = sorted(folder.glob("*.log"))
    except OSError as error:
        raise JournalError(f"{folder}: expected to read the log's folder, found: {error}.") from error
    for path in paths:
        if not (path.stem.isascii() and path.stem.isdigit()):
            raise JournalError(f"{path}: expected a name like {segment_path(folder, 1).name}. Move the file away.")
    return [Segment(path=path, first=int(path.stem)) for path in paths]


class Follower:
    """Reads a log from a sequence number on, and goes on where it stopped.

    Args:
        folder: of the log.
        after: sequence number of the last entry that is not wanted.
        unwanted: kinds whose records are not parsed.

    Raises:
        JournalError: that entry, or the one after it, would be in a segment that is missing.
    """

    def __init__(self, folder: Path, after: int = 0, unwanted: frozenset[str] = frozenset()) -> None:
        segments = list_segments(folder)
        begun = [segment for segment in segments if segment.first <= after + 1]
        if segments and not begun:
            raise JournalError(
                f"{folder}: expected entry {after + 1}, found {segments[0].path.name} to be the first file. {_RESTORE}"
            )
        self._folder, self._after, self._unwanted = folder, after, unwanted
        self._segment = begun[-1] if begun else Segment(path=segment_path(folder, 1), first=1)
        self._expected, self._offset = self._segment.first, 0

    @property
    def place(self) -> tuple[Segment, int, int]:
        """Segment, sequence number of the next entry, and the offset that it will be at."""
        return self._segment, self._expected, self._offset

    def read(self) -> list[Entry]:
        """The next entries, at most about a MiB of them; empty if there are no more whole ones yet.

        Raises:
            JournalError: an entry that was acknowledged is damaged or missing; the message names file and offset.
        """
        while True:
            following = self._following()  # before reading: a segment that is followed is finished
            entries, rest = self._read_some()
            wanted = [entry for entry in entries if entry.sequence > self._after]
            if wanted or (not entries and self._ends(rest, following)):
                return wanted

    def _read_some(self) -> tuple[list[Entry], bytes]:
        """Whole entries at the present place, which moves on; and, without any, the bytes that are there."""
        size = _CHUNK_BYTES
        while True:
            data = _read_bytes(self._segment.path, self._offset, size)
            entries, end = [], 0
            for entry, next_end in decode_entries(data, 0, self._unwanted):
                if entry.sequence != self._expected:
                    raise JournalError(
                        f"{self._at(end)}: expected entry {self._expected}, found {entry.sequence}. {_RESTORE}"
                    )
                entries.append(entry)
                self._expected, end = self._expected + 1, next_end
            self._offset += end
            if entries or len(data) < size:
                return entries, data
            size *= 8

    def _ends(self, rest: bytes, following: Segment | None) -> bool:
        """Whether there is nothing more to read now; moves on to the segment that follows."""
        if following is None:
            self._refuse_damage(rest)
            return True
        if rest or following.first != self._expected:
            raise JournalError(
                f"{self._at(0)}: expected entry {self._expected} whole, since {following.path.name} follows; found it "
                f"damaged or missing. {_RESTORE}"
            )
        self._segment, self._offset = following, 0
        return False

    def _following(self) -> Segment | None:
        later = (segment for segment in list_segments(self._folder) if segment.first > self._segment.first)
        return next(later, None)

    def _refuse_damage(self, rest: bytes) -> None:
        proof = first_proof(rest, 0, self._expected)
        if proof is not None:
            raise JournalError(
                f"{self._at(0)}: expected entry {self._expected} whole, since entry {proof.sequence} says that it was "
                f"on disk; found it damaged. {_RESTORE}"
            )

    def _at(self, offset: int) -> str:
        return f"{self._segment.path} offset {self._offset + offset}"


def read_entries(folder: Path, after: int = 0, unwanted: frozenset[str] = frozenset()) -> Iterator[Entry]:
    """Entries behind a sequence number, oldest first, those of the log itself included.

    What is not whole at the end is left out. Records of unwanted kinds are not parsed.

    Raises:
        JournalError: an entry that was acknowledged is damaged or missing; the message names file and offset.
    """
    follower = Follower(folder, after, unwanted)
    while entries := follower.read():
        yield from entries


def read_records(folder: Path, unwanted: frozenset[str] = frozenset()) -> Iterator[tuple[int, JournalRecord]]:
    """Sequence number and record, oldest first, without the log's own entries and unwanted kinds. As `read_entries`."""
    for entry in read_entries(folder, unwanted=unwanted):
        record = None if entry.kind in unwanted else record_of(entry)
        if record is not None:
            yield entry.sequence, record


def record_of(entry: Entry) -> JournalRecord | None:
    """The record of an entry; None for one that is the log's own.

    Raises:
        JournalError: the entry is of a kind or form that this version does not know.
    """
    if entry.kind == COUNTER:
        return None
    if entry.kind not in RECORD_KINDS:
        raise JournalError(
            f"journal entry {entry.sequence}: expected a kind of {sorted(RECORD_KINDS)}, found {entry.kind!r}. {NEWER}"
        )
    try:
        record: JournalRecord = from_document(RECORD_KINDS[entry.kind], entry.document, entry.kind)
    except ManifestError as error:
        raise JournalError(f"journal entry {entry.sequence}: {error} {NEWER}") from None
    return record


def _read_bytes(path: Path, offset: int, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise JournalError(f"{path}: expected to read it, found: {error}.") from error
