"""The read model: what is served is what the blocks say, and nothing of blocks that were not read yet."""

import itertools
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from simulated_venues.clock import VenueClock, iso
from simulated_venues.dydx.account_endpoints import AccountEndpoints
from simulated_venues.dydx.candles import RESOLUTION_MS
from simulated_venues.dydx.indexer import Indexer
from simulated_venues.dydx.listing import Listing
from simulated_venues.dydx.query import Query
from simulated_venues.dydx.records import (
    Condition,
    Filled,
    Moment,
    OrderFlags,
    OrderStatus,
    PositionChanged,
    Side,
    SubaccountId,
    TimeInForce,
)
from simulated_venues.faults import Fault
from simulated_venues.market import SimulatedMarket
from tests.simulated_venues.dydx.background import order
from tests.simulated_venues.dydx.indexer_venue import BLOCK_MS, IndexerVenue

NOW = 1_767_225_600_000 + 12 * 3_600_000 - 30_000
ALICE = SubaccountId(owner="dydx1alice", number=0)
CHILD = SubaccountId(owner="dydx1alice", number=128)


class Notebook:
    """Writes down what the indexer tells."""

    def __init__(self):
        self.heard = []

    def hear(self, channel, name, contents):
        self.heard.append((channel, name, msgspec.json.decode(msgspec.json.encode(contents))))

    def traded(self, ticker, since_ms):
        self.heard.append(("candles", ticker, since_ms))

    def of(self, channel):
        return [contents for each, _, contents in self.heard if each == channel]


class Interrupting(int):
    """A number that lets something else happen when it is first compared, as another thread may at any time."""

    def __new__(cls, value, happen):
        made = super().__new__(cls, value)
        made.happen = [happen]
        return made

    def __lt__(self, other):
        while self.happen:
            self.happen.pop()()
        return int(self) < other


@dataclass(frozen=True)
class NotingMarket(SimulatedMarket):
    """Notes what it is asked for."""

    asked: list[str] = field(default_factory=list)

    def trades(self, *request):
        self.asked.append("trades")
        return super().trades(*request)

    def open_interest(self, *request):
        self.asked.append("open interest")
        return super().open_interest(*request)


class TickingClock(VenueClock):
    """A millisecond later at every question."""

    ticks = itertools.count(NOW)

    def now_ms(self):
        return next(self.ticks)


@pytest.fixture(name="source", scope="module")
def source_fixture(make_settings):
    return SimulatedMarket(make_settings())


@pytest.fixture(name="venue")
def venue_fixture(source):
    venue = IndexerVenue(source)
    venue.indexer.audience = Notebook()
    venue.make_block(NOW)
    return venue


def advance(venue, blocks=1):
    return [event for _ in range(blocks) for event in venue.make_block(venue.moment.at_ms + BLOCK_MS)]


def restore(indexer, venue):
    """Let an indexer read a venue's blocks again."""
    blocks = [(moment, events) for moment, events in venue.blocks if events]
    indexer.restore(blocks, venue.moment, [moment for moment, _ in venue.blocks])


def market_order(venue, client_id, side=Side.BUY, quantity=500, who=ALICE):
    market = venue.listing.markets[0]
    price = venue.listing.oracle_e8(market, venue.moment.at_ms) // 10**8
    return order(
        client_id,
        side,
        quantity,
        price * 11 // 10 if side is Side.BUY else price * 9 // 10,
        who=who,
        time_in_force=TimeInForce.IOC,
        end=venue.moment.height + 10,
        market=market,
    )


def trade(venue, client_id=1, side=Side.BUY, quantity=500, who=ALICE):
    venue.place(market_order(venue, client_id, side, quantity, who))
    return advance(venue)


def ask(venue, path, **parameters):
    return AccountEndpoints(venue.indexer).answers()[path](Query({}, {k: str(v) for k, v in parameters.items()}))


def of_alice(venue, path, **parameters):
    return ask(venue, path, address=ALICE.owner, subaccountNumber=0, **parameters)


