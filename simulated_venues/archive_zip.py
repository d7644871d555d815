"""What of a file of the archive is beside its CSV: the zip around it, its checksum, and who made it."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable

from simulated_venues.market import SimulatedMarket
from simulated_venues.source import MarketSource

MARKER = "SIMULATED.json"
DESCRIPTION = "simulated market, not real prices"

_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_ZIP_LEVEL = 4


def stated_by_marker(source: MarketSource) -> dict[str, object]:
    """What `SIMULATED.json` says at an archive's root, so that nobody takes its prices for a venue's."""
    if isinstance(source, SimulatedMarket):
        settings = source.settings
        return {"seed": settings.seed, "edge": settings.edge, "description": DESCRIPTION, "settings": settings.digest}
    digest = hashlib.sha256(source.identity.encode()).hexdigest()[:16]
    return {"seed": None, "edge": None, "description": source.identity, "settings": digest}


def marker_bytes(source: MarketSource) -> bytes:
    """The content of `SIMULATED.json`."""
    return (json.dumps(stated_by_marker(source), indent=2) + "\n").encode()


def zip_csv(name: str, parts: Iterable[bytes]) -> bytes:
    """A zip of one file, without a clock or a platform in its bytes.

    Args:
        name: of the file in it.
        parts: its content, one after another.
    """
    buffer = io.BytesIO()
    member = zipfile.ZipInfo(name, _ZIP_TIME)
    member.compress_type, member.create_system, member.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
    member.compress_level = _ZIP_LEVEL
    with zipfile.ZipFile(buffer, "w") as archive, archive.open(member, "w") as file:
        for part in parts:
            file.write(part)
    return buffer.getvalue()


def checksum_of(name: str, content: bytes) -> bytes:
    """A `.CHECKSUM` file, in the format of `sha256sum`."""
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()
