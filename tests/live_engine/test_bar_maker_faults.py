"""Bars of a stream that breaks: whole, in order, or late; never made up."""

import itertools
from collections import defaultdict
from datetime import timedelta

import pytest
from nautilus_trader.common.actor import Actor
from nautilus_trader.common.config import ActorConfig
from nautilus_trader.model.identifiers import InstrumentId

from helios_pipeline.adapters.binance.history import BinanceHistory
from helios_pipeline.adapters.binance.live_client import binance_data_client
from live_engine.bar_maker import BarMaker, BarMakerSettings
from live_engine.journal import Journal
from live_engine.live_features import LiveFeatures
from live_engine.market_bars import bar_type, to_candle
from live_engine.warm_up import Reach, warm_up
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.venue import BinanceVenue
from simulated_venues.clock import instant
from simulated_venues.faults import Fault
from simulated_venues.venue import embedded
from tests.adapters.binance.live_node import running_node
from tests.live_engine.signal_world import BAR, FEATURES, LOOKBACK, fast_markets

NAMES = [each.instrument_id for each in fast_markets(2).settings.instruments]
PATIENCE = timedelta(seconds=4)
BAR_MS = 15_000


class Hearer(Actor):
    """Keeps every bar of the engine's."""

    def __init__(self):
        super().__init__(ActorConfig())
        self.bars = defaultdict(list)

    def on_start(self):
        for name in NAMES:
            self.msgbus.subscribe(topic=f"data.bars.{bar_type(name, BAR)}", handler=self.hear)

    def hear(self, bar):
        self.bars[str(bar.bar_type.instrument_id)].append(to_candle(bar, BAR))


class Scene:
    """A venue, a node that hears it, and what its bar maker published."""

    def __init__(self, venue, node, maker, hearer, features):
        self.venue, self.node, self.maker, self.hearer, self.features = venue, node, maker, hearer, features

    def until(self, holds):
        self.node.until(holds, lambda: (dict(self.hearer.bars), self.maker.counts))

    def until_next_bars(self, count=1):
        before = {name: len(self.hearer.bars[name]) for name in NAMES}
        self.until(lambda: all(len(self.hearer.bars[name]) >= before[name] + count for name in NAMES))

    def is_true(self, bar, name):
        truth = self.venue.source.bars(name, instant(bar.opened_ms), instant(bar.opened_ms + BAR_MS), raw_bars=15)
        columns = (truth.open, truth.high, truth.low, truth.close)
        return (bar.open, bar.high, bar.low, bar.close) == tuple(int(column[0]) * 10**7 for column in columns)

    def assert_true_and_in_order(self):
        for name in NAMES:
            bars = self.hearer.bars[name]
            assert all(self.is_true(bar, name) for bar in bars)
            assert all(after.opened_ms > before.opened_ms for before, after in itertools.pairwise(bars))


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    journal = Journal.open(tmp_path_factory.mktemp("log"), "DYDX-paper")
    with embedded(BinanceVenue(fast_markets(2), BinanceSettings())) as venue:
        history, live_history = (BinanceHistory(venue.url, attempts=1) for _ in range(2))
        warm_ups = [warm_up(history, name, BAR, Reach.of(LOOKBACK, FEATURES), None) for name in NAMES]
        features, hearer = LiveFeatures(NAMES, BAR, 100), Hearer()
        for market in range(2):
            features.use(market, LOOKBACK, FEATURES)
        settings = BarMakerSettings(account="DYDX-paper", bar=BAR, patience=PATIENCE)
        maker = BarMaker(settings, warm_ups, features, live_history, journal)
        with running_node(binance_data_client(venue.url, venue.ws_url, tuple(NAMES)), [maker, hearer]) as node:
            yield Scene(venue, node, maker, hearer, features)
        history.close()
        live_history.close()
    journal.close()


@pytest.fixture
def scene(running):
    yield running
    running.venue.faults.stop_all()


def test_a_stream_that_is_cut_and_then_silent_while_rest_refuses_delays_a_bar_that_is_whole(scene):
    cache = scene.node.node.cache
    scene.until(lambda: all(cache.trade_tick_count(InstrumentId.from_str(name)) for name in NAMES))
    scene.venue.faults.start(Fault(kind="disconnect", count=1))
    scene.node.until(lambda: scene.node.client.reconnects > 0)
    scene.venue.faults.start(Fault(kind="mute", where="*@*"))
    scene.venue.faults.start(Fault(kind="http_status", where="/fapi/v1/klines", value=503, count=3))
    asked = scene.maker.counts.questions

    scene.until_next_bars()

    scene.assert_true_and_in_order()
    assert scene.maker.counts.questions > asked + 1


def test_what_happened_while_the_market_was_not_told_comes_late_and_completes_the_features(scene):
    late = scene.maker.counts.late
    before = {name: scene.hearer.bars[name][-1].opened_ms for name in NAMES}
    passed_over = [before[name] + BAR_MS for name in NAMES]

    scene.venue.faults.start(Fault(kind="stale_prices", where="*"))
    scene.until(lambda: all(scene.maker._markets[key].bars.next_ms > passed_over[0] for key in scene.maker._markets))
    nothing_made_up = {name: scene.hearer.bars[name][-1].opened_ms for name in NAMES} == before
    scene.venue.faults.stop_all()
    scene.until(lambda: scene.maker.counts.late >= late + 2)
    scene.until_next_bars()

    assert nothing_made_up
    scene.assert_true_and_in_order()
    last = min(scene.hearer.bars[name][-1].opened_ms for name in NAMES)
    found = scene.features.at((last + BAR_MS) * 1_000_000)
    # Windows that restarted at a hole would have no value yet.
    assert not any(value != value for column in (found.z_price, found.volatility, found.atr) for value in column)
