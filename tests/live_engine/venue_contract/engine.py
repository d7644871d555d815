"""The least engine that trades a venue: the journal, the registry's parts, the hooks with a wide gate, and a strategy
that does what the test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from nautilus_trader.config import LiveExecEngineConfig, LoggingConfig, StrategyConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.enums import OrderSide, TriggerType
from nautilus_trader.model.events import OrderEvent, OrderFilled, OrderInitialized
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId, TraderId
from nautilus_trader.model.objects import Currency, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

from helios_pipeline.core.status import StreamStatus
from helios_pipeline.core.trading import CLOSED, AccountSnapshot, ModeChange
from helios_pipeline.core.venues import RecordSink
from helios_pipeline.live_settings import RiskGateSection
from live_engine.gate import GateSources, RiskGate
from live_engine.hooks import HookParts, install_hooks
from live_engine.journal import Journal
from live_engine.venues import VenueParts, account_id, venue_parts
from tests.live_engine.venue_contract.case import VenueCase

SECONDS = 40.0
LOOK_SECONDS = 0.02
"""In which whatever a test waits for has come."""

ENDS = ("OrderFilled", "OrderCanceled", "OrderRejected", "OrderExpired", "OrderDenied")


class Told(NamedTuple):
    """An event as the strategy heard it, and what the journal knew at that moment."""

    event: OrderEvent
    journalled: bool


class Trader(Strategy):
    """Does what the test says, and notes what it is told."""

    def __init__(self, instrument_id: str, journal: Journal) -> None:
        self.iid = InstrumentId.from_str(instrument_id)
        super().__init__(
            StrategyConfig(strategy_id="CONTRACT-001", order_id_tag="001", external_order_claims=[self.iid])
        )
        self.journal = journal
        self.told: list[Told] = []
        self.found: dict[str, object] = {}

    def on_start(self) -> None:
        self.found = {"orders": open_orders(self.cache), "quantity": net_quantity(self.cache, self.iid)}
        self.subscribe_quote_ticks(self.iid)
        self.subscribe_mark_prices(self.iid)

    def on_event(self, event: object) -> None:
        if isinstance(event, OrderEvent):
            self.told.append(Told(event, self._is_journalled(event)))

    def _is_journalled(self, event: OrderEvent) -> bool:
        """Whether the journal knew it when we were told; that we made an order is ours alone until it is sent."""
        books = self.journal.books
        if isinstance(event, OrderFilled):
            return any(fill.venue_fill_id == event.trade_id.value for fill in books.history().fills)
        return isinstance(event, OrderInitialized) or event.client_order_id.value in books.orders

    def of(self, client_order_id: str) -> list[str]:
        """Kinds of the events of an order, in the order in which they were told."""
        return [type(t.event).__name__ for t in self.told if t.event.client_order_id.value == client_order_id]

    def market(self, side: int, quantity: Decimal, *, reduce_only: bool = False) -> str:
        order = self.order_factory.market(
            self.iid, word(side), self.exact(quantity), reduce_only=reduce_only, client_order_id=self.next_id()
        )
        self.submit_order(order)
        return str(order.client_order_id.value)

    def protect(self, side: int, quantity: Decimal, trigger: Decimal) -> str:
        decimals = self.cache.instrument(self.iid).price_precision
        order = self.order_factory.stop_market(
            self.iid,
            word(side),
            self.exact(quantity),
            Price.from_str(f"{trigger:.{decimals}f}"),
            trigger_type=TriggerType.MARK_PRICE,
            reduce_only=True,
            client_order_id=self.next_id(),
        )
        self.submit_order(order)
        return str(order.client_order_id.value)

    def cancel(self, client_order_id: str) -> None:
        self.cancel_order(self.cache.order(ClientOrderId(client_order_id)))

    def exact(self, quantity: Decimal) -> Quantity:
        return Quantity.from_str(f"{quantity:.{self.cache.instrument(self.iid).size_precision}f}")

    def next_id(self) -> ClientOrderId:
        return ClientOrderId(str(self.journal.next_client_order_id()))

    @property
    def mark(self) -> Decimal:
        return Decimal(str(self.cache.mark_price(self.iid).value))


def word(side: int) -> OrderSide:
    return OrderSide.BUY if side > 0 else OrderSide.SELL


def open_orders(cache) -> dict[str, str]:
    """Client order id → status of what NautilusTrader thinks is open."""
    return {order.client_order_id.value: order.status_string() for order in cache.orders_open()}


def net_quantity(cache, instrument_id: InstrumentId) -> Decimal:
    return sum((p.signed_decimal_qty() for p in cache.positions_open(instrument_id=instrument_id)), Decimal(0))


@dataclass
class Engine:
    """A running node on a venue, with its journal."""

    case: VenueCase
    journal: Journal
    parts: VenueParts
    node: TradingNode
    trader: Trader
    since: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def until(self, holds: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
        """Wait until something holds; says what was told if it never does.

        Looks are counted, not seconds: a machine that stood still for a while has not been looked at.
        """
        for _ in range(round(seconds / LOOK_SECONDS)):
            if holds():
                return
            await asyncio.sleep(LOOK_SECONDS)
        told = [f"{type(t.event).__name__} {t.event.client_order_id}" for t in self.trader.told]
        raise AssertionError(f"{what}: not within {seconds:.0f} s; told {told}; books {self.line}")

    @property
    def line(self) -> str:
        books = self.journal.books
        orders = {name: (line.state, str(line.filled)) for name, line in books.orders.items()}
        history = books.history()
        moved = [(f.venue_fill_id, str(f.price), str(f.fee)) for f in history.fills]
        paid = [(f"{f.settled_at:%H:%M:%S}", str(f.amount)) for f in history.funding]
        return (
            f"balance {books.quote_balance} (NautilusTrader {self.nautilus_cash()}), positions {books.positions}, "
            f"fills {moved}, funding {paid}, orders {orders}"
        )

    def has_ended(self, client_order_id: str) -> bool:
        """Whether its end is journalled and told: the one comes before the other."""
        line, told = self.journal.books.orders.get(client_order_id), self.trader.of(client_order_id)
        return line is not None and line.state in CLOSED and bool(told) and told[-1] in ENDS

    def quantity(self) -> Decimal:
        return self.journal.books.quantity(self.case.instrument_id)

    def nautilus_cash(self) -> Decimal | None:
        """What NautilusTrader was told of the account, None if nothing; equal to its cash while it is flat."""
        account = self.node.cache.account_for_venue(self.trader.iid.venue)
        total = account and account.balance_total(Currency.from_str(self.parts.currency))
        return total.as_decimal() if total is not None else None

    async def read(self):
        """The account by its reader; it blocks, so it is asked in a thread."""
        opening = next(t for t in self.journal.history().transfers if t.transfer_id == "opening")
        return await asyncio.to_thread(self.parts.reader.read, opening.transferred_at)


def wide_gate(case: VenueCase, journal: Journal, node_of: Callable[[], TradingNode]) -> RiskGate:
    """The engine's own gate, with limits that no order here meets: the venue is what is tried."""
    limits = RiskGateSection(
        max_order_notional_quote=10**9,
        max_leverage=1_000,
        max_gross_notional_quote=10**9,
        max_market_notional_quote=10**9,
        max_orders_per_minute=10_000,
        price_band_bps=9_000,
        max_daily_loss_fraction=Decimal("0.99"),
        max_consecutive_losses=1_000,
        stale_trades_seconds=60,
        stale_klines_seconds=60,
        stale_quotes_seconds=60,
        stale_mark_seconds=60,
        stale_block_seconds=60,
        max_clock_skew_ms=60_000,
        max_copy_lag_seconds=3_600,
    )
    mode = ModeChange(account=journal.account, mode="ACTIVE", who="test", why="", changed_at=datetime.now(UTC))
    signal, traded = case.choice().instruments[0].signal, case.instrument_id
    names = (("trades", signal), ("klines", signal), ("quotes", traded), ("mark", traded))
    streams = tuple(
        StreamStatus(stream=stream, instrument_id=whose, age_seconds=0.0, limit_seconds=None) for stream, whose in names
    )

    def marks():
        mark = node_of().cache.mark_price(InstrumentId.from_str(traded))
        return {} if mark is None else {traded: Decimal(str(mark.value))}

    class Agreed:
        agreed_at = datetime.now(UTC)
        differences = ()

    return RiskGate(
        limits,
        GateSources(
            books=journal.books,
            signals={traded: signal},
            mode=lambda: mode,
            marks=marks,
            streams=lambda: streams,
            clock_skew_ms=lambda: 0.0,
            copy_lag_seconds=lambda: 0.0,
            agreement=Agreed(),
            others=lambda: (),
        ),
    )


