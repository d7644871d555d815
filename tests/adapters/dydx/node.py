"""A NautilusTrader node that trades at a dYdX, driven by a test step by step."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal

from nautilus_trader.config import LiveExecEngineConfig, LoggingConfig, StrategyConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.enums import OrderSide, TriggerType
from nautilus_trader.model.events import (
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderRejected,
    OrderSubmitted,
)
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId, TraderId
from nautilus_trader.trading.strategy import Strategy

from helios_pipeline.adapters.dydx.data import dydx_data_client
from helios_pipeline.adapters.dydx.execution import dydx_execution_client
from helios_pipeline.core.trading import Intent, OrderEvent
from helios_pipeline.core.venues import venue_client_id

STATES = {
    OrderDenied: "denied",
    OrderSubmitted: "submitted",
    OrderAccepted: "accepted",
    OrderRejected: "rejected",
    OrderCanceled: "canceled",
}
BTC = InstrumentId.from_str("BTC-USD-PERP.DYDX")
ETH = InstrumentId.from_str("ETH-USD-PERP.DYDX")
BUY, SELL = OrderSide.BUY, OrderSide.SELL
WAIT_SECONDS = 25.0


class Trader(Strategy):
    """Does what the test says, and keeps its orders' intents as the engine does."""

    def __init__(self, journal, quotes):
        super().__init__(StrategyConfig(strategy_id="HELIOS-001", external_order_claims=[BTC, ETH]))
        self.journal, self.quotes = journal, quotes
        self.exec_client = None

    def on_start(self):
        if self.quotes:
            self.subscribe_quote_ticks(BTC)

    def on_order_event(self, event):
        """As the engine does, but for fills: what becomes of orders is journalled."""
        state = STATES.get(type(event))
        if state is not None:
            self.journal.append(
                OrderEvent(
                    account=self.journal.account,
                    client_order_id=event.client_order_id.value,
                    state=state,
                    venue_order_id=event.venue_order_id.value if event.venue_order_id else None,
                    reason=str(getattr(event, "reason", None) or ""),
                    occurred_at=datetime.now(UTC),
                )
            )

    def send(self, order):
        """As the engine does: the intent first, then the order."""
        self.intend(order)
        self.submit_order(order)
        return order

    def intend(self, order):
        kinds = {"MARKET": "market", "LIMIT": "limit", "STOP_MARKET": "stop_market"}
        intent = Intent(
            account=self.journal.account,
            instrument_id=order.instrument_id.value,
            client_order_id=order.client_order_id.value,
            venue_client_id=venue_client_id(order.client_order_id.value),
            side=1 if order.side == OrderSide.BUY else -1,
            kind=kinds[order.type_string()],
            quantity=order.quantity.as_decimal(),
            limit_price=order.price.as_decimal() if order.has_price else None,
            trigger_price=order.trigger_price.as_decimal() if order.has_trigger_price else None,
            reduce_only=order.is_reduce_only,
            purpose="other",
            reason="",
            boundary=None,
            atr=None,
            good_til_block=self.exec_client.plan(order),
            intended_at=datetime.now(UTC),
        )
        self.journal.append(intent)

    def market(self, side, size, instrument_id=BTC, **values):
        values.setdefault("client_order_id", self.new_id())
        return self.send(self.order_factory.market(instrument_id, side, self.quantity(size, instrument_id), **values))

    def limit(self, side, size, price, instrument_id=BTC, **values):
        made = self.cache.instrument(instrument_id).make_price(price)
        values.setdefault("client_order_id", self.new_id())
        return self.send(
            self.order_factory.limit(instrument_id, side, self.quantity(size, instrument_id), made, **values)
        )

    def protect(self, side, size, trigger, instrument_id=BTC):
        return self.send(
            self.order_factory.stop_market(
                instrument_id,
                side,
                self.quantity(size, instrument_id),
                self.cache.instrument(instrument_id).make_price(trigger),
                trigger_type=TriggerType.MARK_PRICE,
                reduce_only=True,
                client_order_id=self.new_id(),
            )
        )

    def quantity(self, size, instrument_id):
        return self.cache.instrument(instrument_id).make_qty(Decimal(str(size)))

    def new_id(self):
        return ClientOrderId(str(self.journal.next_client_order_id()))


