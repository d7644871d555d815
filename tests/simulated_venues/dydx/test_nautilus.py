"""NautilusTrader's dYdX data client at the simulated dYdX, in a node of its own."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from nautilus_trader.adapters.dydx import (
    DydxDataClientConfig,
    DydxExecClientConfig,
    DydxLiveDataClientFactory,
    DydxLiveExecClientFactory,
)
from nautilus_trader.config import InstrumentProviderConfig, LoggingConfig, StrategyConfig, TradingNodeConfig
from nautilus_trader.core import nautilus_pyo3
from nautilus_trader.core.nautilus_pyo3 import DydxNetwork
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import BookType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, TraderId
from nautilus_trader.trading.strategy import Strategy

from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.dydx.venue import DydxVenue
from simulated_venues.market import SimulatedMarket
from simulated_venues.venue import embedded
from tests.simulated_venues.conftest import make_settings

BTC = InstrumentId.from_str("BTC-USD-PERP.DYDX")
BARS = BarType.from_str("BTC-USD-PERP.DYDX-1-MINUTE-LAST-EXTERNAL")
EXPECTED = {"quote", "trade", "deltas", "mark", "index", "funding", "bars asked for"}

# NautilusTrader 1.231 asks its compiled WebSocket client for `py_url`; that is called `url`.
if not hasattr(nautilus_pyo3.DydxWebSocketClient, "py_url"):
    nautilus_pyo3.DydxWebSocketClient.py_url = property(lambda self: self.url)


class Listener(Strategy):
    def __init__(self):
        super().__init__(StrategyConfig(strategy_id="LISTENER-001"))
        self.found, self.crossed = {}, 0
        self.complete = asyncio.Event()

    def on_start(self):
        self.subscribe_quote_ticks(BTC)
        self.subscribe_trade_ticks(BTC)
        self.subscribe_order_book_deltas(BTC, BookType.L2_MBP)
        self.subscribe_mark_prices(BTC)
        self.subscribe_index_prices(BTC)
        self.subscribe_funding_rates(BTC)
        self.subscribe_bars(BARS)
        self.request_bars(BARS, start=self.clock.utc_now() - timedelta(minutes=10))

    def note(self, kind, data):
        self.found.setdefault(kind, []).append(data)
        if set(self.found) >= EXPECTED and len(self.found["quote"]) > 10 and len(self.found["trade"]) > 5:
            self.complete.set()

    def on_quote_tick(self, tick):
        self.note("quote", tick)

    def on_trade_tick(self, tick):
        self.note("trade", tick)

    def on_order_book_deltas(self, deltas):
        self.note("deltas", deltas)
        book = self.cache.order_book(BTC)
        if book is not None and book.best_bid_price() and book.best_bid_price() >= book.best_ask_price():
            self.crossed += 1

    def on_mark_price(self, price):
        self.note("mark", price)

    def on_index_price(self, price):
        self.note("index", price)

    def on_funding_rate(self, rate):
        self.note("funding", rate)

    def on_historical_data(self, data):
        self.note("bars asked for", data)


class Taker(Strategy):
    """Buys at the market, lets an order rest and cancels it."""

    def __init__(self):
        super().__init__(StrategyConfig(strategy_id="TAKER-001", order_id_tag="001"))
        self.complete = asyncio.Event()

    def on_start(self):
        instrument = self.cache.instrument(BTC)
        self.subscribe_quote_ticks(BTC)
        self.taking = self.order_factory.market(BTC, OrderSide.BUY, instrument.make_qty(0.01))
        self.submit_order(self.taking)

    def on_order_filled(self, event):
        instrument = self.cache.instrument(BTC)
        if self.taking.is_closed and not hasattr(self, "resting"):
            price = instrument.make_price(float(event.last_px) * 0.9)
            self.resting = self.order_factory.limit(BTC, OrderSide.BUY, instrument.make_qty(0.02), price)
            self.submit_order(self.resting)

    def on_order_accepted(self, event):
        if event.client_order_id != self.taking.client_order_id:
            self.cancel_order(self.resting)

    def on_order_canceled(self, event):
        self.position = self.cache.positions_open(instrument_id=BTC)[0]
        self.complete.set()


@pytest.fixture(name="venue", scope="module")
def venue_fixture(tmp_path_factory):
    source = SimulatedMarket(replace(make_settings(), raw_interval_ms=1_000))
    settings = DydxSettings(state_folder=tmp_path_factory.mktemp("chain"), block_ms=100)
    with embedded(DydxVenue(source, settings)) as venue:
        yield venue


def run_node(venue, strategy, *, key=None, seconds=40.0):
    """Run a node until its strategy is complete; the instruments that it loaded. With a key it may trade."""
    client = DydxDataClientConfig(
        environment=DydxNetwork.MAINNET,
        base_url_http=venue.url,
        base_url_ws=venue.ws_url,
        instrument_provider=InstrumentProviderConfig(load_all=True),
    )
    config = TradingNodeConfig(
        trader_id=TraderId("HELIOS-001"),
        logging=LoggingConfig(log_level="ERROR"),
        data_clients={"DYDX": client},
        exec_clients={"DYDX": trading_client(venue, key)} if key else {},
        timeout_connection=30,
        timeout_disconnection=3,
        timeout_post_stop=0.2,
        timeout_shutdown=1,
    )
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    node = TradingNode(config=config, loop=loop)
    node.trader.add_strategy(strategy)
    node.add_data_client_factory("DYDX", DydxLiveDataClientFactory)
    if key:
        node.add_exec_client_factory("DYDX", DydxLiveExecClientFactory)
    node.build()

    async def run():
        running = asyncio.ensure_future(node.run_async())
        await asyncio.wait_for(strategy.complete.wait(), seconds)
        instruments = {str(each.id): each for each in node.cache.instruments()}
        await node.stop_async()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return instruments

    try:
        return loop.run_until_complete(run())
    finally:
        # The node leaves its strategies' workers behind.
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        node.dispose()
        asyncio.set_event_loop(None)


def trading_client(venue, key):
    return DydxExecClientConfig(
        environment=DydxNetwork.MAINNET,
        private_key=key,
        base_url_http=venue.url,
        base_url_ws=venue.ws_url,
        base_url_grpc=f"http://{venue.grpc_target}",
        instrument_provider=InstrumentProviderConfig(load_all=True),
    )


def test_everything_that_the_client_can_hear_arrives(venue):
    listener = Listener()
    instruments = run_node(venue, listener)
    found = listener.found

    assert set(instruments) == {"BTC-USD-PERP.DYDX", "ETH-USD-PERP.DYDX"}
    assert (str(instruments[str(BTC)].price_increment), str(instruments[str(BTC)].size_increment)) == ("1", "0.0001")
    assert all(quote.bid_price < quote.ask_price for quote in found["quote"])
    assert listener.crossed == 0
    oracle = float(found["mark"][-1].value)
    assert abs(float(found["trade"][-1].price) / oracle - 1) < 0.02
    assert str(found["mark"][-1].value) == str(found["index"][-1].value)
    assert abs(float(found["funding"][-1].rate)) < 0.001
    assert len(found["bars asked for"]) >= 9


def test_fills_and_cancels_reach_the_execution_client(venue):
    taker = Taker()
    run_node(venue, taker, key="0x" + "11" * 32)

    taken, rested = ([type(event).__name__ for event in each.events] for each in (taker.taking, taker.resting))
    assert taken[:3] == rested[:3] == ["OrderInitialized", "OrderSubmitted", "OrderAccepted"]
    assert set(taken[3:]) == {"OrderFilled"}
    assert rested[3:] == ["OrderPendingCancel", "OrderCanceled"]
    assert str(taker.position.quantity) == "0.0100"
    assert taker.taking.avg_px > 0
