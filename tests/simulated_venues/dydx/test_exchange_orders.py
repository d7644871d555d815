from dataclasses import replace

import pytest

from helios_pipeline.core.errors import SimulationError
from simulated_venues.dydx.records import (
    Condition,
    OrderChanged,
    OrderFlags,
    OrderStatus,
    RemovalReason,
    Side,
    TimeInForce,
)
from simulated_venues.dydx.refusals import Refused
from tests.simulated_venues.dydx.background import ALICE, BOB, START_MS, STEP, USDC, block, order
from tests.simulated_venues.dydx.scene import Scene, filled, statuses

IOC, POST_ONLY = TimeInForce.IOC, TimeInForce.POST_ONLY
LONG_TERM, CONDITIONAL = OrderFlags.LONG_TERM, OrderFlags.CONDITIONAL


def refusal(scene: Scene, refused_order) -> int:
    with pytest.raises(Refused) as refused:
        scene.exchange.check(refused_order, scene.moment)
    assert refused.value.codespace == "clob"
    return refused.value.code


def test_a_short_term_order_is_replaced_by_one_that_ends_later_and_keeps_what_it_has_filled():
    scene = Scene()
    scene.place(order(1, quantity=60, price=40_001, end=block(5).height))
    events = scene.place(order(1, quantity=52, price=40_002, end=block(6).height))

    assert statuses(events, 1)[0] == (OrderStatus.BEST_EFFORT_OPENED, None)
    assert filled(events) == [("alice", "TAKER", 2, 40_002)]
    assert not scene.resting()


def test_an_id_in_use_is_refused_unless_the_new_order_ends_later():
    scene = Scene()
    first = order(1, price=39_000, end=block(5).height)
    scene.place(first)

    assert refusal(scene, first) == 30
    assert refusal(scene, replace(first, subticks=first.subticks * 2)) == 20
    scene.exchange.check(replace(first, good_til_block=block(6).height), scene.moment)


def test_an_order_that_is_filled_can_not_come_again_until_its_last_block_is_past():
    scene = Scene()
    scene.place(order(1, quantity=10, price=40_001, time_in_force=IOC, end=block(3).height))
    scene.place(order(2, quantity=60, price=40_001, time_in_force=IOC, end=block(3).height))

    assert refusal(scene, order(1, quantity=10, price=40_001, end=block(4).height)) == 24
    assert refusal(scene, order(2, quantity=60, price=40_001, time_in_force=IOC, end=block(4).height)) == 2004
    scene.next(blocks=3)
    scene.exchange.check(order(1, quantity=10, price=40_001), scene.moment)


def test_an_order_with_a_cancelled_id_is_refused_unless_it_ends_after_the_cancel():
    scene = Scene()
    placed = order(1, price=39_000, end=block(5).height)
    scene.place(placed)
    events = scene.exchange.cancel(placed.order_id, block(5).height, scene.moment)

    assert statuses(events, 1) == [
        (OrderStatus.BEST_EFFORT_CANCELED, RemovalReason.USER_CANCELED),
        (OrderStatus.CANCELED, RemovalReason.USER_CANCELED),
    ]
    assert refusal(scene, placed) == 7
    with pytest.raises(Refused, match="A cancel already exists"):
        scene.exchange.check_cancel(placed.order_id, block(5).height)
    scene.exchange.check(replace(placed, good_til_block=block(6).height), scene.moment)


def test_a_cancel_that_ends_before_the_order_leaves_it():
    scene = Scene()
    placed = order(1, price=39_000, end=block(5).height)
    scene.place(placed)

    assert not scene.exchange.cancel(placed.order_id, block(4).height, scene.moment)
    assert scene.resting() == [1]


def test_a_stateful_order_is_not_replaced_and_is_cancelled_on_chain():
    scene = Scene()
    placed = order(1, price=39_000, flags=LONG_TERM)
    scene.place(placed)

    assert refusal(scene, placed) == 3005
    assert statuses(scene.exchange.cancel(placed.order_id, None, scene.moment), 1) == [
        (OrderStatus.CANCELED, RemovalReason.USER_CANCELED)
    ]


def test_a_short_term_order_lives_through_its_last_block():
    scene = Scene()
    scene.place(order(1, price=39_000, end=block(3).height))

    assert not scene.next() + scene.next()
    assert statuses(scene.next(), 1)[-1] == (OrderStatus.CANCELED, RemovalReason.EXPIRED)