@asynccontextmanager
async def running(
    case: VenueCase, folder: Path, loop, wrap: Callable[[Journal], RecordSink] | None = None
) -> AsyncIterator[Engine]:
    """An engine that trades, until the end of the block; the node is left for `dispose`."""
    choice = case.choice()
    account = account_id(choice, case.environment)
    journal = Journal.open(folder, account)
    sink = wrap(journal) if wrap is not None else journal
    parts = venue_parts(choice, case.environment, sink, journal.history())
    node = TradingNode(config=_node_config(parts), loop=loop)
    trader = Trader(case.instrument_id, journal)
    node.trader.add_strategy(trader)
    node.add_data_client_factory(parts.data.name, parts.data.factory)
    node.add_exec_client_factory(parts.execution.name, parts.execution.factory)
    node.build()
    plan = getattr(getattr(parts.execution.factory, "client", None), "plan", None)
    gate = wide_gate(case, journal, lambda: node)
    said: list[str] = []
    install_hooks(
        node, HookParts(account=account, sink=sink, books=journal.books, gate=gate, plan=plan, page=said.append)
    )
    engine = Engine(case=case, journal=journal, parts=parts, node=node, trader=trader)
    run = asyncio.create_task(node.run_async())
    try:
        await engine.until(lambda: node.trader.is_running, "the trader runs", 60.0)
        await engine.until(
            lambda: node.cache.quote_tick(trader.iid) is not None and node.cache.mark_price(trader.iid) is not None,
            "quote and mark of what is traded",
        )
        balance = journal.books.quote_balance
        journal.append(
            AccountSnapshot(account=account, quote_balance=balance, equity=balance, taken_at=datetime.now(UTC))
        )
        yield engine
    finally:
        await node.stop_async()
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        journal.close()


