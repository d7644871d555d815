"""The paper account's execution client for NautilusTrader: prices are the venue's, orders are carried out here.

Everything that happens is made durable, then true, then told, in that order. So a `kill -9` at any instant loses
nothing that was told, and what was durable but not told comes back at the next start in the reports a venue would give.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import LiveClock, MessageBus
from nautilus_trader.common.enums import ComponentState
from nautilus_trader.common.messages import ComponentStateChanged
from nautilus_trader.common.providers import InstrumentProvider
from nautilus_trader.config import LiveExecClientConfig
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.data.messages import SubscribeMarkPrices, SubscribeQuoteTicks
from nautilus_trader.execution.messages import (
    BatchCancelOrders,
    CancelAllOrders,
    CancelOrder,
    GenerateFillReports,
    GenerateOrderStatusReport,
    GenerateOrderStatusReports,
    GeneratePositionStatusReports,
    ModifyOrder,
    QueryAccount,
    SubmitOrder,
    SubmitOrderList,
)
from nautilus_trader.execution.reports import FillReport, OrderStatusReport, PositionStatusReport
from nautilus_trader.live.execution_client import LiveExecutionClient
from nautilus_trader.live.factories import LiveExecClientFactory
from nautilus_trader.model.data import MarkPriceUpdate, QuoteTick
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import AccountId, ClientId, InstrumentId, Venue
from nautilus_trader.model.orders import Order

from helios_pipeline.adapters.paper.account import PaperAccount, PaperAccountReader
from helios_pipeline.adapters.paper.desk import PaperDesk
from helios_pipeline.adapters.paper.funding import FundingDesk
from helios_pipeline.adapters.paper.orders import unsupported
from helios_pipeline.adapters.paper.reports import PaperReports, order_side
from helios_pipeline.adapters.paper.settlements import SettlementSource
from helios_pipeline.adapters.paper.telling import Telling, account_balance
from helios_pipeline.adapters.paper.terms import PaperTerms
from helios_pipeline.core.errors import JournalError
from helios_pipeline.core.venues import AccountHistory, RecordSink

_INSTRUMENTS_PAUSE_SECONDS = 0.05
_PAUSES_UNTIL_SAID = 200
_EXPIRY_PAUSE_SECONDS = 1.0


class PaperParts(NamedTuple):
    """What a node and a reconciler need of a paper account."""

    config: LiveExecClientConfig
    factory: type[LiveExecClientFactory]
    reader: PaperAccountReader


def paper_execution_client(
    terms: PaperTerms, source: SettlementSource, sink: RecordSink, history: AccountHistory
) -> PaperParts:
    """A paper account as its journal describes it, or a new one, and the client that trades it.

    Args:
        terms: of the account.
        source: funding that the venue published.
        sink: where everything that happens is made durable first.
        history: what the journal knows; none for a new account.
    """
    account = PaperAccount(terms, sink, history)

    class PaperExecClientFactory(LiveExecClientFactory):
        """Makes the one client of this account."""

        @staticmethod
        def create(
            loop: asyncio.AbstractEventLoop,
            name: str,
            config: LiveExecClientConfig,
            msgbus: MessageBus,
            cache: Cache,
            clock: LiveClock,
        ) -> PaperExecutionClient:
            """As NautilusTrader's node asks for it."""
            del name, config  # the account's issuer is the client's name, whatever the node calls it
            return PaperExecutionClient(loop, account, source, msgbus=msgbus, cache=cache, clock=clock)

    return PaperParts(LiveExecClientConfig(), PaperExecClientFactory, PaperAccountReader(account))


