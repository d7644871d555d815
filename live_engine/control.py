"""The engine's control socket: `helios halt`, `reduce`, `resume`, `flatten` and `status` of a running engine.

One connection, one command: a request line, any number of lines to show, and one that ends it, each a JSON object.
The socket is in the account's folder, which only its owner may enter. The path of a Unix socket may have some hundred
bytes only: a longer one is reached through the folder's descriptor.
"""

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from helios_pipeline.core.errors import EngineError, HeliosError

SOCKET_FILE = "control.sock"
LONGEST_PATH = 100
REQUEST_BYTES = 64_000
CONNECT_SECONDS = 5.0

type Command = Literal["halt", "reduce", "resume", "flatten", "status"]
COMMANDS: tuple[Command, ...] = get_args(Command.__value__)

type Say = Callable[[str], None]
type Answer = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRequest:
    """What somebody wants of the engine, who and why."""

    command: Command
    who: str
    why: str


type Handler = Callable[[ControlRequest, Say], Awaitable[Answer]]
"""Carries out a request; may show lines meanwhile. What it raises as HeliosError is told to who asked."""


class ControlServer:
    """Listens at an account's socket, on the running event loop.

    Args:
        folder: of the account.
        handler: carries out requests, one at a time for each connection.
    """

    def __init__(self, folder: Path, handler: Handler) -> None:
        self._folder = folder
        self._handler = handler
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. A socket that a dead engine left is replaced; the home lock keeps out a living one.

        Raises:
            EngineError: the socket can't be made.
        """
        try:
            with _short_path(self._folder / SOCKET_FILE) as path:
                with suppress(FileNotFoundError):
                    os.unlink(path)
                listening = _bound_socket(path)
        except OSError as error:
            raise EngineError(
                f"{self._folder / SOCKET_FILE}: expected to listen there, found: {error.strerror}. "
                "Give access to the folder, or set HELIOS_HOME to another one."
            ) from None
        self._server = await asyncio.start_unix_server(self._serve, sock=listening, limit=REQUEST_BYTES)

    async def stop(self) -> None:
        """Listen no more; a command under way goes on."""
        if self._server is not None:
            self._server.close()
            self._server = None
        (self._folder / SOCKET_FILE).unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def tell(message: Mapping[str, object]) -> None:
            # Who asked may have gone away; what was asked for is carried out all the same.
            if not writer.is_closing():
                writer.write(json.dumps(message, default=str).encode() + b"\n")

        try:
            line = await reader.readline()
            answer = await self._handler(_read_request(line), lambda text: tell({"say": text}))
            tell({"done": dict(answer)})
        except HeliosError as error:
            tell({"error": str(error), "exit_code": error.exit_code})
        except (ConnectionError, ValueError, asyncio.IncompleteReadError) as error:
            tell({"error": f"control socket: expected one line of JSON, found: {error}", "exit_code": 2})
        finally:
            with suppress(ConnectionError):
                await writer.drain()
            writer.close()


def ask_engine(folder: Path, request: ControlRequest, say: Say, seconds: float) -> Answer | None:
    """Have a running engine carry out a request, and wait for its end.

    Args:
        folder: of the account.
        request: what is wanted.
        say: takes each line that the engine shows meanwhile.
        seconds: that may pass without a word from it.

    Returns:
        Its answer; None if no engine listens.

    Raises:
        EngineError: the engine refuses, or listens and says nothing.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        try:
            asking.settimeout(CONNECT_SECONDS)
            with _short_path(folder / SOCKET_FILE) as path:
                asking.connect(path)
            asking.settimeout(seconds)
            asking.sendall(json.dumps(asdict(request)).encode() + b"\n")
            with asking.makefile("rb") as lines:
                return _follow(lines, say, folder)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except TimeoutError:
            raise HungEngineError(
                f"engine of {folder.name}: expected an answer within {seconds:.0f} s, found none. It hangs."
            ) from None
        except ConnectionError:
            raise HungEngineError(
                f"engine of {folder.name}: expected an answer, found it gone before it ended."
            ) from None


class HungEngineError(EngineError):
    """An engine listens and does not answer, or dies while it is asked."""


def _bound_socket(path: str) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(path)
        os.chmod(path, 0o600)
    except OSError:
        listening.close()
        raise
    return listening


def _follow(lines: Iterator[bytes], say: Say, folder: Path) -> Answer:
    for line in lines:
        message = json.loads(line)
        if "say" in message:
            say(str(message["say"]))
        elif "error" in message:
            raise EngineError(f"engine of {folder.name}: {message['error']}")
        else:
            done: Answer = message["done"]
            return done
    raise ConnectionError


def _read_request(line: bytes) -> ControlRequest:
    found = json.loads(line)
    if not isinstance(found, dict) or found.get("command") not in COMMANDS:
        raise ValueError(f"a command other than {', '.join(COMMANDS)}")
    return ControlRequest(command=found["command"], who=str(found.get("who", "unknown")), why=str(found.get("why", "")))


@contextmanager
def _short_path(path: Path) -> Iterator[str]:
    """A path that a Unix socket can have, valid inside the block."""
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
