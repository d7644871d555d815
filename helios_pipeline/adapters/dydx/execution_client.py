"""NautilusTrader's execution client for dYdX: its commands go to the order desk, what the venue says becomes events.

What an order has become is decided by `AccountFollower`, from what can't change any more; fills are in the journal
before their event.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from nautilus_trader.adapters.dydx.providers import DydxInstrumentProvider
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import LiveClock, MessageBus
from nautilus_trader.core.uuid import UUID4
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
from nautilus_trader.execution.reports import ExecutionMassStatus, FillReport, OrderStatusReport, PositionStatusReport
from nautilus_trader.live.execution_client import LiveExecutionClient
from nautilus_trader.model.enums import AccountType, ContingencyType, OmsType
from nautilus_trader.model.identifiers import AccountId, ClientId, Venue
from nautilus_trader.model.orders import Order

from helios_pipeline.adapters.dydx.account_ledger import AccountLedger
from helios_pipeline.adapters.dydx.follower import AccountFollower, FollowedAccount
from helios_pipeline.adapters.dydx.market import VENUE
from helios_pipeline.adapters.dydx.order_desk import OrderDesk
from helios_pipeline.adapters.dydx.reports import ReportWriter
from helios_pipeline.adapters.dydx.restored_orders import restore_working
from helios_pipeline.adapters.dydx.sender import TransactionSender
from helios_pipeline.adapters.dydx.start_reports import StartReports
from helios_pipeline.adapters.dydx.teller import EventTeller
from helios_pipeline.adapters.dydx.trading import Trading
from helios_pipeline.adapters.dydx.validator import Validator
from helios_pipeline.core.errors import HeliosError, UnreachableError, VenueError
from helios_pipeline.core.trading import VenueFill

_CONNECT_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeParts:
    """What a node gives every client."""

    loop: asyncio.AbstractEventLoop
    msgbus: MessageBus
    cache: Cache
    clock: LiveClock


class DydxExecutionClient(LiveExecutionClient):
    """See the module."""

    def __init__(self, name: str, node: NodeParts, provider: DydxInstrumentProvider, trading: Trading) -> None:
        super().__init__(
            loop=node.loop,
            client_id=ClientId(name),
            venue=Venue(VENUE),
            oms_type=OmsType.NETTING,
            account_type=AccountType.MARGIN,
            base_currency=None,
            instrument_provider=provider,
            msgbus=node.msgbus,
            cache=node.cache,
            clock=node.clock,
        )
        self._trading = trading
        self._ledger = AccountLedger.from_history(trading.history, trading.sink)
        self._teller = EventTeller(self, self._ledger, node.cache, node.clock)
        self._validator = Validator(trading.addresses, trading.key)
        account = FollowedAccount(addresses=trading.addresses, address=trading.key.address)
        self._follower = AccountFollower(account, self._ledger, self._teller, self._validator.height)
        self._desk = OrderDesk(
            trading=trading,
            ledger=self._ledger,
            follower=self._follower,
            teller=self._teller,
            sender=TransactionSender(self._validator, node.loop),
            cache=node.cache,
            clock=node.clock,
            planned={},
        )
        self._following: asyncio.Task[None] | None = None
        self._set_account_id(AccountId(trading.account))

    @property
    def height(self) -> int:
        """The chain's newest block that is known."""
        return self._follower.height

    @property
    def height_at(self) -> float:
        """When the newest block became known, monotonic seconds."""
        return self._follower.height_at

    @property
    def clock_skew_ms(self) -> float:
        """How far the venue's clock is ahead of ours."""
        return self._follower.clock_skew_ms

    @property
    def connections(self) -> int:
        """How often the stream connected."""
        return self._follower.stream.connections

    def plan(self, order: Order) -> int | None:
        """The last block that may include an order, for its intent: what is sent then keeps to it.

        Returns:
            None for an order that rests.
        """
        return self._desk.plan(order)

    def log_warning(self, text: str) -> None:
        """Log for a part of this client."""
        self._log.warning(text)

    def report_fills(self, fills: list[VenueFill]) -> None:
        """Tell fills whose orders NautilusTrader does not know: it makes the orders from the reports."""
        status = self._new_status()
        self._reports().add_strangers(status, fills)
        self._send_mass_status_report(status)

    async def generate_mass_status(self, lookback_mins: int | None = None) -> ExecutionMassStatus:
        """All that is in force, whatever the look-back: a position is as old as it is."""
        del lookback_mins
        status, reports = self._new_status(), self._reports()
        reports.add_all(status)
        self._teller.reported(reports.resting())
        return status

    async def generate_order_status_report(self, command: GenerateOrderStatusReport) -> OrderStatusReport | None:
        """An order that works or that a position is made of."""
        wanted = command.client_order_id, command.venue_order_id
        found = self._reports().orders()
        return next(
            (each for each in found if each.client_order_id == wanted[0] or each.venue_order_id == wanted[1]), None
        )

    async def generate_order_status_reports(self, command: GenerateOrderStatusReports) -> list[OrderStatusReport]:
        """Orders that work, and unless only open ones are wanted those that positions are made of."""
        found = self._reports().orders()
        return [each for each in found if _matches(each, command) and (each.is_open or not command.open_only)]

    async def generate_fill_reports(self, command: GenerateFillReports) -> list[FillReport]:
        """Fills that positions are made of."""
        return [each for each in self._reports().fills() if _matches(each, command)]

    async def generate_position_status_reports(
        self, command: GeneratePositionStatusReports
    ) -> list[PositionStatusReport]:
        """What is held."""
        return [each for each in self._reports().writer.positions() if _matches(each, command)]

    async def _connect(self) -> None:
        while True:
            try:
                await self._prepare()
                break
            except (UnreachableError, VenueError, ValueError) as error:
                self._log.warning(f"dYdX: expected to connect, found this; it is tried again. {error}")
                await asyncio.sleep(_CONNECT_AGAIN_SECONDS)
        self._following = self._loop.create_task(self._follow(), name="dYdX account")
        await self._await_account_registered()

    async def _prepare(self) -> None:
        """Learn everything that a first order needs; may be done again."""
        if not self._instrument_provider.get_all():
            await self._instrument_provider.load_all_async()
        for instrument in self._instrument_provider.get_all().values():
            self._cache.add_instrument(instrument)
        await self._desk.sender.connect()
        await self._follower.start()
        owner = self._trading.key.address, self._trading.addresses.subaccount
        for order in restore_working(self._ledger, self._follower.markets, owner, self._desk.last_block() + 1):
            self._follower.fates.working.setdefault(order.venue_order_id, order)
        await self._follower.find_foreign()
        await self._follower.catch_up(whole=True)

    async def _follow(self) -> None:
        try:
            await self._follower.run()
        except HeliosError as error:
            # The journal can't be written: nobody may be told what is not there.
            self._log.error(f"dYdX account is not followed any more. {error}")

    async def _disconnect(self) -> None:
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following
        self._follower.close()
        self._validator.close()

    async def _submit_order(self, command: SubmitOrder) -> None:
        await self._desk.submit(command.order)

    async def _submit_order_list(self, command: SubmitOrderList) -> None:
        for order in command.order_list.orders:
            if order.contingency_type in (None, ContingencyType.NO_CONTINGENCY):
                await self._desk.submit(order)
            else:
                self._teller.denied(order, "dYdX has no orders that depend on each other. Send them one by one.")

    async def _modify_order(self, command: ModifyOrder) -> None:
        self.generate_order_modify_rejected(
            command.strategy_id,
            command.instrument_id,
            command.client_order_id,
            command.venue_order_id,
            "dYdX changes no order: cancel it and place another",
            self._clock.timestamp_ns(),
        )

    async def _cancel_order(self, command: CancelOrder) -> None:
        order = self._cache.order(command.client_order_id)
        if order is not None:
            await self._desk.cancel(order)

    async def _cancel_all_orders(self, command: CancelAllOrders) -> None:
        wanted = {"instrument_id": command.instrument_id, "side": command.order_side}
        found = self._cache.orders_open(**wanted) + self._cache.orders_inflight(**wanted)
        unique = {order.client_order_id: order for order in found}
        await asyncio.gather(*(self._desk.cancel(order) for order in unique.values()))

    async def _batch_cancel_orders(self, command: BatchCancelOrders) -> None:
        await asyncio.gather(*(self._cancel_order(each) for each in command.cancels))

    async def _query_account(self, command: QueryAccount) -> None:
        del command
        self._follower.read_soon()

    def _new_status(self) -> ExecutionMassStatus:
        return ExecutionMassStatus(
            client_id=self.id,
            account_id=self.account_id,
            venue=self.venue,
            report_id=UUID4(),
            ts_init=self._clock.timestamp_ns(),
        )

    def _reports(self) -> StartReports:
        instruments = {each.id.value: each for each in self._cache.instruments(venue=self.venue)}
        writer = ReportWriter(self.account_id, instruments, self._ledger, self._clock.timestamp_ns())
        return StartReports(writer, self._ledger, self._follower.fates.working, self._follower.foreign)


def _matches(report: OrderStatusReport | FillReport | PositionStatusReport, command: object) -> bool:
    """Whether a report is of the instrument that was asked for, if one was."""
    wanted = getattr(command, "instrument_id", None)
    return wanted is None or report.instrument_id == wanted
