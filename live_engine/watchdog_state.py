"""What the watchdog remembers over its own death."""

import os
from pathlib import Path

import msgspec

from live_engine.alert_book import AlertBook

WATCHDOG_STATE = "watchdog.json"


def read_book(path: Path, account: str) -> AlertBook | None:
    """The book as it was last written; an empty one if there is none, and None if it is damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=AlertBook)
    except FileNotFoundError:
        return AlertBook(account=account)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def write_book(path: Path, book: AlertBook) -> None:
    """Replace the book; on the disk when this returns.

    Raises:
        OSError: it can't be written.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    with unfinished.open("wb") as file:
        file.write(msgspec.json.encode(book))
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
