import hashlib
import io
import json
import os
import threading
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

SOME_CSV = b"a line of a csv\n"


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = os.environ.get("HELIOS_REAL_DATA")
    if not folder:
        pytest.skip("HELIOS_REAL_DATA is not set: no real market data here")
    return Path(folder)


@dataclass(frozen=True)
class Fault:
    """What a request gets instead of, or in the middle of, its answer."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    ignore_range: bool = False
    body: bytes = b"{}"
    stall_after: int | None = None


@dataclass
class Server:
    """An HTTP server on loopback: files by path, answers by path, and faults that are used up one by one."""

    files: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, Callable[[dict[str, str]], object]] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list))
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    queries: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    bytes_served: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    url: str = ""
    stalled: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def asked(self, suffix: str) -> list[str | None]:
        """The Range headers of the requests whose path ends so."""
        return [wanted for path, wanted in self.requests if path.endswith(suffix)]


class Loopback(ThreadingHTTPServer):
    daemon_threads = True
    state: Server


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Loopback

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        state, parts = self.server.state, urlsplit(self.path)
        path = parts.path.lstrip("/")
        state.requests.append((path, self.headers.get("Range")))
        state.queries.append((path, dict(parse_qsl(parts.query))))
        fault = state.faults[path].pop(0) if state.faults[path] else Fault()
        if fault.status is not None:
            self.answer(fault.status, fault.body, fault.headers)
        elif path in state.answers:
            content = json.dumps(state.answers[path](dict(parse_qsl(parts.query))))
            self.answer(200, content.encode(), {"Content-Type": "application/json"})
        elif path in state.files:
            self.file(state, path, fault)
        else:
            self.answer(404, b"no such file", {})

    def file(self, state: Server, path: str, fault: Fault) -> None:
        content, wanted = state.files[path], self.headers.get("Range")
        start = 0 if wanted is None or fault.ignore_range else int(wanted.removeprefix("bytes=").rstrip("-"))
        if start and start >= len(content):
            self.answer(416, b"", {})
            return
        body = content[start:]
        stop = fault.cut_after if fault.stall_after is None else fault.stall_after
        sent = body if stop is None else body[:stop]
        state.bytes_served[path] += len(sent)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(sent)
        self.close_connection = len(sent) < len(body)
        if fault.stall_after is not None:
            self.wfile.flush()
            state.stalled.set()
            state.released.wait(30)

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    httpd = Loopback(("127.0.0.1", 0), Handler)
    httpd.state = Server(url=f"http://127.0.0.1:{httpd.server_address[1]}")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield httpd.state
    httpd.state.released.set()
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def zip_of(name: str, csv: bytes) -> bytes:
    """The zip `name` with its CSV inside, compressed as little as possible so that bytes can be found in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(name.removesuffix(".zip") + ".csv"), csv)
    return buffer.getvalue()


@pytest.fixture
def publish() -> Callable[..., str]:
    """Puts a zip and its checksum into a server's files or a folder; returns the zip's path."""

    def put(target: Server | Path, path: str, csv: bytes = SOME_CSV, *, content: bytes | None = None) -> str:
        name = path.rpartition("/")[2]
        zipped = zip_of(name, csv) if content is None else content
        checksum = f"{hashlib.sha256(zipped).hexdigest()}  {name}\n".encode()
        for where, what in ((path, zipped), (f"{path}.CHECKSUM", checksum)):
            if isinstance(target, Path):
                (target / where).parent.mkdir(parents=True, exist_ok=True)
                (target / where).write_bytes(what)
            else:
                target.files[where] = what
        return path

    return put


@pytest.fixture
def make_zip() -> Callable[[str, bytes], bytes]:
    return zip_of


@pytest.fixture
def fault() -> type[Fault]:
    return Fault