def test_a_fill_changes_order_fills_position_and_balance_as_the_events_say(venue):
    venue.deposit(ALICE, 100_000)
    advance(venue)
    events = trade(venue)
    fills = [event for event in events if isinstance(event, Filled)]
    market = venue.listing.markets[0]

    assert len(fills) >= 1
    shown = of_alice(venue, "fills")["fills"]
    assert [fill["id"] for fill in reversed(shown)] == [fill.fill_id for fill in fills]
    assert sum(Decimal(fill["size"]) for fill in shown) == Decimal("0.05")
    (placed,) = of_alice(venue, "orders")
    assert (placed["status"], placed["totalFilled"], placed["timeInForce"]) == ("FILLED", "0.05", "IOC")
    assert ask(venue, "orders/{orderId}", orderId=placed["id"]) == placed
    subaccount = of_alice(venue, "addresses/{address}/subaccountNumber/{subaccountNumber}")["subaccount"]
    position = subaccount["openPerpetualPositions"]["BTC-USD"]
    paid = sum(fill.quote_quantums for fill in fills)
    assert Decimal(position["entryPrice"]) == pytest.approx(Decimal(paid) / 10**6 / Decimal("0.05"))
    usdc = Decimal(subaccount["assetPositions"]["USDC"]["size"])
    assert usdc == Decimal(venue.exchange.usdc(ALICE)) / 10**6
    oracle = Decimal(venue.listing.oracle_e8(market, venue.moment.at_ms)) / 10**8
    value = (Decimal("0.05") * oracle).quantize(Decimal("0.000001"), "ROUND_FLOOR")
    assert Decimal(subaccount["equity"]) == usdc + value
    assert Decimal(subaccount["freeCollateral"]) == usdc + value - value / 50


def test_the_websocket_tells_what_rest_shows(venue):
    venue.deposit(ALICE, 100_000)
    advance(venue)
    trade(venue)
    told = venue.indexer.audience.of("v4_subaccounts")

    assert told[0]["assetPositions"][0]["size"] == "100000"
    assert told[1]["transfers"]["type"] == "DEPOSIT"
    opened, done = told[2:]
    assert opened["orders"][0]["status"] == "BEST_EFFORT_OPENED"
    assert "createdAtHeight" not in opened["orders"][0]
    fills = of_alice(venue, "fills")["fills"]
    same = ("id", "side", "size", "price", "fee", "createdAt", "orderId", "clientMetadata", "liquidity")
    assert [{k: fill[k] for k in same} for fill in done["fills"]] == [
        {k: fill[k] for k in same} for fill in reversed(fills)
    ]
    shown = of_alice(venue, "orders")[0]
    assert {k: v for k, v in done["orders"][-1].items() if k in shown} == {
        k: v for k, v in shown.items() if k not in ("orderRouterAddress", "subaccountNumber")
    }
    positions = of_alice(venue, "perpetualPositions", status="OPEN")["positions"]
    assert done["perpetualPositions"] == [
        {"address": ALICE.owner, "positionId": done["perpetualPositions"][0]["positionId"], **positions[0]}
    ]
    assert done["assetPositions"][0]["size"] == of_alice(venue, "assetPositions")["positions"][0]["size"]
    assert done["blockHeight"] == str(venue.moment.height)


def test_hidden_fills_are_in_rest_and_not_in_the_websocket(venue):
    venue.deposit(ALICE, 100_000)
    advance(venue)
    venue.indexer.audience.heard.clear()
    venue.faults.start(Fault(kind="hide_fills", where="BTC-USD", seconds=60))
    trade(venue)
    told = venue.indexer.audience.of("v4_subaccounts")

    assert [[o["status"] for o in each.get("orders", [])] for each in told] == [["BEST_EFFORT_OPENED"]]
    assert not any("fills" in each or "perpetualPositions" in each or "assetPositions" in each for each in told)
    assert len(of_alice(venue, "fills")["fills"]) >= 1
    assert of_alice(venue, "orders")[0]["status"] == "FILLED"
    assert len(of_alice(venue, "perpetualPositions")["positions"]) == 1


