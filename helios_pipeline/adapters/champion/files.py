"""Champion files: one per network, replaced whole or not at all."""

import os
import secrets
from pathlib import Path

from helios_pipeline.core.errors import ManifestError
from helios_pipeline.core.manifest import SignedManifest


def champion_path(home: Path, network: str) -> Path:
    """Where a network's champion lies."""
    return home / "champions" / f"{network}.json"


def write_champion(home: Path, network: str, signed: SignedManifest) -> Path:
    """Put a manifest in the place of the network's champion; returns its path."""
    path = champion_path(home, network)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with unfinished.open("xb") as file:
            file.write(signed.to_bytes())
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return path


def read_champion(home: Path, network: str) -> SignedManifest:
    """The network's champion as it was written; verify it before use.

    Raises:
        ManifestError: there is none, or the file holds something else.
    """
    path = champion_path(home, network)
    try:
        return SignedManifest.from_bytes(path.read_bytes())
    except FileNotFoundError:
        raise ManifestError(
            f"champion for {network}: expected a manifest at {path}, found none. Promote a candidate with "
            "`helios research` or `helios promote`."
        ) from None
