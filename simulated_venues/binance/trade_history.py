"""Trades by their time and by their id, as many as are wanted."""

import numpy as np

from simulated_venues.bars import Trades
from simulated_venues.clock import instant
from simulated_venues.columns import slice_columns
from simulated_venues.settings import RAW_BARS_PER_DAY
from simulated_venues.source import MarketSource


def trades_between(source: MarketSource, instrument_id: str, first_ms: int, last_ms: int) -> Trades:
    """Trades in [first_ms, last_ms)."""
    return source.trades(instrument_id, instant(first_ms), instant(max(first_ms, last_ms)))


def first_trades(source: MarketSource, instrument_id: str, first_ms: int, last_ms: int, limit: int) -> Trades:
    """The first `limit` trades in [first_ms, last_ms)."""
    width = source.raw_interval_ms
    while True:
        end = min(first_ms + width, last_ms)
        trades = trades_between(source, instrument_id, first_ms, end)
        if len(trades) >= limit or end >= last_ms:
            return slice_columns(trades, 0, limit)
        width *= 4


def last_trades(source: MarketSource, instrument_id: str, first_ms: int, last_ms: int, limit: int) -> Trades:
    """The last `limit` trades in [first_ms, last_ms)."""
    width = source.raw_interval_ms
    while True:
        start = max(last_ms - width, first_ms)
        trades = trades_between(source, instrument_id, start, last_ms)
        if len(trades) >= limit or start <= first_ms:
            return slice_columns(trades, max(0, len(trades) - limit), len(trades))
        width *= 4


def trades_from_id(
    source: MarketSource, instrument_id: str, trade_id: int, span_ms: tuple[int, int], limit: int
) -> Trades:
    """The first `limit` trades in the span whose id is `trade_id` or more."""
    _, last_ms = span_ms
    start = _day_of(source, instrument_id, trade_id, span_ms)
    trades = first_trades(source, instrument_id, start, last_ms, 1)
    # The day's first trades need not be the wanted ones: one more read starts at the right place.
    behind = trade_id - int(trades.trade_id[0]) if len(trades) else 0
    found = first_trades(source, instrument_id, start, last_ms, max(0, behind) + limit)
    skipped = int(np.searchsorted(found.trade_id, trade_id))
    return slice_columns(found, skipped, skipped + limit)


def _day_of(source: MarketSource, instrument_id: str, trade_id: int, span_ms: tuple[int, int]) -> int:
    """Start of the last day of the market whose first trade's id is `trade_id` or less, or of the span.

    Ids grow nearly evenly with time, so the place is guessed between the ends (interpolation search).
    """
    day_ms = source.raw_interval_ms * RAW_BARS_PER_DAY
    low, high = span_ms[0], span_ms[1]
    low_id = _first_id(source, instrument_id, low, high)
    newest = last_trades(source, instrument_id, low, high, 1)
    high_id = int(newest.trade_id[-1]) if len(newest) else low_id
    if trade_id <= low_id:
        return low
    while high - low > day_ms and low_id < high_id:
        share = min(1.0, max(0.0, (trade_id - low_id) / (high_id - low_id)))
        guess = (low + round(share * (high - low))) // day_ms * day_ms
        guess = min(max(guess, low + day_ms), high - 1)
        guess_id = _first_id(source, instrument_id, guess, high)
        if guess_id <= trade_id:
            low, low_id = guess, guess_id
        else:
            high, high_id = guess, guess_id
    return low


def _first_id(source: MarketSource, instrument_id: str, first_ms: int, last_ms: int) -> int:
    """Id of the first trade at or after an instant."""
    found = first_trades(source, instrument_id, first_ms, last_ms, 1)
    return int(found.trade_id[0]) if len(found) else np.iinfo(np.int64).max
