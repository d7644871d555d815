"""An embedded PostgreSQL server whose life is ours: shared by all processes of one home, stopped after the last.

`ensure_server` starts or joins it. A guard process stops it when nobody uses it any more, however the users died.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import quote

from helios_pipeline.adapters.postgres.account import server_account
from helios_pipeline.adapters.postgres.binaries import find_installation, reachable_installation
from helios_pipeline.adapters.postgres.cluster import (
    DATABASE,
    OWNER,
    Cluster,
    create_database,
    initialise,
    read_password,
    serve,
)
from helios_pipeline.adapters.postgres.guard import ensure_guard, release
from helios_pipeline.adapters.postgres.lock_file import LockFile, is_held
from helios_pipeline.adapters.postgres.places import Places, choose_places
from helios_pipeline.core.errors import DatabaseError


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedServer:
    """A running server that we hold on to until `close`, or the end of our process.

    Attributes:
        url: of the owner, with its password, over TCP on 127.0.0.1.
        port: of the TCP and Unix sockets.
        pid: process of the postmaster.
        version: of PostgreSQL, `18.6`.
        data: data directory.
        places: sockets, locks and logs.
        started: whether this call started it; otherwise it was joined.
    """

    url: str = field(repr=False)
    port: int
    pid: int
    version: str
    data: Path
    places: Places
    started: bool
    users: LockFile

    def close(self) -> None:
        """Stop using the server; the guard stops it if nobody else does. Harmless when repeated."""
        if self.users.descriptor >= 0:
            release(self.places, self.data, self.users)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ensure_server(home: Path) -> EmbeddedServer:
    """Start the server of a home, or join it if it runs.

    Child processes need only the URL: the server stays while any process that called this lives and has not closed.

    Args:
        home: Helios's folder; the server's files go to `<home>/postgres`.

    Raises:
        DatabaseError: it can't be started here; the message says why and what to do.
    """
    home = home.resolve()
    try:
        account = server_account()
        installation = find_installation()
        places = choose_places(home, account)
        with LockFile(places.gate_lock) as gate:
            gate.own()
            installation = reachable_installation(installation, account, places.base)
            return _join(Cluster(places=places, account=account, installation=installation))
    except OSError as error:
        raise DatabaseError(
            f"embedded PostgreSQL in {home / 'postgres'}: expected to make and read its files, found: {error}. "
            "Set HELIOS_HOME to a folder of your own, or HELIOS_DATABASE_URL."
        ) from error


def _join(cluster: Cluster) -> EmbeddedServer:
    users = LockFile(cluster.places.users_lock)
    try:
        users.share()
        password = read_password(cluster)
        initialise(cluster, password)
        ensure_guard(cluster.places, cluster.data)  # before the server: dying in between must not leak it
        server, started = serve(cluster)
        create_database(cluster, server, password)
    except BaseException:
        users.close()
        raise
    return EmbeddedServer(
        url=f"postgresql://{OWNER}:{quote(password, safe='')}@127.0.0.1:{server.port}/{DATABASE}",
        port=server.port,
        pid=server.pid,
        version=cluster.installation.version,
        data=cluster.data,
        places=cluster.places,
        started=started,
        users=users,
    )


def wait_until_stopped(places: Places) -> None:
    """Wait until neither the server nor its guard is left, after the last `close`; then its files may be removed."""
    while True:
        with LockFile(places.server_lock) as server:
            server.own()
        with LockFile(places.gate_lock) as gate:
            gate.own()
            if not is_held(places.server_lock) and not is_held(places.guard_lock):
                return
        time.sleep(0.01)