class PaperExecutionClient(LiveExecutionClient):
    """Trades one paper account; it hears quotes and marks of what it trades once the trader runs."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        account: PaperAccount,
        source: SettlementSource,
        *,
        msgbus: MessageBus,
        cache: Cache,
        clock: LiveClock,
    ) -> None:
        super().__init__(
            loop=loop,
            client_id=ClientId(account.terms.venue),
            venue=Venue(account.terms.venue),
            oms_type=OmsType.NETTING,
            account_type=AccountType.MARGIN,
            base_currency=None,
            instrument_provider=InstrumentProvider(),
            msgbus=msgbus,
            cache=cache,
            clock=clock,
        )
        self._paper = account
        telling = Telling(self, cache, account.terms.currency)
        self._desk = PaperDesk(account, cache, clock, telling.tell, self._tell_account)
        self._reports = PaperReports(account.state, account.terms.currency, cache)
        self._funding = FundingDesk(account, source, self._desk.carry_out, self._log.warning)
        self._instruments = {each: InstrumentId.from_str(each) for each in account.terms.fees}
        self._is_broken = False

    async def _connect(self) -> None:
        await self._await_instruments()
        self._desk.open()
        self._set_account_id(AccountId(self._paper.terms.account))
        self._tell_account()
        await self._await_account_registered()
        self._listen()
        self.create_task(self._funding.run(self._desk.now), log_msg="book funding")
        self.create_task(self._expire_orders(), log_msg="expire orders")

    async def _disconnect(self) -> None:
        for topic, handler in self._topics():
            self._msgbus.unsubscribe(topic=topic, handler=handler)

    async def _await_instruments(self) -> None:
        """The data client of the same venue brings them; NautilusTrader's own time limit for connecting applies."""
        pauses = 0
        while missing := [name for name, each in self._instruments.items() if self._cache.instrument(each) is None]:
            await asyncio.sleep(_INSTRUMENTS_PAUSE_SECONDS)
            pauses += 1
            if pauses % _PAUSES_UNTIL_SAID == 0:
                self._log.error(f"instruments: expected {self.venue} to list {', '.join(missing)}, found nothing yet")

    # What is heard

    def _topics(self) -> Iterable[tuple[str, Callable[[Any], None]]]:
        yield "events.system.*", self._on_component
        for each in self._instruments.values():
            yield f"data.quotes.{each.venue}.{each.symbol}", self._on_price
            yield f"data.mark_prices.{each.venue}.{each.symbol}", self._on_price

    def _listen(self) -> None:
        for topic, handler in self._topics():
            self._msgbus.subscribe(topic=topic, handler=handler)

    def _on_component(self, event: ComponentStateChanged) -> None:
        """Ask for prices once the trader runs: data clients that are still connecting would take it and forget it."""
        if event.component_type != "Trader" or event.state != ComponentState.RUNNING:
            return
        for each in self._instruments.values():
            for kind in (SubscribeQuoteTicks, SubscribeMarkPrices):
                command = kind(each, None, each.venue, UUID4(), self._clock.timestamp_ns())
                self._msgbus.send(endpoint="DataEngine.execute", msg=command)

    def _on_price(self, price: QuoteTick | MarkPriceUpdate) -> None:
        """Let what waits for a price act on it; most prices find nothing that does."""
        instrument_id = price.instrument_id
        if self._is_broken or not self._paper.state.has_open(instrument_id.value):
            return
        try:
            self._desk.match(instrument_id)
        except JournalError as error:
            self._break(error)

    async def _expire_orders(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRY_PAUSE_SECONDS)
            for each in self._instruments:
                self._desk.expire(each)

    def _tell_account(self) -> None:
        balance = account_balance(self._paper.state, self._paper.terms.currency)
        self.generate_account_state([balance], [], True, self._clock.timestamp_ns())

    def _break(self, error: JournalError) -> None:
        """Without a journal nothing may happen any more; orders stay as they are."""
        self._is_broken = True
        self._log.error(f"paper account stopped: {error}")

    # What is asked for

    async def _submit_order(self, command: SubmitOrder) -> None:
        self._submit(command.order)

    async def _submit_order_list(self, command: SubmitOrderList) -> None:
        for order in command.order_list.orders:
            self._submit(order)

    def _submit(self, order: Order) -> None:
        refusal = unsupported(order)
        try:
            if not refusal:
                self._desk.take_in(order)
        except JournalError as error:
            self._break(error)
            refusal = str(error)
        if refusal:
            now = self._clock.timestamp_ns()
            self.generate_order_rejected(order.strategy_id, order.instrument_id, order.client_order_id, refusal, now)

    async def _modify_order(self, command: ModifyOrder) -> None:
        self.generate_order_modify_rejected(
            command.strategy_id,
            command.instrument_id,
            command.client_order_id,
            command.venue_order_id,
            "orders are not modified: cancel it and send another one",
            self._clock.timestamp_ns(),
        )

    async def _cancel_order(self, command: CancelOrder) -> None:
        if not self._desk.cancel(command.client_order_id.value):
            self.generate_order_cancel_rejected(
                command.strategy_id,
                command.instrument_id,
                command.client_order_id,
                command.venue_order_id,
                "expected an open order, found none with this id",
                self._clock.timestamp_ns(),
            )

    async def _cancel_all_orders(self, command: CancelAllOrders) -> None:
        for order in self._paper.state.open_orders(command.instrument_id.value):
            if command.order_side in (OrderSide.NO_ORDER_SIDE, order_side(order.intent.side)):
                self._desk.cancel(order.intent.client_order_id)

    async def _batch_cancel_orders(self, command: BatchCancelOrders) -> None:
        for each in command.cancels:
            await self._cancel_order(each)

    async def _query_account(self, command: QueryAccount) -> None:
        del command
        self._tell_account()

    # What is reported

    async def generate_order_status_report(self, command: GenerateOrderStatusReport) -> OrderStatusReport | None:
        """One order that is asked for by either of its ids; None if there is none."""
        wanted = command.client_order_id or self._cache.client_order_id(command.venue_order_id)
        order = self._paper.state.orders.get(wanted.value) if wanted is not None else None
        if order is None or order.accepted_at is None:
            return None
        return self._reports.order(self.account_id, order, self._clock.timestamp_ns())

    async def generate_order_status_reports(self, command: GenerateOrderStatusReports) -> list[OrderStatusReport]:
        """Orders that are open, and those that made the positions there are."""
        reports = self._reports.orders(self.account_id, self._asked(command), self._clock.timestamp_ns())
        return [each for each in reports if each.is_open or not command.open_only]

    async def generate_fill_reports(self, command: GenerateFillReports) -> list[FillReport]:
        """Fills that made the positions there are."""
        return self._reports.fills(self.account_id, self._asked(command), self._clock.timestamp_ns())

    async def generate_position_status_reports(
        self, command: GeneratePositionStatusReports
    ) -> list[PositionStatusReport]:
        """Positions that are not flat."""
        reports = self._reports.positions(self.account_id, self._clock.timestamp_ns())
        return [each for each in reports if command.instrument_id in (None, each.instrument_id)]

    def _asked(self, command: GenerateOrderStatusReports | GenerateFillReports) -> Iterable[str]:
        return self._instruments if command.instrument_id is None else (command.instrument_id.value,)
