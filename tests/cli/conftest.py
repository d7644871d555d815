"""Homes in which the command runs, real or simulated history, and the command inside the tests' own process."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from helios_pipeline.adapters.postgres.connection import Database
from helios_pipeline.adapters.postgres.embedded import EmbeddedServer
from helios_pipeline.cli import main
from tests.helios_home import BTC, ETH, SOL, HeliosHome, Outcome, copy_archive, new_home, write_simulated_archive
from tests.served_dagster import NO_DAILY_REFRESH, ServedDagster, served


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real history where HELIOS_REAL_DATA says it is, else simulated history without an edge: refused either way."""
    real = os.environ.get("HELIOS_REAL_DATA")
    if real:
        return Path(real) / "binance_vision"
    root = tmp_path_factory.mktemp("archive")
    write_simulated_archive(root, edge=0.0)
    return root


@pytest.fixture
def make_home(memory_folder: str | None) -> Iterator[Callable[..., HeliosHome]]:
    """Makes empty homes with small settings: `make_home(costs__fee_fraction=0.0004)`."""
    with ExitStack() as homes:
        yield lambda **changes: homes.enter_context(new_home(memory_folder, **changes))


@pytest.fixture(scope="session")
def researched(archive: Path, memory_folder: str | None) -> Iterator[tuple[HeliosHome, Outcome]]:
    """A home after one whole `helios research`, with what it said; read-only."""
    with new_home(memory_folder) as home:
        home.archive = archive
        yield home, home.run("research")


@pytest.fixture
def run_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Outcome]:
    """Runs the command inside this process, in an empty folder unless told otherwise: quick, for what needs no more."""

    def run(*arguments: str, folder: Path | None = None, **variables: str) -> Outcome:
        with monkeypatch.context() as here:
            for name in [name for name in os.environ if name.startswith("HELIOS_")]:
                here.delenv(name)
            for name, value in variables.items():
                here.setenv(name, value)
            here.chdir(folder or tmp_path)
            here.setattr(sys, "argv", ["helios", *arguments])
            capsys.readouterr()
            code: Any = 0
            try:
                main()
            except SystemExit as end:
                code = end.code
        said = capsys.readouterr()
        return Outcome(code=code or 0, out=said.out, err=said.err)

    return run


@pytest.fixture
def lend_passwords(database: Database, postgres_server: EmbeddedServer) -> Callable[[Path], None]:
    """Gives a home what it needs to use the test's own database as HELIOS_DATABASE_URL."""

    def lend(home: Path) -> None:
        passwords = json.loads((postgres_server.places.folder / "roles.json").read_text())["embedded"]
        server = urlsplit(database.urls.owner)
        roles = home / "postgres" / "roles.json"
        roles.parent.mkdir(parents=True)
        roles.write_text(json.dumps({f"{server.hostname}:{server.port}": passwords}))

    return lend


NOBODY = "http://127.0.0.1:9"
"""Where no venue answers."""

SERVED = {
    "research.instruments": [BTC, ETH],
    "research.from": "2025-01",
    "research.to": "2025-03",
    "dagster.daily_refresh_cron": NO_DAILY_REFRESH,
}
SERVED_MONTHS = ("2024-10", "2024-11", "2024-12", "2025-01", "2025-02", "2025-03")


@pytest.fixture(scope="module")
def served_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a year of three instruments in an archive of the file's own, which tests may damage."""
    root, instruments = tmp_path_factory.mktemp("served"), [BTC, ETH, SOL]
    real = os.environ.get("HELIOS_REAL_DATA")
    if real:
        for instrument in instruments:
            copy_archive(Path(real) / "binance_vision", root, SERVED_MONTHS, instrument)
    else:
        months = (SERVED_MONTHS[0], SERVED_MONTHS[-1])
        write_simulated_archive(root, edge=0.0, months=months, instruments=instruments)
    return root


@pytest.fixture(scope="module")
def dagster(served_archive: Path, memory_folder: str | None) -> Iterator[ServedDagster]:
    """A served Dagster that automates everything but the daily refresh, whose sensors look every few seconds.

    It ends with the file: its daemon takes a fifth of a core as long as it is there.
    """
    with new_home(memory_folder, **SERVED) as home:
        home.archive, home.variables = served_archive, {"HELIOS_SENSOR_SECONDS": "5", "HELIOS_REST_URL": NOBODY}
        with served(home) as running:
            yield running


@pytest.fixture(scope="module")
def with_sol(dagster: ServedDagster) -> list[str]:
    """The instruments that can be chosen a moment after SOL was added to helios.toml."""
    dagster.home.configure(**SERVED | {"research.instruments": [BTC, ETH, SOL]})
    return dagster.await_answer(lambda: dagster.partition_keys("bars_15m", "instrument"), lambda keys: SOL in keys)
