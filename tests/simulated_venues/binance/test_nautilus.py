"""NautilusTrader's Binance futures data client in a node of its own, unmodified, against the simulated venue."""

import asyncio
from collections import Counter
from contextlib import contextmanager
from itertools import pairwise

import pandas as pd
import pytest
from nautilus_trader.adapters.binance import factories
from nautilus_trader.adapters.binance.common.enums import BinanceAccountType
from nautilus_trader.adapters.binance.config import BinanceDataClientConfig, BinanceInstrumentProviderConfig
from nautilus_trader.adapters.binance.futures.types import BinanceFuturesMarkPriceUpdate
from nautilus_trader.config import LiveExecEngineConfig, LoggingConfig, StrategyConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.data import BarType, DataType
from nautilus_trader.model.enums import BookType
from nautilus_trader.model.identifiers import ClientId, InstrumentId
from nautilus_trader.trading.strategy import Strategy

from simulated_venues.binance.payloads import levels
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.venue import BinanceVenue
from simulated_venues.clock import instant
from simulated_venues.faults import Fault
from simulated_venues.source import BOOK_STEP_MS, UPDATES_PER_STEP
from simulated_venues.venue import embedded
from tests.simulated_venues.binance.fast_world import fast_market
from tests.simulated_venues.conftest import BTC

SECONDS = 60.0
COMPARED = 10
"""Books at steps of the venue, before and after the connection was cut."""
IID = InstrumentId.from_str(BTC)
BARS = BarType.from_str(f"{IID}-1-MINUTE-LAST-EXTERNAL")
FAST_BARS = BarType.from_str(f"{IID}-1-SECOND-LAST-EXTERNAL")
KINDS = {"trade", "quote", "deltas", "mark", "funding", "bar", "history"}


class Listener(Strategy):
    """Hears everything there is of one instrument."""

    def __init__(self) -> None:
        super().__init__(StrategyConfig())
        self.heard: Counter[str] = Counter()
        self.trade_ids: list[int] = []
        self.bars: list[object] = []
        self.books: list[tuple[int, dict, dict]] = []

    def on_start(self) -> None:
        self.subscribe_trade_ticks(IID)
        self.subscribe_quote_ticks(IID)
        self.subscribe_order_book_deltas(IID, book_type=BookType.L2_MBP)
        self.subscribe_mark_prices(IID)
        marks = DataType(BinanceFuturesMarkPriceUpdate, metadata={"instrument_id": IID})
        self.subscribe_data(marks, client_id=ClientId("BINANCE"))
        self.subscribe_bars(FAST_BARS)
        self.request_bars(BARS, start=self.clock.utc_now() - pd.Timedelta(minutes=30))

    def on_trade_tick(self, tick) -> None:
        self.heard["trade"] += 1
        self.trade_ids.append(int(tick.trade_id.value))

    def on_quote_tick(self, _tick) -> None:
        self.heard["quote"] += 1

    def on_order_book_deltas(self, deltas) -> None:
        self.heard["deltas"] += 1
        book = self.cache.order_book(IID)
        if book is not None:
            sides = [{str(level.price): f"{level.size():.3f}" for level in side} for side in (book.bids(), book.asks())]
            self.books.append((deltas.sequence, *sides))

    def on_mark_price(self, _mark) -> None:
        self.heard["mark"] += 1

    def on_data(self, data) -> None:
        self.heard["funding"] += isinstance(data, BinanceFuturesMarkPriceUpdate)

    def on_bar(self, bar) -> None:
        self.heard["bar"] += 1
        self.bars.append(bar)

    def on_historical_data(self, _data) -> None:
        self.heard["history"] += 1


@contextmanager
def node_of(venue, loop):
    """A node with one data client, which finds the venue by its URLs alone."""
    # The factory keeps one client for good: the next node would be given the last one's.
    factories.get_cached_binance_http_client.cache_clear()
    factories.get_cached_binance_futures_instrument_provider.cache_clear()
    client = BinanceDataClientConfig(
        account_type=BinanceAccountType.USDT_FUTURES,
        base_url_http=venue.url,
        base_url_ws=venue.ws_url,
        instrument_provider=BinanceInstrumentProviderConfig(load_ids=frozenset([IID])),
    )
    config = TradingNodeConfig(
        trader_id="HELIOS-001",
        logging=LoggingConfig(log_level="ERROR", log_colors=False),
        exec_engine=LiveExecEngineConfig(reconciliation=False),
        data_clients={"BINANCE": client},
        timeout_connection=30,
        timeout_disconnection=3,
        timeout_post_stop=0.2,
        timeout_shutdown=1,
    )
    node = TradingNode(config=config, loop=loop)
    node.add_data_client_factory("BINANCE", factories.BinanceLiveDataClientFactory)
    try:
        yield node
    finally:
        # Tasks that the node leaves behind would be found dead in the midst of a later test.
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        node.dispose()