class Session:
    """A running node."""

    def __init__(self, node, trader, client, journal):
        self.node, self.trader, self.client, self.journal = node, trader, client, journal

    @staticmethod
    async def until(condition, seconds=WAIT_SECONDS, what=""):
        """Wait until a condition holds; what it gave."""
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            found = condition()
            if found:
                return found
            await asyncio.sleep(0.02)
        raise AssertionError(f"nothing within {seconds} s: {what or condition}")

    async def done(self, order):
        """Wait until an order is over; its status."""
        await self.until(lambda: order.is_closed, what=f"{order}")
        return order.status_string()

    async def hold(self, side, size, instrument_id=BTC, **values):
        """Trade until the whole size is filled: on a busy machine an order's blocks may pass before it is in one."""
        left = self.trader.quantity(size, instrument_id).as_decimal()
        for _ in range(5):
            order = self.trader.market(side, left, instrument_id, **values)
            await self.done(order)
            left -= order.filled_qty.as_decimal()
            if not left:
                return
        raise AssertionError(f"{left} of {size} {instrument_id} not filled by five orders; the last: {order}")

    async def accepted(self, order):
        await self.until(lambda: order.status_string() == "ACCEPTED", what=f"{order}")

    async def blocks(self, count):
        """Wait for blocks."""
        until = self.client.height + count
        await self.until(lambda: self.client.height >= until)

    async def oracle(self, instrument_id=BTC):
        ticker = instrument_id.value.removesuffix("-PERP.DYDX")
        return await self.until(lambda: self.client._follower.oracle.price(ticker))

    def position(self, instrument_id=BTC):
        """What NautilusTrader thinks it holds."""
        positions = self.node.cache.positions_open(instrument_id=instrument_id)
        return sum((each.signed_decimal_qty() for each in positions), Decimal(0))

    async def agree(self, reader, seconds=WAIT_SECONDS):
        """Wait until journal, NautilusTrader and venue are equal, and assert each part of it."""
        account = None

        async def compare():
            nonlocal account
            account = await asyncio.to_thread(reader.read, self.since)
            return self.differences(account)

        deadline = asyncio.get_running_loop().time() + seconds
        found = await compare()
        while found and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.1)
            found = await compare()
        assert found == []
        return account

    @property
    def since(self):
        return next(
            each.transferred_at for each in self.journal.books.history().transfers if each.transfer_id == "opening"
        )

    def differences(self, account):
        ours, theirs = self.journal.books.fills, account.fills
        held = {name: each.quantity for name, each in account.positions.items()}
        names = {BTC.value, ETH.value}
        filled = [event for order in self.node.cache.orders() for event in order.events if hasattr(event, "trade_id")]
        checks = {
            "fills": [_plain(each) for each in sorted(ours, key=_order)]
            == [_plain(each) for each in sorted(theirs, key=_order)],
            "cash": self.journal.books.quote_balance == account.quote_balance,
            "journal's positions": all(self.journal.books.quantity(name) == held.get(name, 0) for name in names),
            "NautilusTrader's positions": all(
                self.position(InstrumentId.from_str(name)) == held.get(name, 0) for name in names
            ),
            "each fill told once": len({each.trade_id for each in filled}) == len(filled),
            "fills that were told": {each.trade_id.value for each in filled} <= {each.venue_fill_id for each in ours},
            "funding": self.journal.books.history().funding == account.funding,
        }
        return [name for name, holds in checks.items() if not holds]


def _order(fill):
    return fill.filled_at, fill.venue_fill_id


def _plain(fill):
    return (fill.venue_fill_id, fill.side, fill.quantity, fill.price, fill.fee, fill.liquidity, fill.filled_at)


@asynccontextmanager
async def trading(addresses, key, journal, *, blocks=40, slippage_bps="100", quotes=True):
    """Run a node until the end of the block."""
    loop = asyncio.get_running_loop()
    data_config, data_factory = dydx_data_client(addresses, (BTC.value, ETH.value))
    config, factory = dydx_execution_client(addresses, key, journal, journal.history(), Decimal(slippage_bps), blocks)
    node = TradingNode(
        TradingNodeConfig(
            trader_id=TraderId("HELIOS-001"),
            logging=LoggingConfig(log_level="OFF"),
            data_clients={"DYDX": data_config},
            exec_clients={"DYDX": config},
            exec_engine=LiveExecEngineConfig(
                reconciliation=True, reconciliation_startup_delay_secs=0, inflight_check_interval_ms=0
            ),
            timeout_connection=30,
            timeout_reconciliation=20,
            timeout_disconnection=3,
            timeout_post_stop=0.2,
            timeout_shutdown=1,
        ),
        loop=loop,
    )
    node.add_data_client_factory("DYDX", data_factory)
    node.add_exec_client_factory("DYDX", factory)
    trader = Trader(journal, quotes)
    node.trader.add_strategy(trader)
    node.build()
    trader.exec_client = factory.client
    running = asyncio.ensure_future(node.run_async())
    session = Session(node, trader, factory.client, journal)
    try:
        await session.until(lambda: trader.is_running, what="the trader runs")
        yield session
    finally:
        await node.stop_async()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def run(scenario):
    """Run a scenario in a loop of its own, and clean up what the node leaves."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(scenario())
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
        asyncio.set_event_loop(None)