def test_a_lagging_indexer_shows_an_earlier_block_in_everything(venue):
    venue.deposit(ALICE, 100_000)
    advance(venue)
    height = venue.moment.height
    number = venue.faults.start(Fault(kind="indexer_lag", value=3))
    venue.indexer.audience.heard.clear()
    trade(venue)
    advance(venue, 2)

    assert venue.indexer.applied.height == height == venue.moment.height - 3
    assert of_alice(venue, "fills") == {"fills": []}
    assert [channel for channel, *_ in venue.indexer.audience.heard] == ["v4_subaccounts"]
    assert of_alice(venue, "orders")[0]["status"] == "BEST_EFFORT_OPENED"
    btc = venue.listing.markets[0]
    latest = venue.indexer.markets.latest_trades(btc, 1, 2**52)
    assert latest[0]["createdAt"] <= iso(venue.indexer.applied.at_ms)

    venue.faults.stop(number)
    advance(venue)
    assert venue.indexer.applied.height == venue.moment.height
    assert len(of_alice(venue, "fills")["fills"]) >= 1
    told = [contents["blockHeight"] for contents in venue.indexer.audience.of("v4_block_height")]
    assert told == [str(height + k) for k in range(1, 5)]


@pytest.mark.parametrize("resolution", ["1MIN", "15MINS", "1HOUR", "4HOURS"])
def test_candles_are_the_trades_of_their_time_and_nothing_after_now(venue, resolution):
    venue.deposit(ALICE, 100_000)
    advance(venue)
    trade(venue)
    market, length = venue.listing.markets[0], RESOLUTION_MS[resolution]
    span = (venue.moment.at_ms - 3 * length, 2**52)
    candles = venue.indexer.markets.read_candles(market, resolution, span, 100)
    trades = venue.indexer.markets.latest_trades(market, 8_000, 2**52)[::-1]

    assert any(each["id"].startswith("0000") for each in trades[-40:])
    assert any(not each["id"].startswith("000000") for each in trades[-40:])
    assert len(candles) == 3
    for candle in candles:
        end = iso(np.datetime64(candle["startedAt"][:-1], "ms").astype(int).item() + length)
        mine = [each for each in trades if candle["startedAt"] <= each["createdAt"] < end]
        prices, sizes = [Decimal(each["price"]) for each in mine], [Decimal(each["size"]) for each in mine]
        assert (candle["open"], candle["close"]) == (mine[0]["price"], mine[-1]["price"])
        assert (Decimal(candle["high"]), Decimal(candle["low"])) == (max(prices), min(prices))
        assert Decimal(candle["baseTokenVolume"]) == sum(sizes)
        assert Decimal(candle["usdVolume"]) == sum(p * s for p, s in zip(prices, sizes, strict=True))
        assert candle["trades"] == len(mine)


def test_a_candle_that_is_read_while_blocks_come_is_kept_with_all_its_trades(venue):
    venue.deposit(ALICE, 100_000)
    advance(venue)
    btc, ended_ms = venue.listing.markets[0], NOW + 30_000

    def end_the_minute():
        venue.place(market_order(venue, 1))
        venue.make_block(ended_ms - 1)
        venue.make_block(ended_ms + 100)

    venue.indexer.markets.read_candles(btc, "1MIN", (Interrupting(NOW - 60_000, end_the_minute), 2**52), 10)
    kept = venue.indexer.markets.read_candles(btc, "1MIN", (NOW - 60_000, 2**52), 10)
    again = Indexer(venue.listing, venue.clock, venue.faults, BLOCK_MS)
    restore(again, venue)

    assert len(venue.blocks) == 4
    assert kept == again.markets.read_candles(btc, "1MIN", (NOW - 60_000, 2**52), 10)


