"""Follows one account: what its stream says at once, what REST says for certain, and what that makes of each order.

The stream is fast and may lose, repeat or swap anything, or say nothing while it stays open. So while the fate of an
order is open it is asked for by REST, everything is read again every few seconds and after every gap, and a stream
that is behind the indexer is replaced. Nothing here knows NautilusTrader.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from helios_pipeline.adapters.dydx.account_ledger import AccountLedger
from helios_pipeline.adapters.dydx.account_listener import AccountListener
from helios_pipeline.adapters.dydx.account_reader import read_account
from helios_pipeline.adapters.dydx.account_records import read_fill, read_order
from helios_pipeline.adapters.dydx.addresses import DydxAddresses
from helios_pipeline.adapters.dydx.catch_up import (
    OVERLAP_BLOCKS,
    Fresh,
    ReadFrom,
    Whole,
    read_fresh,
    read_oracle,
    read_whole,
)
from helios_pipeline.adapters.dydx.indexer import DydxIndexer
from helios_pipeline.adapters.dydx.market import Market, read_market
from helios_pipeline.adapters.dydx.oracle_prices import OraclePrices
from helios_pipeline.adapters.dydx.order_fates import OrderFates
from helios_pipeline.adapters.dydx.order_ids import OrderFlags
from helios_pipeline.adapters.dydx.pace import Due, Pace
from helios_pipeline.adapters.dydx.restored_orders import foreign_orders
from helios_pipeline.adapters.dydx.stream import DydxStream, Heard
from helios_pipeline.adapters.dydx.working_orders import WorkingOrder, read_shown
from helios_pipeline.core.errors import UnreachableError, VenueError
from helios_pipeline.core.trading import VenueFill
from helios_pipeline.core.venues import VenueOrder

_LOOK_SECONDS, _NEWS_SECONDS = 0.5, 0.05
_SILENT_SECONDS, _RENEW_SECONDS = 3.0, 5.0
_BEHIND_BLOCKS = 5
"""An indexer that is further behind the chain does not know its height: then the validator is asked for it."""
UNFORESEEN = (KeyError, TypeError, ValueError, ArithmeticError)
"""What reading an answer raises that is none of those that the venue documents."""
_SAFE_BLOCKS = 2
"""Another machine of the indexer may answer the next question, and be so far behind the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedAccount:
    """An address and where its subaccount is."""

    addresses: DydxAddresses
    address: str


