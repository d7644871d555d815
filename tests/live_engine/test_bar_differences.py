"""A closed kline that is otherwise than the trades: it wins, and the difference is journalled."""

from datetime import timedelta
from decimal import Decimal

import pytest
from nautilus_trader.model.data import Bar, TradeTick
from nautilus_trader.model.enums import AggressorSide
from nautilus_trader.model.identifiers import InstrumentId, TradeId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.test_kit.stubs.component import TestComponentStubs

from helios_pipeline.core.trading import BarDifference
from helios_pipeline.data.bar_judge import BarJudge
from live_engine.bar_maker import BarMaker, BarMakerSettings
from live_engine.journal import Journal
from live_engine.live_features import LiveFeatures
from live_engine.market_bars import bar_type, kline_type
from live_engine.warm_up import WarmUp
from tests.live_engine.signal_world import BAR, EPOCH, FEATURES

BTC = "BTCUSDT-PERP.BINANCE"
IID = InstrumentId.from_str(BTC)
FIRST_MS = 1_700_000_010_000 // 15_000 * 15_000
MS = 1_000_000


class NothingPublished:
    """The history of a venue that has published nothing."""

    def now(self):
        return EPOCH

    def klines(self, *_):
        return []

    def settlements(self, *_):
        return []


@pytest.fixture
def made(tmp_path):
    """A bar maker in NautilusTrader's own message bus, what it published, its features and its journal."""
    journal = Journal.open(tmp_path / "log", "DYDX-paper")
    known = WarmUp(instrument_id=BTC, bars=(), open_klines=(), next_ms=FIRST_MS, settlements=(), judge=BarJudge())
    features = LiveFeatures([BTC], BAR, 10)
    features.use(0, 2, FEATURES)
    settings = BarMakerSettings(account="DYDX-paper", bar=BAR, patience=timedelta(days=36_500))
    maker = BarMaker(settings, [known], features, NothingPublished(), journal)
    msgbus, cache = TestComponentStubs.msgbus(), TestComponentStubs.cache()
    cache.add_instrument(TestInstrumentProvider.btcusdt_perp_binance())
    maker.register_base(
        portfolio=TestComponentStubs.portfolio(), msgbus=msgbus, cache=cache, clock=TestComponentStubs.clock()
    )
    published = []
    msgbus.register(endpoint="DataEngine.process", handler=published.append)
    yield maker, published, journal
    journal.close()


def trade(number, at_ms, price):
    stamp = (FIRST_MS + at_ms) * MS
    return TradeTick(
        IID, Price.from_str(price), Quantity.from_str("0.500"), AggressorSide.BUYER, TradeId(str(number)), stamp, stamp
    )


def kline(second, prices, volume="0.500"):
    closes_ns = (FIRST_MS + second * 1_000 + 999) * MS
    return Bar(
        kline_type(BTC, BAR),
        *(Price.from_str(price) for price in prices),
        Quantity.from_str(volume),
        closes_ns,
        closes_ns,
    )


def test_a_kline_that_differs_is_learned_and_journalled(made):
    maker, published, journal = made
    maker.on_bar(kline(0, ("100.0",) * 4))
    for second in range(16):
        maker.on_trade_tick(trade(second, second * 1_000 + 5, "100.0" if second < 9 else "101.0"))
    before = list(published)
    for second in range(1, 15):
        price = "100.0" if second < 9 else "101.0"
        maker.on_bar(kline(second, (price, "103.0" if second == 9 else price, price, price)))

    differences = [record for record in journal.records() if isinstance(record, BarDifference)]
    assert [str(bar.bar_type) for bar in before] == [str(bar_type(BTC, BAR))]
    assert (before[0].ts_event, str(before[0].high)) == ((FIRST_MS + 15_000) * MS, "101.0")
    assert published == before
    assert differences == [
        BarDifference(
            account="DYDX-paper",
            instrument_id=BTC,
            opened_at=EPOCH + timedelta(milliseconds=FIRST_MS),
            made=tuple(map(Decimal, ("100", "101", "100", "101", "7.5"))),
            published=tuple(map(Decimal, ("100", "103", "100", "101", "7.5"))),
        )
    ]
    assert maker.counts.corrected == 1


def test_a_bar_without_a_trade_is_not_published(made):
    maker, published, _ = made

    for second in range(15):
        maker.on_bar(kline(second, ("100.0",) * 4, volume="0.000"))

    assert published == []
    assert maker.counts.unusable == 1
