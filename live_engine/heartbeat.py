"""The heartbeat file: what the engine says of itself each second, read by watchdog, terminal view and commands.

It is replaced whole, so that a reader finds an earlier status or a later one, never half of one. It is not forced to
the disk: after a crash of the machine nobody believes an old heartbeat anyway.
"""

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from helios_pipeline.core.errors import EngineError
from helios_pipeline.core.status import EngineStatus

HEARTBEAT = "heartbeat.json"


def write_heartbeat(path: Path, status: EngineStatus) -> None:
    """Replace the heartbeat file. A float that is not finite is written as no value.

    Raises:
        OSError: the file can't be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(msgspec.json.encode(status) + b"\n")
    unfinished.replace(path)


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
