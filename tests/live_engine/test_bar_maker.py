"""Bars and features made live, against what the venue's history and research say of the same time."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from nautilus_trader.common.actor import Actor
from nautilus_trader.common.config import ActorConfig

from helios_pipeline.adapters.binance.history import BinanceHistory
from helios_pipeline.adapters.binance.live_client import binance_data_client
from live_engine.bar_maker import BarMaker, BarMakerSettings
from live_engine.funding_watch import FundingWatch
from live_engine.journal import Journal
from live_engine.live_features import LiveFeatures
from live_engine.market_bars import bar_type, to_candle
from live_engine.stream_monitor import StreamMonitor
from live_engine.warm_up import Reach, warm_up
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.venue import BinanceVenue
from simulated_venues.faults import Fault
from simulated_venues.venue import embedded
from tests.adapters.binance.live_node import running_node
from tests.live_engine.signal_world import BAR, EPOCH, FEATURES, LOOKBACK, RAW, bars_of, bits, fast_markets, features_of

MARKETS, BARS_EACH = 7, 3
FUNDING = timedelta(minutes=8)
SETTLES_AFTER = timedelta(seconds=25)
"""After the venue has started: the node is up by then, and a bar more closes after it."""


def venue_ahead(venue):
    return timedelta(milliseconds=venue._clock.ahead_ms)


class Follower(Actor):
    """Takes each bar as the strategy does, and the features at that moment."""

    def __init__(self, names, features):
        super().__init__(ActorConfig())
        self.names, self.features, self.bars, self.known = names, features, defaultdict(list), {}

    def on_start(self):
        for name in self.names:
            self.msgbus.subscribe(topic=f"data.bars.{bar_type(name, BAR)}", handler=self.on_own_bar)

    def on_own_bar(self, bar):
        name = str(bar.bar_type.instrument_id)
        self.bars[name].append(bar)
        market = self.names.index(name)
        self.features.take_bar(market, bar)
        found = self.features.at(bar.ts_event)
        self.known[name, EPOCH + timedelta(microseconds=bar.ts_event // 1_000)] = tuple(
            column[market] for column in (found.z_price, found.z_funding, found.volatility, found.atr)
        )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Several bars of several markets, a settlement among them, with a stream that loses and doubles messages."""
    source = fast_markets(MARKETS)
    names = [each.instrument_id for each in source.settings.instruments]
    now = datetime.now(UTC)
    ahead = FUNDING - (now - EPOCH) % FUNDING - SETTLES_AFTER
    venue = BinanceVenue(source, BinanceSettings(), ahead_ms=ahead // timedelta(milliseconds=1) % 480_000)
    journal = Journal.open(tmp_path_factory.mktemp("log"), "DYDX-paper")
    with embedded(venue):
        history, live_history, funding_history = (BinanceHistory(venue.url, attempts=1) for _ in range(3))
        warm_ups = [warm_up(history, name, BAR, Reach.of(LOOKBACK, FEATURES), None) for name in names]
        settles_at = EPOCH + ((now + venue_ahead(venue)) - EPOCH) // FUNDING * FUNDING + FUNDING
        knew = sum(known.settlements[-1].settled_at >= settles_at for known in warm_ups)
        features = LiveFeatures(names, BAR, 100)
        for market in range(MARKETS):
            features.use(market, LOOKBACK, FEATURES)
        settings = BarMakerSettings(account="DYDX-paper", bar=BAR, patience=timedelta(seconds=10))
        maker = BarMaker(settings, warm_ups, features, live_history, journal)
        funding = FundingWatch(BAR, warm_ups, features, funding_history)
        monitor = StreamMonitor(names, names[:2], BAR, {"trades": 5.0, "klines": 5.0}, None)
        follower = Follower(names, features)
        venue.faults.start(Fault(kind="drop_messages", where="*@kline_1s", share=0.2))
        venue.faults.start(Fault(kind="duplicate_messages", where="*@aggTrade", share=0.2))
        venue.faults.start(Fault(kind="reorder_messages", where="*@aggTrade", share=0.2))
        venue.faults.start(Fault(kind="http_status", where="/fapi/v1/fundingRate", value=503, count=3))
        parts = binance_data_client(venue.url, venue.ws_url, tuple(names))
        with running_node(parts, [maker, funding, monitor, follower]) as node:
            node.until(
                lambda: (
                    all(len(follower.bars[name]) >= BARS_EACH for name in names) and funding.learned == MARKETS - knew
                ),
                lambda: ({name: len(bars) for name, bars in follower.bars.items()}, funding.learned, maker.counts),
            )
            statuses, skew_ms = monitor.statuses(), monitor.clock_skew_ms()
        venue.faults.stop_all()  # one may be left where the settlement came during the warm-up
        for each in (live_history, funding_history):
            each.close()
        yield SimpleNamespace(**locals())
        history.close()
    journal.close()


def truth_of(run, name):
    """Raw klines from the first bar of warm-up on, over REST."""
    known = next(each for each in run.warm_ups if each.instrument_id == name)
    first = EPOCH + timedelta(milliseconds=known.bars[0].opened_ms)
    return run.history.klines(name, RAW // timedelta(seconds=1), first, run.history.now())


def test_live_bars_are_those_of_history_from_the_first_on_without_hole_or_overlap(run):
    compared = 0
    for known in run.warm_ups:
        bars = bars_of(truth_of(run, known.instrument_id))
        made = [to_candle(bar, BAR) for bar in run.follower.bars[known.instrument_id]]
        openings = [each.opened_ms for each in made]
        assert openings == list(range(known.next_ms, known.next_ms + len(made) * 15_000, 15_000))
        rows = {row["opened_at"]: row for row in bars.iter_rows(named=True)}
        for bar in made:
            row = rows[EPOCH + timedelta(milliseconds=bar.opened_ms)]
            assert [float(each) for each in bar.columns] == [
                row[name] for name in ("open", "high", "low", "close", "volume")
            ]
            compared += 1

    assert compared >= 20


def test_features_at_each_live_close_are_those_that_research_makes_of_history(run):
    values = 0
    for name in run.names:
        settlements = run.history.settlements(
            name, 60, run.warm_ups[0].settlements[0].settled_at - timedelta(seconds=1)
        )
        expected = features_of(bars_of(truth_of(run, name)), settlements)
        for bar in run.follower.bars[name]:
            closed_at = EPOCH + timedelta(microseconds=bar.ts_event // 1_000)
            assert bits(run.follower.known[name, closed_at]) == bits(expected[closed_at]), (name, closed_at)
            values += sum(value == value for value in expected[closed_at])

    assert values == 4 * sum(len(bars) for bars in run.follower.bars.values())


def test_bars_of_trades_were_needed_for_lost_klines_or_asked_for(run):
    assert run.maker.counts.published >= MARKETS * BARS_EACH
    assert run.maker.counts.late == run.maker.counts.unusable == run.maker.counts.corrected == 0
    assert run.maker.counts.questions > 0


def test_every_stream_that_the_gate_asks_for_has_an_age(run):
    ages = {(each.stream, each.instrument_id): each for each in run.statuses}

    assert [key for key in ages if key[0] in ("trades", "klines")] == [
        (kind, name) for name in run.names for kind in ("trades", "klines")
    ]
    assert {key for key in ages if key[0] in ("quotes", "mark")} == {
        (kind, name) for kind in ("quotes", "mark") for name in run.names[:2]
    }
    # A funding rate at its clamp is told once.
    assert all(each.age_seconds is not None for each in run.statuses)
    assert all(each.age_seconds < 5 for each in run.statuses if each.stream != "funding")
    assert not any(each.stale for each in run.statuses)


def test_a_venue_clock_that_is_ahead_shows_as_skew(run):
    assert abs(run.skew_ms + venue_ahead(run.venue) / timedelta(milliseconds=1)) < 200
