"""The kill switch's files in an account's folder: the mode, and a request to flatten. They are replaced whole."""

import os
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from helios_pipeline.core.canonical import canonical_bytes, from_document, parse_canonical
from helios_pipeline.core.errors import EngineError, ManifestError
from helios_pipeline.core.trading import ModeChange

MODE_FILE = "mode.json"
FLATTEN_FILE = "flatten.json"
UNSET = datetime(1970, 1, 1, tzinfo=UTC)
"""When a mode was set that nobody set: before every mode that somebody did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenRequest:
    """Somebody wants everything cancelled and closed; it stands until that is done, over every restart."""

    who: str
    why: str
    requested_at: datetime


class ModeFile:
    """The mode as the account's file says it; not for several threads at once.

    Args:
        folder: of the account.
        account: whose.
    """

    def __init__(self, folder: Path, account: str) -> None:
        self._path = folder / MODE_FILE
        self._account = account
        self._seen: tuple[int, int, int] | None = None
        self._change: ModeChange | None = None

    def read(self) -> ModeChange | None:
        """What the file says now; None without a file. A damaged or unreadable one may have said anything: REDUCING."""
        try:
            found = self._path.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if seen == self._seen:
                return self._change
            data = self._path.read_bytes()
        except FileNotFoundError:
            self._seen = None
            return None
        except OSError as error:
            self._seen = None
            return unknown(self._account, f"{MODE_FILE} can't be read: {error.strerror}")
        try:
            self._change = from_document(ModeChange, parse_canonical(data, str(self._path)), str(self._path))
        except ManifestError:
            self._change = unknown(self._account, f"{MODE_FILE} was damaged", datetime.now(UTC))
        self._seen = seen
        return self._change

    def replace(self, change: ModeChange) -> None:
        """Write a mode, durably.

        Raises:
            EngineError: it can't be written.
        """
        _replace(self._path, canonical_bytes(change))


def unknown(account: str, why: str, since: datetime = UNSET) -> ModeChange:
    """What is in force when nobody knows what is."""
    return ModeChange(account=account, mode="REDUCING", who="helios", why=why, changed_at=since)


def read_flatten_request(folder: Path) -> FlattenRequest | None:
    """Who wants everything closed, if somebody does and it is not done. A damaged request is one."""
    path = folder / FLATTEN_FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return from_document(FlattenRequest, parse_canonical(data, str(path)), str(path))
    except ManifestError:
        return FlattenRequest(who="unknown", why=f"{FLATTEN_FILE} is damaged", requested_at=UNSET)


def write_flatten_request(folder: Path, request: FlattenRequest | None) -> None:
    """Write a request, durably, or with None take it away.

    Raises:
        EngineError: it can't be written.
    """
    path = folder / FLATTEN_FILE
    if request is None:
        path.unlink(missing_ok=True)
    else:
        _replace(path, canonical_bytes(request))


def _replace(path: Path, data: bytes) -> None:
    """Replace a file whole and durably: after a loss of power it is the old one or the new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise EngineError(
            f"{path}: expected to write it, found: {error.strerror}. Nothing has changed; make room or give access."
        ) from None
