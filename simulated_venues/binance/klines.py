"""Klines at an instant: closed ones, and the one that is open, from the trades so far."""

from dataclasses import dataclass, field, fields, replace
from functools import lru_cache

import numpy as np

from simulated_venues.bars import Bars, Trades
from simulated_venues.binance.intervals import Interval
from simulated_venues.clock import instant
from simulated_venues.columns import join_columns, slice_columns
from simulated_venues.settings import RAW_BARS_PER_DAY, RAW_BARS_PER_HOUR
from simulated_venues.source import Integers, MarketSource

NO_TRADE = -1
"""First and last trade id of a kline without trades."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Klines:
    """Klines in order of time.

    Attributes:
        bars: their prices and quantities, in ticks and lots.
        first_trade_id: int64, `NO_TRADE` where nothing was traded.
        last_trade_id: int64.
    """

    bars: Bars
    first_trade_id: Integers
    last_trade_id: Integers

    def __len__(self) -> int:
        return len(self.bars)


def klines(
    source: MarketSource, instrument_id: str, interval: Interval, first_ms: int, last_ms: int, now_ms: int
) -> Klines:
    """Klines that open in [first_ms, last_ms), as they are at an instant.

    The kline that is open then holds the trades up to and including `now_ms`; before its first trade it stands flat at
    the last close. Nothing later is in any of them.
    """
    length = interval.length_ms
    first = -(-first_ms // length) * length
    last = -(-min(last_ms, now_ms + 1) // length) * length
    raw_open = now_ms // source.raw_interval_ms * source.raw_interval_ms
    stop = max(first, min(last, raw_open))
    pieces = _closed(source, instrument_id, interval, first, stop)
    if first <= raw_open < last:
        pieces += _forming(source, instrument_id, raw_open, now_ms)
    bars = merge_bars(pieces, length)
    return Klines(bars=bars, **_trade_ids(source, instrument_id, bars))


def closed_bars(source: MarketSource, instrument_id: str, interval: Interval, first_ms: int, last_ms: int) -> Bars:
    """Bars that open in [first_ms, last_ms), multiples of the interval, all of which are over."""
    return merge_bars(_closed(source, instrument_id, interval, first_ms, last_ms), interval.length_ms)


def bar_since(source: MarketSource, instrument_id: str, first_ms: int, now_ms: int) -> Bars:
    """One bar of all trades in [first_ms, now_ms], both included; `first_ms` is a multiple of the raw bar.

    Its `interval_ms` is the whole span; it is empty if nothing was traded.
    """
    raw = source.raw_interval_ms
    raw_open = now_ms // raw * raw
    hour = raw * RAW_BARS_PER_HOUR
    inner = min(-(-first_ms // hour) * hour, raw_open)
    whole = Interval(name="", length_ms=hour, raw_bars=RAW_BARS_PER_HOUR)
    pieces = [_raw(source, instrument_id, first_ms, inner), *_closed(source, instrument_id, whole, inner, raw_open)]
    pieces.append(bar_of_trades(_trades(source, instrument_id, max(first_ms, raw_open), now_ms + 1), raw_open, raw))
    return _grouped(_joined(pieces, now_ms + 1 - first_ms), np.zeros(1, np.int64))


def bar_of_trades(trades: Trades, opened_at_ms: int, interval_ms: int) -> Bars:
    """The bar of all of some trades; empty if there are none."""
    if not len(trades):
        return _empty(interval_ms)
    quote = trades.price * trades.quantity
    bought = ~trades.buyer_is_maker
    values = {
        "opened_at_ms": opened_at_ms,
        "open": trades.price[0],
        "high": trades.price.max(),
        "low": trades.price.min(),
        "close": trades.price[-1],
        "volume": trades.quantity.sum(),
        "quote_volume": quote.sum(),
        "trade_count": len(trades),
        "taker_buy_volume": trades.quantity[bought].sum(),
        "taker_buy_quote_volume": quote[bought].sum(),
    }
    return Bars(interval_ms=interval_ms, **{name: np.array([value], np.int64) for name, value in values.items()})


def merge_bars(pieces: list[Bars], length_ms: int) -> Bars:
    """Shorter bars, in order of time, as bars of `length_ms` at its multiples; what is missing is left out."""
    joined = _joined(pieces, length_ms)
    opens = joined.opened_at_ms // length_ms
    merged = _grouped(joined, np.flatnonzero(np.diff(opens, prepend=-1)))
    return replace(merged, opened_at_ms=merged.opened_at_ms // length_ms * length_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Day:
    """A day of the market of an instrument; the identity of the source stands for the source."""

    identity: str
    instrument_id: str
    day: int
    source: MarketSource = field(compare=False)


# Long klines ask for many days, each of which has to be made with all of its trades: 24 bars a day are what is kept.
@lru_cache(maxsize=8_192)
def _hours(asked: _Day) -> Bars:
    day_ms = asked.source.raw_interval_ms * RAW_BARS_PER_DAY
    first, last = instant(asked.day * day_ms), instant((asked.day + 1) * day_ms)
    return asked.source.bars(asked.instrument_id, first, last, raw_bars=RAW_BARS_PER_HOUR)


def _closed(source: MarketSource, instrument_id: str, interval: Interval, first: int, stop: int) -> list[Bars]:
    """Closed bars that cover [first, stop), none longer than the interval; `first` is a multiple of the interval."""
    by_hours = interval.raw_bars % RAW_BARS_PER_HOUR == 0
    unit = source.raw_interval_ms * (RAW_BARS_PER_HOUR if by_hours else interval.raw_bars)
    inner = stop // unit * unit
    if not by_hours:
        whole = source.bars(instrument_id, instant(first), instant(max(first, inner)), raw_bars=interval.raw_bars)
        return [whole, _raw(source, instrument_id, max(first, inner), stop)]
    day_ms, identity = source.raw_interval_ms * RAW_BARS_PER_DAY, source.identity
    days = [
        _hours(_Day(identity=identity, instrument_id=instrument_id, day=day, source=source))
        for day in range(first // day_ms, -(-inner // day_ms))
    ]
    whole = _between(_joined(days, unit), first, inner) if days else _empty(unit)
    return [whole, _raw(source, instrument_id, max(first, inner), stop)]


def _forming(source: MarketSource, instrument_id: str, raw_open: int, now_ms: int) -> list[Bars]:
    """The raw bar that is open at `now_ms`, flat at the last close before its first trade."""
    raw = source.raw_interval_ms
    trades = _trades(source, instrument_id, raw_open, now_ms + 1)
    if len(trades):
        return [bar_of_trades(trades, raw_open, raw)]
    before = _raw(source, instrument_id, raw_open - raw, raw_open)
    if not len(before):
        return []
    prices = {name: before.close for name in ("open", "high", "low", "close")}
    nothing = np.zeros(1, np.int64)
    sums = {name: nothing for name in _SUMS}
    return [Bars(interval_ms=raw, opened_at_ms=np.array([raw_open], np.int64), **prices, **sums)]


def _trade_ids(source: MarketSource, instrument_id: str, bars: Bars) -> dict[str, Integers]:
    """First and last trade ids: ids are consecutive, so one trade and the counts tell them all."""
    counts, traded = bars.trade_count, np.flatnonzero(bars.trade_count)
    first, last = np.full(len(bars), NO_TRADE, np.int64), np.full(len(bars), NO_TRADE, np.int64)
    if len(traded):
        opened = int(bars.opened_at_ms[traded[0]])
        width = source.raw_interval_ms
        while not len(trades := _trades(source, instrument_id, opened, opened + width)):
            width *= 2
        ends = int(trades.trade_id[0]) + np.cumsum(counts)
        first[traded], last[traded] = (ends - counts)[traded], ends[traded] - 1
    return {"first_trade_id": first, "last_trade_id": last}


_SUMS = ("volume", "quote_volume", "trade_count", "taker_buy_volume", "taker_buy_quote_volume")
_COLUMNS = tuple(each.name for each in fields(Bars) if each.name != "interval_ms")


def _grouped(bars: Bars, starts: Integers) -> Bars:
    """Bars from each start up to the next as one; `starts` are indices, the first of them 0."""
    if not len(bars):
        return bars
    ends = np.append(starts[1:], len(bars)) - 1
    return Bars(
        interval_ms=bars.interval_ms,
        opened_at_ms=bars.opened_at_ms[starts],
        open=bars.open[starts],
        close=bars.close[ends],
        high=np.maximum.reduceat(bars.high, starts),
        low=np.minimum.reduceat(bars.low, starts),
        **{name: np.add.reduceat(getattr(bars, name), starts) for name in _SUMS},
    )


def _joined(pieces: list[Bars], length_ms: int) -> Bars:
    return replace(join_columns(pieces), interval_ms=length_ms)


def _between(bars: Bars, first_ms: int, last_ms: int) -> Bars:
    start, stop = np.searchsorted(bars.opened_at_ms, [first_ms, last_ms])
    return slice_columns(bars, int(start), int(stop))


def _empty(interval_ms: int) -> Bars:
    return Bars(interval_ms=interval_ms, **{name: np.empty(0, np.int64) for name in _COLUMNS})


def _raw(source: MarketSource, instrument_id: str, first_ms: int, last_ms: int) -> Bars:
    return source.bars(instrument_id, instant(first_ms), instant(max(first_ms, last_ms)), raw_bars=1)


def _trades(source: MarketSource, instrument_id: str, first_ms: int, last_ms: int) -> Trades:
    return source.trades(instrument_id, instant(first_ms), instant(max(first_ms, last_ms)))
