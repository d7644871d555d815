"""Where an embedded server keeps its files."""

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from helios_pipeline.adapters.postgres.account import Account
from helios_pipeline.adapters.postgres.private_file import replace_private_file
from helios_pipeline.core.errors import DatabaseError

LONGEST_SOCKET_PATH = 107


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Files of one embedded server.

    Attributes:
        folder: `<home>/postgres`: locks, passwords, port, logs; belongs to the caller.
        base: holds what the server's account must reach: `folder`, or a folder in the system's temporary folder.
        sockets: folder of the Unix socket.
    """

    folder: Path
    base: Path
    sockets: Path

    @property
    def gate_lock(self) -> Path:
        """Held while a server is started or stopped."""
        return self.folder / "gate.lock"

    @property
    def users_lock(self) -> Path:
        """Shared by everybody who uses the server; the guard waits to own it."""
        return self.folder / "users.lock"

    @property
    def guard_lock(self) -> Path:
        """Held by the guard."""
        return self.folder / "guard.lock"

    @property
    def server_lock(self) -> Path:
        """Held by the server and all its processes."""
        return self.folder / "server.lock"

    @property
    def password(self) -> Path:
        """Password of the database's owner."""
        return self.folder / "password"

    @property
    def port(self) -> Path:
        """Port of the last start, used again if it is free."""
        return self.folder / "port"

    @property
    def server_log(self) -> Path:
        """What PostgreSQL wrote."""
        return self.folder / "postgres.log"

    @property
    def guard_log(self) -> Path:
        """What the guard wrote: empty unless it failed."""
        return self.folder / "guard.log"

    def data(self, major: int) -> Path:
        """Data directory of a major version of PostgreSQL."""
        return self.base / f"data-{major}"


def choose_places(home: Path, account: Account) -> Places:
    """Decide where an embedded server's files go, and make the folders.

    They go to `<home>/postgres`. If the server's account can't get there (root's home is 0700, and PostgreSQL doesn't
    run as root), data, socket and programs go to a folder in the system's temporary folder named by the hash of the
    home's path. That choice is remembered, so a changed TMPDIR can't hide the data.

    Raises:
        DatabaseError: the folder is somebody else's, the data is out of the account's reach, or the temporary folder
            isn't ours.
    """
    folder = home / "postgres"
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise DatabaseError(
            f"{folder}: expected a folder of uid {os.geteuid()}, found one of uid {folder.stat().st_uid}. "
            "Start Helios as the user who made it, or set HELIOS_HOME to a folder of your own."
        )
    folder.chmod(0o711 if account.foreign else 0o700)
    base = _remembered_base(home, folder) or _first_base(home, folder, account)
    sockets = base / "run"
    if len(os.fsencode(sockets / ".s.PGSQL.65535.lock")) > LONGEST_SOCKET_PATH:
        sockets = _temporary_folder(home, account) / "run"
    sockets.mkdir(exist_ok=True)
    account.give(sockets)
    sockets.chmod(0o711 if account.foreign else 0o700)
    return Places(folder=folder, base=base, sockets=sockets)


def _remembered_base(home: Path, folder: Path) -> Path | None:
    """The temporary folder chosen earlier for this very home; a copied home doesn't share the original's data."""
    try:
        remembered = Path((folder / "elsewhere").read_text().strip())
    except FileNotFoundError:
        return None
    return remembered if remembered.name == _temporary_name(home) and remembered.is_dir() else None


def _first_base(home: Path, folder: Path, account: Account) -> Path:
    if account.can_enter(folder):
        return folder
    if any(folder.glob("data-*")):
        raise DatabaseError(
            f"{folder}: expected account {account.name}, which runs PostgreSQL, to reach the data there; it can't. "
            "Start Helios as the user who made it, or make every folder above enterable (chmod o+x)."
        )
    base = _temporary_folder(home, account)
    replace_private_file(folder / "elsewhere", f"{base}\n")
    return base


def _temporary_name(home: Path) -> str:
    return f"helios-{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}"


def _temporary_folder(home: Path, account: Account) -> Path:
    """Our folder in the system's temporary folder: made by us, or proved to be ours, since anybody may write there."""
    path = Path(tempfile.gettempdir()) / _temporary_name(home)
    try:
        path.mkdir(mode=0o711)
        path.chmod(0o711)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise DatabaseError(
                f"{path}: expected a folder that only uid {os.geteuid()} can write, found one of uid {found.st_uid} "
                f"with mode {stat.filemode(found.st_mode)}. Remove it, or set HELIOS_HOME."
            ) from None
    if not account.can_enter(path):
        raise DatabaseError(
            f"{path}: expected account {account.name}, which runs PostgreSQL, to reach it; it can't. "
            "Set HELIOS_HOME to a folder it can enter, such as /var/lib/helios."
        )
    return path
