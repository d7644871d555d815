"""A way through for a gRPC connection that notes when transactions pass: when an order is on the wire.

It sees bytes, not calls: a signed transaction is larger than any question that a client asks on the way to it.
"""

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

TRANSACTION_BYTES = 280
"""Smallest message that is taken for a transaction; a query of an account is half as large."""
CHUNK = 65_536


@dataclass
class WireMeter:
    """Forwards connections to an address, and notes the wall-clock instants of transactions, in seconds.

    Attributes:
        target: `host:port` of the validator.
        sent_at: when a transaction passed.
    """

    target: str
    sent_at: list[float] = field(default_factory=list)
    _listener: socket.socket = field(default_factory=socket.socket)

    @property
    def address(self) -> str:
        """`host:port` that clients are given."""
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def start(self) -> None:
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        host, _, port = self.target.rpartition(":")
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection((host, int(port)))
            for one, other, is_client in ((client, server, True), (server, client, False)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._forward, args=(one, other, is_client), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, is_client: bool) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if is_client and len(data) >= TRANSACTION_BYTES:
                    self.sent_at.append(time.time())
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