def _node_config(parts: VenueParts) -> TradingNodeConfig:
    return TradingNodeConfig(
        trader_id=TraderId("HELIOS-001"),
        logging=LoggingConfig(log_level="ERROR", log_colors=False),
        exec_engine=LiveExecEngineConfig(
            reconciliation=True,
            inflight_check_interval_ms=0,
            open_check_interval_secs=None,
            position_check_interval_secs=None,
        ),
        data_clients={parts.data.name: parts.data.config},
        exec_clients={parts.execution.name: parts.execution.config},
        timeout_connection=40,
        timeout_reconciliation=20,
        timeout_disconnection=3,
        timeout_post_stop=0.2,
        timeout_shutdown=1,
    )


def in_own_loop(scenario: Callable[[asyncio.AbstractEventLoop], object]) -> object:
    """Run a scenario whose nodes belong to one loop, and leave nothing of them behind."""
    forget_cached_clients()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(scenario(loop))
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        asyncio.set_event_loop(None)


def forget_cached_clients() -> None:
    """NautilusTrader's factories keep one client for good: the next node would be given the last one's."""
    from nautilus_trader.adapters.binance import factories as binance
    from nautilus_trader.adapters.dydx import factories as dydx

    binance.get_cached_binance_http_client.cache_clear()
    binance.get_cached_binance_futures_instrument_provider.cache_clear()
    dydx.get_cached_dydx_http_client.cache_clear()
    dydx.get_cached_dydx_instrument_provider.cache_clear()
