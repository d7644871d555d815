"""Bars made of what comes live, in whatever order, are the market's."""

from dataclasses import replace

from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from helios_pipeline.core.market_data import Candle
from helios_pipeline.data.closing_bars import ClosingBars, join_candles

RAW, PER_BAR, BARS = 100, 3, 4
BAR = RAW * PER_BAR
PATIENCE = 10_000
MANY = limits(max_examples=150, deadline=None)


def make_trades(gaps):
    """Trades by number: every raw kline has one at least, more where `gaps` says so."""
    trades, price = [], 1_000
    for raw in range(BARS * PER_BAR + 1):
        for k, change in enumerate(gaps[raw % len(gaps)]):
            price = max(1, price + change)
            trades.append((len(trades) + 50, raw * RAW + k * 7, price, 1 + abs(change)))
    return trades


def klines_of(trades):
    made = {}
    for _, at_ms, price, quantity in trades:
        opened = at_ms // RAW * RAW
        one = Candle(opened_ms=opened, open=price, high=price, low=price, close=price, volume=quantity)
        made[opened] = join_candles([made[opened], one], opened) if opened in made else one
    return {opened: kline for opened, kline in made.items() if opened < BARS * BAR}


def bars_of(klines):
    return {
        opened: join_candles([klines[opened + k * RAW] for k in range(PER_BAR)], opened)
        for opened in range(0, BARS * BAR, BAR)
    }


def builder(patience=PATIENCE):
    return ClosingBars(raw_ms=RAW, raw_per_bar=PER_BAR, first_ms=0, patience_ms=patience)


def feed(bars, events, now_ms=0):
    """Closings that some events give, each asked for as soon as the builder says so."""
    closings = []
    for event in events:
        if bars.take_kline(event) if isinstance(event, Candle) else bars.take_trade(*event):
            closings += bars.close(now_ms)
    return closings


markets = st.lists(st.lists(st.integers(-5, 5), min_size=1, max_size=5), min_size=1, max_size=13).map(make_trades)


@MANY
@given(markets)
def test_a_bar_closes_with_the_first_trade_beyond_its_end(trades):
    bars, expected = builder(), bars_of(klines_of(trades))
    before_it = ClosingBars(raw_ms=RAW, raw_per_bar=PER_BAR, first_ms=0, patience_ms=PATIENCE)

    # Of the raw kline that the first trade falls into earlier trades may be missing: its own kline is needed.
    first = klines_of(trades)[0]
    found = feed(bars, [first, *trades])

    assert {closing.bar.opened_ms: closing.bar for closing in found} == expected
    for opened in expected:
        inside = [trade for trade in trades if trade[1] < opened + BAR]
        beyond = trades[len(inside)]
        closed = {closing.bar.opened_ms for closing in feed(before_it, [first, *inside])}
        assert opened not in closed
        assert opened in {closing.bar.opened_ms for closing in feed(before_it, [beyond])}


@MANY
@given(markets)
def test_klines_alone_close_a_bar_with_its_last_one(trades):
    klines = klines_of(trades)

    found = feed(builder(), [klines[opened] for opened in sorted(klines)])

    assert [closing.bar for closing in found] == list(bars_of(klines).values())
    assert {closing.kind for closing in found} == {"closed"}


@MANY
@given(markets, st.randoms(use_true_random=False), st.floats(0, 0.6))
def test_whatever_closes_is_the_markets_bar_in_any_order_twice_and_with_losses(trades, random, lost):
    klines = klines_of(trades)
    events = [event for event in [*trades, *klines.values()] * 2 if random.random() >= lost]
    random.shuffle(events)
    expected = bars_of(klines)

    found = feed(builder(), events)

    closed = [closing.bar for closing in found]
    assert closed == [expected[bar.opened_ms] for bar in closed]
    assert [bar.opened_ms for bar in closed] == list(range(0, len(closed) * BAR, BAR))
    assert {closing.kind for closing in found} <= {"closed"}


