"""The files of a write-ahead log, read: segments named by the first sequence number they hold.

Reading needs no lock, and may go on while an engine writes: what is not whole yet at the end is left for the next time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from helios_pipeline.core.canonical import from_document
from helios_pipeline.core.errors import JournalError, ManifestError
from helios_pipeline.core.trading import RECORD_KINDS, JournalRecord
from live_engine.frames import Entry, decode_entries, first_proof

COUNTER = "counter"
"""Kind of the entries that are the log's own: which account it is of, and which client order ids are taken."""

_NEWER = "Another version of Helios wrote it: use that one."
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """Where a segment's whole entries end.

    Attributes:
        segment: of what.
        last: sequence number of its last whole entry; `first` − 1 in an empty one.
        size: bytes up to there.
        torn: bytes behind that are no whole entry.
    """

    segment: Segment
    last: int
    size: int
    torn: int


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


def read_entries(folder: Path, after: int = 0) -> Iterator[Entry]:
    """Entries behind a sequence number, oldest first, those of the log itself included.

    What is not whole at the end of the last segment is left out.

    Raises:
        JournalError: an entry that was acknowledged is damaged or missing; the message names file and offset.
    """
    segments = list_segments(folder)
    begun = [index for index, segment in enumerate(segments) if segment.first <= after + 1]
    if segments and not begun:
        raise JournalError(
            f"{folder}: expected entry {after + 1}, found {segments[0].path.name} to be the first. {_RESTORE}"
        )
    for index in range(begun[-1] if begun else 0, len(segments)):
        is_last = index == len(segments) - 1
        expected = None if is_last else segments[index + 1].first
        yield from (entry for entry in _read_segment(segments[index], expected) if entry.sequence > after)


def read_records(folder: Path) -> Iterator[tuple[int, JournalRecord]]:
    """Sequence number and record, oldest first, without the log's own entries. As `read_entries`."""
    for entry in read_entries(folder):
        record = record_of(entry)
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
            f"journal entry {entry.sequence}: expected a kind of {sorted(RECORD_KINDS)}, found {entry.kind!r}. {_NEWER}"
        )
    try:
        record: JournalRecord = from_document(RECORD_KINDS[entry.kind], entry.document, entry.kind)
    except ManifestError as error:
        raise JournalError(f"journal entry {entry.sequence}: {error} {_NEWER}") from None
    return record


def find_tail(segment: Segment) -> Tail:
    """Where a log's last segment ends.

    Raises:
        JournalError: what is not whole was acknowledged once.
    """
    data = _bytes(segment)
    last, size = segment.first - 1, 0
    for entry, end in decode_entries(data):
        last, size = entry.sequence, end
    _refuse_damage(segment, data, size, last + 1)
    return Tail(segment=segment, last=last, size=size, torn=len(data) - size)


def _read_segment(segment: Segment, following: int | None) -> Iterator[Entry]:
    """Entries of a segment; all must be whole if another segment follows, which begins with a sequence number."""
    data = _bytes(segment)
    expected, size = segment.first, 0
    for entry, end in decode_entries(data):
        if entry.sequence != expected:
            raise JournalError(
                f"{_place(segment, size)}: expected entry {expected}, found {entry.sequence}. {_RESTORE}"
            )
        yield entry
        expected, size = expected + 1, end
    if following is None:
        _refuse_damage(segment, data, size, expected)
    elif size < len(data) or expected != following:
        raise JournalError(
            f"{_place(segment, size)}: expected entry {expected} whole, since {following:016d}.log follows; found it "
            f"damaged or missing. {_RESTORE}"
        )


def _refuse_damage(segment: Segment, data: bytes, size: int, sequence: int) -> None:
    proof = first_proof(data, size, sequence) if size < len(data) else None
    if proof is not None:
        raise JournalError(
            f"{_place(segment, size)}: expected entry {sequence} whole, since entry {proof.sequence} says that it was "
            f"on disk; found it damaged. {_RESTORE}"
        )


def _place(segment: Segment, offset: int) -> str:
    return f"{segment.path} offset {offset}"


def _bytes(segment: Segment) -> bytes:
    try:
        return segment.path.read_bytes()
    except OSError as error:
        raise JournalError(f"{segment.path}: expected to read it, found: {error}.") from error
