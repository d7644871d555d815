"""Reports as files: every version kept, the newest also as `latest.html`, each replaced whole or not at all."""

import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from filecmp import cmp
from hashlib import sha256
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import quote

Kind = Literal["round", "data-quality", "champion"]
"""What a report is about."""

KINDS: tuple[Kind, ...] = get_args(Kind)
ADDRESS = "/reports"
"""Where `helios dagster` serves the folder, on the origin of Dagster's own pages."""

_LATEST = "latest.html"
_UNFINISHED = ".unfinished"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReport:
    """A report that exists.

    Attributes:
        kind: what it is about.
        name: of the round, the market or the network.
        version: of what it was made from.
        made_at: UTC.
        path: of the file that holds this version.
    """

    kind: Kind
    name: str
    version: str
    made_at: datetime
    path: Path

    @property
    def address(self) -> str:
        """Its address on the web interface's origin."""
        return "/".join((ADDRESS, quote(self.kind), quote(self.name), quote(self.path.name)))


class ReportStore:
    """Reports below a folder, as `<kind>/<name>/<version>.html`.

    Args:
        folder: made when the first report is stored.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def replace(self, kind: Kind, name: str, html: str, *, version: str) -> StoredReport:
        """Store a version and make it the latest; a version that is there already is left as it is."""
        folder = self._folder / kind / _one_part(name)
        path = folder / f"{_one_part(version)}.html"
        if not path.exists():
            _replace(path, html.encode())
        content = path.read_bytes()
        latest = folder / _LATEST
        if not latest.exists() or latest.read_bytes() != content:
            _replace(latest, content)
        return _stored(kind, path)

    def find(self, kind: Kind, name: str, *, version: str) -> StoredReport | None:
        """One version of a report, if it exists."""
        path = self._folder / kind / _one_part(name) / f"{_one_part(version)}.html"
        return _stored(kind, path) if path.exists() else None

    def latest(self, kind: Kind) -> list[StoredReport]:
        """The report of each name that was stored last, the newest first."""
        folders = [latest.parent for latest in (self._folder / kind).glob(f"*/{_LATEST}")]
        folders.sort(key=lambda folder: (-(folder / _LATEST).stat().st_mtime, folder.name))
        return [reports[0] for reports in (self.versions(kind, folder.name) for folder in folders) if reports]

    def versions(self, kind: Kind, name: str) -> list[StoredReport]:
        """Every version of a report: the latest, then the others, newest first; empty if there is none."""
        folder = self._folder / kind / _one_part(name)
        latest = folder / _LATEST
        found = [_stored(kind, path) for path in folder.glob("*.html") if path.name != _LATEST]
        # What was stored last may have been made before: settings that return bring their report back.
        return sorted(
            found, key=lambda report: (not cmp(report.path, latest, shallow=False), -report.made_at.timestamp())
        )


class PictureStore:
    """Pictures for Dagster's pages below the folder of the reports, as `pictures/<name>.png`.

    Args:
        folder: of the reports; made when the first picture is stored.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def replace(self, name: str, png: bytes) -> str:
        """Store a picture in place of the one of that name; returns its address, which changes with its content."""
        parts = [_one_part(part) for part in name.split("/")]
        _replace(self._folder.joinpath("pictures", *parts[:-1], f"{parts[-1]}.png"), png, durable=False)
        return f"{ADDRESS}/pictures/{quote(name)}.png?{sha256(png).hexdigest()[:8]}"


def _stored(kind: Kind, path: Path) -> StoredReport:
    made_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return StoredReport(kind=kind, name=path.parent.name, version=path.stem, made_at=made_at, path=path)


def _one_part(name: str) -> str:
    """A name that stays inside its folder."""
    if not name or name.startswith(".") or "/" in name or "\\" in name:
        raise ValueError(f"report: expected a name that is one part of a path, found {name!r}")
    return name


def _replace(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Temporary file in the same folder, file and folder forced to disk, rename between.

    A picture need not last: it is drawn again with what it shows.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_UNFINISHED}")
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    if not durable:
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
