"""How one entry of the write-ahead log lies in its file: marker, length, checksum, JSON, line break.

The JSON is canonical, so `grep -a` reads a log. Every entry says up to which sequence number the log was durable when
it was written: that tells a torn tail, which nobody was promised, from damage to entries that were acknowledged.
"""

import json
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from helios_pipeline.core.canonical import document_bytes
from helios_pipeline.core.errors import JournalError

MARKER = b"HLG1"
NEWER = "Another version of Helios wrote it: use that one."
_HEAD = struct.Struct("<4sII")
_END = b"\n"
# Canonical JSON sorts its names, so an entry that nobody wants the record of need not be parsed.
_FORM = re.compile(
    rb'\{"at":"([^"]*)","durable":(\d+),"epoch":(\d+),"kind":"(\w+)","record":(.*),"sequence":(\d+)\}', re.DOTALL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the log.

    Attributes:
        sequence: 1, 2, 3, …, without gaps over the life of a log.
        epoch: of the engine that wrote it.
        durable: sequence up to which everything was on disk when it was written.
        journalled_at: by this machine's clock.
        kind: of the record.
        document: the record, as `core.canonical.to_document` gives it; None where it was not wanted.
    """

    sequence: int
    epoch: int
    durable: int
    journalled_at: datetime
    kind: str
    document: object


def encode_entry(entry: Entry) -> bytes:
    """The bytes of an entry in its file.

    Raises:
        ManifestError: a text is none that UTF-8 can hold.
    """
    payload = document_bytes(
        {
            "sequence": entry.sequence,
            "epoch": entry.epoch,
            "durable": entry.durable,
            "at": entry.journalled_at.isoformat(),
            "kind": entry.kind,
            "record": entry.document,
        }
    )
    return _HEAD.pack(MARKER, len(payload), zlib.crc32(payload)) + payload + _END


def decode_entries(data: bytes, start: int = 0, unwanted: frozenset[str] = frozenset()) -> Iterator[tuple[Entry, int]]:
    """Entries with the offset that each ends at; stops before the first that is not whole.

    Args:
        data: of a file.
        start: offset of an entry.
        unwanted: kinds whose records are not parsed.

    Raises:
        JournalError: an entry is whole and says something else than an entry.
    """
    while (found := _payload(data, start)) is not None:
        payload, start = found
        yield _entry(payload, unwanted), start


def first_proof(data: bytes, start: int, sequence: int) -> Entry | None:
    """The first whole entry behind an offset that says that a sequence number was durable; None if there is none."""
    place = data.find(MARKER, start)
    while place >= 0:
        found = _payload(data, place)
        if found is not None:
            entry = _entry(found[0], frozenset())
            if entry.durable >= sequence:
                return entry
        place = data.find(MARKER, place + 1)
    return None


def _payload(data: bytes, start: int) -> tuple[bytes, int] | None:
    """JSON of the entry that begins at an offset, and where the entry ends; None if it is not whole."""
    body = start + _HEAD.size
    if len(data) < body:
        return None
    marker, length, checksum = _HEAD.unpack_from(data, start)
    payload = data[body : body + length]
    whole = marker == MARKER and len(payload) == length and zlib.crc32(payload) == checksum
    return (payload, body + length + 1) if whole and data[body + length : body + length + 1] == _END else None


def _entry(payload: bytes, unwanted: frozenset[str]) -> Entry:
    found = _FORM.fullmatch(payload)
    if found is None:
        raise JournalError(f"journal entry: expected {_FORM.pattern!r}, found {payload[:200]!r}. {NEWER}")
    kind = found[4].decode()
    return Entry(
        sequence=int(found[6]),
        epoch=int(found[3]),
        durable=int(found[2]),
        journalled_at=datetime.fromisoformat(found[1].decode()),
        kind=kind,
        document=None if kind in unwanted else json.loads(found[5]),
    )
