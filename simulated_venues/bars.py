"""Raw bars of a day of the market, and the trades inside them.

A bar's open, high, low, close, volume and number of trades come first, from the day's path; its trades are then drawn
so that they reproduce them exactly. What a bar says of money and of takers is the sum over its trades.
"""

import math
from dataclasses import dataclass, fields

import numpy as np
from numba import njit
from numpy.typing import NDArray

from simulated_venues.path import DAY_SHAPE, DayPath
from simulated_venues.random import Floats, fill_normals, fill_uniforms, philox, stream_key, unit
from simulated_venues.settings import (
    MIN_TRADES_PER_RAW_BAR,
    RAW_BARS_PER_DAY,
    MarketSettings,
    SimulatedInstrument,
)

Integers = NDArray[np.int64]

_RAW_RANGE, _RAW_GAP, _RAW_VOLUME, _RAW_TURNS, _TRADES = range(100, 105)
_VOLUME_SPREAD = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Bars in whole ticks and lots, one element a bar, in order of time.

    Attributes:
        opened_at_ms: int64, start of the bar, milliseconds since 1970.
        interval_ms: length of every bar.
        open, high, low, close: int64, ticks.
        volume: int64, lots.
        quote_volume: int64, ticks × lots.
        trade_count: int64.
        taker_buy_volume: int64, lots bought by takers.
        taker_buy_quote_volume: int64, ticks × lots bought by takers.
    """

    interval_ms: int
    opened_at_ms: Integers
    open: Integers
    high: Integers
    low: Integers
    close: Integers
    volume: Integers
    quote_volume: Integers
    trade_count: Integers
    taker_buy_volume: Integers
    taker_buy_quote_volume: Integers

    def __len__(self) -> int:
        return len(self.opened_at_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trades:
    """Trades in whole ticks and lots, one element a trade, in order of time.

    Attributes:
        trade_id: int64, consecutive, a function of time.
        traded_at_ms: int64, milliseconds since 1970, inside the trade's bar.
        price: int64, ticks.
        quantity: int64, lots, at least 1.
        buyer_is_maker: bool, the taker sold.
    """

    trade_id: Integers
    traded_at_ms: Integers
    price: Integers
    quantity: Integers
    buyer_is_maker: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.trade_id)


def make_day(settings: MarketSettings, instrument: SimulatedInstrument, day: int, path: DayPath) -> tuple[Bars, Trades]:
    """The 1,440 raw bars of a day, and all of its trades."""
    key = stream_key(settings.seed, instrument.instrument_id)
    opened_at = (day * RAW_BARS_PER_DAY + np.arange(RAW_BARS_PER_DAY)) * settings.raw_interval_ms
    prices = _bar_prices(key, day, path.log_price, path.variance, float(instrument.tick))
    mean_lots = instrument.daily_volume / float(instrument.lot) / RAW_BARS_PER_DAY
    usual_variance = instrument.daily_volatility**2 / RAW_BARS_PER_DAY
    activity = DAY_SHAPE**0.5 * (path.variance / usual_variance) ** 0.5
    counts, volume = _bar_volumes(key, day, activity, mean_lots, instrument.trades_per_day)
    ids = day * instrument.trades_per_day + np.arange(instrument.trades_per_day)
    totals = np.stack((counts, volume))
    trades = draw_trades(key, ids, opened_at, settings.raw_interval_ms, prices, totals)
    quote, bought, bought_quote = sum_trades(counts, trades.price, trades.quantity, trades.buyer_is_maker)
    open_, high, low, close = prices
    bars = Bars(
        interval_ms=settings.raw_interval_ms,
        opened_at_ms=opened_at,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        quote_volume=quote,
        trade_count=counts,
        taker_buy_volume=bought,
        taker_buy_quote_volume=bought_quote,
    )
    return bars, trades


def draw_trades(
    key: np.uint64, ids: Integers, opened_at: Integers, interval_ms: int, prices: Integers, totals: Integers
) -> Trades:
    """Trades that reproduce neighbouring bars exactly.

    Args:
        key: Philox key of the instrument.
        ids: int64[trades], their ids, consecutive; a trade is drawn by its id.
        opened_at: int64[bars], milliseconds since 1970, a multiple of the interval.
        interval_ms: length of a bar.
        prices: int64[4, bars], open, high, low and close in ticks.
        totals: int64[2, bars], trades and lots of each bar, at least a lot a trade. A bar of fewer than four trades
            must have no more prices than trades, as every recorded one does; one of none has no trades at all.
    """
    traded_at, price, quantity, seller_took = _draw_trades(key, ids, opened_at, interval_ms, prices, totals)
    return Trades(trade_id=ids, traded_at_ms=traded_at, price=price, quantity=quantity, buyer_is_maker=seller_took)


def aggregate_bars(bars: Bars, count: int) -> Bars:
    """Every `count` neighbouring bars as one; their number must be a multiple of `count`, without gaps."""
    grouped = {
        field.name: getattr(bars, field.name).reshape(-1, count)
        for field in fields(Bars)
        if field.name != "interval_ms"
    }
    edges = {
        "opened_at_ms": grouped["opened_at_ms"][:, 0],
        "open": grouped["open"][:, 0],
        "close": grouped["close"][:, -1],
    }
    extremes = {"high": grouped["high"].max(axis=1), "low": grouped["low"].min(axis=1)}
    sums = {name: values.sum(axis=1) for name, values in grouped.items() if name not in edges and name not in extremes}
    return Bars(interval_ms=bars.interval_ms * count, **edges, **extremes, **sums)


@njit(cache=True, nogil=True)
def _bar_prices(key: np.uint64, day: int, log_price: Floats, variance: Floats, tick: float) -> Integers:
    """Open, high, low, close in ticks, int64[4, n].

    The open lies within a tick of the last close. High and low are the exact extremes of a Brownian path between the
    two ends (reflection principle), drawn independently of each other, rounded to the grid.
    """
    n = len(variance)
    gaps, extremes, prices = np.empty(n), np.empty(2 * n), np.empty((4, n), np.int64)
    fill_uniforms(key, _RAW_GAP, day * n, gaps)
    fill_uniforms(key, _RAW_RANGE, day * 2 * n, extremes)
    for k in range(n):
        start, end = log_price[k], log_price[k + 1]
        gap = (1 if gaps[k] > 0.75 else 0) - (1 if gaps[k] < 0.25 else 0)
        first = max(1, round(math.exp(start) / tick) + gap)
        last = max(1, round(math.exp(end) / tick))
        above = math.sqrt((end - start) ** 2 - 2.0 * variance[k] * math.log(extremes[2 * k]))
        below = math.sqrt((end - start) ** 2 - 2.0 * variance[k] * math.log(extremes[2 * k + 1]))
        prices[0, k], prices[3, k] = first, last
        prices[1, k] = max(first, last, round(math.exp(0.5 * (start + end + above)) / tick))
        prices[2, k] = min(first, last, max(1, round(math.exp(0.5 * (start + end - below)) / tick)))
    return prices


@njit(cache=True, nogil=True)
def _bar_volumes(
    key: np.uint64, day: int, activity: Floats, mean_lots: float, trades_per_day: int
) -> tuple[Integers, Integers]:
    """Trades and lots of each bar, both int64[n]; the trades sum to `trades_per_day`, each has at least a lot."""
    n = len(activity)
    noise, counts, lots = np.empty(n), np.empty(n, np.int64), np.empty(n, np.int64)
    fill_normals(key, _RAW_VOLUME, day * n, noise)
    for k in range(n):
        noise[k] = activity[k] * math.exp(_VOLUME_SPREAD * noise[k] - 0.5 * _VOLUME_SPREAD**2)
    total, free, passed, given = noise.sum(), trades_per_day - MIN_TRADES_PER_RAW_BAR * n, 0.0, 0
    for k in range(n):
        passed += noise[k]
        until = free if k == n - 1 else min(free, math.floor(passed / total * free))
        counts[k] = MIN_TRADES_PER_RAW_BAR + until - given
        lots[k] = counts[k] + math.floor(mean_lots * noise[k])
        given = until
    return counts, lots


@njit(cache=True, nogil=True)
def _draw_trades(
    key: np.uint64,
    ids: Integers,
    opened_at: Integers,
    interval_ms: int,
    prices: Integers,
    totals: Integers,
) -> tuple[Integers, Integers, Integers, NDArray[np.bool_]]:
    """Time, price, quantity and whether the seller took, of each trade of a day.

    The first trade of a bar is at its open and the last at its close; one in between is at the high and one at the
    low. The others lie around the line between these, inside the range. `prices` is int64[4, n], `totals` int64[2, n]:
    trades and lots of each bar.
    """
    total, n = len(ids), len(opened_at)
    traded_at, price, quantity = np.empty(total, np.int64), np.empty(total, np.int64), np.empty(total, np.int64)
    seller_took, weights, turns = np.empty(total, np.bool_), np.empty(total), np.empty(2 * n)
    fill_uniforms(key, _RAW_TURNS, opened_at[0] // interval_ms * 2, turns)
    first = 0
    for k in range(n):
        count, open_, high, low, close = totals[0, k], prices[0, k], prices[1, k], prices[2, k], prices[3, k]
        at_high, at_low = _turning_trades(count, turns[2 * k], turns[2 * k + 1])
        early, late = min(at_high, at_low), max(at_high, at_low)
        early_price, late_price = (high, low) if early == at_high else (low, high)
        if count < MIN_TRADES_PER_RAW_BAR:
            early_price = high if high > max(open_, close) else low
        buys = 0.5 + 0.15 * (close - open_) / max(1, high - low)
        for i in range(count):
            words = philox(ids[first + i], _TRADES, key)
            traded_at[first + i] = opened_at[k] + math.floor(interval_ms * ((i + unit(words[0])) / count))
            if i == 0:
                line = float(open_)
            elif i == count - 1:
                line = float(close)
            elif i <= early:
                line = open_ + (early_price - open_) * i / early
            elif i <= late:
                line = early_price + (late_price - early_price) * (i - early) / (late - early)
            else:
                line = late_price + (close - late_price) * (i - late) / (count - 1 - late)
            turning = i in (0, early, late, count - 1)
            noise = 0.0 if turning else 0.25 * (high - low) * (unit(words[1]) - 0.5)
            price[first + i] = min(high, max(low, round(line + noise)))
            weights[first + i] = 1.0 / (0.02 + unit(words[2]))
            seller_took[first + i] = unit(words[3]) >= buys
        share_out(totals[1, k], weights[first : first + count], quantity[first : first + count])
        first += count
    return traded_at, price, quantity, seller_took


@njit(cache=True, nogil=True)
def _turning_trades(count: int, u: float, v: float) -> tuple[int, int]:
    """Which trades touch the high and the low: two different ones, neither the first nor the last.

    Of three trades or fewer only the second can lie between, and touches what the first and last do not.
    """
    if count < MIN_TRADES_PER_RAW_BAR:
        return 1, 1
    between = count - 2
    at_high = math.floor(u * between)
    at_low = (at_high + 1 + math.floor(v * (between - 1))) % between
    return at_high + 1, at_low + 1


@njit(cache=True, nogil=True)
def share_out(lots: int, weights: Floats, out: Integers) -> None:
    """Give every trade one lot and share the others by weight, whole lots, summing to `lots`."""
    n = len(weights)
    total, free, passed, given = weights.sum(), lots - n, 0.0, 0
    for i in range(n):
        passed += weights[i]
        until = free if i == n - 1 else min(free, math.floor(passed / total * free))
        out[i] = 1 + until - given
        given = until


@njit(cache=True, nogil=True)
def sum_trades(
    counts: Integers, price: Integers, quantity: Integers, seller_took: NDArray[np.bool_]
) -> tuple[Integers, Integers, Integers]:
    """Ticks × lots, lots bought by takers, and ticks × lots bought by takers, of each bar."""
    n = len(counts)
    quote, bought, bought_quote = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
    first = 0
    for k in range(n):
        for i in range(first, first + counts[k]):
            quote[k] += price[i] * quantity[i]
            if not seller_took[i]:
                bought[k] += quantity[i]
                bought_quote[k] += price[i] * quantity[i]
        first += counts[k]
    return quote, bought, bought_quote
