"""A lock on a file, which the kernel releases however its holder dies."""

import fcntl
import os
from pathlib import Path
from typing import Self


class LockFile:
    """An open lock file; the lock belongs to it and to every process that inherits its descriptor.

    The descriptor is closed in programs that we start, except in one that is handed it on purpose: that program then
    holds the lock until it and its children are gone.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @property
    def descriptor(self) -> int:
        """Number of the open file, to hand to a child; -1 once closed."""
        return self._descriptor

    def share(self) -> None:
        """Wait until nobody owns the lock, then hold it together with others."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def own(self) -> None:
        """Wait until nobody else holds the lock, then hold it alone."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def try_own(self) -> bool:
        """Hold the lock alone if nobody else holds it; whether that succeeded."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self) -> None:
        """Let go of the lock, in every process that inherited it too."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file; the lock stays with processes that inherited it. Harmless when repeated."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_held(path: Path) -> bool:
    """Whether any process holds the lock of a file right now."""
    with LockFile(path) as lock:
        return not lock.try_own()