async def until(holds, heard) -> None:
    """Wait until something holds; what was heard so far is in the error if it never does."""
    try:
        async with asyncio.timeout(SECONDS):
            while not holds():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {SECONDS:.0f} s; heard {dict(heard)}") from None


def is_the_venues(venue, entry) -> bool:
    """Whether a book that the client had at a step of the venue's book is that book."""
    sequence, bids, asks = entry
    truth = venue.source.book(IID.value, instant(sequence // UPDATES_PER_STEP * BOOK_STEP_MS))
    instrument = venue.source.settings.instrument(BTC)
    return (bids, asks) == tuple(dict(levels(side, instrument, 1_000)) for side in (truth.bids, truth.asks))


def at_steps(strategy):
    return [entry for entry in strategy.books if entry[0] % UPDATES_PER_STEP == 0]


@pytest.fixture(scope="module")
def heard():
    """What the client said before and after its connections were cut."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with embedded(BinanceVenue(fast_market(), BinanceSettings())) as venue, node_of(venue, loop) as node:
        strategy = Listener()
        node.trader.add_strategy(strategy)
        node.build()

        async def run() -> tuple[Counter[str], Counter[str]]:
            running = asyncio.create_task(node.run_async())
            await until(lambda: strategy.heard.keys() >= KINDS and at_steps(strategy), strategy.heard)
            # Until its first snapshot comes, the client's book holds nothing but changes.
            await until(lambda: is_the_venues(venue, at_steps(strategy)[-1]), strategy.heard)
            strategy.books.clear()
            await until(lambda: len(at_steps(strategy)) >= COMPARED, strategy.heard)
            before = strategy.heard.copy()
            venue.faults.start(Fault(kind="disconnect", count=1))
            await until(lambda: strategy.heard["trade"] > before["trade"] + 30, strategy.heard)
            # Until its new snapshot comes, the client applies changes to the book from before.
            await until(lambda: is_the_venues(venue, at_steps(strategy)[-1]), strategy.heard)
            resumed = len(at_steps(strategy))
            await until(lambda: len(at_steps(strategy)) >= resumed + COMPARED, strategy.heard)
            after = strategy.heard.copy()
            await node.stop_async()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            return before, after

        yield venue, strategy, *loop.run_until_complete(run())
    asyncio.set_event_loop(None)


def test_the_client_receives_every_kind_of_data(heard):
    _, _, before, _ = heard

    assert before.keys() >= KINDS
    assert before["history"] >= 29


def test_its_book_is_the_venues_and_again_after_a_new_connection(heard):
    venue, strategy, *_ = heard

    checked = at_steps(strategy)
    compared = [is_the_venues(venue, entry) for entry in (*checked[:COMPARED], *checked[-COMPARED:])]
    assert compared == [True] * 2 * COMPARED


def test_no_trade_is_lost_but_those_of_the_moment_without_a_connection(heard):
    _, strategy, *_ = heard

    jumps = [after - before for before, after in pairwise(strategy.trade_ids)]
    assert sum(jump != 1 for jump in jumps) <= 1
    assert min(jumps) >= 1


def test_its_bars_are_the_markets(heard):
    venue, strategy, *_ = heard

    for bar in strategy.bars:
        opened = instant(round(bar.ts_event / 1e6) // 1_000 * 1_000)
        truth = venue.source.bars(IID.value, opened, instant(round(opened.timestamp()) * 1_000 + 1), raw_bars=1)
        assert [round(float(each) * 10) for each in (bar.open, bar.high, bar.low, bar.close)] == [
            int(column[0]) for column in (truth.open, truth.high, truth.low, truth.close)
        ]
        assert round(float(bar.volume) * 1_000) == int(truth.volume[0])
