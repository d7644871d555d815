"""The server's processes: start one that outlives us, find the postmaster, stop it."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from helios_pipeline.adapters.postgres.account import Identity
from helios_pipeline.adapters.postgres.lock_file import is_held

STOP_STEPS = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))
"""Fast shutdown, then immediate shutdown, then none, each with the seconds it is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Postmaster:
    """A running server as its pid file tells.

    Attributes:
        pid: its process.
        port: port of its sockets; 0 while the file is being written.
        sockets: folder of its Unix socket; empty while the file is being written.
        ready: whether it says that it accepts connections.
    """

    pid: int
    port: int
    sockets: str
    ready: bool


def find_postmaster(data: Path) -> Postmaster | None:
    """The live server of a data directory.

    None if there is no pid file, or its process is gone, a zombie, or another program that got the same number.
    """
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, IndexError, ValueError):
        return None
    if os.fsencode(data) not in arguments:
        return None
    if len(lines) < 8:
        return Postmaster(pid=pid, port=0, sockets="", ready=False)
    return Postmaster(pid=pid, port=int(lines[3]), sockets=lines[4], ready=lines[7].strip() == "ready")


def remove_stale_locks(data: Path, sockets: Path) -> None:
    """Remove what a dead server left if its process number is taken, by its own zombie or by another program.

    PostgreSQL would refuse to start beside it. A number that nobody has is left for PostgreSQL's own inspection. The
    caller knows that no process of the server lives, because it owns the server's lock.
    """
    if find_postmaster(data) is not None:
        return
    for path in (data / "postmaster.pid", *sockets.glob(".s.PGSQL.*.lock")):
        try:
            number = path.read_text().partition("\n")[0]
        except FileNotFoundError:
            continue
        if number.isdigit() and Path(f"/proc/{number}").exists():
            path.unlink()


def stop_server(data: Path, server_lock: Path) -> None:
    """Stop the server of a data directory and wait until its postmaster is gone.

    A server that has just been started may not have written its pid file yet; its lock says that it is there.
    """
    deadline = time.monotonic() + 30.0
    while (found := find_postmaster(data)) is None:
        if not is_held(server_lock) or time.monotonic() > deadline:
            return
        time.sleep(0.02)
    try:
        process = os.pidfd_open(found.pid)
    except ProcessLookupError:
        return
    try:
        if find_postmaster(data) is not None:  # still the same process now that we hold on to it
            _end(process)
    finally:
        os.close(process)


def _end(process: int) -> None:
    waiting = select.poll()
    waiting.register(process, select.POLLIN)
    for step, seconds in STOP_STEPS:
        try:
            signal.pidfd_send_signal(process, step)
        except ProcessLookupError:
            return
        if waiting.poll(seconds * 1000):
            return


def start_detached(
    command: Sequence[str | Path],
    *,
    log: IO[bytes],
    environment: Mapping[str, str],
    identity: Identity | None = None,
    descriptors: Sequence[int] = (),
) -> int:
    """Start a program that outlives us, in its own session, and return its process number.

    The shell between us hands it to init, so it leaves no zombie of ours behind and no signal to our group reaches it.

    Args:
        command: program and arguments.
        log: receives its output.
        environment: all of its environment.
        identity: account to run as; ours if None.
        descriptors: open files it inherits; all others are closed.
    """
    started = subprocess.run(
        ["/bin/sh", "-c", '"$@" </dev/null >&2 & echo $!', "sh", *map(str, command)],
        check=True,
        stdout=subprocess.PIPE,
        stderr=log,
        cwd="/",
        env=dict(environment),
        start_new_session=True,
        pass_fds=tuple(descriptors),
        **(identity or {}),
    )
    return int(started.stdout)
