"""The embedded server's data directory: made once, served while somebody uses it."""

import os
import secrets
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import pq

from helios_pipeline.adapters.postgres.account import Account
from helios_pipeline.adapters.postgres.binaries import Installation
from helios_pipeline.adapters.postgres.lock_file import LockFile
from helios_pipeline.adapters.postgres.places import Places
from helios_pipeline.adapters.postgres.private_file import replace_private_file
from helios_pipeline.adapters.postgres.processes import (
    Postmaster,
    find_postmaster,
    remove_stale_locks,
    start_detached,
)
from helios_pipeline.adapters.postgres.session import one_line
from helios_pipeline.core.errors import DatabaseError

OWNER = "helios"
DATABASE = "helios"
START_WITHIN_SECONDS = 90.0
START_ATTEMPTS = 5
LOG_LIMIT_BYTES = 16 * 1024 * 1024
SERVER_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "wal_level": "logical",
    "dynamic_shared_memory_type": "mmap",  # in the data directory: /dev/shm is small in containers and keeps leftovers
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "jit": "off",
    "logging_collector": "off",
    "log_min_duration_statement": "1000",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What is needed to make and start the server of one home."""

    places: Places
    account: Account
    installation: Installation

    @property
    def data(self) -> Path:
        """Data directory."""
        return self.places.data(self.installation.major)


def read_password(cluster: Cluster) -> str:
    """Password of the owner, generated before there are data.

    Raises:
        DatabaseError: there are data but no password.
    """
    path = cluster.places.password
    if not path.exists():
        if cluster.data.exists():
            raise DatabaseError(
                f"{path}: expected the password of the data in {cluster.data}, found no file. Restore it from a backup."
            )
        replace_private_file(path, secrets.token_urlsafe(24))
    return path.read_text().strip()


def initialise(cluster: Cluster, password: str) -> None:
    """Make the data directory unless it exists; one that is only half made never gets the final name.

    Raises:
        DatabaseError: only data of another major version are there, or initdb failed.
    """
    data, account = cluster.data, cluster.account
    if data.exists():
        return
    if others := sorted(path.name for path in cluster.places.base.glob("data-*")):
        raise DatabaseError(
            f"{data.parent}: expected {data.name} for PostgreSQL {cluster.installation.version}, found "
            f"{', '.join(others)}. "
            "Move the data with that version's pg_dumpall, or move the old folder away to begin with an empty database."
        )
    partial = data.with_name(f".{data.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    account.give(partial)
    _run_initdb(cluster, partial, password)
    partial.rename(data)


def _run_initdb(cluster: Cluster, folder: Path, password: str) -> None:
    if cluster.installation.major >= 17:  # the server's own C.UTF-8: the same order whatever the system's locales
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    else:
        locale = ["--locale=C.UTF-8"]
    reading, writing = os.pipe()
    try:
        cluster.account.give_descriptor(reading)
        os.write(writing, password.encode())
        os.close(writing)
        command = [
            *(str(cluster.installation.program("initdb")), "-D", str(folder), "-U", OWNER, "--encoding=UTF8", *locale),
            *("--auth=scram-sha-256", f"--pwfile=/dev/fd/{reading}", "--no-instructions"),
        ]
        made = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            env=SERVER_ENVIRONMENT,
            pass_fds=(reading,),
            **cluster.account.identity,
        )
    finally:
        os.close(reading)
    if made.returncode != 0:
        raise DatabaseError(f"initdb in {folder}: expected success, found: {one_line(made.stderr)}")


def serve(cluster: Cluster) -> tuple[Postmaster, bool]:
    """Start the server unless it answers already; the caller owns the gate.

    Whether it is there is asked of the server itself; a process number proves nothing. After a kill -9 of the
    postmaster its backends hold on to shared memory for a moment: they hold the server's lock too, so we wait for that.

    Returns:
        The running server, and whether it was started now.

    Raises:
        DatabaseError: it neither answers nor starts; the message ends with the log's last lines.
    """
    deadline = time.monotonic() + START_WITHIN_SECONDS
    attempts = 0
    while time.monotonic() < deadline:
        found = find_postmaster(cluster.data)
        if found and found.ready and _answers(found):
            return found, attempts > 0
        with LockFile(cluster.places.server_lock) as lock:
            if found is None and lock.try_own():
                if attempts == START_ATTEMPTS:
                    break
                attempts += 1
                _start(cluster, lock)
        time.sleep(0.02)
    log = cluster.places.server_log
    said = one_line(log.read_text(errors="replace")[-1200:]) if log.exists() else "nothing"
    raise DatabaseError(
        f"PostgreSQL {cluster.installation.version} in {cluster.data}: expected it to accept connections, found after "
        f"{attempts} starts: {said} (whole log: {log}). Correct the cause, or set HELIOS_DATABASE_URL."
    )


def _answers(server: Postmaster) -> bool:
    conninfo = psycopg.conninfo.make_conninfo(
        host=server.sockets, port=server.port, dbname="postgres", connect_timeout=3
    )
    return pq.PGconn.ping(conninfo.encode()) == pq.Ping.OK


def _start(cluster: Cluster, lock: LockFile) -> None:
    remove_stale_locks(cluster.data, cluster.places.sockets)
    places, port = cluster.places, _free_port(cluster.places.port)
    settings = SETTINGS | {"port": str(port), "unix_socket_directories": str(places.sockets)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    if places.server_log.exists() and places.server_log.stat().st_size > LOG_LIMIT_BYTES:
        places.server_log.replace(places.server_log.with_suffix(".log.1"))
    places.server_log.touch(mode=0o600)
    with places.server_log.open("ab") as log:
        start_detached(
            [cluster.installation.program("postgres"), "-D", cluster.data, *options],
            log=log,
            environment=SERVER_ENVIRONMENT,
            identity=cluster.account.identity,
            descriptors=(lock.descriptor,),
        )


def _free_port(remembered: Path) -> int:
    """The port of the last start if it is free, else one that is."""
    number = remembered.read_text().strip() if remembered.exists() else ""
    wanted = int(number) if number.isdigit() else 0
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    replace_private_file(remembered, str(port))
    return port


def create_database(cluster: Cluster, server: Postmaster, password: str) -> None:
    """Create our database unless it exists.

    Raises:
        DatabaseError: the server refuses us.
    """
    try:
        with psycopg.connect(
            host=server.sockets,
            port=server.port,
            user=OWNER,
            password=password,
            dbname="postgres",
            autocommit=True,
            connect_timeout=10,
        ) as connection:
            # A process killed right here leaves its backend at work; the lock waits for that to end.
            connection.execute("select pg_advisory_lock(hashtextextended('helios.create', 0))")
            if connection.execute("select from pg_database where datname = %s", (DATABASE,)).fetchone() is None:
                connection.execute(f"create database {DATABASE}")
    except psycopg.OperationalError as error:
        raise DatabaseError(
            f"embedded PostgreSQL on port {server.port}: expected to connect as {OWNER}, found: {one_line(error)}. "
            f"The password is read from {cluster.places.password}."
        ) from None