def test_a_day_is_made_of_its_hours_and_the_mid_price_follows(venue):
    market = venue.listing.markets[1]
    (day, *_) = venue.indexer.markets.read_candles(market, "1DAY", (NOW // 86_400_000 * 86_400_000, 2**52), 10)
    hours = venue.indexer.markets.read_candles(market, "1HOUR", (NOW // 86_400_000 * 86_400_000, 2**52), 24)

    assert Decimal(day["baseTokenVolume"]) == sum(Decimal(hour["baseTokenVolume"]) for hour in hours)
    assert (day["open"], day["close"]) == (hours[-1]["open"], hours[0]["close"])
    assert day["trades"] == sum(hour["trades"] for hour in hours)
    for newer, older in pairwise(hours):
        assert newer["orderbookMidPriceOpen"] == older["orderbookMidPriceClose"]


def test_results_are_kept_at_every_end_of_a_funding_interval(venue):
    venue.deposit(ALICE, 100_000)
    advance(venue)
    trade(venue)
    while venue.moment.at_ms < NOW + 31_000:
        advance(venue)
    (tick,) = of_alice(venue, "historical-pnl")["historicalPnl"]
    market, noon = venue.listing.markets[0], NOW + 30_000
    (payment,) = of_alice(venue, "fundingPayments")["fundingPayments"]

    assert (tick["createdAt"], tick["netTransfers"]) == (iso(noon), "100000")
    oracle = Decimal(venue.listing.oracle_e8(market, noon)) / 10**8
    usdc = Decimal(venue.exchange.usdc(ALICE)) / 10**6
    assert Decimal(tick["equity"]) == (usdc + Decimal("0.05") * oracle).quantize(Decimal("0.000001"), "ROUND_FLOOR")
    assert Decimal(tick["totalPnl"]) == Decimal(tick["equity"]) - 100_000
    rate = venue.indexer.markets.funding_rates(market, 2, 2**52)
    assert [each["effectiveAt"] for each in rate] == [payment["createdAt"], iso(noon - 3_600_000)]
    assert rate[0]["rate"] == payment["rate"]
    position = of_alice(venue, "perpetualPositions")["positions"][0]
    assert position["netFunding"] == payment["payment"]


def test_reading_the_blocks_again_gives_the_same_indexer(venue, source):
    venue.deposit(ALICE, 100_000)
    venue.deposit(CHILD, 7)
    advance(venue)
    trade(venue, 1)
    trade(venue, 2, Side.SELL, 200)
    while venue.moment.at_ms < NOW + 31_000:
        advance(venue)
    again = Indexer(venue.listing, venue.clock, venue.faults, BLOCK_MS)
    restore(again, venue)

    for account, events in venue.indexer.ledger.accounts.items():
        assert again.ledger.accounts[account] == events
    assert again.markets.market_documents() == venue.indexer.markets.market_documents()
    btc = venue.listing.markets[0]
    for name in ("1MIN", "1HOUR"):
        candles = [each.markets.read_candles(btc, name, (0, 2**52), 5) for each in (venue.indexer, again)]
        assert candles[0] == candles[1]


def test_reading_old_blocks_again_asks_for_no_more_than_the_prices_of_their_days(make_settings):
    source = NotingMarket(make_settings())
    venue = IndexerVenue(source)
    venue.make_block(NOW - 5 * 86_400_000)
    venue.deposit(ALICE, 100_000)
    advance(venue)
    trade(venue)
    venue.make_block(NOW)
    again = Indexer(Listing(source, venue.listing.markets), venue.clock, venue.faults, BLOCK_MS)
    source.asked.clear()
    restore(again, venue)

    assert source.asked == []
    assert again.displayed == venue.indexer.displayed


def test_heights_of_the_past_stay_the_same_when_blocks_are_read_again(venue):
    for k in range(120):
        venue.make_block(venue.moment.at_ms + 100 + 1_900 * (k % 3))
    again = Indexer(venue.listing, venue.clock, venue.faults, BLOCK_MS)
    restore(again, venue)
    btc = venue.listing.markets[0]
    live, later = (each.markets.latest_trades(btc, 100, 2**52) for each in (venue.indexer, again))

    assert len({each["createdAtHeight"] for each in live}) > 10
    assert later == live


def test_heights_before_a_chain_are_counted_from_its_first_block(venue):
    made = Indexer(venue.listing, venue.clock, venue.faults, BLOCK_MS)
    made.restore([], Moment(height=venue.moment.height - 1, at_ms=venue.moment.at_ms - 1_777), [])
    assumed = made.heights.at(NOW - 100_000)
    made.commit(venue.moment, [])
    again = Indexer(venue.listing, venue.clock, venue.faults, BLOCK_MS)
    again.restore([], venue.moment, [venue.moment])

    assert assumed > 1
    assert made.heights.at(NOW - 100_000) == again.heights.at(NOW - 100_000)


def test_a_clock_that_goes_on_shows_nothing_after_the_block(venue):
    indexer = Indexer(venue.listing, TickingClock(venue.faults), venue.faults, BLOCK_MS)
    indexer.commit(venue.moment, [])

    assert {indexer.markets.until_ms(market) for market in venue.listing.markets} == {venue.moment.at_ms + 1}


def test_blocks_that_are_read_again_are_no_strikes_of_hidden_fills(venue):
    venue.deposit(ALICE, 100_000)
    advance(venue)
    trade(venue)
    venue.faults.start(Fault(kind="hide_fills", count=1))
    again = Indexer(venue.listing, venue.clock, venue.faults, BLOCK_MS)
    restore(again, venue)

    assert [fault["struck"] for fault in venue.faults.describe()] == [0]


def test_a_closed_position_keeps_its_result(venue):
    venue.deposit(ALICE, 100_000)
    advance(venue)
    trade(venue, 1)
    events = trade(venue, 2, Side.SELL)
    (position,) = of_alice(venue, "perpetualPositions", status="CLOSED")["positions"]
    result = [e for e in events if isinstance(e, PositionChanged)][-1].position

    assert of_alice(venue, "perpetualPositions", status="OPEN") == {"positions": []}
    assert (position["size"], position["side"], position["sumClose"]) == ("0", "LONG", "0.05")
    gained = Decimal(abs(result.close_quote_quantums) - abs(result.open_quote_quantums)) / 10**6
    assert Decimal(position["realizedPnl"]) == pytest.approx(gained)


def test_orders_are_found_by_every_filter(venue):
    venue.deposit(ALICE, 100_000)
    advance(venue)
    market = venue.listing.markets[0]
    price = venue.listing.oracle_e8(market, NOW) // 10**8
    until = NOW // 1_000 + 7_200
    resting = replace(order(5, Side.BUY, 10, price * 8 // 10, flags=OrderFlags.LONG_TERM, end=until), client_metadata=4)
    stop = order(
        6,
        Side.SELL,
        10,
        price * 8 // 10,
        flags=OrderFlags.CONDITIONAL,
        end=until,
        condition=Condition.STOP_LOSS,
        trigger=price * 9 // 10,
    )
    venue.place(resting)
    venue.place(stop)
    advance(venue)
    trade(venue, 7)

    def found(**filters):
        return sorted(each["clientId"] for each in of_alice(venue, "orders", **filters))

    assert found() == ["5", "6", "7"]
    assert found(status="OPEN") == ["5"]
    assert found(status="UNTRIGGERED,FILLED") == ["6", "7"]
    assert found(side="SELL") == ["6"]
    assert found(type="STOP_LIMIT") == ["6"]
    assert found(ticker="ETH-USD") == []
    assert found(goodTilBlockBeforeOrAt=venue.moment.height + 40) == ["7"]
    assert found(goodTilBlockTimeBeforeOrAt=iso(until * 1_000)) == ["5", "6"]
    assert len(of_alice(venue, "orders", limit=2)) == 2
    assert [each["clientId"] for each in of_alice(venue, "orders", returnLatestOrders="false")] == ["5", "6", "7"]
    assert [each["clientId"] for each in of_alice(venue, "orders")] == ["7", "6", "5"]
    assert of_alice(venue, "orders", status="OPEN")[0]["clientMetadata"] == "4"
    venue.cancel(resting)
    advance(venue)
    assert found(status=OrderStatus.CANCELED.value) == ["5"]
    assert venue.indexer.audience.of("v4_subaccounts")[-1]["orders"][0]["removalReason"] == (
        "ORDER_REMOVAL_REASON_USER_CANCELED"
    )


def test_the_book_shows_what_accounts_took_and_what_they_let_rest(venue):
    venue.deposit(ALICE, 100_000)
    advance(venue)
    market = venue.listing.markets[0]
    price = venue.listing.oracle_e8(market, NOW) // 10**8
    rests = order(5, Side.BUY, 77, price * 9 // 10, flags=OrderFlags.LONG_TERM, end=NOW // 1_000 + 7_200)
    venue.place(rests)
    events = trade(venue, 6, Side.BUY, 300)
    (fill, *_) = [event for event in events if isinstance(event, Filled)]
    moment = venue.moment.at_ms
    background = venue.listing.book(market, moment)
    bids, asks = venue.indexer.displayed.sides(market, background.bids, background.asks)

    assert bids[price * 9 // 10] == 77
    assert list(bids) == sorted(bids, reverse=True)
    ticks = fill.subticks // market.subticks_per_tick
    there = dict(zip(background.asks.price.tolist(), background.asks.quantity.tolist(), strict=True))
    assert asks.get(ticks, 0) == there[ticks] - fill.quantums // market.step_base_quantums
    venue.cancel(rests)
    advance(venue)
    assert price * 9 // 10 not in venue.indexer.displayed.sides(market, background.bids, background.asks)[0]


def test_pages_go_through_all_fills_without_one_twice(venue):
    venue.deposit(ALICE, 100_000)
    advance(venue)
    for client_id in range(1, 6):
        trade(venue, client_id, Side.BUY if client_id % 2 else Side.SELL, 50)
    everything = of_alice(venue, "fills")["fills"]
    pages = [of_alice(venue, "fills", limit=2, page=page) for page in range(1, 5)]

    assert [fill for page in pages for fill in page["fills"]] == everything[:8]
    assert {(page["pageSize"], page["totalResults"]) for page in pages} == {(2, len(everything))}
    older = of_alice(venue, "fills", createdBeforeOrAtHeight=everything[-1]["createdAtHeight"])["fills"]
    assert older
    assert {fill["createdAtHeight"] for fill in older} == {everything[-1]["createdAtHeight"]}


def test_a_parent_has_the_sums_of_its_subaccounts(venue):
    venue.deposit(ALICE, 100_000)
    venue.deposit(CHILD, 50)
    advance(venue)
    path = "addresses/{address}/parentSubaccountNumber/{parentSubaccountNumber}"
    parent = ask(venue, path, address=ALICE.owner, parentSubaccountNumber=0)["subaccount"]

    assert parent["equity"] == "100050"
    assert [each["subaccountNumber"] for each in parent["childSubaccounts"]] == [0, 128]
    transfers = ask(venue, "transfers/parentSubaccountNumber", address=ALICE.owner, parentSubaccountNumber=0)
    assert [each["amount"] for each in transfers["transfers"]] == ["50", "100000"]


def test_two_equal_sources_give_equal_bytes(make_settings):
    told = []
    for _ in range(2):
        venue = IndexerVenue(SimulatedMarket(make_settings()))
        venue.indexer.audience = Notebook()
        venue.make_block(NOW)
        venue.deposit(ALICE, 100_000)
        advance(venue)
        trade(venue)
        advance(venue, 40)
        told.append(msgspec.json.encode(venue.indexer.audience.heard))

    assert told[0] == told[1]
    assert len(told[0]) > 5_000
