"""A node with an execution client of the tests' own, and the real journal, gate and hooks.

The client is the venue: it fills market orders at once at the best quote, keeps all others, and looks at each submit
whether the order's intent is on disk already.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from nautilus_trader.common.providers import InstrumentProvider
from nautilus_trader.config import (
    InstrumentProviderConfig,
    LiveExecClientConfig,
    LiveExecEngineConfig,
    LoggingConfig,
    StrategyConfig,
    TradingNodeConfig,
)
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.algorithm import ExecAlgorithm
from nautilus_trader.execution.config import ExecAlgorithmConfig
from nautilus_trader.execution.messages import SubmitOrder
from nautilus_trader.live.execution_client import LiveExecutionClient
from nautilus_trader.live.factories import LiveExecClientFactory
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.currencies import BTC, USD
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import AccountType, LiquiditySide, OmsType, OrderSide, OrderType
from nautilus_trader.model.identifiers import (
    AccountId,
    ClientId,
    ClientOrderId,
    ExecAlgorithmId,
    InstrumentId,
    Symbol,
    TradeId,
    Venue,
    VenueOrderId,
)
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import AccountBalance, Money, Price, Quantity
from nautilus_trader.model.orders import Order
from nautilus_trader.trading.strategy import Strategy

from helios_pipeline.core.status import StreamStatus
from helios_pipeline.core.trading import AccountSnapshot, Intent, ModeChange, Transfer, VenueFill
from helios_pipeline.core.venues import VenueAccount, VenuePosition
from live_engine.gate import GateSources, RiskGate
from live_engine.hooks import HookParts, Hooks, install_hooks
from live_engine.journal import Journal
from live_engine.segments import read_records
from tests.live_engine.test_risk_gate import LIMITS

ACCOUNT = "DYDX-paper"
IID = InstrumentId.from_str("BTC-USD-PERP.DYDX")
SIGNAL = "BTCUSDT-PERP.BINANCE"
SECONDS = 20.0
HALVES = ExecAlgorithmId("HALVES")
OPENED = datetime(2026, 1, 1, tzinfo=UTC)
CASH = Decimal(100_000)


def perpetual() -> CryptoPerpetual:
    return CryptoPerpetual(
        instrument_id=IID,
        raw_symbol=Symbol("BTC-USD"),
        base_currency=BTC,
        quote_currency=USD,
        settlement_currency=USD,
        is_inverse=False,
        price_precision=0,
        size_precision=4,
        price_increment=Price(1, 0),
        size_increment=Quantity.from_str("0.0001"),
        margin_init=Decimal("0.05"),
        margin_maint=Decimal("0.05"),
        maker_fee=Decimal(0),
        taker_fee=Decimal("0.0005"),
        ts_event=0,
        ts_init=0,
    )


@dataclass
class Place:
    """What the client is given and what it saw."""

    journal: Journal
    silent: bool = False
    submitted: list[str] = field(default_factory=list)
    on_disk: dict[str, bool] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    fills: int = 0
    told: list[VenueFill] = field(default_factory=list)
    refuse_fills: int = 0

    def would_reduce(self, order: Order) -> bool:
        """Whether an order makes the position smaller, as a venue holds one to it that is flagged so."""
        held = sum((fill.side * fill.quantity for fill in self.told), start=Decimal(0))
        closes = held if order.side == OrderSide.SELL else -held
        return closes >= order.quantity.as_decimal()

    def intents_on_disk(self) -> set[str]:
        """Ids of the orders whose intent another process would find."""
        return {each.client_order_id for _, each in read_records(self.journal.folder) if isinstance(each, Intent)}


class VenueClientConfig(LiveExecClientConfig, frozen=True):
    pass


class VenueClient(LiveExecutionClient):
    place: Place

    async def _connect(self) -> None:
        self._cache.add_instrument(perpetual())
        self._set_account_id(AccountId(ACCOUNT))
        cash = Money(CASH, USD)
        self.generate_account_state([AccountBalance(cash, Money(0, USD), cash)], [], True, self._clock.timestamp_ns())

    async def _disconnect(self) -> None:
        pass

    async def _submit_order(self, command) -> None:
        self._take(command.order)

    async def _submit_order_list(self, command) -> None:
        for order in command.order_list.orders:
            self._take(order)

    async def _modify_order(self, command) -> None:
        self.place.commands.append("modify")

    async def _cancel_order(self, command) -> None:
        order = self._cache.order(command.client_order_id)
        self._cancel(order)

    async def _cancel_all_orders(self, command) -> None:
        for order in self._cache.orders_open(instrument_id=command.instrument_id):
            self._cancel(order)

    def _cancel(self, order: Order) -> None:
        self.place.commands.append("cancel")
        self.generate_order_canceled(*self._named(order), self._clock.timestamp_ns())

    def _take(self, order: Order) -> None:
        number = order.client_order_id.value
        self.place.on_disk[number] = number in self.place.intents_on_disk()
        self.place.submitted.append(number)
        now = self._clock.timestamp_ns()
        self.generate_order_submitted(order.strategy_id, order.instrument_id, order.client_order_id, now)
        if self.place.silent:
            return
        self.generate_order_accepted(*self._named(order), now)
        if order.order_type != OrderType.MARKET:
            return
        turns_round = order.is_reduce_only and not self.place.would_reduce(order)
        if self.place.refuse_fills or turns_round:
            self.place.refuse_fills = max(0, self.place.refuse_fills - 1)
            self.generate_order_canceled(*self._named(order), now)
        else:
            self._fill(order, now)

    def _fill(self, order: Order, now: int) -> None:
        quote = self._cache.quote_tick(order.instrument_id)
        buys = order.side == OrderSide.BUY
        price = quote.ask_price if buys else quote.bid_price
        self.place.fills += 1
        trade_id = f"fill-{self.place.fills}"
        self.place.told.append(
            VenueFill(
                account=ACCOUNT,
                instrument_id=order.instrument_id.value,
                venue_fill_id=trade_id,
                venue_order_id=f"V-{order.client_order_id.value}",
                client_order_id=order.client_order_id.value,
                side=1 if buys else -1,
                quantity=order.quantity.as_decimal(),
                price=price.as_decimal(),
                fee=Decimal(1),
                liquidity="taker",
                filled_at=datetime.now(UTC),
            )
        )
        self.place.journal.append(self.place.told[-1])
        self.generate_order_filled(
            *self._named(order),
            None,
            TradeId(trade_id),
            order.side,
            order.order_type,
            order.quantity,
            price,
            USD,
            Money(1, USD),
            LiquiditySide.TAKER,
            now,
        )

    def _named(self, order: Order) -> tuple:
        venue_order_id = VenueOrderId(f"V-{order.client_order_id.value}")
        return order.strategy_id, order.instrument_id, order.client_order_id, venue_order_id


class PlaceReader:
    """Reads the account from what the client filled, not from the journal; resting orders are the node's."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def read(self, since: datetime | None) -> VenueAccount:
        cash, held = CASH, Decimal(0)
        for fill in self._place.told:
            cash -= fill.side * fill.quantity * fill.price + fill.fee
            held += fill.side * fill.quantity
        position = {IID.value: VenuePosition(quantity=held, entry_price=Decimal(60_000))} if held else {}
        return VenueAccount(
            account=ACCOUNT,
            read_at=datetime.now(UTC),
            height=None,
            quote_balance=cash,
            positions=position,
            open_orders=(),
            fills=tuple(self._place.told),
            funding=(),
            transfers=(),
        )


