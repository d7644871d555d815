"""The wheel, installed where nothing of this folder is in reach."""

import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.helios_home import DEADLINE_SECONDS, ROOT, HeliosHome, new_home

OURS = ("helios_pipeline", "assets", "jobs", "sensors", "live_engine", "simulated_venues")

ENTRY_POINT = """
import sys
from importlib.metadata import entry_points
(command,) = entry_points(group="console_scripts", name="helios")
sys.exit(command.load()())
"""


def run(*command, cwd, **variables):
    environment = {"PATH": os.environ["PATH"], "DAGSTER_DISABLE_TELEMETRY": "1"} | variables
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=DEADLINE_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel of what is tracked or about to be, built without network."""
    made = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(made), str(ROOT), cwd=made)
    (path,) = made.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed(wheel, memory_folder):
    """The programs of a fresh environment with the wheel in it; the other packages are those of this environment."""
    with tempfile.TemporaryDirectory(prefix="helios-wheel-", dir=memory_folder) as folder:
        venv.create(folder, with_pip=False, symlinks=True)
        programs = Path(folder, "bin")
        packages = Path(
            run(programs / "python", "-c", "import site; print(site.getsitepackages()[0])", cwd="/").strip()
        )
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(packages)
        (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
        (programs / "helios").write_text(f"#!{programs / 'python'}\n{ENTRY_POINT}\n")
        (programs / "helios").chmod(0o755)
        yield programs


def test_the_wheel_holds_every_package_of_ours_and_the_schema_but_no_tests(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tracked = {
        str(path.relative_to(ROOT))
        for package in OURS
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix in {".py", ".sql", ".toml", ".json", ".html"}
    }
    migrations = {path.name for path in (ROOT / "supabase" / "migrations").glob("*.sql")}

    assert tracked - set(names) == set()
    assert {Path(name).name for name in names if name.endswith(".sql")} == migrations
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == set(OURS)
    assert [name for name in names if "__pycache__" in name] == []


def test_it_is_the_wheel_that_is_imported(installed):
    code = f"import importlib; print(*(importlib.import_module(name).__file__ for name in {OURS}))"
    files = run(installed / "python", "-c", code, cwd="/").split()

    assert [file for file in files if not file.startswith(str(installed.parent))] == []


def test_the_command_works_and_finds_its_migrations(installed, memory_folder):
    with new_home(memory_folder) as made:
        home = HeliosHome(folder=made.folder, command=(str(installed / "helios"),))
        help_shown, migrated = home.run("--help"), home.run("db", "migrate")

    assert help_shown.code == 0
    assert "research" in help_shown.out
    assert migrated.code == 0, migrated.err
    for path in (ROOT / "supabase" / "migrations").glob("*.sql"):
        assert f"applied {path.name}" in migrated.out


def test_the_code_location_is_valid_from_another_folder(installed, tmp_path):
    command = [installed / "python", "-m", "dagster", "definitions", "validate", "-m", "helios_pipeline.definitions"]

    said = run(*command, cwd=tmp_path, DAGSTER_HOME=str(tmp_path))

    assert "Validation successful for code location helios_pipeline.definitions" in said
