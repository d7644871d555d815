"""The heartbeat file: what the engine says of itself each second, read by watchdog, terminal view and commands.

It is replaced whole, so that a reader finds an earlier status or a later one, never half of one. It is not forced to
the disk: after a crash of the machine nobody believes an old heartbeat anyway. On a full disk it is written over the
old one: an engine that can't say that it can't journal would be taken for one that hangs.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

import msgspec

from helios_pipeline.core.errors import EngineError
from helios_pipeline.core.status import EngineStatus

HEARTBEAT = "heartbeat.json"
FULL = (errno.ENOSPC, errno.EDQUOT)


def write_heartbeat(path: Path, status: EngineStatus) -> None:
    """Replace the heartbeat file. A float that is not finite is written as no value.

    Raises:
        OSError: the file can't be written.
    """
    data = msgspec.json.encode(status) + b"\n"
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        if error.errno not in FULL:
            raise
        with path.open("r+b") as file:
            file.write(data)
            file.truncate()


def read_heartbeat(path: Path) -> EngineStatus | None:
    """The newest status; None if there is no file: no engine ever ran here, or the last one stopped in good order.

    Raises:
        EngineError: the file is damaged, or of another version of Helios.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=EngineStatus)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
        raise EngineError(
            f"{path}: expected the heartbeat of an engine of this version, found: {error}. A running engine replaces "
            "it each second; if none runs, remove it."
        ) from None


def remove_heartbeat(path: Path) -> None:
    """Take the file away, as the last act of an engine that stops in good order: nobody then takes it for dead."""
    with suppress(FileNotFoundError):
        path.unlink()
