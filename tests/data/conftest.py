import os
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_archive() -> Path:
    """The real archive's `data` folder; skips where it is absent."""
    folder = os.environ.get("HELIOS_REAL_DATA")
    if not folder:
        pytest.skip("HELIOS_REAL_DATA is not set: no real market data here")
    return Path(folder) / "binance_vision" / "data"


@pytest.fixture(scope="session")
def read_csv(real_archive: Path):
    """Reads the CSV inside a zip of the real archive."""

    def read(path: str) -> bytes:
        with zipfile.ZipFile(real_archive / path) as archive:
            return archive.read(archive.namelist()[0])

    return read