@MANY
@given(markets, st.randoms(use_true_random=False), st.floats(0, 1), st.integers(1, 9))
def test_what_is_asked_for_completes_every_bar_once(trades, random, lost, size):
    """Messages of a stream that change places with near ones and get lost, and klines that are asked for."""
    klines = klines_of(trades)
    stream = [*trades, *klines.values()]
    stream.sort(key=lambda event: event.opened_ms + RAW if isinstance(event, Candle) else event[1])
    events = [event for event in stream if random.random() >= lost]
    for start in range(0, len(events), size):
        part = events[start : start + size]
        random.shuffle(part)
        events[start : start + size] = part
    bars = builder()

    found = feed(bars, events)
    while wanted := bars.missing(BARS * BAR):
        assert all(opened in klines for opened in wanted)
        found += feed(bars, [klines[opened] for opened in range(wanted[0], wanted[1] + 1, RAW)])

    expected = bars_of(klines)
    assert {closing.bar.opened_ms: closing.bar for closing in found} == expected
    assert len(found) == len(expected)


@MANY
@given(markets, st.integers(0, BARS * PER_BAR - 1), st.integers(1, 3))
def test_a_closed_kline_that_differs_wins(trades, at, more):
    klines = klines_of(trades)
    published = dict(klines)
    other = klines[at * RAW]
    published[at * RAW] = replace(other, high=other.high + more, volume=other.volume + more)
    bars = builder()

    found = feed(bars, [published[0], *trades])
    found += feed(bars, [published[opened] for opened in sorted(published)])

    made = {closing.bar.opened_ms: closing.bar for closing in found if closing.kind == "closed"}
    corrected = [closing for closing in found if closing.kind == "corrected"]
    expected = bars_of(published)
    opened = at * RAW // BAR * BAR
    assert made | {closing.bar.opened_ms: closing.bar for closing in corrected} == expected
    if at:
        assert [(closing.before, closing.bar) for closing in corrected] == [(bars_of(klines)[opened], expected[opened])]


def trades_and_klines():
    trades = make_trades([[1, -2, 3], [2]])
    return trades, klines_of(trades)


def test_a_missing_trade_proves_nothing_until_it_comes():
    trades, klines = trades_and_klines()
    bars = builder()
    of_first_bar = [trade for trade in trades if trade[1] < BAR]
    late, beyond = of_first_bar[-1], trades[len(of_first_bar)]

    waiting = feed(bars, [klines[0], *of_first_bar[:-1], beyond])
    wanted = bars.missing(BAR)
    found = feed(bars, [late]) or bars.close(0)

    assert waiting == []
    assert wanted == (BAR - RAW, BAR - RAW)
    assert [closing.bar for closing in found] == [bars_of(klines)[0]]


def test_nothing_that_ends_later_is_asked_for():
    bars = builder()

    assert bars.missing(RAW - 1) is None
    assert bars.missing(RAW) == (0, 0)
    assert bars.missing(BAR + RAW - 1) == (0, BAR - RAW)


def test_a_bar_that_stays_incomplete_is_passed_over_and_delivered_late():
    _, klines = trades_and_klines()
    bars = builder(patience=50)
    second = [klines[opened] for opened in range(BAR, 2 * BAR, RAW)]

    before = [closing for kline in second for closing in feed(bars, [kline], now_ms=BAR + 49)]
    after = bars.close(BAR + 50)
    late = feed(bars, [klines[opened] for opened in range(0, BAR, RAW)])

    expected = bars_of(klines)
    assert before == []
    assert [(closing.kind, closing.bar) for closing in after] == [("closed", expected[BAR])]
    assert [(closing.kind, closing.bar) for closing in late] == [("late", expected[0])]


def test_the_first_trade_does_not_prove_the_raw_kline_that_it_falls_into():
    trades, klines = trades_and_klines()
    bars = builder()

    assert feed(bars, trades) == []
    assert bars.missing(BAR) == (0, 0)
    assert feed(bars, [klines[0]])[0].bar == bars_of(klines)[0]


def test_memory_does_not_grow_with_trades_or_holes():
    bars = builder(patience=0)

    for number in range(0, 40_000, 2):
        bars.take_trade(number, number * 10, 5, 1)
        bars.close(number * 10)

    trades = bars._trades
    assert len(trades._traded) + len(trades._holes) + len(bars._klines) + len(bars._passed_over) < 300
