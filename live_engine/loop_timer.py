"""A timer that calls back in the event loop. NautilusTrader's own call back on a thread of theirs."""

import asyncio
from collections.abc import Callable


class LoopTimer:
    """Calls a function again and again; what it raises goes to the loop's exception handler, and the timer goes on."""

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        """A timer that has not started.

        Args:
            seconds: from the end of a call to the next one.
            call: what is called.
        """
        self._seconds, self._call = seconds, call
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, in the event loop that is running."""
        self._handle = asyncio.get_running_loop().call_later(self._seconds, self._fire)

    def stop(self) -> None:
        """Call no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        try:
            self._call()
        finally:
            if self._handle is not None:
                self.start()
