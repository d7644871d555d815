"""Alerts that still have to go out: one file each, on the disk before anybody tries to send it."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from helios_pipeline.core.alerts import Alert
from helios_pipeline.core.canonical import canonical_bytes

KEPT = 500
"""Alerts that are kept after they went out."""


@dataclass(frozen=True, slots=True)
class Outbox:
    """A folder of alerts that wait, and one of those that a receiver has taken; one process at a time uses it.

    Attributes:
        folder: of those that wait; the others are in `delivered` below it.
    """

    folder: Path

    @classmethod
    def open(cls, folder: Path) -> "Outbox":
        """Make the folders; what a killed process left half-written goes."""
        (folder / "delivered").mkdir(parents=True, exist_ok=True, mode=0o700)
        for unfinished in folder.glob(".*.unfinished"):
            unfinished.unlink()
        return cls(folder)

    def put(self, alert: Alert) -> bool:
        """Keep an alert until it is delivered; whether it is new. On the disk when this returns.

        Raises:
            OSError: it can't be written.
        """
        if self._known(alert.alert_id):
            return False
        path = self.folder / f"{alert.told_at.timestamp():017.6f}-{alert.alert_id}.json"
        unfinished = path.with_name(f".{path.name}.unfinished")
        with unfinished.open("wb") as file:
            file.write(canonical_bytes(alert))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        _sync_folder(self.folder)
        return True

    def waiting(self) -> list[Path]:
        """Files of the alerts that wait, the oldest first."""
        return sorted(path for path in self.folder.glob("*.json") if not path.name.startswith("."))

    def read(self, path: Path) -> Alert | None:
        """An alert that waits; None if its file is damaged: it is then set aside, so that it holds up no other."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=Alert)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            path.replace(path.with_suffix(".damaged"))
            return None

    def delivered(self, path: Path) -> None:
        """Take an alert out, since a receiver has it. After a crash just before, it is sent again, with the same id."""
        taken = self.folder / "delivered"
        path.replace(taken / path.name)
        _sync_folder(self.folder)
        for old in sorted(taken.glob("*.json"))[:-KEPT]:
            with suppress(FileNotFoundError):
                old.unlink()

    def _known(self, alert_id: str) -> bool:
        return any(next(folder.glob(f"*-{alert_id}.json"), None) for folder in (self.folder, self.folder / "delivered"))


def _sync_folder(folder: Path) -> None:
    """Let a file's name reach the disk, as its content has."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
