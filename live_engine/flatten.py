"""Cancels every order and closes every position of a running engine's account, and halts it.

The request is durable before anything is done, so it is gone on with until nothing is left, by whatever engine runs.
Each round cancels what rests, closes what is held with orders that only reduce, and waits for both; then the venue is
asked.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.trading.strategy import Strategy

from helios_pipeline.execution.books import Books
from helios_pipeline.strategy.holding import SentOrder
from helios_pipeline.strategy.order_tags import write_tags
from live_engine.journal import Journal
from live_engine.kill_switch import KillSwitch
from live_engine.nautilus_account import cancel_command
from live_engine.reconciler import Reconciler

log = logging.getLogger(__name__)

ROUNDS = 10
ROUND_SECONDS = 15.0
LOOK_SECONDS = 0.05
PAUSE_SECONDS = 1.0
"""Between rounds: a venue that refuses is not asked faster."""

AGAIN_SECONDS = 30.0
"""After one that left something, before it is tried again; meanwhile a person may withdraw it."""


class Flattener:
    """Flattens one account, for the event loop that the node runs on.

    Args:
        node: that runs.
        strategy: in whose name closing orders are sent.
        journal: of the account.
        kill_switch: halted first.
        reconciler: asks the venue at the end.
    """

    def __init__(
        self,
        node: TradingNode,
        strategy: Strategy,
        journal: Journal,
        kill_switch: KillSwitch,
        reconciler: Reconciler,
    ) -> None:
        self._node = node
        self._strategy = strategy
        self._journal = journal
        self._kill_switch = kill_switch
        self._reconciler = reconciler
        self._busy = asyncio.Lock()

    @property
    def busy(self) -> bool:
        """Whether it is under way."""
        return self._busy.locked()

    async def flatten(self, who: str, why: str, say: Callable[[str], None]) -> bool:
        """Halt, cancel, close, and ask the venue; whether nothing is left. What is left stays requested.

        Args:
            who: asked.
            why: they asked.
            say: takes a line about each step.

        Raises:
            EngineError: the request can't be made durable; nothing was done.
        """
        async with self._busy:
            await asyncio.to_thread(self._kill_switch.request_flatten, who, why)
            say("HALTED. Orders are cancelled and positions closed.")
            for number in range(1, ROUNDS + 1):
                self._cancel_all()
                closing = self._close_all(why, say)
                await self._settled(closing)
                if _flat(self._journal.books) and await self._venue_agrees(say):
                    self._kill_switch.flattened()
                    say("Flat: no position and no order is left, the venue says so too.")
                    return True
                say(f"round {number} of {ROUNDS}: {_left(self._journal.books)}")
                await asyncio.sleep(PAUSE_SECONDS)
        say("NOT flat. It stays requested: the engine tries again soon, until it is flat or somebody resumes.")
        return False

    async def when_asked(self, say: Callable[[str], None], page: Callable[[str], None]) -> None:
        """Flatten if that is requested and not under way: what was left, or what somebody wrote while nobody heard.

        Args:
            say: takes a line about each step.
            page: takes a line when something is left.
        """
        request = self._kill_switch.flatten_request
        if request is None or self.busy:
            return
        try:
            if await self.flatten(request.who, request.why, say):
                return
            page("flattening was requested and has not left the account flat; it is tried again")
        except Exception as error:
            log.exception("flattening_failed")
            page(f"flattening was requested and failed; it is tried again: {error}")
        await asyncio.sleep(AGAIN_SECONDS)

    @asynccontextmanager
    async def kept_off(self) -> AsyncIterator[None]:
        """None begins inside the block."""
        async with self._busy:
            yield

    def _cancel_all(self) -> None:
        kernel = self._node.kernel
        for order in kernel.cache.orders_open():
            kernel.msgbus.send("ExecEngine.execute", cancel_command(order, kernel.clock.timestamp_ns()))

    def _close_all(self, why: str, say: Callable[[str], None]) -> tuple[str, ...]:
        """Send a closing order for each position; their client order ids."""
        tags = write_tags(SentOrder("flatten", why, 0, float("nan")))
        sent = []
        for instrument_id, position in self._journal.books.positions.items():
            instrument = self._node.kernel.cache.instrument(InstrumentId.from_str(instrument_id))
            if instrument is None:
                say(f"{instrument_id} is held and not known here: close it by hand")
                continue
            number = str(self._journal.next_client_order_id())
            say(f"closing {position.quantity:+f} {instrument_id} with order {number}")
            self._strategy.submit_order(
                self._strategy.order_factory.market(
                    instrument.id,
                    OrderSide.SELL if position.quantity > 0 else OrderSide.BUY,
                    instrument.make_qty(abs(position.quantity)),
                    reduce_only=True,
                    client_order_id=ClientOrderId(number),
                    tags=tags,
                )
            )
            sent.append(number)
        return tuple(sent)

    async def _settled(self, closing: tuple[str, ...]) -> None:
        """Wait until nothing is held and nothing rests, or every closing order has ended, or a round's time is over."""
        books = self._journal.books
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                while not _flat(books):
                    if closing and all(_ended(books, each) for each in closing) and books.positions:
                        return
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            return

    async def _venue_agrees(self, say: Callable[[str], None]) -> bool:
        record = await self._reconciler.compare()
        if record is None or not record.agreed:
            say("the venue does not say the same yet" if record is not None else "the venue can't be asked")
        return record is not None and record.agreed and _flat(self._journal.books)


def _flat(books: Books) -> bool:
    return not (books.positions or books.open_orders() or books.unknown())


def _ended(books: Books, client_order_id: str) -> bool:
    line = books.orders.get(client_order_id)
    return line is not None and not line.open and not line.unknown


def _left(books: Books) -> str:
    held = [f"{position.quantity:+f} {each}" for each, position in books.positions.items() if position.quantity]
    orders = len(books.open_orders()) + len(books.unknown())
    return f"{', '.join(held) or 'no position'} and {orders} orders are left"
