import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_pipeline.strategy.holding import (
    FOREIGN,
    KEPT_FILLS,
    KEPT_ORDERS,
    UNASKED,
    FilledLots,
    Holding,
    SentOrder,
    after_exit_decision,
    after_fill,
    is_new_fill,
    remember,
)
from helios_pipeline.strategy.order_tags import read_tags, write_tags

ENTRY = SentOrder("entry", "signal", 900, 12.5)
EXIT = SentOrder("exit", "signal", 1800, 12.5)
STOP = SentOrder("stop", "stop", 900, 12.5)
COOLDOWN = 50
LONG = after_fill(Holding(), FilledLots(1, 10, 100, 901), ENTRY, COOLDOWN)


def test_an_entry_keeps_what_decided_it():
    assert (LONG.side, LONG.lots, LONG.entry_ticks, LONG.entered_at, LONG.atr) == (1, 10, 100, 900, 12.5)


def test_an_entry_in_parts_has_their_average_price_to_the_nearest_tick():
    grown = after_fill(LONG, FilledLots(1, 30, 103, 902), ENTRY, COOLDOWN)

    # 10 × 100 + 30 × 103 = 4,090 over 40 lots: 102.25.
    assert (grown.lots, grown.entry_ticks, grown.entered_at) == (40, 102, 900)


def test_an_exit_in_parts_leaves_the_rest_as_it_was():
    rest = after_fill(after_exit_decision(LONG, "signal"), FilledLots(-1, 4, 120, 1801), EXIT, COOLDOWN)

    assert (rest.side, rest.lots, rest.entry_ticks, rest.leaving) == (1, 6, 100, "signal")


@pytest.mark.parametrize(
    ("sent", "leaving", "enter_after"),
    [(EXIT, "signal", 0), (EXIT, "max_holding", 1851), (STOP, "", 1851), (STOP, "signal", 1851), (FOREIGN, "", 0)],
)
def test_a_stop_and_an_exit_by_time_are_followed_by_a_cooldown(sent, leaving, enter_after):
    held = after_exit_decision(LONG, leaving) if leaving else LONG

    assert after_fill(held, FilledLots(-1, 10, 90, 1801), sent, COOLDOWN) == Holding(enter_after=enter_after)


def test_the_first_reason_to_leave_stays():
    assert after_exit_decision(after_exit_decision(LONG, "signal"), "max_holding").leaving == "signal"
    assert after_exit_decision(Holding(), "signal").leaving == ""


def test_a_position_that_nobody_asked_for_is_left():
    taken = after_fill(Holding(), FilledLots(-1, 5, 100, 77), FOREIGN, COOLDOWN)
    turned = after_fill(LONG, FilledLots(-1, 15, 100, 77), FOREIGN, COOLDOWN)

    assert (taken.side, taken.lots, taken.leaving, taken.entered_at) == (-1, 5, UNASKED, 77)
    assert (turned.side, turned.lots, turned.leaving) == (-1, 5, UNASKED)


@given(
    st.lists(
        st.tuples(st.sampled_from([-1, 1]), st.integers(1, 50), st.sampled_from([ENTRY, EXIT, STOP, FOREIGN])),
        max_size=30,
    )
)
def test_lots_are_always_the_sum_of_the_fills(fills):
    holding, total = Holding(), 0

    for side, lots, sent in fills:
        holding = after_fill(holding, FilledLots(side, lots, 100, 5), sent, COOLDOWN)
        total += side * lots
        assert holding.side * holding.lots == total
        assert (holding.side == 0) == (total == 0)


def test_the_oldest_of_too_many_orders_is_forgotten():
    sent = {}
    for number in range(KEPT_ORDERS + 3):
        remember(sent, str(number), ENTRY)

    assert list(sent) == [str(number) for number in range(3, KEPT_ORDERS + 3)]


@given(
    st.builds(
        SentOrder,
        st.sampled_from(["entry", "exit", "stop", "flatten", "other"]),
        st.sampled_from(["signal", "max_holding", "stop", "operator=me"]),
        st.integers(0, 2**62),
        st.floats(0, 1e9) | st.just(math.nan),
    )
)
def test_tags_give_back_what_an_order_was_sent_for(sent):
    read = read_tags(write_tags(sent))

    assert read[:3] == sent[:3]
    assert read.atr == sent.atr or (math.isnan(read.atr) and math.isnan(sent.atr))


@pytest.mark.parametrize("tags", [None, [], ["MARKET_EXIT"], ["purpose=mischief", "reason=x"]])
def test_an_order_without_our_tags_is_foreign(tags):
    assert read_tags(tags) == FOREIGN


@given(st.lists(st.integers(0, 3 * KEPT_FILLS), max_size=50), st.integers(0, 2 * KEPT_FILLS))
def test_a_fill_is_new_once_and_not_more_are_remembered_than_need_be(ids, before):
    taken = dict.fromkeys(f"before-{number}" for number in range(min(before, KEPT_FILLS)))

    new = [is_new_fill(taken, str(number)) for number in ids]

    assert new == [number not in ids[:place] for place, number in enumerate(ids)]
    assert len(taken) <= KEPT_FILLS
