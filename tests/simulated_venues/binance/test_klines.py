from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from simulated_venues.binance.intervals import served_intervals, served_periods
from simulated_venues.binance.klines import NO_TRADE, bar_since, klines
from simulated_venues.clock import instant
from simulated_venues.market import SimulatedMarket
from tests.simulated_venues.conftest import BTC, make_settings

NOON = round(datetime(2024, 5, 7, 12, tzinfo=UTC).timestamp() * 1_000)
COLUMNS = ("open", "high", "low", "close", "volume", "quote_volume", "trade_count")


@pytest.fixture(scope="module", params=[60_000, 1_000], ids=["natural", "fast"])
def world(request):
    return SimulatedMarket(replace(make_settings(edge=0.4), raw_interval_ms=request.param))


def of_trades(trades, opened_at, length):
    """Open, high, low, close, lots, ticks × lots, count, lots bought, ticks × lots bought, first and last id."""
    inside = np.flatnonzero((trades.traded_at_ms >= opened_at) & (trades.traded_at_ms < opened_at + length))
    price, quantity = trades.price[inside].tolist(), trades.quantity[inside].tolist()
    bought = [k for k, seller_took in enumerate(trades.buyer_is_maker[inside].tolist()) if not seller_took]
    return (
        price[0],
        max(price),
        min(price),
        price[-1],
        sum(quantity),
        sum(p * q for p, q in zip(price, quantity, strict=True)),
        len(price),
        sum(quantity[k] for k in bought),
        sum(price[k] * quantity[k] for k in bought),
        int(trades.trade_id[inside][0]),
        int(trades.trade_id[inside][-1]),
    )


def rows(found):
    columns = [getattr(found.bars, name).tolist() for name in (*COLUMNS, "taker_buy_volume", "taker_buy_quote_volume")]
    return list(zip(*columns, found.first_trade_id.tolist(), found.last_trade_id.tolist(), strict=True))


def test_a_world_serves_the_intervals_that_are_whole_multiples_of_its_raw_bar():
    natural, fast = served_intervals(60_000), served_intervals(1_000)

    assert list(natural) == ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d"]
    assert list(fast) == ["1s", *natural]
    assert list(served_intervals(30_000)) == list(natural)
    assert (natural["15m"].raw_bars, fast["15m"].raw_bars, fast["1s"].raw_bars) == (15, 900, 1)
    assert (
        list(served_periods(60_000))
        == list(served_periods(1_000))
        == [
            "5m",
            "15m",
            "30m",
            "1h",
            "2h",
            "4h",
            "6h",
            "12h",
            "1d",
        ]
    )


@pytest.mark.parametrize("name", ["1m", "15m", "1h", "4h"])
@pytest.mark.parametrize("after_ms", [0, 1, 437, 59_999, 61_234, 3_599_999])
def test_klines_are_exactly_what_the_trades_so_far_give(world, name, after_ms):
    interval, now = served_intervals(world.raw_interval_ms)[name], NOON + after_ms
    first = NOON - 2 * interval.length_ms

    found = klines(world, BTC, interval, first, now + 1, now)

    trades = world.trades(BTC, instant(first), instant(now + 1))
    opens = list(range(first, now + 1, interval.length_ms))
    assert found.bars.opened_at_ms.tolist() == opens
    traded = [k for k, count in enumerate(found.bars.trade_count) if count]
    assert traded[:2] == [0, 1]
    assert [rows(found)[k] for k in traded] == [of_trades(trades, opens[k], interval.length_ms) for k in traded]


def test_before_its_first_trade_a_kline_stands_flat_at_the_last_close(world):
    interval = served_intervals(world.raw_interval_ms)["1m"]
    first_trade = int(world.trades(BTC, instant(NOON), instant(NOON + 60_000)).traded_at_ms[0])
    assert first_trade > NOON

    before = klines(world, BTC, interval, NOON - 60_000, NOON + 1, first_trade - 1)

    *_, open_kline = rows(before)
    close = int(before.bars.close[0])
    assert open_kline == (close, close, close, close, 0, 0, 0, 0, 0, NO_TRADE, NO_TRADE)


def test_nothing_after_now_is_in_a_kline():
    class Watched(SimulatedMarket):
        """A market of which nobody may read trades after an instant, nor raw bars that are not over."""

        def trades(self, instrument_id, first, last):
            assert last <= instant(now + 1)
            return super().trades(instrument_id, first, last)

        def bars(self, instrument_id, first, last, *, raw_bars):
            # Hours are read by whole days; what of them is not over is cut away, as the comparison below shows.
            assert raw_bars == 60 or last <= instant(now // 60_000 * 60_000)
            return super().bars(instrument_id, first, last, raw_bars=raw_bars)

    now = NOON + 90_500
    market, whole = Watched(make_settings()), SimulatedMarket(make_settings())

    for name, interval in served_intervals(60_000).items():
        found = klines(market, BTC, interval, NOON - 86_400_000, NOON + 86_400_000, now)
        until = of_trades(
            whole.trades(BTC, instant(int(found.bars.opened_at_ms[-1])), instant(now + 1)),
            int(found.bars.opened_at_ms[-1]),
            interval.length_ms,
        )
        assert rows(found)[-1] == until, name


def test_a_day_up_to_now_is_one_bar_of_its_trades(world):
    now = NOON + 61_234
    first = (now - 86_400_000) // 60_000 * 60_000

    bar = bar_since(world, BTC, first, now)

    expected = of_trades(world.trades(BTC, instant(first), instant(now + 1)), first, now + 1 - first)
    assert tuple(int(getattr(bar, name)[0]) for name in COLUMNS) == expected[:7]
