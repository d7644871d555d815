"""The SHA-256 that a Parquet file carries of itself, taken with zeros in its own place.

Parquet's readers do not notice most flipped bytes, and polars' ends the process on some.
"""

import hashlib
import os
import struct
from typing import IO

_MARK = b"helios-sha256:"
_ZEROS = b"0" * 64
_FOOTER_ENDS = struct.Struct("<I4s")
"""The last bytes of a Parquet file: the length of the metadata before them, and `PAR1`."""

NO_DIGEST = {"helios.digest": (_MARK + _ZEROS).decode()}
"""Metadata that a file is written with before its digest is known."""


def write_digest(file: IO[bytes]) -> None:
    """Put the digest into a file that was written with `NO_DIGEST`."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    size = file.seek(-_FOOTER_ENDS.size, os.SEEK_END)
    length, _ = _FOOTER_ENDS.unpack(file.read())
    file.seek(size - length)
    at = file.read(length).rindex(_MARK) + len(_MARK)
    file.seek(size - length + at)
    file.write(digest.encode())


def is_whole(content: bytes) -> bool:
    """Whether a file's content is what its digest was taken of."""
    at = content.rfind(_MARK) + len(_MARK)
    found = content[at : at + len(_ZEROS)]
    digest = hashlib.sha256(memoryview(content)[:at])
    digest.update(_ZEROS)
    digest.update(memoryview(content)[at + len(_ZEROS) :])
    return digest.hexdigest().encode() == found
