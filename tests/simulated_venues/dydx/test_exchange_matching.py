from dataclasses import dataclass

from simulated_venues.dydx.block import Tampering
from simulated_venues.dydx.displayed import Displayed
from simulated_venues.dydx.exchange import Exchange
from simulated_venues.dydx.records import (
    LevelTaken,
    MarketTraded,
    OrderFlags,
    OrderStatus,
    RemovalReason,
    Side,
    TimeInForce,
)
from simulated_venues.dydx.stalling import StallingBackground
from tests.simulated_venues.dydx.background import ALICE, BOB, BTC, ETH, USDC, WrittenBackground, block, order
from tests.simulated_venues.dydx.scene import Scene, filled, statuses

IOC, POST_ONLY = TimeInForce.IOC, TimeInForce.POST_ONLY


def test_a_taker_fills_at_the_makers_prices_best_first():
    events = Scene().place(order(1, quantity=70, price=40_005, time_in_force=IOC))

    assert filled(events) == [("alice", "TAKER", 50, 40_001), ("alice", "TAKER", 20, 40_002)]
    assert statuses(events, 1)[-1] == (OrderStatus.FILLED, None)


def test_what_an_immediate_order_does_not_get_is_cancelled_first_off_then_on_chain():
    events = Scene().place(order(1, quantity=70, price=40_001, time_in_force=IOC))

    assert statuses(events, 1) == [
        (OrderStatus.BEST_EFFORT_OPENED, None),
        (OrderStatus.BEST_EFFORT_CANCELED, RemovalReason.IOC_WOULD_REST),
        (OrderStatus.CANCELED, RemovalReason.IOC_WOULD_REST),
    ]


def test_what_was_taken_of_a_level_stays_taken_until_the_level_is_set_anew():
    scene = Scene()
    first = scene.place(order(1, quantity=40, price=40_001, time_in_force=IOC))
    scene.next()
    second = scene.place(order(2, quantity=40, price=40_001, time_in_force=IOC))
    scene.background.asks = [(40_001, 30, scene.moment.at_ms + 500)]
    scene.next()
    renewed = scene.place(order(3, quantity=40, price=40_001, time_in_force=IOC))

    assert [filled(events)[0][2] for events in (first, second, renewed)] == [40, 10, 30]


def test_a_level_out_of_sight_for_a_while_is_the_same_level():
    scene = Scene()
    shown = scene.background.asks
    scene.place(order(1, quantity=40, price=40_001, time_in_force=IOC))
    scene.background.asks = shown[1:]
    scene.next()
    scene.place(order(2, quantity=1, price=40_001, time_in_force=IOC))
    scene.background.asks = shown
    scene.next()

    assert filled(scene.place(order(3, quantity=40, price=40_001, time_in_force=IOC)))[0][2] == 10


def test_the_better_price_then_the_older_order_comes_first():
    scene = Scene()
    scene.place(order(1, Side.SELL, 5, 40_001))
    scene.next()
    scene.place(order(2, Side.SELL, 5, 40_000))
    scene.place(order(3, Side.SELL, 5, 40_001))
    scene.background.asks = [(40_001, 50, scene.moment.at_ms - 500)]
    scene.next()
    events = scene.place(order(4, Side.BUY, 61, 40_001, who=BOB, time_in_force=IOC))

    # Order 1 is older than the level that was set after it, order 3 is younger.
    assert [(steps, price) for who, _, steps, price in filled(events) if who == "bob"] == [
        (5, 40_000),
        (5, 40_001),
        (50, 40_001),
        (1, 40_001),
    ]
    assert statuses(events, 3) == [(OrderStatus.OPEN, None)]


def test_a_match_of_two_accounts_is_one_trade_on_the_tape():
    scene = Scene()
    scene.place(order(1, Side.SELL, 5, 40_000))
    events = scene.place(order(2, Side.BUY, 5, 40_000, who=BOB))
    trades = [event for event in events if isinstance(event, MarketTraded)]

    assert filled(events) == [("bob", "TAKER", 5, 40_000), ("alice", "MAKER", 5, 40_000)]
    assert [(trade.taker, trade.quantums) for trade in trades] == [(Side.BUY, 5_000_000)]


def test_ones_own_resting_order_makes_way_for_ones_taker():
    scene = Scene()
    scene.place(order(1, Side.SELL, 5, 40_000))
    events = scene.place(order(2, Side.BUY, 8, 40_001))

    assert statuses(events, 1)[-1] == (OrderStatus.CANCELED, RemovalReason.SELF_TRADE)
    assert filled(events) == [("alice", "TAKER", 8, 40_001)]


