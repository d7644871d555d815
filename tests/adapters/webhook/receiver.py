"""A receiver of alerts on this machine: a real HTTP server that answers as it is told, or not at all."""

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Received:
    """One request, whatever it was answered with."""

    body: bytes
    headers: dict[str, str]
    answered: int
    at: float


@dataclass
class Receiver:
    """Answers 200, or what `answers` holds next: a status, `hang` (until the client gives up), or `cut` (closes).

    Attributes:
        port: 0 for one that is free; it is kept over `stop` and `start`.
    """

    port: int = 0
    answers: deque[int | str] = field(default_factory=deque)
    retry_after: str = ""
    received: list[Received] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in/alerts"

    def start(self) -> "Receiver":
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.handle(self)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing is told."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        answer = self.answers.popleft() if self.answers else 200
        with self.news:
            status = answer if isinstance(answer, int) else 0
            self.received.append(Received(body, dict(request.headers), status, time.monotonic()))
            self.news.notify_all()
        if answer == "hang":
            request.connection.recv(1)  # until the client is gone
        if not isinstance(answer, int):
            request.close_connection = True
            return
        request.send_response(answer)
        if self.retry_after:
            request.send_header("Retry-After", self.retry_after)
        request.send_header("Content-Length", "0")
        request.end_headers()

    def await_requests(self, number: int, seconds: float = 30.0) -> list[Received]:
        """The first so many requests, as soon as they are there."""
        with self.news:
            assert self.news.wait_for(lambda: len(self.received) >= number, seconds), self.received
            return list(self.received[:number])

    @property
    def taken(self) -> list[Received]:
        """Requests that were answered with success."""
        return [each for each in self.received if 200 <= each.answered < 300]
