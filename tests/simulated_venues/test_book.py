from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from simulated_venues import market as market_module
from simulated_venues.bars import aggregate_bars
from simulated_venues.book import BookShape, book_at, update_ids
from simulated_venues.columns import to_instant
from simulated_venues.market import SimulatedMarket
from simulated_venues.random import stream_key
from simulated_venues.source import BOOK_STEP_MS, UPDATES_PER_STEP, Book

BTC = "BTCUSDT-PERP.BINANCE"
NOON = datetime(2024, 2, 27, 12, tzinfo=UTC)
SHAPE = BookShape(key=stream_key(7, BTC), mean_lots=20_000.0, longest_life_steps=600)


@pytest.fixture(scope="module")
def market(make_settings):
    return SimulatedMarket(make_settings(edge=0.4))


def standing(book: Book, side: str) -> dict[int, tuple[int, int]]:
    """Quantity and time of each level by its price."""
    levels = getattr(book, side)
    rows = zip(levels.price.tolist(), levels.quantity.tolist(), levels.since_ms.tolist(), strict=True)
    return {price: (quantity, since) for price, quantity, since in rows}


def test_between_trades_a_level_keeps_its_quantity_until_its_time_changes(market):
    steps = [NOON + timedelta(milliseconds=BOOK_STEP_MS * k) for k in range(600)]
    books = [market.book(BTC, at) for at in steps]
    kept = changed = 0
    for before, after in pairwise(books):
        if before.bids.price[0] != after.bids.price[0] or before.asks.price[0] != after.asks.price[0]:
            continue
        for side in ("bids", "asks"):
            old, new = standing(before, side), standing(after, side)
            for price in old.keys() & new.keys():
                if old[price][1] == new[price][1]:
                    assert old[price] == new[price]
                    kept += 1
                else:
                    assert new[price][1] == after.at_ms
                    changed += 1
            assert all(new[price][1] == after.at_ms for price in new.keys() - old.keys())

    assert kept > 10_000
    assert changed > 200


def test_changes_of_a_book_applied_one_after_another_give_the_later_book(market):
    instants = [NOON + timedelta(milliseconds=k * 250) for k in range(100)]
    books = [market.book(BTC, at) for at in instants]
    for side in ("bids", "asks"):
        level = {price: quantity for price, (quantity, _) in standing(books[0], side).items()}
        for before, after in pairwise(books):
            old, new = standing(before, side), standing(after, side)
            diff = {p: new.get(p, (0, 0))[0] for p in old.keys() | new.keys() if old.get(p) != new.get(p)}
            level = {p: q for p, q in {**level, **diff}.items() if q}

        assert level == {price: quantity for price, (quantity, _) in standing(books[-1], side).items()}


def test_a_book_with_each_trade_has_the_quotes_best_prices_quantities_and_id(market):
    quotes = market.quotes(BTC, NOON, NOON + timedelta(minutes=10))
    for k in range(0, len(quotes.at_ms) - 1, 3):
        if quotes.at_ms[k] == quotes.at_ms[k + 1]:
            continue
        book = market.book(BTC, to_instant(int(quotes.at_ms[k])))

        assert (book.bids.price[0], book.asks.price[0]) == (quotes.bid[k], quotes.ask[k])
        assert (book.bids.quantity[0], book.asks.quantity[0]) == (quotes.bid_quantity[k], quotes.ask_quantity[k])
        assert book.update_id == quotes.update_id[k]


def test_a_book_does_not_depend_on_what_was_asked_before(market):
    instants = [NOON + timedelta(seconds=k * 977) for k in range(20)]
    forwards = [market.book(BTC, at) for at in instants]
    for kept in (market_module._day_bars, market_module._day_premium, market_module._day_path):
        kept.cache_clear()
    backwards = [market.book(BTC, at) for at in reversed(instants)][::-1]

    for one, other in zip(forwards, backwards, strict=True):
        assert one.update_id == other.update_id
        assert [standing(one, side) for side in ("bids", "asks")] == [standing(other, s) for s in ("bids", "asks")]


def test_a_book_just_after_midnight_follows_the_last_trade_of_the_day_before(market):
    midnight = datetime(2024, 2, 28, tzinfo=UTC)
    last = market.quotes(BTC, midnight - timedelta(minutes=1), midnight)
    first = market.trades(BTC, midnight, midnight + timedelta(minutes=1)).traded_at_ms[0]
    book = market.book(BTC, midnight)

    assert first > book.at_ms
    assert (book.bids.price[0], book.asks.price[0]) == (last.bid[-1], last.ask[-1])
    assert book.update_id == book.at_ms // BOOK_STEP_MS * UPDATES_PER_STEP


def test_ids_count_a_steps_trades_and_never_reach_the_next_steps():
    at_ms = np.repeat(np.array([1_000, 1_099, 1_100]), [3, 2_000, 2])
    ids = update_ids(at_ms)

    assert ids[:4].tolist() == [10_001, 10_002, 10_003, 10_004]
    assert ids[2_002] == 10_999
    assert ids[2_003:].tolist() == [11_001, 11_002]
    assert (np.diff(ids) >= 0).all()


@pytest.mark.parametrize("price", [1, 2, 40])
@pytest.mark.parametrize("seller_took", [True, False])
def test_a_book_at_the_smallest_prices_stays_uncrossed_and_above_nothing(price, seller_took):
    for trade_id in range(50):
        book = book_at(SHAPE, trade_id, price, seller_took=seller_took, at_ms=1_708_992_000_000, update_id=1)

        assert 1 <= book.bids.price.min() <= book.bids.price[0] < book.asks.price[0]


def test_levels_thin_out_away_from_the_best_price(market):
    books = [market.book(BTC, NOON + timedelta(seconds=7 * k)) for k in range(60)]
    near = [(book.bids.price > book.bids.price[0] - 8).sum() for book in books]
    far = [(book.bids.price < book.bids.price[0] - 500).sum() for book in books]

    assert set(near) == {8}
    assert all(0 < count < 20 for count in far)
    assert all(len(book.bids) < 100 for book in books)


def test_a_level_is_the_same_wherever_the_best_price_has_moved_until_its_time_changes(market):
    seen, again = {}, 0
    for k in range(600):
        book = market.book(BTC, NOON + timedelta(milliseconds=500 * k))
        for price, (quantity, since_ms) in standing(book, "asks").items():
            again += (price, since_ms) in seen
            assert seen.setdefault((price, since_ms), quantity) == quantity

    assert again > 1_000


@pytest.mark.parametrize("raw_bars", [7, 3_600, 14_400])
def test_bars_that_do_not_divide_a_day_of_the_market_are_sums_of_raw_ones_across_days(make_settings, raw_bars):
    settings = replace(make_settings(), raw_interval_ms=1_000, priced_at=datetime(2026, 1, 1, tzinfo=UTC))
    market, first = SimulatedMarket(settings), datetime(2026, 1, 2, 0, 59, 58, tzinfo=UTC)
    last = first + timedelta(seconds=2 * raw_bars)
    bars = market.bars(BTC, first, last, raw_bars=raw_bars)
    begin = to_instant(int(bars.opened_at_ms[0]))
    expected = aggregate_bars(market.bars(BTC, begin, begin + timedelta(seconds=2 * raw_bars), raw_bars=1), raw_bars)

    assert len(bars) == 2
    assert first <= begin < first + timedelta(seconds=raw_bars)
    assert (bars.opened_at_ms % (raw_bars * 1_000) == 0).all()
    assert np.array_equal(bars.close, expected.close)
    assert np.array_equal(bars.high, expected.high)
    assert np.array_equal(bars.volume, expected.volume)
