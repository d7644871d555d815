"""One engine per home: a lock on a file of the account's folder, which the kernel releases however the engine dies."""

import fcntl
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from helios_pipeline.core.errors import EngineError

LOCK_NAME = "lock"
MACHINE_ID = Path("/etc/machine-id")


class HomeLock:
    """The lock of an account's folder, held until `close` or the end of this process; made by `take`.

    Attributes:
        place: machine and folder: an engine that holds the lock is alone there.
        holder: names this process to people.
    """

    def __init__(self, descriptor: int, folder: Path) -> None:
        self._descriptor = descriptor
        self.place = f"{_machine()}:{folder.resolve()}"
        self.holder = f"process {os.getpid()} on {socket.gethostname()}, home {folder.resolve()}"

    @classmethod
    def take(cls, folder: Path) -> Self:
        """Take the lock of a folder, which is made if need be.

        Raises:
            EngineError: another process holds it, which the message names, or the folder can't be written.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EngineError(f"{folder}: expected to make its lock, found: {error}. Correct HELIOS_HOME.") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            said = os.pread(descriptor, 500, 0).decode(errors="replace").strip() or "another process"
            os.close(descriptor)
            raise EngineError(
                f"{folder}: expected to be the only engine of this home, found {said}. Stop that one first."
            ) from None
        lock = cls(descriptor, folder)
        with suppress(OSError):  # a full disk takes no name; the lock is held all the same
            os.ftruncate(descriptor, 0)
            os.pwrite(
                descriptor, f"{lock.holder}, since {datetime.now(UTC).isoformat(timespec='seconds')}\n".encode(), 0
            )
        return lock

    def close(self) -> None:
        """Let go. Harmless when repeated."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def home_holder(folder: Path) -> str | None:
    """Who holds a folder's lock now, in words; None if nobody does."""
    with suppress(FileNotFoundError):
        descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.pread(descriptor, 500, 0).decode(errors="replace").strip() or "another process"
        finally:
            os.close(descriptor)
    return None


def _machine() -> str:
    """The host's name, and what tells it from others of that name, where there is something."""
    try:
        return f"{socket.gethostname()} {MACHINE_ID.read_text().strip()}".strip()
    except OSError:
        return socket.gethostname()
