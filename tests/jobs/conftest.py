"""The main job inside the tests' process, on the session's database server."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from assets.research import Research
from helios_pipeline.adapters.postgres.connection import Database
from helios_pipeline.definitions import build_research
from helios_pipeline.settings import load_settings
from tests.helios_home import MONTHS, SMALL, copy_archive, write_settings, write_simulated_archive


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real history where HELIOS_REAL_DATA says it is, else simulated history without an edge."""
    root = tmp_path_factory.mktemp("archive")
    real = os.environ.get("HELIOS_REAL_DATA")
    if real:
        months = [f"2025-{month:02d}" for month in range(1, 6)]
        return copy_archive(Path(real) / "binance_vision", root, months)
    write_simulated_archive(root, edge=0.0, months=MONTHS)
    return root


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance of this test's own."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def make_research(tmp_path: Path, archive: Path, database: Database) -> Callable[..., Research]:
    """The resource of a home with small settings, some of them changed: `make_research(costs__fee_fraction=0.0004)`."""

    def make(archive_url: str | None = None, **changes: object) -> Research:
        named = {name.replace("__", "."): value for name, value in changes.items()}
        named["data.archive_url"] = archive_url or archive.as_uri()
        write_settings(tmp_path / "helios.toml", SMALL | named)
        return build_research(load_settings(tmp_path / "helios.toml", {}), database_url=database.urls.pipeline)

    return make
