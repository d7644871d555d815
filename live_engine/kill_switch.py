"""The kill switch: ACTIVE, REDUCING or HALTED, with who, when and why, in a file and in PostgreSQL.

The stricter of both is in force, and neither readable is REDUCING. The file alone is enough to stop: a command, the
watchdog or a person may replace it, and the engine sees that before its next order. To trade again needs both, so that
an engine whose database is away is not told to go on by somebody who can't see what others have said there.

Nobody who asks for the mode waits for PostgreSQL: its lock is another one than the state's.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from helios_pipeline.core.errors import DatabaseError
from helios_pipeline.core.trading import STRICTNESS, Mode, ModeChange
from live_engine.mode_file import (
    UNSET,
    FlattenRequest,
    ModeFile,
    read_flatten_request,
    unknown,
    write_flatten_request,
)


class ModeStore(Protocol):
    """Where PostgreSQL keeps the mode of each account. Both raise DatabaseError when it can't be reached."""

    def read(self, account: str) -> ModeChange | None:
        """The newest mode of an account; None if nobody has set one."""

    def write(self, change: ModeChange) -> None:
        """Keep a mode."""


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
        self._folder = folder
        self._file = ModeFile(folder, account)
        self._store = store
        self._asking = threading.Lock()  # PostgreSQL; taken before the state's, if both are
        self._lock = threading.RLock()
        self._row: ModeChange | None = None
        self._reached = store is not None
        self._watchers: list[Callable[[ModeChange], None]] = []
        self._told: ModeChange | None = None

    @classmethod
    def load(cls, folder: Path, account: str, store: ModeStore | None) -> "KillSwitch":
        """Read file and PostgreSQL. An account that neither has ever heard of begins ACTIVE, and that is written."""
        switch = cls(folder, account, store)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if switch.sync() and switch._row is None and switch._file.read() is None:
            with suppress(DatabaseError):  # gone since it was asked: then nobody knows, and nothing is entered
                switch.set("ACTIVE", "helios", "first start of this account")
        return switch

    @property
    def state(self) -> ModeChange:
        """The mode in force now, and who set it, when and why. Looks at the file."""
        state = self._in_force()
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

    @property
    def told_store(self) -> bool:
        """Whether PostgreSQL, when last asked, could be reached and has the mode in force."""
        return self._reached and self._row == self._in_force()

    def watch(self, watcher: Callable[[ModeChange], None]) -> None:
        """Call a function with each mode that comes into force, by whatever way it was set, in whatever thread."""
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
            loosens = mode == "ACTIVE" or STRICTNESS[mode] < STRICTNESS[self._in_force().mode]
            if not loosens:
                self._file.replace(change)
        if loosens:
            self._loosen(change)
        elif self._reached:
            self._tell(change)
            self._tell_store(change)
        return self.state

    def sync(self) -> bool:
        """Make file and PostgreSQL say the same, the stricter of both; whether PostgreSQL could be reached. Blocks.

        To be called every few seconds, not by the loop that trades.

        Raises:
            EngineError: the file can't be written.
        """
        self._read_row()
        with self._lock:
            state, behind = self._in_force(), self._row
            if state.changed_at != UNSET and self._file.read() != state:
                self._file.replace(state)
        if self._reached and state.changed_at != UNSET and behind != state:
            self._tell_store(state)
        self._tell(state)
        return self._reached

    @property
    def flatten_request(self) -> FlattenRequest | None:
        """Who wants everything closed, if somebody does and it is not done. A damaged request is one."""
        return read_flatten_request(self._folder)

    def request_flatten(self, who: str, why: str) -> ModeChange:
        """Halt, and have everything cancelled and closed by the engine that runs or starts next.

        Raises:
            EngineError: a file can't be written.
        """
        request = FlattenRequest(who=who, why=why, requested_at=datetime.now(UTC))
        write_flatten_request(self._folder, request)
        return self.set("HALTED", who, why)

    def flattened(self) -> None:
        """Say that what was requested is done, or no longer wanted."""
        write_flatten_request(self._folder, None)

    def _in_force(self) -> ModeChange:
        with self._lock:
            known = [change for change in (self._file.read(), self._row) if change is not None]
        if known:
            return stricter(*known)
        return unknown(self.account, "neither the file nor PostgreSQL says what the mode is")

    def _loosen(self, change: ModeChange) -> None:
        if self._store is None:
            raise DatabaseError(
                f"mode of {self.account}: expected PostgreSQL to be told that more is allowed now, found none. "
                "Start it, then repeat."
            )
        with self._asking:
            # PostgreSQL first: killed in between, the file still says what is stricter.
            self._store.write(change)
            with self._lock:
                self._row, self._reached = change, True
                said = self._file.read()
                # Who halted while PostgreSQL was told has said so later.
                if said is None or said.changed_at <= change.changed_at:
                    self._file.replace(change)

    def _tell_store(self, change: ModeChange) -> None:
        if self._store is None:
            return
        with self._asking:
            try:
                self._store.write(change)
            except DatabaseError:
                self._reached = False
                return
            with self._lock:
                self._row, self._reached = change, True

    def _read_row(self) -> None:
        """What PostgreSQL said last stands while it can't be asked."""
        if self._store is None:
            return
        with self._asking:
            try:
                row = self._store.read(self.account)
            except DatabaseError:
                self._reached = False
                return
            with self._lock:
                self._row, self._reached = row, True

    def _tell(self, state: ModeChange) -> None:
        with self._lock:
            if not self._watchers or self._told == state:
                return
            self._told = state
        for watcher in self._watchers:
            watcher(state)
