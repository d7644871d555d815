"""`helios live` from outside: real venues, database, engine and watchdog, started, killed and stopped."""

import contextlib
import json
import os
import pty
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from live_engine.heartbeat import HEARTBEAT, read_heartbeat
from tests.adapters.webhook.receiver import Receiver
from tests.live_engine.harness import FastWorld, Installation, fast_world, installation
from tests.live_engine.prometheus import read_metrics

COMMAND = str(Path(sys.executable).with_name("helios"))
SECONDS = 90.0
SECRETS = {
    "HELIOS_WEBHOOK_SECRET": "a-shared-secret",
    "ANTHROPIC_API_KEY": "nobody-needs-this-here",
    "HELIOS_DYDX_KEY": "5f" * 32,
}


@dataclass
class Running:
    """A `helios live` over pipes, and what it said so far."""

    home: Installation
    process: subprocess.Popen[bytes]
    lines: "queue.Queue[str]" = field(default_factory=queue.Queue)
    said: list[str] = field(default_factory=list)

    def read(self, descriptor: int) -> None:
        """Take its lines to the end; a terminal says its end by an error."""
        with open(descriptor, errors="replace") as said, contextlib.suppress(OSError):
            for line in said:
                self.lines.put(line)

    def await_line(self, wanted: str, seconds: float = SECONDS) -> re.Match[str]:
        """The next line in which a pattern is found."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{wanted} in\n" + "".join(self.said)) from None
            self.said.append(line)
            if found := re.search(wanted, line):
                return found

    def await_engine(self) -> int:
        """Process of the engine that has come up."""
        pid = int(self.await_line(r"Engine of DYDX-paper started, process (\d+)")[1])
        self.await_line("Trading may begin: DYDX-paper, metrics at http://127.0.0.1:")
        return pid

    @property
    def watchdog(self) -> int | None:
        """Process of the watchdog."""
        return child_of(self.process.pid, "live_engine.watchdog_main")

    def stop(self) -> str:
        """End it as Ctrl-C does; everything it said."""
        os.kill(self.process.pid, signal.SIGINT)
        assert self.process.wait(SECONDS) == 0, "".join(self.said)
        self.await_line("^Stopped")
        return "".join(self.said)


def child_of(parent: int, module: str) -> int | None:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if module.encode() in (entry / "cmdline").read_bytes():
                status = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(status[1]) == parent and status[0] != "Z":
                    return int(entry.name)
    return None


def names_of(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().strip("\0").split("\0")
    return dict(pair.partition("=")[::2] for pair in pairs)


def until(condition, seconds=SECONDS):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastWorld]:
    with fast_world(tmp_path_factory.mktemp("dydx"), markets=1) as made:
        yield made


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    made = Receiver().start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def home(world: FastWorld, receiver: Receiver, memory_folder: str | None) -> Iterator[Installation]:
    with installation(world, parent=memory_folder) as made:
        made.variables = SECRETS | {"HELIOS_WEBHOOK_URL": receiver.url}
        made.configure(watchdog__stale_heartbeat_seconds=3.0)
        yield made


@contextlib.contextmanager
def running(home: Installation, *arguments: str, terminal: bool = False, **variables: str) -> Iterator[Running]:
    environment = {name: value for name, value in home.environment.items() if name != "HELIOS_LIVE_DATABASE_URL"}
    ours, theirs = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(
        [COMMAND, "live", *arguments],
        cwd=home.folder,
        env=environment | {"COLUMNS": "200", "LINES": "50", "TERM": "xterm"} | variables,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    made = Running(home, process)
    reader = threading.Thread(target=made.read, args=(ours,))
    reader.start()
    try:
        yield made
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join()


def run(home: Installation, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments],
        cwd=home.folder,
        env=home.environment | variables,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def test_engine_and_watchdog_run_with_their_own_secrets_come_back_when_killed_and_stop_in_good_order(home, receiver):
    with running(home) as live:
        engine = live.await_engine()
        watchdog = live.watchdog
        given, watching = names_of(engine), names_of(watchdog)

        # Each has its own secrets and nobody else's.
        assert given["HELIOS_DYDX_KEY"] == SECRETS["HELIOS_DYDX_KEY"]
        assert "helios_live:" in given["HELIOS_LIVE_DATABASE_URL"]
        assert watching["HELIOS_WEBHOOK_URL"] == receiver.url
        for name in ("HELIOS_WEBHOOK_URL", "HELIOS_WEBHOOK_SECRET", "HELIOS_DATABASE_URL", "ANTHROPIC_API_KEY"):
            assert name not in given
        for name in ("HELIOS_DYDX_KEY", "HELIOS_LIVE_DATABASE_URL", "HELIOS_DATABASE_URL", "ANTHROPIC_API_KEY"):
            assert name not in watching

        # The heartbeat is of that engine, and what it says is in its metrics.
        status = read_heartbeat(home.live_folder / HEARTBEAT)
        assert (status.pid, status.account, status.mode) == (engine, "DYDX-paper", "ACTIVE")
        metrics = re.search(r"metrics at (http://127.0.0.1:\d+/metrics)", "".join(live.said))[1]
        families = read_metrics(httpx.get(metrics, trust_env=False).text)
        assert families["helios_equity_quote"].samples["helios_equity_quote", ()] == 100_000

        # A second one on this account ends at once, naming the first.
        second = run(home, "live")
        assert second.returncode == 9
        assert f"found process {engine} on" in second.stderr

        # Killed, it is started again; so is the watchdog, and both together.
        os.kill(engine, signal.SIGKILL)
        live.await_line("The engine was killed by signal 9")
        again = live.await_engine()
        os.kill(watchdog, signal.SIGKILL)
        os.kill(again, signal.SIGKILL)
        third = live.await_engine()
        until(lambda: live.watchdog not in (None, watchdog))
        assert len({engine, again, third}) == 3
        until(lambda: receiver.taken)
        told = json.loads(receiver.taken[0].body)
        assert (told["kind"], told["state"]) in {("engine_down", "raised"), ("no_champion", "raised")}
        until(lambda: any(json.loads(each.body)["kind"] == "engine_down" for each in receiver.taken))

        said = live.stop()
    assert "Stopping in good order; positions stay as they are" in said
    assert not (home.live_folder / HEARTBEAT).exists()
    assert not any(secret in said for secret in SECRETS.values())
    logged = (home.live_folder / "logs" / "live.jsonl").read_text()
    assert "watchdog" in {json.loads(line)["process"] for line in logged.splitlines()}
    assert not any(secret in logged for secret in SECRETS.values())


def test_at_a_terminal_it_shows_tables_and_killed_itself_it_leaves_no_engine_and_the_watchdog_tells(home, receiver):
    with running(home, terminal=True) as live:
        engine = live.await_engine()
        live.await_line(r"BTC-USD-PERP\.DYDX +flat")
        live.await_line("Ctrl-C stops in good order; helios halt")
        watchdog = live.watchdog
        live.process.kill()
        live.process.wait()
        until(lambda: not Path(f"/proc/{engine}").exists())
        until(lambda: not Path(f"/proc/{watchdog}").exists())

    assert "supervisor_gone" in {json.loads(each.body)["kind"] for each in receiver.taken}
    assert not (home.live_folder / HEARTBEAT).exists()


def test_as_a_service_it_starts_no_watchdog_and_an_engine_that_dies_ends_it_with_one_line(home, tmp_path):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(path))
        told.settimeout(SECONDS)
        with running(home, "--plain", NOTIFY_SOCKET=str(path)) as live:
            engine = live.await_engine()

            assert told.recv(100) == b"READY=1"
            assert live.watchdog is None
            assert "NOTIFY_SOCKET" not in names_of(engine)
            os.kill(engine, signal.SIGKILL)
            live.await_line("helios: engine: expected it to run until it is stopped, found that it was killed by sig")
            assert live.process.wait(SECONDS) == 9
    events = [line for line in live.said if line.startswith("{")]
    assert all(json.loads(line)["event"] for line in events)


def test_what_a_person_has_to_correct_is_one_line(home):
    webhook = run(home, "live", HELIOS_WEBHOOK_URL="http://example.com/secret-path")
    assert webhook.returncode == 2
    assert webhook.stderr.splitlines()[-1].startswith("helios: HELIOS_WEBHOOK_URL: expected an address that begins")
    assert "secret-path" not in webhook.stderr
    assert "Engine of" not in webhook.stderr

    key = run(home, "live", HELIOS_LIVE_NETWORK="testnet", HELIOS_DYDX_KEY="")
    assert key.returncode == 2
    assert key.stderr.startswith("helios: dYdX key: expected HELIOS_DYDX_KEY or HELIOS_DYDX_KEY_FILE")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        home.configure(live__metrics_port=taken.getsockname()[1])
        port = run(home, "live")
        home.configure(live__metrics_port=0)
    assert port.returncode == 9
    assert "live.metrics_port: expected a free port of 127.0.0.1" in port.stderr.splitlines()[-1]
