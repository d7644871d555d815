"""Homes in which the command runs, real or simulated history, and the command inside the tests' own process."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from helios_pipeline.cli import main
from tests.helios_home import HeliosHome, Outcome, new_home, write_simulated_archive


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
