"""The kill switch: ACTIVE, REDUCING or HALTED, with who, when and why, in a file and in PostgreSQL.

The stricter of both is in force, and neither readable is REDUCING. The file alone is enough to stop: a command, the
watchdog or a person may replace it, and the engine sees that before its next order. To trade again needs both, so that
an engine whose database is away is not told to go on by somebody who can't see what others have said there.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from helios_pipeline.core.canonical import canonical_bytes, from_document, parse_canonical
from helios_pipeline.core.errors import DatabaseError, EngineError, ManifestError
from helios_pipeline.core.trading import STRICTNESS, Mode, ModeChange

MODE_FILE = "mode.json"
FLATTEN_FILE = "flatten.json"
UNSET = datetime(1970, 1, 1, tzinfo=UTC)
"""When a mode was set that nobody set: before every mode that somebody did."""


class ModeStore(Protocol):
    """Where PostgreSQL keeps the mode of each account. Both raise DatabaseError when it can't be reached."""

    def read(self, account: str) -> ModeChange | None:
        """The newest mode of an account; None if nobody has set one."""

    def write(self, change: ModeChange) -> None:
        """Keep a mode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenRequest:
    """Somebody wants everything cancelled and closed; it stands until that is done, over every restart."""

    who: str
    why: str
    requested_at: datetime


def stricter(*changes: ModeChange) -> ModeChange:
    """The change that is in force of several: the strictest, of equal ones the newest."""
    return max(changes, key=lambda change: (STRICTNESS[change.mode], change.changed_at))


class KillSwitch:
    """The kill switch of one account; safe to use from several threads.

    Args:
        folder: of the account, `$HELIOS_HOME/live/<account>`.
        account: whose.
        store: PostgreSQL's side; None where there is none.
    """

    def __init__(self, folder: Path, account: str, store: ModeStore | None) -> None:
        self.account = account
        self.told_store = False
        """Whether PostgreSQL, when last asked, could be read and has the mode in force."""
        self._folder = folder
        self._store = store
        self._lock = threading.RLock()
        self._row: ModeChange | None = None
        self._seen: tuple[int, int, int] | None = None
        self._file: ModeChange | None = None
        self._watchers: list[Callable[[ModeChange], None]] = []
        self._told: ModeChange | None = None

    @classmethod
    def load(cls, folder: Path, account: str, store: ModeStore | None) -> "KillSwitch":
        """Read file and PostgreSQL. An account that neither has ever heard of begins ACTIVE, and that is written."""
        switch = cls(folder, account, store)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with switch._lock:
            reachable = switch._read_row()
            switch._read_file()
            if switch._file is None and reachable and switch._row is None:
                with suppress(DatabaseError):  # gone since it was asked: then nobody knows, and nothing is entered
                    switch.set("ACTIVE", "helios", "first start of this account")
        switch.sync()
        return switch

    @property
    def state(self) -> ModeChange:
        """The mode in force now, and who set it, when and why. Looks at the file."""
        with self._lock:
            self._read_file()
            known = [change for change in (self._file, self._row) if change is not None]
            state = (
                stricter(*known) if known else self._unknown("neither the file nor PostgreSQL says what the mode is")
            )
        self._tell(state)
        return state

    @property
    def mode(self) -> Mode:
        """The mode in force now."""
        return self.state.mode

    @property
    def who(self) -> str:
        """Who set it."""
        return self.state.who

    @property
    def why(self) -> str:
        """Why."""
        return self.state.why

    def watch(self, watcher: Callable[[ModeChange], None]) -> None:
        """Call a function with each mode that comes into force, by whatever way it was set."""
        self._told = self.state
        self._watchers.append(watcher)

    def set(self, mode: Mode, who: str, why: str) -> ModeChange:
        """Set the mode. To stop takes the file alone, and PostgreSQL is told when it is there; ACTIVE takes both.

        Returns:
            The mode in force after it.

        Raises:
            DatabaseError: it is ACTIVE, or allows more than now, and PostgreSQL can't be told. Nothing has changed.
            EngineError: the file can't be written. Nothing has changed that allows more.
        """
        change = ModeChange(account=self.account, mode=mode, who=who, why=why, changed_at=datetime.now(UTC))
        with self._lock:
            if mode == "ACTIVE" or STRICTNESS[mode] < STRICTNESS[self._in_force().mode]:
                self._loosen(change)
            else:
                self._replace_file(change)
                self._tell_store(change)
        return self.state

    def sync(self) -> bool:
        """Make file and PostgreSQL say the same, the stricter of both; whether PostgreSQL could be reached. Blocks.

        To be called every few seconds, not by the loop that trades.

        Raises:
            EngineError: the file can't be written.
        """
        with self._lock:
            reachable = self._read_row()
            state = self._in_force()
            if state.changed_at != UNSET:
                if self._file != state:
                    self._replace_file(state)
                if reachable and self._row != state:
                    self._tell_store(state)
            self.told_store = reachable and self._row == state
        self._tell(state)
        return reachable

    @property
    def flatten_request(self) -> FlattenRequest | None:
        """Who wants everything closed, if somebody does and it is not done. A damaged request is one."""
        path = self._folder / FLATTEN_FILE
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return from_document(FlattenRequest, parse_canonical(data, str(path)), str(path))
        except ManifestError:
            return FlattenRequest(who="unknown", why=f"{path.name} is damaged", requested_at=UNSET)

    def request_flatten(self, who: str, why: str) -> ModeChange:
        """Halt, and have everything cancelled and closed by the engine that runs or starts next.

        Raises:
            EngineError: the file can't be written.
        """
        request = FlattenRequest(who=who, why=why, requested_at=datetime.now(UTC))
        _replace(self._folder / FLATTEN_FILE, canonical_bytes(request))
        return self.set("HALTED", who, why)

    def flattened(self) -> None:
        """Say that what was requested is done."""
        (self._folder / FLATTEN_FILE).unlink(missing_ok=True)

    def _in_force(self) -> ModeChange:
        self._read_file()
        known = [change for change in (self._file, self._row) if change is not None]
        return stricter(*known) if known else self._unknown("neither the file nor PostgreSQL says what the mode is")

    def _unknown(self, why: str, since: datetime = UNSET) -> ModeChange:
        return ModeChange(account=self.account, mode="REDUCING", who="helios", why=why, changed_at=since)

    def _loosen(self, change: ModeChange) -> None:
        if self._store is None:
            raise DatabaseError(
                f"mode of {self.account}: expected PostgreSQL to be told that more is allowed now, found none. "
                "Start it, then repeat."
            )
        # PostgreSQL first: killed in between, the file still says what is stricter.
        self._store.write(change)
        self._row, self.told_store = change, True
        self._replace_file(change)

    def _tell_store(self, change: ModeChange) -> None:
        self.told_store = False
        if self._store is None:
            return
        try:
            self._store.write(change)
        except DatabaseError:
            return
        self._row, self.told_store = change, True

    def _read_row(self) -> bool:
        """Whether PostgreSQL could be asked. What it said last stands while it can't be."""
        self.told_store = False
        if self._store is None:
            return False
        try:
            self._row = self._store.read(self.account)
        except DatabaseError:
            return False
        return True

    def _read_file(self) -> None:
        path = self._folder / MODE_FILE
        try:
            found = path.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if seen == self._seen:
                return
            data = path.read_bytes()
        except FileNotFoundError:
            self._seen = self._file = None
            return
        except OSError as error:
            self._seen, self._file = None, self._unknown(f"{path.name} can't be read: {error.strerror}")
            return
        self._seen = seen
        try:
            self._file = from_document(ModeChange, parse_canonical(data, str(path)), str(path))
        except ManifestError:
            # It may have said HALTED: what it said is not known, so it counts as the unknown does.
            self._file = self._unknown(f"{path.name} was damaged", datetime.now(UTC))

    def _replace_file(self, change: ModeChange) -> None:
        _replace(self._folder / MODE_FILE, canonical_bytes(change))
        self._read_file()

    def _tell(self, state: ModeChange) -> None:
        with self._lock:
            if not self._watchers or self._told == state:
                return
            self._told = state
        for watcher in self._watchers:
            watcher(state)


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