class AccountFollower:
    """See the module; used in one event loop.

    Attributes:
        markets: by ticker, known once it started.
        fates: orders that are not known to be done.
        foreign: open orders as the venue had them at the start, by venue order id.
        height, height_at: the newest block and when it became known, monotonic seconds.
        clock_skew_ms: how far the venue's clock is ahead of ours.
        oracle: the chain's own prices.
        stream: the WebSocket.
    """

    def __init__(
        self,
        account: FollowedAccount,
        ledger: AccountLedger,
        listener: AccountListener,
        chain_height: Callable[[], int],
    ) -> None:
        """Prepare.

        Args:
            account: which, and where.
            ledger: of what is known.
            listener: who is told.
            chain_height: asks a validator; blocks.
        """
        self._ledger, self._listener, self._chain_height = ledger, listener, chain_height
        addresses, address = self._addresses, self._address = account.addresses, account.address
        self._indexer = DydxIndexer(addresses.http, address, addresses.subaccount)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dydx indexer")
        self._woken = asyncio.Event()
        self._stream_height = 0
        self._whole_height, self._next_renewal = 0, 0.0
        self._pace = Pace()
        self.markets: dict[str, Market] = {}
        self.fates = OrderFates(ledger, listener)
        self.foreign: dict[str, VenueOrder] = {}
        self.height, self.height_at = 0, time.monotonic()
        self.clock_skew_ms = 0.0
        self.oracle = OraclePrices()
        self.stream = DydxStream(addresses.ws, f"{address}/{addresses.subaccount}", self._hear)

    async def start(self) -> None:
        """Read the markets, and begin the journal if it is new. Then `catch_up` reads what was missed.

        Raises:
            UnreachableError: the indexer does not answer.
        """
        documents = await self._ask(self._indexer.markets)
        self.markets = {ticker: read_market(each) for ticker, each in documents.items()}
        self._see_height((await self._ask(self._indexer.block)).height)
        if self._ledger.opening is None:
            block = await self._ask(self._indexer.block)
            found = await self._ask(lambda: read_account(self._indexer, self._ledger.account, None, self._ledger.owner))
            self._ledger.begin(found, block.at)
        self._ledger.name_orders(self._address, self._addresses.subaccount, self.markets)

    async def find_foreign(self) -> None:
        """Follow open orders that the journal knows nothing of, so that they are seen and can be canceled.

        Raises:
            UnreachableError: the indexer does not answer.
        """
        documents = await self._ask(self._indexer.open_orders)
        flags = {str(each["id"]): OrderFlags(int(each["orderFlags"])) for each in documents}
        shown = [read_order(each) for each in documents]
        for order in foreign_orders(shown, self.fates.working, flags):
            self.fates.working[order.venue_order_id] = order
        self.foreign = {each.venue_order_id: each for each in shown}

    async def ask_oracle(self) -> None:
        """Read the oracle's prices now.

        Raises:
            UnreachableError: the indexer does not answer.
        """
        self.oracle.take(read_oracle(await self._ask(self._indexer.markets)))

    async def run(self) -> None:
        """Follow the account until cancelled."""
        listening = asyncio.ensure_future(self.stream.run(self._listener.warn))
        try:
            while True:
                await self._pause()
                await self._look()
                self._listener.passed()
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening

    def close(self) -> None:
        """Close the connections; nothing is read any more."""
        self._worker.submit(self._indexer.close)
        self._worker.shutdown(wait=False)

    def follow(self, order: WorkingOrder) -> None:
        """Ask for the fate of an order from now on."""
        self.fates.working[order.venue_order_id] = order
        self._pace.asked(time.monotonic())

    def wake(self) -> None:
        """Look again now."""
        self._pace.next_fresh = 0.0
        self._woken.set()

    def read_soon(self) -> None:
        """Read everything soon."""
        self._pace.hurry(time.monotonic())
        self._woken.set()

    async def catch_up(self, *, whole: bool) -> None:
        """Read by REST: the orders whose fate is open, or everything.

        Raises:
            UnreachableError: the indexer does not answer.
        """
        ledger, since = self._ledger, self._ledger.known_until
        start = ReadFrom(height=max(0, self.fates.read_height - OVERLAP_BLOCKS), since=since)
        asked = self.fates.names(resting=whole)
        self._pace.asked(time.monotonic())
        self._take_fresh(await self._ask(lambda: read_fresh(self._indexer, ledger.account, ledger.owner, start, asked)))
        if whole:
            height = self.fates.read_height
            transfers = ReadFrom(height=max(0, self._whole_height - OVERLAP_BLOCKS), since=since)
            payments = ReadFrom(height=0, since=ledger.payments_known_until)
            self._take_whole(await self._ask(lambda: read_whole(self._indexer, ledger.account, payments, transfers)))
            self._whole_height = height
            self._pace.read_whole(time.monotonic())

    async def _ask[T](self, read: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, read)

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._woken.wait()
        # What comes with this news is taken together.
        await asyncio.sleep(_NEWS_SECONDS)
        self._woken.clear()

    async def _look(self) -> None:
        """Read what is due."""
        now = time.monotonic()
        silent = now - (self.stream.heard_at or 0.0) > _SILENT_SECONDS
        behind = self.height - self.fates.read_height > _BEHIND_BLOCKS
        due = self._pace.due(now, urgent=silent or behind or self.fates.are_urgent)
        if due is Due.NOTHING:
            return
        if due is Due.WHOLE or behind:
            await self._try(self._see_chain())
        await self._try(self.catch_up(whole=due is Due.WHOLE))
        if silent and self.fates.read_height > self._stream_height and now >= self._next_renewal:
            self._next_renewal = now + _RENEW_SECONDS
            self.stream.renew()

    async def _try(self, reading: Coroutine[None, None, None]) -> None:
        """Read; what fails is said, and read again later.

        An answer that nobody foresaw is no reason to stop: without height and fills not even an exit could be sent.
        """
        try:
            await reading
        except (UnreachableError, VenueError) as error:
            self._pace.asked(time.monotonic())
            self._listener.warn(str(error))
        except UNFORESEEN as error:
            self._pace.asked(time.monotonic())
            self._listener.warn(f"dYdX: expected an answer as documented, found {error!r}; it is asked again.")

    async def _see_chain(self) -> None:
        self._see_height(await self._ask(self._chain_height))

    def _hear(self, heard: Heard) -> None:
        """Take what the stream says."""
        try:
            if heard.height is not None:
                self._stream_height = heard.height
                self._see_height(heard.height)
            self.oracle.take(heard.oracle_prices)
            self._hear_account(heard)
        except (VenueError, *UNFORESEEN) as error:
            self._listener.warn(
                f"dYdX stream: expected a message as documented, found {error!r}; REST is asked instead."
            )
            self.read_soon()

    def _hear_account(self, heard: Heard) -> None:
        for document in heard.fills:
            self._take_fill(read_fill(document, self._ledger.account, self._ledger.owner))
        for document in heard.orders:
            self.fates.show(str(document["id"]), read_shown(document))
            self.fates.settle(str(document["id"]))
        if heard.gap or heard.other or heard.fills:
            self.read_soon()

    def _take_fresh(self, fresh: Fresh) -> None:
        self._see_height(fresh.height)
        for fill in fresh.fills:
            self._take_fill(fill)
        for name, shown in fresh.orders.items():
            if shown is not None:
                self.fates.show(name, shown)
        self.fates.settle_all(fresh.height - _SAFE_BLOCKS)

    def _take_whole(self, whole: Whole) -> None:
        self._ledger.take_payments(whole.payments)
        self._ledger.take_transfers(whole.transfers)
        self.clock_skew_ms = whole.skew_ms
        self.oracle.take(whole.oracle_prices)
        if whole.subaccount is not None:
            self._listener.money(whole.subaccount)

    def _take_fill(self, fill: VenueFill) -> None:
        if self._ledger.take_fill(fill):
            self._listener.filled(fill)
        self.fates.settle(fill.venue_order_id)

    def _see_height(self, height: int) -> None:
        if height > self.height:
            self.height, self.height_at = height, time.monotonic()
