"""An HTTP site on loopback: its port, and the faults between a request and its answer."""

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from helios_pipeline.core.errors import SimulationError
from simulated_venues.faults import Faults

LOOPBACK = "127.0.0.1"
UNTOUCHED = ("/control", "/page")
"""Paths that no fault strikes: through them a person ends it."""

_TURNS_TO_CONNECT = 3
"""Turns of the event loop from an accepted socket to a connection that the server knows: its task, its transport, its
protocol."""


@dataclass(slots=True)
class Site:
    """A site that listens from `start` to `stop`, and may start again on the same port.

    Attributes:
        port: to listen on; 0 lets the system choose at the first start, and keeps its choice.
    """

    port: int
    _runner: web.AppRunner | None = None
    _listener: socket.socket | None = None

    async def start(self, app: web.Application) -> None:
        """Listen.

        Raises:
            SimulationError: the port is taken.
        """
        try:
            listener = socket.create_server((LOOPBACK, self.port))
        except OSError as error:
            raise SimulationError(
                f"simulated venue: expected port {self.port} of {LOOPBACK} to be free, found it taken "
                f"({os.strerror(error.errno or 0)}). Stop what listens there, or choose another port."
            ) from error
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, handler_cancellation=True)
        self._listener, self._runner, self.port = listener, runner, listener.getsockname()[1]
        try:
            await runner.setup()
            await web.SockSite(runner, listener).start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._runner is None or self._listener is None:
            return
        # Python 3.13 neither serves nor closes a connection that it accepted in the turn before the server closes
        # (CPython issue 109564): no more are accepted, and those that are become connections that can be closed.
        # A stop before this one that was cancelled may have closed the listener already.
        if self._listener.fileno() != -1:
            asyncio.get_running_loop().remove_reader(self._listener)
            for _ in range(_TURNS_TO_CONNECT):
                await asyncio.sleep(0)
        await self._runner.cleanup()
        # A start that was cancelled has a listener that its runner does not know.
        self._listener.close()
        self._runner = self._listener = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{LOOPBACK}:{self.port}"


def fault_middleware(faults: Faults, error_body: Callable[[int], dict[str, object]]) -> Middleware:
    """Applies `http_status`, `slow_response` and `truncated_response` to requests by their path.

    Args:
        faults: the venue's.
        error_body: what the venue answers with an error status, as JSON.
    """

    @web.middleware
    async def apply(request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path
        if path == "/" or path.startswith(UNTOUCHED):
            return await handler(request)
        late = faults.take("slow_response", path)
        if late:
            await asyncio.sleep(late.value / 1_000)
        status = faults.take("http_status", path)
        if status:
            code = int(status.value)
            headers = {"Retry-After": "1"} if code in (418, 429) else {}
            return web.json_response(error_body(code), status=code, headers=headers)
        response = await handler(request)
        if not isinstance(response, web.Response) or not faults.take("truncated_response", path):
            return response
        return await _half(request, response)

    return apply


async def _half(request: web.Request, response: web.Response) -> web.StreamResponse:
    """Send half of a body under the length of the whole, then drop the connection."""
    body = cast("bytes", response.body or b"")
    cut = web.StreamResponse(status=response.status, headers={"Content-Type": response.content_type})
    cut.content_length = max(len(body), 2)
    await cut.prepare(request)
    await cut.write(body[: max(len(body) // 2, 1)])
    if request.transport is not None:
        request.transport.close()
    return cut
