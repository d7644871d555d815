"""The guard: a process that stops the embedded server once nobody uses it, however its users died.

Users share the lock of `users.lock`; the kernel takes it from a process that ends in any way. The guard waits to own
it. A user who comes at that moment is seen under the gate, where servers are started and stopped.
"""

import os
import select
import sys
from pathlib import Path

from helios_pipeline.adapters.postgres.lock_file import LockFile, is_held
from helios_pipeline.adapters.postgres.places import Places
from helios_pipeline.adapters.postgres.processes import start_detached, stop_server
from helios_pipeline.core.errors import DatabaseError

MODULE = "helios_pipeline.adapters.postgres.guard"
INTERPRETER_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME")
"""What an interpreter may need of our environment; secrets are not among it."""
READY = b"ready"
READY_WITHIN_SECONDS = 60.0


def ensure_guard(places: Places, data: Path) -> None:
    """Start a guard unless one is there, and wait until it watches; the caller owns the gate.

    Raises:
        DatabaseError: it ended at once; the message ends with its log's last lines.
    """
    with LockFile(places.guard_lock) as lock:
        if not lock.try_own():
            return
        ready, report = os.pipe()
        try:
            with places.guard_log.open("wb") as log:
                command: list[str | Path] = [
                    sys.executable,
                    "-m",
                    MODULE,
                    places.folder,
                    data,
                    str(lock.descriptor),
                    str(report),
                ]
                inherited = (lock.descriptor, report)
                start_detached(command, log=log, environment=interpreter_environment(), descriptors=inherited)
            os.close(report)
            report = -1
            watched = bool(select.select([ready], [], [], READY_WITHIN_SECONDS)[0]) and os.read(ready, 16) == READY
        finally:
            os.close(ready)
            if report >= 0:
                os.close(report)
    if not watched:
        said = places.guard_log.read_text(errors="replace")[-400:].strip()
        raise DatabaseError(
            f"guard of the embedded PostgreSQL: expected it to start, found: {said or 'no answer'} "
            f"({places.guard_log}). Set HELIOS_DATABASE_URL to use another server."
        )


def interpreter_environment() -> dict[str, str]:
    """What another Python needs to find the same modules as ours, and nothing else of our environment."""
    kept = {name: os.environ[name] for name in INTERPRETER_VARIABLES if name in os.environ}
    return kept | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def watch(folder: Path, data: Path, guard: int) -> None:
    """Wait until nobody uses the server of `data`, then stop it and return.

    Args:
        folder: where the locks are.
        data: the server's data directory.
        guard: descriptor of the guard's own lock, already held.
    """
    places = Places(folder=folder, base=data.parent, sockets=data.parent)
    with LockFile(places.users_lock) as users, LockFile(places.gate_lock) as gate:
        while True:
            users.own()
            users.unlock()  # a newcomer waits for this lock inside the gate, so the gate must not be waited for with it
            gate.own()
            if users.try_own():
                stop_server(data, places.server_lock)
                os.close(guard)  # inside the gate: whoever starts a server next must find no guard and start one
                return
            gate.unlock()


def release(places: Places, data: Path, users: LockFile) -> None:
    """Stop using the server. Was its guard killed? Then another one takes over."""
    users.close()
    with LockFile(places.gate_lock) as gate:
        gate.own()
        if is_held(places.server_lock):
            ensure_guard(places, data)


if __name__ == "__main__":
    _, watched_folder, watched_data, guard_descriptor, report_descriptor = sys.argv
    os.write(int(report_descriptor), READY)
    os.close(int(report_descriptor))
    watch(Path(watched_folder), Path(watched_data), int(guard_descriptor))
