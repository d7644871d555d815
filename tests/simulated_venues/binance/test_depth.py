import random
from decimal import Decimal
from itertools import pairwise

import pytest

from simulated_venues.binance import stream_messages
from simulated_venues.binance.depth import DepthFeed
from simulated_venues.binance.payloads import levels
from simulated_venues.clock import instant
from simulated_venues.source import BOOK_STEP_MS, UPDATES_PER_STEP
from tests.simulated_venues.binance.fast_world import fast_market
from tests.simulated_venues.binance.local_book import LocalBook
from tests.simulated_venues.conftest import BTC

START_MS = 1_767_225_599_000
"""A second before a day of the market ends, in the fast world and at natural speed."""


def run(market, steps, speed_ms=100):
    """Messages of a span without waiting: (step, event as a client gets it) and the feed."""
    instrument = market.settings.instrument(BTC)
    feed, first = DepthFeed(market, instrument), START_MS // BOOK_STEP_MS
    trades = market.trades(BTC, instant(START_MS), instant(START_MS + steps * BOOK_STEP_MS)).traded_at_ms.tolist()
    inside, index = [], 0
    for step in range(first + 1, first + steps + 1):
        at_ms = step * BOOK_STEP_MS
        while index < len(trades) and trades[index] < at_ms:
            inside.append(trades[index])
            index += 1
        change = feed.advance(step, inside).get(speed_ms)
        inside = []
        if change is not None:
            yield step, stream_messages.depth_update(instrument, change, at_ms, at_ms)


def snapshot(market, at_ms):
    book, instrument = market.book(BTC, instant(at_ms)), market.settings.instrument(BTC)
    return {
        "lastUpdateId": book.update_id,
        "bids": levels(book.bids, instrument, 1_000),
        "asks": levels(book.asks, instrument, 1_000),
    }


def assert_same_book(local, market, at_ms):
    truth = snapshot(market, at_ms)
    assert local.bids == dict(truth["bids"])
    assert local.asks == dict(truth["asks"])


@pytest.mark.parametrize(("raw_interval_ms", "steps", "least"), [(1_000, 600, 50_000), (60_000, 3_000, 10_000)])
def test_a_local_book_equals_the_venues_after_tens_of_thousands_of_updates(raw_interval_ms, steps, least):
    market, local, updates = fast_market(raw_interval_ms=raw_interval_ms), LocalBook(), 0
    local.reset(snapshot(market, START_MS))

    for step, event in run(market, steps):
        local.apply(event)
        updates += len(event["b"]) + len(event["a"])
        if step % 20 == 0:
            assert_same_book(local, market, step * BOOK_STEP_MS)

    assert local.breaks == 0
    assert updates >= least


@pytest.mark.parametrize("speed_ms", [100, 250, 500])
def test_a_snapshot_taken_at_any_moment_joins_the_stream(speed_ms):
    market, chance = fast_market(trades_per_day=200_000), random.Random(speed_ms)
    events = list(run(market, 150, speed_ms))

    for _ in range(30):
        at_ms = START_MS + chance.randrange(1_000, 12_000)
        local = LocalBook()
        for step, event in events:
            local.apply(event)
            if local.needs_snapshot and step * BOOK_STEP_MS > at_ms:
                local.reset(snapshot(market, at_ms))
        assert local.breaks == 0
        assert_same_book(local, market, events[-1][0] * BOOK_STEP_MS)


@pytest.mark.parametrize("speed_ms", [100, 250, 500])
def test_messages_join_and_are_never_empty_nor_repeat_a_price(speed_ms):
    events = [event for _, event in run(fast_market(raw_interval_ms=60_000), 1_000, speed_ms)]

    assert len(events) == 1_000 * BOOK_STEP_MS // speed_ms
    for before, event in pairwise(events):
        assert event["pu"] == before["u"] == event["U"] - 1
        assert event["b"] or event["a"]
    for event in events:
        for side in ("b", "a"):
            prices = [Decimal(price) for price, _ in event[side]]
            assert prices == sorted(set(prices), reverse=side == "b")


def test_deletes_have_quantity_zero_and_happen():
    quantities = [quantity for _, event in run(fast_market(), 100) for _, quantity in event["b"] + event["a"]]

    assert "0.000" in quantities
    assert all(Decimal(quantity) >= 0 for quantity in quantities)


@pytest.mark.parametrize("speed_ms", [100, 250, 500])
def test_after_a_standstill_one_message_leads_from_the_frozen_book_to_the_present(speed_ms):
    market = fast_market()
    instrument = market.settings.instrument(BTC)
    feed, first = DepthFeed(market, instrument), START_MS // BOOK_STEP_MS
    frozen_ms, present = START_MS + 340, first + 77
    local, frozen = LocalBook(), LocalBook()
    local.reset(snapshot(market, START_MS))
    frozen.reset(snapshot(market, frozen_ms))
    events = []
    for step in range(first + 1, first + 4):
        times = market.trades(BTC, instant((step - 1) * 100), instant(step * 100)).traded_at_ms.tolist()
        events.append(feed.advance(step, times).get(speed_ms))

    events.append(feed.leap(first + 3, frozen_ms, present)[speed_ms])
    for change in filter(None, events):
        event = stream_messages.depth_update(instrument, change, frozen_ms, frozen_ms)
        local.apply(event)
        frozen.apply(event)

    assert local.last_id == frozen.last_id == present * UPDATES_PER_STEP
    assert local.breaks == frozen.breaks == 0
    assert_same_book(local, market, present * BOOK_STEP_MS)
    assert_same_book(frozen, market, present * BOOK_STEP_MS)