def test_a_post_only_order_that_would_take_is_removed():
    scene = Scene()
    flags = OrderFlags.LONG_TERM
    events = scene.place(order(1, price=40_001, time_in_force=POST_ONLY, flags=flags))
    rests = scene.place(order(2, price=40_000, time_in_force=POST_ONLY, flags=flags))

    assert statuses(events, 1)[-1] == (OrderStatus.CANCELED, RemovalReason.POST_ONLY_WOULD_CROSS)
    assert statuses(rests, 2) == [(OrderStatus.OPEN, None)]
    assert scene.resting() == [2]


def test_background_trades_take_what_stood_before_an_order_before_it():
    scene = Scene()
    scene.place(order(1, Side.BUY, 10, 39_999))
    at = scene.moment.at_ms
    scene.background.tape = [(at + 100, Side.SELL, 45, 39_999), (at + 200, Side.SELL, 9, 39_999)]
    events = scene.next()

    # 50 stood before it: 45 + 5 of the next 9, which leaves 4 for the order.
    assert filled(events) == [("alice", "MAKER", 4, 39_999)]
    assert not [event for event in events if isinstance(event, MarketTraded)]


def test_earlier_orders_at_a_price_are_filled_before_later_ones_within_one_trade():
    scene = Scene()
    scene.place(order(1, Side.BUY, 10, 40_000))
    scene.place(order(2, Side.BUY, 10, 40_000, who=BOB))
    scene.background.tape = [(scene.moment.at_ms + 100, Side.SELL, 13, 40_000)]

    assert filled(scene.next()) == [("alice", "MAKER", 10, 40_000), ("bob", "MAKER", 3, 40_000)]


def test_a_trade_beyond_its_price_fills_an_order_at_its_own_price_within_the_trade():
    scene = Scene()
    scene.place(order(1, Side.BUY, 10, 39_999))
    scene.background.tape = [(scene.moment.at_ms + 100, Side.SELL, 7, 39_990)]

    assert filled(scene.next()) == [("alice", "MAKER", 7, 39_999)]


def test_trades_of_the_other_aggressor_or_before_the_order_do_not_fill_it():
    scene = Scene()
    scene.place(order(1, Side.BUY, 10, 40_000))
    at = scene.moment.at_ms
    scene.background.tape = [(at, Side.SELL, 50, 39_990), (at + 1, Side.BUY, 50, 39_990)]

    assert not filled(scene.next())


