"""A process of live trading, its lines as they come, and its end."""

import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Literal

from helios_pipeline.core.errors import EngineError, HeliosError

PR_SET_PDEATHSIG = 1
"""Of Linux's prctl: the signal a process gets when its parent ends."""

KNOWN_ERROR = "helios: "
"""How the line of an error with a known cause begins."""

CHUNK_BYTES = 65_536

Channel = Literal["out", "err"]


@dataclass(slots=True)
class Child:
    """A process that was started for this account.

    Attributes:
        name: `engine` or `watchdog`.
        said: the last lines that were no log events: what it has to say about its end.
        silent: channels that it has closed.
    """

    name: str
    process: subprocess.Popen[bytes]
    said: list[str] = field(default_factory=list)
    silent: set[Channel] = field(default_factory=set)
    _descriptor: int = -1
    _halves: dict[Channel, bytes] = field(default_factory=dict)

    @classmethod
    def start(
        cls, name: str, arguments: Sequence[str], environment: Mapping[str, str], *, ends_with_us: bool
    ) -> "Child":
        """Start a module in a session of its own: a Ctrl-C in the terminal is for us, who stop it in good order.

        Args:
            name: of the child.
            arguments: module and arguments.
            environment: all that it gets.
            ends_with_us: whether it gets SIGTERM when we are killed; otherwise it sees the end of its input.
        """
        libc = ctypes.CDLL(None, use_errno=True)

        def end_with_parent() -> None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=end_with_parent if ends_with_us else None,
        )
        for pipe in (process.stdout, process.stderr):
            os.set_blocking(_open(pipe).fileno(), False)
        return cls(name, process, _descriptor=os.pidfd_open(process.pid))

    @property
    def how(self) -> str:
        """How it ended."""
        code = self.process.returncode
        return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"

    @property
    def known_error(self) -> HeliosError | None:
        """The error that it ended with, if that has a known cause."""
        said = [line.removeprefix(KNOWN_ERROR) for line in self.said if line.startswith(KNOWN_ERROR)]
        if not said:
            return None
        kinds: dict[int, Callable[[str], HeliosError]] = {kind.exit_code: kind for kind in HeliosError.__subclasses__()}
        return kinds.get(self.process.returncode, EngineError)(said[-1])

    @property
    def unknown_error(self) -> HeliosError:
        """What to say of an end whose cause nobody knows."""
        last = f": {self.said[-1]}" if self.said else "."
        return EngineError(f"{self.name}: expected it to run until it is stopped, found that it {self.how}{last}")

    def register(self, waiting: selectors.BaseSelector) -> None:
        """Let a selector wake up when it says something or ends."""
        for channel, pipe in (("out", self.process.stdout), ("err", self.process.stderr)):
            waiting.register(_open(pipe), selectors.EVENT_READ, (self, channel))
        waiting.register(self._descriptor, selectors.EVENT_READ, (self, "end"))

    def lines(self, channel: Channel) -> Iterator[str]:
        """Whole lines that have come; at its end also a half one."""
        pipe = _open(self.process.stdout if channel == "out" else self.process.stderr)
        data = self._halves.pop(channel, b"")
        while got := _read(pipe):
            data += got
        if got is not None:
            self.silent.add(channel)
        *whole, half = data.split(b"\n")
        if half and channel in self.silent:
            whole.append(half)
        elif half:
            self._halves[channel] = half
        for line in whole:
            yield line.decode(errors="replace")

    def say(self, **what: object) -> None:
        """Write a line to its standard input; nothing if it has ended."""
        pipe = _open(self.process.stdin)
        with suppress(BrokenPipeError, ValueError):
            pipe.write(json.dumps(what).encode() + b"\n")
            pipe.flush()

    def close(self, waiting: selectors.BaseSelector) -> None:
        """Forget a process that has ended."""
        self.process.wait()
        for descriptor in (_open(self.process.stdout), _open(self.process.stderr), self._descriptor):
            with suppress(KeyError, ValueError):
                waiting.unregister(descriptor)
        os.close(self._descriptor)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            with suppress(BrokenPipeError):
                _open(pipe).close()


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("process without pipes")  # they are always asked for
    return pipe


def _read(pipe: IO[bytes]) -> bytes | None:
    """What has come; empty at the end, None if there is nothing now."""
    try:
        return os.read(pipe.fileno(), CHUNK_BYTES)
    except BlockingIOError:
        return None


def read_object(line: str) -> dict[str, object] | None:
    """A line that is a JSON object; None if it is something else."""
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
