"""Serves metrics to a Prometheus on this machine."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from helios_pipeline.core.errors import EngineError
from live_engine.exposition import CONTENT_TYPE

HOST = "127.0.0.1"
CLIENT_SECONDS = 5.0
"""In which a client has to send its request and take the answer."""


class MetricsServer:
    """Serves `/metrics` on 127.0.0.1 from a thread of its own until `close`.

    Attributes:
        url: of the metrics.
    """

    def __init__(self, port: int, text: Callable[[], str]) -> None:
        """Listen.

        Args:
            port: 0 for one that is free.
            text: makes the metrics, in the server's thread.

        Raises:
            EngineError: the port is taken.
        """
        try:
            self._server = _Server((HOST, port), text)
        except OSError as error:
            raise EngineError(
                f"live.metrics_port: expected a free port of {HOST}, found {port}: {error.strerror}. Choose another, "
                "or 0 for one that is free."
            ) from None
        self.url = f"http://{HOST}:{self._server.server_port}/metrics"
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    """Knows where metrics come from."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], make: Callable[[], str]) -> None:
        super().__init__(address, _Handler)
        self.make = make


class _Handler(BaseHTTPRequestHandler):
    """Answers GET /metrics, and nobody who came by another name than this machine's own."""

    server: _Server
    timeout = CLIENT_SECONDS
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "helios", ""

    def do_GET(self) -> None:
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host not in (HOST, "localhost"):
            self._answer(403, "Expected a request to 127.0.0.1.\n")
        elif self.path.partition("?")[0] != "/metrics":
            self._answer(404, "Metrics are at /metrics.\n")
        else:
            self._answer(200, self.server.make())

    def _answer(self, code: int, text: str) -> None:
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not told: there is one every few seconds."""
