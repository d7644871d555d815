"""The strategy's orders against NautilusTrader's live clock, whose timers call from threads of its own."""

import asyncio

import pytest
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import LiveClock, MessageBus
from nautilus_trader.model.identifiers import TraderId
from nautilus_trader.portfolio.portfolio import Portfolio
from nautilus_trader.trading.config import StrategyConfig
from nautilus_trader.trading.strategy import Strategy

from helios_pipeline.simulation.nautilus import Markets
from helios_pipeline.strategy.holding import Holding
from helios_pipeline.strategy.market_book import MarketBook
from helios_pipeline.strategy.orders import Orders
from tests.execution.recorded_run import RecordingDesk
from tests.execution.test_restore import BUSY, TWO
from tests.simulation.conftest import make_inputs

UNIT_OF_PANDAS = "The 'generic' unit for NumPy timedelta"
pytestmark = pytest.mark.filterwarnings(f"ignore:{UNIT_OF_PANDAS}:DeprecationWarning")

SHORT_NS = 100_000
TRIES = 1_000


class WaitingDesk(RecordingDesk):
    """Holds every exit back, and counts how often it was asked."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.asked = 0
        self.enough = asyncio.Event()

    def waits(self, market, purpose):
        self.asked += 1
        if self.asked == TRIES:
            self.enough.set()
        return "order 7 is unknown"


def live_strategy():
    clock, trader = LiveClock(), TraderId("TESTER-001")
    bus, cache = MessageBus(trader, clock), Cache()
    strategy = Strategy(StrategyConfig(strategy_id="HELIOS", order_id_tag="001"))
    strategy.register(trader, Portfolio(bus, cache, clock), bus, cache, clock)
    return strategy


def test_an_exit_is_tried_again_and_again_though_the_live_clock_still_lists_the_alert_that_calls():
    async def tried():
        inputs = make_inputs(7, symbols=TWO, count=2)
        desk, instrument = WaitingDesk(inputs, BUSY), Markets(inputs).instruments[0]
        held = Holding(side=1, lots=10, entry_lots=10, entry_value=10_000, leaving="signal")
        market = MarketBook(index=0, signal=instrument, traded=instrument, holding=held)
        strategy = live_strategy()
        Orders(strategy, desk, SHORT_NS, 2**62).tend(market)
        await asyncio.wait_for(desk.enough.wait(), 60.0)
        market.holding = Holding()
        return len(strategy.clock.timer_names)

    assert asyncio.run(tried()) <= 2
