"""Questions to a venue's history that must not hold up the event loop."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from helios_pipeline.core.errors import DataError

LOG = logging.getLogger(__name__)


class HistoryThread:
    """One thread that asks, and tells the event loop what was answered."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._asked: set[str] = set()
        self._is_closed = False

    def ask[Answer](
        self,
        about: str,
        question: Callable[[], Answer],
        then: Callable[[Answer], None],
        loop: asyncio.AbstractEventLoop,
    ) -> bool:
        """Ask, unless a question about the same is under way; whether it was asked.

        Args:
            about: what.
            question: blocks; a `DataError` of it is logged, and nothing told.
            then: told the answer in the loop, unless this was closed meanwhile.
            loop: the event loop.
        """
        if self._is_closed or about in self._asked:
            return False
        self._asked.add(about)
        asked = self._pool.submit(question)
        asked.add_done_callback(lambda done: self._return(loop, about, done, then))
        return True

    def close(self) -> None:
        """Ask and tell nothing more."""
        self._is_closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _return[Answer](
        self, loop: asyncio.AbstractEventLoop, about: str, done: "Future[Answer]", then: Callable[[Answer], None]
    ) -> None:
        if not self._is_closed and not loop.is_closed():
            loop.call_soon_threadsafe(self._tell, about, done, then)

    def _tell[Answer](self, about: str, done: "Future[Answer]", then: Callable[[Answer], None]) -> None:
        self._asked.discard(about)
        if self._is_closed or done.cancelled():
            return
        error = done.exception()
        if isinstance(error, DataError):
            LOG.warning("history_not_answered", extra={"about": about, "error": str(error)})
        elif error is not None:
            raise error
        else:
            then(done.result())
