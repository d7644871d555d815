"""The paper account's client in a node, at prices of a simulated dYdX that misbehaves when it is told to."""

from dataclasses import replace
from decimal import Decimal

import pytest
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.enums import BookType, OrderSide
from nautilus_trader.model.objects import Price

from helios_pipeline.adapters.paper.orders import best_prices, fill_prices
from helios_pipeline.core.errors import JournalError
from helios_pipeline.core.trading import OrderEvent
from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.dydx.venue import DydxVenue
from simulated_venues.faults import Fault
from simulated_venues.market import SimulatedMarket
from simulated_venues.venue import embedded
from tests.live_engine.venue_contract.case import VenueCase
from tests.live_engine.venue_contract.engine import in_own_loop, running
from tests.simulated_venues.conftest import BTC, make_settings

QUANTITY = Decimal("0.0200")


class Fragile:
    """The journal, until its disk is full."""

    def __init__(self, journal):
        self.journal, self.is_full = journal, False

    def append(self, record):
        if self.is_full and isinstance(record, OrderEvent):
            raise JournalError("no space left on device")
        return self.journal.append(record)


class Seen:
    """What a scenario saw."""


@pytest.fixture(name="seen", scope="module")
def seen_fixture(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    source = SimulatedMarket(replace(make_settings(ids=(BTC,)), raw_interval_ms=1_000))
    with embedded(DydxVenue(source, DydxSettings(state_folder=folder / "chain", block_ms=250))) as venue:
        case = VenueCase(
            network="paper",
            venue="DYDX",
            instrument_id="BTC-USD-PERP.DYDX",
            quantity=str(QUANTITY),
            taker_fee_fraction="0.0005",
            funding_interval_seconds=60,
            addresses={"dydx_http": venue.url, "dydx_ws": venue.ws_url},
        )
        yield in_own_loop(lambda loop: scenario(loop, case, folder / "log", venue))


async def scenario(loop, case, folder, venue):
    seen, sinks = Seen(), []

    def wrap(journal):
        sinks.append(Fragile(journal))
        return sinks[0]

    async with running(case, folder, loop, wrap) as engine:
        await stop_out(engine, venue, seen)
        await rest_and_cancel_all(engine, seen)
        await walk_the_book(engine, seen)
        await lose_the_journal(engine, sinks[0], seen)
    return seen


async def stop_out(engine, venue, seen):
    """The oracle falls through a resting stop while the book stays where it is."""
    trader = engine.trader
    trader.market(+1, QUANTITY)
    await engine.until(lambda: engine.quantity() == QUANTITY, "an entry fills")
    seen.trigger = trader.mark * Decimal("0.97")
    seen.stop = trader.protect(-1, QUANTITY, seen.trigger)
    await engine.until(lambda: "OrderAccepted" in trader.of(seen.stop), "a stop rests")
    seen.resting = [order.trigger_price for order in (await engine.read()).open_orders]
    venue.faults.start(Fault(kind="oracle_jump", value=-0.05))
    await engine.until(lambda: engine.quantity() == 0, "the stop closes the position")
    seen.fall = engine.journal.history().fills[-1]
    seen.bid = engine.node.cache.quote_tick(trader.iid).bid_price.as_decimal()
    venue.faults.stop_all()


async def rest_and_cancel_all(engine, seen):
    """Two limit orders far from the market."""
    trader, decimals = engine.trader, engine.node.cache.instrument(engine.trader.iid).price_precision
    ids = []
    for side, factor in ((OrderSide.BUY, "0.5"), (OrderSide.SELL, "1.5")):
        price = Price.from_str(f"{trader.mark * Decimal(factor):.{decimals}f}")
        order = trader.order_factory.limit(
            trader.iid, side, trader.exact(QUANTITY), price, client_order_id=trader.next_id()
        )
        trader.submit_order(order)
        ids.append(order.client_order_id.value)
    await engine.until(lambda: all("OrderAccepted" in trader.of(each) for each in ids), "limit orders rest")
    trader.cancel_all_orders(trader.iid)
    await engine.until(lambda: all(engine.has_ended(each) for each in ids), "all are cancelled")
    seen.limits = [trader.of(each) for each in ids]


async def walk_the_book(engine, seen):
    """Once the book is kept in NautilusTrader's cache, orders are filled from its levels."""
    trader, cache = engine.trader, engine.node.cache
    trader.subscribe_order_book_deltas(trader.iid, BookType.L2_MBP)

    def prices():
        return fill_prices(cache, trader.iid, engine.node.kernel.clock.timestamp_ns())

    await engine.until(lambda: prices().is_whole_book, "the book is kept and agrees with the quote")
    seen.whole, seen.book = prices(), cache.order_book(trader.iid)
    seen.best = best_prices(cache, trader.iid, engine.node.kernel.clock.timestamp_ns())
    largest = sum((level.quantity for level in seen.whole.asks[:2]), Decimal(0)) + QUANTITY
    before = len(engine.journal.history().fills)
    big = trader.market(+1, largest.quantize(QUANTITY))
    await engine.until(lambda: engine.has_ended(big), "a large order ends")
    seen.walked = engine.journal.history().fills[before:]


async def lose_the_journal(engine, sink, seen):
    """From here on nothing can be made durable, so nothing may happen."""
    trader = engine.trader
    before, sink.is_full = await engine.read(), True
    lost = trader.market(-1, QUANTITY)
    await engine.until(lambda: "OrderRejected" in trader.of(lost), "an order that can't be journalled is refused")
    seen.lost, seen.before, seen.after = trader.of(lost), before, await engine.read()
    sink.is_full = False


def test_a_stop_triggers_on_the_oracle_and_fills_at_the_quote(seen):
    assert [abs(trigger - seen.trigger) < 1 for trigger in seen.resting] == [True]
    assert seen.fall.side == -1
    assert seen.fall.price > seen.trigger
    assert abs(seen.fall.price / seen.bid - 1) < Decimal("0.01")


def test_cancel_all_takes_back_what_rests(seen):
    assert [events[-1] for events in seen.limits] == ["OrderCanceled", "OrderCanceled"]


def test_a_large_order_is_filled_from_the_levels_of_the_book(seen):
    prices = [fill.price for fill in seen.walked]

    assert isinstance(seen.book, OrderBook)
    assert (seen.whole.bids[0].price, seen.whole.asks[0].price) == (seen.best.bids[0].price, seen.best.asks[0].price)
    assert len(seen.whole.asks) > 2
    assert len(set(prices)) >= 2
    assert prices == sorted(prices)


def test_without_a_journal_an_order_is_refused_and_nothing_happens(seen):
    assert "OrderFilled" not in seen.lost
    assert seen.after.quote_balance == seen.before.quote_balance
    assert seen.after.positions == seen.before.positions
    assert seen.after.open_orders == seen.before.open_orders