def factory_of(place: Place) -> type[LiveExecClientFactory]:
    class Factory(LiveExecClientFactory):
        @staticmethod
        def create(loop, name, config, msgbus, cache, clock):
            client = VenueClient(
                loop=loop,
                client_id=ClientId(name),
                venue=Venue("DYDX"),
                oms_type=OmsType.NETTING,
                account_type=AccountType.MARGIN,
                base_currency=None,
                instrument_provider=InstrumentProvider(InstrumentProviderConfig()),
                msgbus=msgbus,
                cache=cache,
                clock=clock,
            )
            client.place = place
            return client

    return Factory


class Halves(ExecAlgorithm):
    """Sends an order as two."""

    def on_order(self, order: Order) -> None:
        half = self.cache.instrument(order.instrument_id).make_qty(order.quantity.as_double() / 2)
        self.submit_order(self.spawn_market(order, half, reduce_only=order.is_reduce_only, tags=order.tags))
        self.submit_order(order)


class Trader(Strategy):
    """Sends what a test asks for."""

    def __init__(self) -> None:
        super().__init__(StrategyConfig(strategy_id="TESTER", order_id_tag="001"))
        self.denied: dict[str, str] = {}
        self.events: list[str] = []

    def on_order_event(self, event) -> None:
        self.events.append(f"{event.client_order_id.value} {type(event).__name__}")
        if type(event).__name__ == "OrderDenied":
            self.denied[event.client_order_id.value] = event.reason

    def market(self, number: int, side: OrderSide, quantity: str, **options) -> Order:
        return self.order_factory.market(
            IID, side, Quantity.from_str(quantity), client_order_id=ClientOrderId(str(number)), **options
        )


@dataclass
class Agreed:
    """A comparison that agrees until a test says otherwise."""

    agreed_at: datetime | None = OPENED
    differences: tuple[str, ...] = ()


