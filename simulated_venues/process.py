"""Simulated venues as processes of their own, started, killed and stopped from Python.

A process ends with the one that started it, however that one died: its standard input is a pipe that nobody else holds.
"""

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO

import msgspec

from helios_pipeline.core.errors import SimulationError
from simulated_venues.process_settings import ProcessSettings

START_SECONDS = 120.0
STOP_SECONDS = 20.0
SETTLE_SECONDS = 2.0
"""In which a process that closed its output is over."""

KNOWN_ERROR = "helios: "
"""How the line of an error with a known cause begins."""


@dataclass(slots=True)
class VenueProcess:
    """One venue in a process of its own.

    Attributes:
        settings: what it was told; the ports are those it has, once it listens.
        addresses: where it listens: `url`, and what else it says.
    """

    settings: ProcessSettings
    addresses: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = field(default=None)
    _said: IO[bytes] | None = field(default=None)

    @property
    def name(self) -> str:
        """`binance` or `dydx`."""
        return self.settings.name

    @property
    def url(self) -> str:
        """Where its REST interface, its WebSocket and its page are."""
        return self.addresses["url"]

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._running.pid

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        return self._running.poll()

    def launch(self) -> None:
        """Start the process; `await_ready` waits until it listens."""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it is kept as long as the process
        # In a group of its own: a Ctrl-C in the terminal is for who started it.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simulated_venues.main", self.name, "--settings", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            process_group=0,
        )
        with suppress(BrokenPipeError):  # it ended already: `await_ready` says why
            _pipe(self._process.stdin).write(self.settings.to_json() + b"\n")
            _pipe(self._process.stdin).flush()

    def await_ready(self) -> None:
        """Wait until clients may connect.

        Raises:
            SimulationError: the process ended, or did not listen in time; carries what it said.
        """
        line = self._first_line()
        if not line:
            raise self._failure(f"to listen within {START_SECONDS:g} s")
        self.addresses = {key: value for key, value in msgspec.json.decode(line).items() if isinstance(value, str)}
        port, grpc_port = (_port(self.addresses.get(key)) for key in ("url", "grpc"))
        self.settings = self.settings.on_ports(port or 0, grpc_port)

    def stop(self) -> None:
        """Let it close its connections and end; harmless when repeated.

        Raises:
            SimulationError: it had ended by itself, or does not end now; carries what it said.
        """
        if self._process is None:
            return
        if self._process.poll() is not None:
            raise self._failure("to run until it is stopped")
        self._process.terminate()
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise self._failure(f"to end within {STOP_SECONDS:g} s") from None
        if code not in (0, -signal.SIGTERM):  # the latter while it was starting
            raise self._failure("to end with code 0")
        self._close()

    def kill(self) -> None:
        """End it at once, as a crash would; `restart` starts it again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._close()

    def restart(self) -> None:
        """Start it again on the same ports, killing it if it runs."""
        self.kill()
        self.launch()
        self.await_ready()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise SimulationError(f"simulated {self.name}: expected a running process, found that it was ended.")
        return self._process

    def _first_line(self) -> bytes:
        """The first line of its output; empty if it ends, or takes too long, without one."""
        out, deadline, line = _pipe(self._running.stdout).fileno(), time.monotonic() + START_SECONDS, b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([out], [], [], max(0.0, deadline - time.monotonic()))
            got = os.read(out, 65_536) if ready else b""
            if not got:
                return b""
            line += got
        return line

    def _failure(self, expected: str) -> SimulationError:
        """What to say about a process that is not as it should be; it is killed."""
        process = self._running
        with suppress(subprocess.TimeoutExpired):
            process.wait(SETTLE_SECONDS)
        found = "that it did not" if process.returncode is None else f"that it ended with code {process.returncode}"
        said = self._said_lines()
        self.kill()
        known = [line.removeprefix(KNOWN_ERROR) for line in said if line.startswith(KNOWN_ERROR)]
        if known:
            return SimulationError(known[-1])
        words = f": {said[-1]}" if said else "."
        return SimulationError(f"simulated {self.name}: expected its process {expected}, found {found}{words}")

    def _said_lines(self) -> list[str]:
        """What it wrote about errors."""
        if self._said is None:
            return []
        self._said.seek(0)
        return self._said.read().decode(errors="replace").strip().splitlines()

    def _close(self) -> None:
        for pipe in (self._running.stdin, self._running.stdout, self._said):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._process = self._said = None


@contextmanager
def venue_processes(*settings: ProcessSettings) -> Iterator[tuple[VenueProcess, ...]]:
    """Run venues side by side, each in a process, until the end of the block.

    Raises:
        SimulationError: one of them does not start, or fails later; carries what it said.
    """
    with ExitStack() as stopping:
        processes = tuple(VenueProcess(each) for each in settings)
        for process in processes:
            stopping.callback(process.stop)
            process.launch()
        for process in processes:
            process.await_ready()
        yield processes


@contextmanager
def venue_process(settings: ProcessSettings) -> Iterator[VenueProcess]:
    """Run one venue in a process until the end of the block; see `venue_processes`."""
    with venue_processes(settings) as (process,):
        yield process


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise SimulationError("simulated venue: expected a process with pipes, found none.")
    return pipe


def _port(address: str | None) -> int | None:
    return int(address.rpartition(":")[2].rstrip("/")) if address else None