def test_a_stateful_order_ends_at_its_time_and_later_trades_do_not_fill_it():
    scene = Scene()
    end = START_MS // 1_000 + 3
    scene.place(order(1, quantity=10, price=40_000, flags=LONG_TERM, end=end))
    scene.background.tape = [
        (end * 1_000 - 1, Side.SELL, 3, 40_000),
        (end * 1_000, Side.SELL, 3, 40_000),
    ]
    events = scene.next(blocks=2)

    assert filled(events) == [("alice", "MAKER", 3, 40_000)]
    assert statuses(events, 1)[-1] == (OrderStatus.CANCELED, RemovalReason.EXPIRED)


def test_a_crossing_post_only_order_is_refused_before_the_block():
    assert refusal(Scene(), order(1, price=40_001, time_in_force=POST_ONLY)) == 2003


def test_an_unknown_market_is_refused():
    unknown = order(1)

    assert refusal(Scene(), replace(unknown, order_id=replace(unknown.order_id, clob_pair_id=9))) == 8


@pytest.mark.parametrize(
    ("condition", "side", "trigger", "sleeps_at", "wakes_at"),
    [
        (Condition.STOP_LOSS, Side.SELL, 39_500, 39_501.0, 39_500.0),
        (Condition.TAKE_PROFIT, Side.BUY, 39_500, 39_501.0, 39_500.0),
        (Condition.STOP_LOSS, Side.BUY, 40_500, 40_499.0, 40_500.0),
        (Condition.TAKE_PROFIT, Side.SELL, 40_500, 40_499.0, 40_500.0),
    ],
)
def test_a_conditional_order_wakes_by_the_oracle_price(condition, side, trigger, sleeps_at, wakes_at):
    scene = Scene()
    price = 40_001 if side is Side.BUY else 39_999
    placed = order(1, side, 5, price, flags=CONDITIONAL, time_in_force=IOC, condition=condition, trigger=trigger)
    opened = scene.place(placed)
    scene.background.oracle = sleeps_at
    before = scene.next()
    scene.background.oracle = wakes_at
    after = scene.next()

    assert statuses(opened, 1) == [(OrderStatus.UNTRIGGERED, None)]
    assert not before
    assert statuses(after, 1) == [(OrderStatus.OPEN, None), (OrderStatus.FILLED, None)]
    assert scene.held() == (5 if side is Side.BUY else -5)


def test_a_waiting_order_ends_and_is_cancelled_like_others():
    scene = Scene()
    waiting = order(
        1, Side.SELL, flags=CONDITIONAL, condition=Condition.STOP_LOSS, trigger=1_000, end=START_MS // 1_000 + 2
    )
    other = order(2, Side.SELL, flags=CONDITIONAL, condition=Condition.STOP_LOSS, trigger=1_000)
    scene.place(waiting)
    scene.place(other)
    canceled = scene.exchange.cancel(other.order_id, None, scene.moment)

    assert statuses(canceled, 2) == [(OrderStatus.CANCELED, RemovalReason.USER_CANCELED)]
    assert statuses(scene.next(), 1) == [(OrderStatus.CANCELED, RemovalReason.EXPIRED)]
    assert not scene.exchange.orders()


def test_a_protective_stop_closes_the_position_and_no_more():
    scene = Scene()
    scene.place(order(1, Side.BUY, 5, 40_001, time_in_force=IOC))
    scene.place(
        order(
            2,
            Side.SELL,
            8,
            39_000,
            flags=CONDITIONAL,
            time_in_force=IOC,
            reduce_only=True,
            condition=Condition.STOP_LOSS,
            trigger=39_500,
        )
    )
    scene.background.oracle = 39_400.0
    events = scene.next()

    assert filled(events) == [("alice", "TAKER", 5, 39_999)]
    assert statuses(events, 2)[-1] == (OrderStatus.CANCELED, RemovalReason.REDUCE_ONLY_RESIZE)
    assert scene.held() == 0


def test_a_reduce_only_order_that_would_open_or_enlarge_is_refused():
    scene = Scene()
    flat = refusal(scene, order(1, Side.SELL, time_in_force=IOC, reduce_only=True))
    scene.place(order(2, Side.BUY, 5, 40_001, time_in_force=IOC))

    assert flat == refusal(scene, order(3, Side.BUY, time_in_force=IOC, reduce_only=True)) == 2001


