"""The operating-system account that the embedded server runs as."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from helios_pipeline.core.errors import DatabaseError

UNPRIVILEGED = ("postgres", "nobody")


class Identity(TypedDict, total=False):
    """Arguments of `subprocess` that drop to another account; empty to stay who we are."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who runs PostgreSQL: PostgreSQL refuses to run as root, so root drops to an account that exists already.

    Attributes:
        name: for messages.
        identity: what `subprocess` needs to start a program as this account.
    """

    name: str
    identity: Identity

    @property
    def foreign(self) -> bool:
        """Whether it is another account than the caller's."""
        return bool(self.identity)

    def give(self, path: Path) -> None:
        """Make the account the owner of a file or folder that we created."""
        if self.foreign:
            os.chown(path, self.identity["user"], self.identity["group"])

    def give_descriptor(self, descriptor: int) -> None:
        """Make the account the owner of an open pipe, so that it may reopen it through /dev/fd."""
        if self.foreign:
            os.fchown(descriptor, self.identity["user"], self.identity["group"])

    def can_enter(self, folder: Path) -> bool:
        """Whether the account reaches what lies in a folder, tried by going there: modes alone don't say (ACLs)."""
        if not self.foreign:
            return os.access(folder, os.X_OK)
        return self._succeeds("/bin/sh", "-c", 'cd "$1"', "sh", str(folder))

    def can_run(self, program: Path) -> bool:
        """Whether the account can execute a program, tried with `--version`."""
        return self._succeeds(str(program), "--version")

    def _succeeds(self, *command: str) -> bool:
        try:
            done = subprocess.run(command, check=False, capture_output=True, cwd="/", timeout=60, **self.identity)
        except OSError:
            return False
        return done.returncode == 0


def server_account() -> Account:
    """The caller's own account, or an unprivileged existing one if the caller is root.

    Raises:
        DatabaseError: root, and the system has neither `postgres` nor `nobody`.
    """
    if os.geteuid() != 0:
        return Account(name=f"uid {os.geteuid()}", identity={})
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, identity={"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []})
    raise DatabaseError(
        f"PostgreSQL can't run as root: expected an account named {' or '.join(UNPRIVILEGED)}, found neither. "
        "Run as a normal user, or set HELIOS_DATABASE_URL."
    )