@dataclass
class LocalNode:
    """A running node, and what a test moves in it."""

    node: TradingNode
    trader: Trader
    place: Place
    journal: Journal
    gate: RiskGate
    hooks: Hooks
    agreed: Agreed
    state: dict[str, ModeChange]
    pages: list[str]

    def set_mode(self, mode: str) -> None:
        self.state["mode"] = mode_change(mode)

    def quote(self, bid: int, ask: int) -> None:
        now, size = self.node.kernel.clock.timestamp_ns(), Quantity.from_str("10.0000")
        self.node.kernel.data_engine.process(QuoteTick(IID, Price(bid, 0), Price(ask, 0), size, size, now, now))

    def send(self, order: Order) -> None:
        """A submit command straight to the execution engine's endpoint."""
        command = SubmitOrder(
            trader_id=self.trader.trader_id,
            strategy_id=self.trader.id,
            order=order,
            command_id=UUID4(),
            ts_init=self.node.kernel.clock.timestamp_ns(),
        )
        self.node.kernel.msgbus.send("ExecEngine.execute", command)

    async def until(self, holds) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                while not holds():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"not within {SECONDS:.0f} s; {self.trader.events}, {self.trader.denied}") from None

    async def enter(self, number: int = 1, quantity: str = "0.1000") -> None:
        """Have a long position."""
        self.trader.submit_order(self.trader.market(number, OrderSide.BUY, quantity, tags=["purpose=entry"]))
        await self.until(lambda: self.node.kernel.cache.positions_open())


def mode_change(mode: str) -> ModeChange:
    return ModeChange(account=ACCOUNT, mode=mode, who="ops", why="drill", changed_at=OPENED)


def streams() -> tuple[StreamStatus, ...]:
    heard = (("trades", SIGNAL), ("klines", SIGNAL), ("quotes", IID.value), ("mark", IID.value))
    return tuple(
        StreamStatus(stream=name, instrument_id=whose, age_seconds=0.5, limit_seconds=30.0) for name, whose in heard
    )


def opened_journal(folder: Path) -> Journal:
    """A journal of an account with some cash."""
    journal = Journal.open(folder, ACCOUNT)
    journal.append(
        Transfer(account=ACCOUNT, transfer_id="opening", amount=CASH, reason="opening", transferred_at=OPENED)
    )
    journal.append(AccountSnapshot(account=ACCOUNT, quote_balance=CASH, equity=CASH, taken_at=datetime.now(UTC)))
    return journal


@contextmanager
def local_node(folder: Path, loop: asyncio.AbstractEventLoop, mark: int = 60_000) -> Iterator[LocalNode]:
    """A node that is built and hooked; run it with `started`."""
    journal = opened_journal(folder)
    place, trader, agreed = Place(journal), Trader(), Agreed()
    state, pages = {"mode": mode_change("ACTIVE")}, []
    config = TradingNodeConfig(
        trader_id="HELIOS-001",
        logging=LoggingConfig(log_level="OFF", log_colors=False),
        exec_engine=LiveExecEngineConfig(reconciliation=False, inflight_check_interval_ms=0),
        exec_clients={"DYDX": VenueClientConfig()},
        timeout_connection=10,
        timeout_disconnection=3,
        timeout_post_stop=0.1,
        timeout_shutdown=1,
    )
    node = TradingNode(config=config, loop=loop)
    node.add_exec_client_factory("DYDX", factory_of(place))
    node.trader.add_strategy(trader)
    node.trader.add_exec_algorithm(Halves(ExecAlgorithmConfig(exec_algorithm_id=HALVES)))
    node.build()
    sources = GateSources(
        books=journal.books,
        signals={IID.value: SIGNAL},
        mode=lambda: state["mode"],
        marks=lambda: {IID.value: Decimal(mark)},
        streams=streams,
        clock_skew_ms=lambda: 1.0,
        copy_lag_seconds=lambda: 0.0,
        agreement=agreed,
        others=lambda: (),
    )
    gate = RiskGate(LIMITS, sources)
    parts = HookParts(
        account=ACCOUNT, sink=journal, books=journal.books, gate=gate, plan=lambda _: 1_234, page=pages.append
    )
    hooks = install_hooks(node, parts)
    try:
        yield LocalNode(node, trader, place, journal, gate, hooks, agreed, state, pages)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        node.dispose()
        journal.close()


def run_in_node(folder: Path, scenario) -> LocalNode:
    """Run a coroutine of a running node; returns the stopped node."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        with local_node(folder, loop) as local:

            async def run() -> None:
                running = asyncio.create_task(local.node.run_async())
                await local.until(lambda: local.node.trader.is_running)
                local.quote(60_000, 60_002)
                await local.until(lambda: local.node.kernel.cache.quote_tick(IID) is not None)
                try:
                    await scenario(local)
                finally:
                    await local.node.stop_async()
                    running.cancel()
                    await asyncio.gather(running, return_exceptions=True)

            loop.run_until_complete(run())
            return local
    finally:
        asyncio.set_event_loop(None)