def test_a_smaller_level_before_an_order_makes_its_queue_shorter_and_a_larger_one_not_longer():
    scene = Scene()
    scene.place(order(1, Side.BUY, 10, 39_999))
    queues = []
    for quantity in (20, 90):
        scene.background.bids = [(39_999, quantity, scene.moment.at_ms + 500)]
        scene.next()
        queues.append(scene.exchange.orders()[0].ahead_quantums // 1_000_000)

    assert queues == [20, 20]


def test_what_other_accounts_take_of_the_level_before_an_order_is_no_longer_before_it():
    scene = Scene()
    scene.place(order(1, Side.BUY, 10, 39_999))
    scene.place(order(2, Side.SELL, 30, 39_999, who=BOB, time_in_force=IOC))
    scene.next()

    assert scene.exchange.orders()[0].ahead_quantums == 20_000_000


def test_prices_of_the_background_that_cross_an_order_without_a_trade_fill_it_at_its_own():
    scene = Scene()
    scene.place(order(1, Side.BUY, 25, 40_000))
    scene.background.asks = [(39_990, 20, scene.moment.at_ms + 500), (40_001, 50, 0)]
    crossed = scene.next()
    again = scene.next()

    assert filled(crossed) == [("alice", "MAKER", 20, 40_000)]
    assert len([event for event in crossed if isinstance(event, MarketTraded)]) == 1
    assert not filled(again)


def test_a_fault_gives_a_match_only_a_part_and_the_next_block_the_rest():
    scene = Scene()
    scene.next(Tampering(fill_ppm={"BTC-USD": 400_000}.get))
    scene.place(order(1, Side.SELL, 10, 40_000))
    part = scene.place(order(2, Side.BUY, 10, 40_000, who=BOB))
    rest = scene.next()

    assert filled(part) == [("bob", "TAKER", 4, 40_000), ("alice", "MAKER", 4, 40_000)]
    assert filled(rest) == [("bob", "TAKER", 6, 40_000), ("alice", "MAKER", 6, 40_000)]
    assert not scene.resting()


def test_the_part_that_a_fault_gives_is_of_what_there_is_to_match():
    scene = Scene()
    scene.background.asks = [(40_001, 10, 0), (40_009, 100, 0)]
    scene.next(Tampering(fill_ppm={"BTC-USD": 400_000}.get))
    taken = scene.place(order(1, Side.BUY, 50, 40_001))
    scene.background.asks = [(40_000, 5, scene.moment.at_ms + 500)]
    crossed = scene.next(Tampering(fill_ppm={"BTC-USD": 400_000}.get))

    assert filled(taken) == [("alice", "TAKER", 4, 40_001)]
    assert filled(crossed) == [("alice", "MAKER", 2, 40_001)]


def test_a_fault_is_asked_for_its_part_only_when_there_is_something_to_match():
    scene, asked = Scene(), []
    scene.next(Tampering(fill_ppm=asked.append))
    scene.place(order(1, Side.BUY, 50, 40_000))
    before = list(asked)
    scene.place(order(2, Side.BUY, 50, 40_001))

    assert (before, asked) == ([], ["BTC-USD"])


def test_a_resting_order_gets_a_part_of_each_trade_under_the_fault():
    scene = Scene()
    scene.place(order(1, Side.BUY, 10, 40_000))
    scene.background.tape = [(scene.moment.at_ms + 100, Side.SELL, 10, 40_000)]

    assert filled(scene.next(Tampering(fill_ppm={"BTC-USD": 500_000}.get))) == [("alice", "MAKER", 5, 40_000)]


def test_names_of_fills_depend_on_block_and_place_alone():
    def fill_ids() -> list[str]:
        scene = Scene()
        events = scene.place(order(1, quantity=70, price=40_005))
        return [event.fill_id for event in events if hasattr(event, "fill_id")]

    assert fill_ids() == fill_ids()
    assert len(set(fill_ids())) == 2


@dataclass
class WrittenClock:
    """The time, and where a market stands if it stands still."""

    at_ms: int
    stalled_ms: int | None = None

    def now_ms(self):
        return self.at_ms

    def market_ms(self, ticker):
        return self.at_ms if self.stalled_ms is None else self.stalled_ms


def test_trades_of_a_time_in_which_the_market_stood_still_fill_when_it_is_over():
    tape = [(block(2).at_ms - 600 + 1_000 * k, Side.SELL, 1, 39_000) for k in range(5)]
    clock = WrittenClock(block(1).at_ms)
    scene = Scene(WrittenBackground(tape=tape, bids=[(39_999, 50, 0)], asks=[(40_001, 50, 0)]))
    stalling = StallingBackground(scene.background, clock)
    scene.exchange = Exchange((BTC, ETH), stalling)
    scene.exchange.begin_block(block(0), block(1))
    scene.exchange.deposit(ALICE, 10_000 * USDC, scene.moment, "AA")
    scene.place(order(1, Side.BUY, 10, 39_500))
    fills = []
    for stalled_ms in (None, block(2).at_ms + 500, block(2).at_ms + 500, None, None):
        clock.at_ms, clock.stalled_ms = block(scene.n + 1).at_ms, stalled_ms
        fills.append(len(filled(scene.next())))

    assert fills == [1, 1, 0, 2, 1]


def test_trades_from_before_an_order_came_are_not_kept_for_it():
    tape = [(block(2).at_ms + 1_000 * k, Side.SELL, 1, 39_000) for k in range(5)]
    clock = WrittenClock(block(2).at_ms, stalled_ms=block(1).at_ms)
    stalling = StallingBackground(WrittenBackground(tape=tape), clock)

    def asked(first, last, stalled_ms):
        clock.at_ms, clock.stalled_ms = block(last).at_ms, stalled_ms
        return len(stalling.trades(BTC, block(first).at_ms + 1, block(last).at_ms + 1))

    assert [asked(1, 2, block(1).at_ms), asked(4, 5, None)] == [0, 1]


def test_everybody_sees_less_of_a_level_that_filled_a_resting_order():
    scene = Scene()
    scene.place(order(1, Side.BUY, 30, 40_000))
    scene.next()
    scene.background.asks = [(39_990, 100, scene.moment.at_ms + 500), (40_001, 50, scene.moment.at_ms)]
    displayed = Displayed()
    for event in scene.next():
        if isinstance(event, LevelTaken):
            displayed.note_taken(event, BTC)
    book = scene.background.book(BTC, scene.moment.at_ms)

    assert scene.held() == 30
    assert displayed.sides(BTC, book.bids, book.asks)[1] == {39_990: 70, 40_001: 50}