def test_a_resting_reduce_only_order_goes_when_its_position_is_closed():
    scene = Scene()
    scene.place(order(1, Side.BUY, 5, 40_001, time_in_force=IOC))
    scene.place(order(2, Side.SELL, 5, 41_000, reduce_only=True))
    events = scene.place(order(3, Side.SELL, 5, 39_999, time_in_force=IOC))

    assert statuses(events, 2)[-1] == (OrderStatus.CANCELED, RemovalReason.REDUCE_ONLY_RESIZE)


def test_a_resting_reduce_only_order_fills_no_more_than_the_position():
    scene = Scene()
    scene.place(order(1, Side.BUY, 5, 40_001, time_in_force=IOC))
    scene.place(order(2, Side.SELL, 5, 40_000, reduce_only=True))
    scene.place(order(3, Side.SELL, 3, 39_999, time_in_force=IOC))
    events = scene.place(order(4, Side.BUY, 5, 40_000, who=BOB, time_in_force=IOC))

    assert filled(events) == [("bob", "TAKER", 2, 40_000), ("alice", "MAKER", 2, 40_000)]
    assert scene.held() == 0
    assert not scene.resting()


def test_the_number_of_stateful_orders_depends_on_equity():
    scene = Scene()
    scene.exchange.withdraw(ALICE, 10_000 * USDC - 20 * USDC, scene.moment, "AA")
    for client_id in range(10):
        scene.place(order(client_id, quantity=1, price=100, flags=LONG_TERM))

    eleventh = order(10, quantity=1, price=100, flags=LONG_TERM)
    assert refusal(scene, eleventh) == 10001
    scene.exchange.check(order(11, quantity=1, price=100), scene.moment)
    scene.exchange.withdraw(ALICE, 1, scene.moment, "AA")
    scene.exchange.cancel(order(0, flags=LONG_TERM).order_id, None, scene.moment)
    assert refusal(scene, eleventh) == 10001
    scene.exchange.deposit(ALICE, 1, scene.moment, "AA")
    scene.exchange.check(eleventh, scene.moment)


def test_a_resting_order_can_be_filled_whole_by_a_fault_that_ignores_its_cancel():
    scene = Scene()
    placed = order(1, quantity=10, price=39_000)
    scene.place(placed)
    events = scene.exchange.fill(placed.order_id, scene.moment)

    assert filled(events) == [("alice", "MAKER", 10, 39_000)]
    assert not scene.exchange.cancel(placed.order_id, placed.good_til_block, scene.moment)
    assert scene.exchange.total_quote_quantums() == 0


def test_a_partly_filled_order_is_open_with_what_it_has_filled():
    scene = Scene()
    events = scene.place(order(1, quantity=60, price=40_001, flags=LONG_TERM))

    assert [e.filled_quantums // STEP for e in events if isinstance(e, OrderChanged)] == [0, 50]
    assert statuses(events, 1) == [(OrderStatus.OPEN, None)] * 2
    assert scene.resting() == [1]


def test_checking_changes_nothing():
    scene = Scene()
    scene.place(order(1, quantity=40, price=40_001, time_in_force=IOC))
    scene.exchange.take_changes()
    later = block(9)
    scene.exchange.check(order(2, price=40_000, time_in_force=POST_ONLY, end=later.height), later)
    scene.exchange.check(order(3, price=40_000, flags=LONG_TERM), later)

    assert not scene.exchange.take_changes()
    assert filled(scene.place(order(4, quantity=40, price=40_001, time_in_force=IOC))) == [
        ("alice", "TAKER", 10, 40_001)
    ]


def test_blocks_come_in_order():
    scene = Scene()

    with pytest.raises(SimulationError, match="Stamp blocks in order"):
        scene.exchange.begin_block(scene.moment, scene.moment)


def test_what_is_left_of_a_reduce_only_order_does_not_rest_without_a_position():
    scene = Scene()
    scene.place(order(1, Side.BUY, 5, 40_001, time_in_force=IOC))
    scene.background.bids = []
    scene.place(order(2, Side.BUY, 5, 40_000, who=BOB))
    scene.next()
    events = scene.place(order(3, Side.SELL, 8, 40_000, reduce_only=True))

    assert filled(events) == [("alice", "TAKER", 5, 40_000), ("bob", "MAKER", 5, 40_000)]
    assert statuses(events, 3)[-1] == (OrderStatus.CANCELED, RemovalReason.REDUCE_ONLY_RESIZE)
