"""The live data client in a node of its own, against the simulated venue and its faults."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from nautilus_trader.common.actor import Actor
from nautilus_trader.common.config import ActorConfig
from nautilus_trader.model.data import BarType, DataType
from nautilus_trader.model.enums import BookType
from nautilus_trader.model.identifiers import ClientId, InstrumentId

from helios_pipeline.adapters.binance.live_client import binance_data_client
from helios_pipeline.adapters.binance.live_data import OpenInterest
from simulated_venues.binance.payloads import levels
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.venue import BinanceVenue
from simulated_venues.clock import instant
from simulated_venues.faults import Fault
from simulated_venues.premium import INTEREST_RATE
from simulated_venues.settings import RAW_BARS_PER_FUNDING
from simulated_venues.source import BOOK_STEP_MS, UPDATES_PER_STEP
from simulated_venues.venue import embedded
from tests.adapters.binance.live_node import running_node
from tests.simulated_venues.binance.fast_world import fast_market
from tests.simulated_venues.conftest import BTC, ETH

IIDS = [InstrumentId.from_str(name) for name in (BTC, ETH)]
IID = IIDS[0]
KLINES = [BarType.from_str(f"{iid}-1-SECOND-LAST-EXTERNAL") for iid in IIDS]
FUNDING_INTERVAL = timedelta(seconds=RAW_BARS_PER_FUNDING)
KINDS = {"trade", "quote", "deltas", "mark", "index", "funding", "kline", "open_interest"}


class Listener(Actor):
    """Hears everything there is of two instruments, and keeps what is needed of the first."""

    def __init__(self):
        super().__init__(ActorConfig())
        self.heard = {iid: Counter() for iid in IIDS}
        self.rates = {iid: [] for iid in IIDS}
        self.trade_ids, self.klines, self.books, self.open_interest = [], [], [], []

    def on_start(self):
        for iid, bar_type in zip(IIDS, KLINES, strict=True):
            self.subscribe_trade_ticks(iid)
            self.subscribe_quote_ticks(iid)
            self.subscribe_order_book_deltas(iid, book_type=BookType.L2_MBP, params={"update_speed": 100})
            self.subscribe_mark_prices(iid)
            self.subscribe_index_prices(iid)
            self.subscribe_funding_rates(iid)
            self.subscribe_bars(bar_type)
            self.subscribe_data(DataType(OpenInterest, metadata={"instrument_id": iid}), client_id=ClientId("BINANCE"))

    def on_trade_tick(self, tick):
        self.heard[tick.instrument_id]["trade"] += 1
        if tick.instrument_id == IID:
            self.trade_ids.append(int(tick.trade_id.value))

    def on_quote_tick(self, tick):
        self.heard[tick.instrument_id]["quote"] += 1

    def on_order_book_deltas(self, deltas):
        self.heard[deltas.instrument_id]["deltas"] += 1
        book = self.cache.order_book(IID)
        if deltas.instrument_id == IID and book is not None:
            sides = [{str(level.price): f"{level.size():.3f}" for level in side} for side in (book.bids(), book.asks())]
            self.books.append((deltas.sequence, *sides))

    def on_mark_price(self, mark):
        self.heard[mark.instrument_id]["mark"] += 1

    def on_index_price(self, index):
        self.heard[index.instrument_id]["index"] += 1

    def on_funding_rate(self, update):
        self.heard[update.instrument_id]["funding"] += 1
        self.rates[update.instrument_id].append(update)

    def on_bar(self, bar):
        self.heard[bar.bar_type.instrument_id]["kline"] += 1
        if bar.bar_type.instrument_id == IID:
            self.klines.append(bar)

    def on_data(self, data):
        self.heard[data.instrument_id]["open_interest"] += 1
        if data.instrument_id == IID:
            self.open_interest.append(data)


class Live:
    """Venue, node and listener; each test goes on from where the one before left them, without faults."""

    def __init__(self, venue, node, listener):
        self.venue, self.node, self.listener, self.client = venue, node, listener, node.client

    def until(self, holds):
        self.node.until(holds, lambda: self.listener.heard)

    def until_more(self, kind, count=5):
        before = {iid: heard[kind] for iid, heard in self.listener.heard.items()}
        self.until(lambda: all(heard[kind] >= before[iid] + count for iid, heard in self.listener.heard.items()))

    def heard(self, *kinds):
        """How many of each kind were heard, of both instruments."""
        return [counter[kind] for counter in self.listener.heard.values() for kind in kinds]

    def until_book_is_true(self):
        """Wait until the newest book at a step of the venue's is the venue's; that one."""
        seen = len(self.listener.books)

        found = None

        def is_true():
            nonlocal found
            steps = [entry for entry in self.listener.books[seen:] if entry[0] % UPDATES_PER_STEP == 0]
            found = steps[-1] if steps else None
            return found is not None and self.is_the_venues(found)

        self.until(is_true)
        return found

    def is_the_venues(self, entry):
        sequence, bids, asks = entry
        truth = self.venue.source.book(IID.value, instant(sequence // UPDATES_PER_STEP * BOOK_STEP_MS))
        instrument = self.venue.source.settings.instrument(BTC)
        return (bids, asks) == tuple(dict(levels(side, instrument, 1_000)) for side in (truth.bids, truth.asks))


def market_of_moving_rates():
    """A fast market of which the first instrument's rate is well away from where rates stand still.

    A rate stands at the interest rate for as long as the premium is near it, which at some hours it is in any market.
    """
    now, still = datetime.now(UTC), round(INTEREST_RATE * 1e8)
    for seed in range(100):
        market = fast_market(seed=seed)
        # Of the interval that has begun, and of the two after it.
        rates = market.settlements(BTC, now, now + 3 * FUNDING_INTERVAL).rate_e8
        if len(rates) == 3 and all(abs(rate - still) > 5_000 for rate in rates):
            return market
    raise AssertionError("in none of a hundred markets does the rate move now")


@pytest.fixture(scope="module")
def running():
    with embedded(BinanceVenue(market_of_moving_rates(), BinanceSettings())) as venue:
        listener = Listener()
        parts = binance_data_client(venue.url, venue.ws_url, (BTC, ETH))
        # The first requests of all are refused, and so are the first connections.
        venue.faults.start(Fault(kind="http_status", where="/fapi/v1/exchangeInfo", value=503, count=1))
        venue.faults.start(Fault(kind="refuse_connections", count=2))
        with running_node(parts, [listener]) as node:
            live = Live(venue, node, listener)
            live.until(lambda: all(heard.keys() >= KINDS for heard in listener.heard.values()))
            yield live


@pytest.fixture
def live(running):
    yield running
    running.venue.faults.stop_all()


def test_everything_of_two_instruments_is_heard_though_the_venue_refused_at_first(live):
    assert all(heard.keys() >= KINDS for heard in live.listener.heard.values())
    assert {str(each) for each in live.node.node.cache.instrument_ids()} == {BTC, ETH}


def test_funding_is_told_when_it_changes_with_the_instant_of_its_settlement(live):
    live.until(lambda: len(live.listener.rates[IID]) >= 3)
    updates = tuple(live.listener.rates[IID])

    told = [(update.rate, update.next_funding_ns) for update in updates]
    # A rate may come back to what it was: only the same twice in a row is none.
    assert all(one != other for one, other in pairwise(told))
    interval = FUNDING_INTERVAL // timedelta(microseconds=1) * 1_000
    assert all(at % interval == 0 and at > update.ts_event for (_, at), update in zip(told, updates, strict=True))
    live.until(lambda: live.node.node.cache.funding_rate(IID) == live.listener.rates[IID][-1])


def test_open_interest_is_the_venues(live):
    found = live.listener.open_interest[0]

    at = instant(found.ts_event // 1_000_000)
    truth = live.venue.source.open_interest(BTC, at, instant(found.ts_event // 1_000_000 + 1))
    assert found.value == int(truth.open_interest[0]) / 1_000


def test_closed_klines_of_a_second_are_the_markets(live):
    live.until(lambda: len(live.listener.klines) >= 5)

    for bar in live.listener.klines:
        opened = round(bar.ts_event / 1e6) // 1_000 * 1_000
        truth = live.venue.source.bars(BTC, instant(opened), instant(opened + 1), raw_bars=1)
        assert [round(float(each) * 10) for each in (bar.open, bar.high, bar.low, bar.close)] == [
            int(column[0]) for column in (truth.open, truth.high, truth.low, truth.close)
        ]


def test_a_lost_change_of_the_book_is_noticed_and_the_book_built_anew(live):
    live.until_book_is_true()
    built = live.client.rebuilds

    live.venue.faults.start(Fault(kind="depth_gap", where="BTCUSDT", count=1))
    live.until(lambda: live.client.rebuilds > built)

    live.until_book_is_true()
    assert live.client.rebuilds == built + 1


def test_the_book_is_built_though_snapshots_are_refused_or_cut_off(live):
    built = live.client.rebuilds
    live.venue.faults.start(Fault(kind="http_status", where="/fapi/v1/depth", value=429, count=1))
    live.venue.faults.start(Fault(kind="truncated_response", where="/fapi/v1/depth", count=1))

    live.venue.faults.start(Fault(kind="depth_gap", where="BTCUSDT", count=1))
    live.until(lambda: live.client.rebuilds > built)

    assert live.is_the_venues(live.until_book_is_true())
    assert not live.venue.faults.describe(), "each fault has struck"


@pytest.mark.parametrize(
    ("kind", "rebuilt"),
    [
        ("drop_messages", {True}),
        ("duplicate_messages", {False}),
        ("reorder_messages", {True, False}),  # it may change places with a message of another stream
    ],
)
def test_a_damaged_stream_leaves_a_true_book(live, kind, rebuilt):
    built = live.client.rebuilds

    live.venue.faults.start(Fault(kind=kind, where="btcusdt@depth*", share=0.3, count=5))
    live.until(lambda: not live.venue.faults.describe())

    assert live.is_the_venues(live.until_book_is_true())
    assert (live.client.rebuilds > built) in rebuilt


def test_a_disconnect_loses_no_stream_and_leaves_a_true_book(live):
    before = live.client.reconnects
    heard = live.heard("trade", "quote", "deltas", "mark", "kline")

    live.venue.faults.start(Fault(kind="disconnect", count=1))
    live.until(lambda: live.client.reconnects >= before + 1)

    for kind in ("trade", "quote", "deltas", "mark", "kline"):
        live.until_more(kind, 2)
    assert live.is_the_venues(live.until_book_is_true())
    assert live.client.reconnects > before
    assert all(
        now >= then + 2
        for then, now in zip(heard, live.heard("trade", "quote", "deltas", "mark", "kline"), strict=True)
    )


def test_a_connection_that_falls_silent_is_replaced(live):
    before = live.client.reconnects

    live.venue.faults.start(Fault(kind="mute", where="*@*"))
    live.until(lambda: live.client.reconnects > before)
    live.venue.faults.stop_all()

    live.until_more("trade", 3)
    live.until_more("mark", 2)
    assert live.is_the_venues(live.until_book_is_true())
    assert live.client.reconnects > before
    assert live.listener.trade_ids == sorted(set(live.listener.trade_ids)), "no trade is told twice"


def test_stale_prices_stop_trades_but_not_marks_and_the_book_is_true_again(live):
    live.venue.faults.start(Fault(kind="stale_prices", where="*"))
    live.until_more("mark", 2)  # what was under way has come
    trades = live.heard("trade")
    live.until_more("mark", 2)
    stood_still = live.heard("trade") == trades
    live.venue.faults.stop_all()

    live.until_more("trade", 3)
    assert live.is_the_venues(live.until_book_is_true())
    assert stood_still
