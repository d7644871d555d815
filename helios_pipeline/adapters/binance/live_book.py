"""A live order book: a snapshot, the changes that join it, and a new snapshot whenever one does not."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from nautilus_trader.adapters.binance.common.schemas.market import BinanceOrderBookData
from nautilus_trader.adapters.binance.http.error import BinanceError
from nautilus_trader.core.nautilus_pyo3 import HttpError, HttpTimeoutError
from nautilus_trader.model.identifiers import InstrumentId

from helios_pipeline.adapters.binance.depth_continuity import DepthContinuity

FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.5, 30.0
PASSING = (BinanceError, HttpError, HttpTimeoutError, msgspec.DecodeError, msgspec.ValidationError, OSError)
"""What a request that may succeed later raises."""

MOST_WAITING = 5_000
"""Changes that are kept while a snapshot is on its way; without the oldest, the next snapshot is waited for."""


class LiveBook:
    """One instrument's book.

    Attributes:
        snapshots: how many were fetched.
    """

    def __init__(
        self,
        instrument_id: InstrumentId,
        *,
        snapshot: Callable[[], Awaitable[Any]],
        deliver: Callable[[Any], None],
        warn: Callable[[str], None],
    ) -> None:
        """A book that is not built yet.

        Args:
            instrument_id: whose.
            snapshot: fetches one, as NautilusTrader's order book deltas.
            deliver: takes snapshots and changes in order.
            warn: takes a line of the log.
        """
        self.snapshots = 0
        self._instrument_id = instrument_id
        self._snapshot, self._deliver, self._warn = snapshot, deliver, warn
        self._continuity = DepthContinuity()
        self._waiting: deque[tuple[BinanceOrderBookData, int]] | None = deque(maxlen=MOST_WAITING)
        self._is_building = False

    def take(self, change: BinanceOrderBookData, received_ns: int) -> bool:
        """Learn a change; False if one before it was lost and the book has to be built anew."""
        if self._waiting is not None:
            self._waiting.append((change, received_ns))
            return True
        if self._apply(change, received_ns):
            return True
        self._warn(f"book of {self._instrument_id}: expected the change before {change.U}, which was lost.")
        self._waiting = deque([(change, received_ns)], maxlen=MOST_WAITING)
        return False

    async def build(self) -> None:
        """Fetch snapshots until one joins the changes that came meanwhile."""
        if self._waiting is None:
            self._waiting = deque(maxlen=MOST_WAITING)
        if self._is_building:
            return
        self._is_building, wait = True, FIRST_RETRY_SECONDS
        try:
            while True:
                try:
                    snapshot = await self._snapshot()
                except PASSING as error:
                    self._warn(f"book of {self._instrument_id}: expected a snapshot, found {error!r}. Asking again.")
                else:
                    self.snapshots += 1
                    self._deliver(snapshot)
                    self._continuity.begin(snapshot.sequence)
                    if self._join():
                        return
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_RETRY_SECONDS)
        finally:
            self._is_building = False

    def _join(self) -> bool:
        """Apply what waited for a snapshot; False if it is too old for that."""
        waiting = self._waiting or deque()
        while waiting:
            if not self._apply(*waiting[0]):
                return False
            waiting.popleft()
        self._waiting = None
        return True

    def _apply(self, change: BinanceOrderBookData, received_ns: int) -> bool:
        step = self._continuity.take(change.U, change.u, change.pu)
        if step == "apply":
            self._deliver(change.parse_to_order_book_deltas(instrument_id=self._instrument_id, ts_init=received_ns))
        return step != "break"
