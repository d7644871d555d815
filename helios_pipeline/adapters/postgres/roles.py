"""Passwords of the login roles that the migrations make, one role per service."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from helios_pipeline.adapters.postgres.lock_file import LockFile
from helios_pipeline.adapters.postgres.private_file import replace_private_file
from helios_pipeline.adapters.postgres.session import connect, place_of
from helios_pipeline.core.errors import DatabaseError

LOGIN_ROLES = ("helios_pipeline", "helios_live", "helios_agents", "helios_dagster", "helios_web")
MARK = "Helios set password "


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordStore:
    """Where the passwords of one server's roles are kept.

    Attributes:
        folder: `<home>/postgres`; the passwords are in `roles.json`, readable by its owner alone.
        server: name of the server in that file: `embedded`, or its host and port.
        ours: whether nobody else can have set the passwords, as on the embedded server.
    """

    folder: Path
    server: str
    ours: bool

    @property
    def path(self) -> Path:
        """File of all servers' passwords."""
        return self.folder / "roles.json"

    def read(self) -> dict[str, str]:
        """Passwords by role; empty if none are kept."""
        return self._all().get(self.server, {})

    def write(self, passwords: Mapping[str, str]) -> None:
        """Replace this server's passwords."""
        replace_private_file(self.path, json.dumps(self._all() | {self.server: dict(passwords)}, indent=2))

    def _all(self) -> dict[str, dict[str, str]]:
        if not self.path.exists():
            return {}
        content: dict[str, dict[str, str]] = json.loads(self.path.read_text())
        return content


def ensure_passwords(owner_url: str, store: PasswordStore) -> dict[str, str]:
    """Give every login role a password unless it has the one we keep; return them by role.

    Each role's comment holds the fingerprint of its password, so a second machine with its own home learns that the
    passwords are set and doesn't lock the first one's services out.

    Raises:
        DatabaseError: on a server that is not ours, the passwords were set from another home.
    """
    return _set_passwords(owner_url, store, replace=False)


def replace_passwords(owner_url: str, store: PasswordStore) -> dict[str, str]:
    """Give every login role a new password; services that use the old ones can't connect any more."""
    return _set_passwords(owner_url, store, replace=True)


def _set_passwords(owner_url: str, store: PasswordStore, *, replace: bool) -> dict[str, str]:
    store.folder.mkdir(parents=True, exist_ok=True)
    with LockFile(store.folder / "roles.lock") as lock, connect(owner_url, autocommit=False) as connection:
        lock.own()
        connection.execute("select pg_advisory_xact_lock(hashtextextended('helios.roles', 0))")
        kept = {} if replace else store.read()
        marks = _marks(connection)
        foreign = [role for role in LOGIN_ROLES if role in marks and marks[role] != _mark(kept.get(role, ""))]
        if foreign and not store.ours and not replace:
            raise DatabaseError(
                f"{store.path}: expected the passwords of {', '.join(foreign)} on {place_of(owner_url)}, found none "
                "that fit: they were set from another home. Copy that home's postgres/roles.json here."
            )
        passwords = {role: kept.get(role) or secrets.token_urlsafe(24) for role in LOGIN_ROLES}
        if passwords != kept:
            store.write(passwords)  # first: a password that is set but not kept would be lost
        for role, password in passwords.items():
            if marks.get(role) != _mark(password):
                _set_password(connection, role, password)
    return passwords


def _marks(connection: psycopg.Connection[tuple[object, ...]]) -> dict[str, str]:
    rows = connection.execute(
        "select rolname, shobj_description(oid, 'pg_authid') from pg_roles where rolname = any(%s)",
        (list(LOGIN_ROLES),),
    )
    return {str(role): str(comment) for role, comment in rows if str(comment or "").startswith(MARK)}


def _mark(password: str) -> str:
    return MARK + hashlib.sha256(password.encode()).hexdigest()[:16]


def _set_password(connection: psycopg.Connection[tuple[object, ...]], role: str, password: str) -> None:
    """Set it as a SCRAM verifier made here, so that no server log can hold the password."""
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    name = sql.Identifier(role)
    connection.execute(sql.SQL("alter role {} password {}").format(name, sql.Literal(verifier)))
    connection.execute(sql.SQL("comment on role {} is {}").format(name, sql.Literal(_mark(password))))
