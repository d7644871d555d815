"""Timers that call back where they were set: NautilusTrader's live clock calls from threads of its own."""

import asyncio
from collections.abc import Callable

from nautilus_trader.common.component import TimeEvent

type Handler = Callable[[TimeEvent], object]


def same_thread(handler: Handler) -> Handler:
    """The handler, to be called in the event loop that runs now; as it is where none runs, as in a backtest."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return handler

    def call(event: TimeEvent) -> None:
        # A timer may come once more while the loop is being closed.
        if not loop.is_closed():
            loop.call_soon_threadsafe(handler, event)

    return call
