"""Trades of recorded bars, which kept none: drawn so that they give the recorded bars back.

They are drawn as the simulated market's are (`bars.draw_trades`), keyed by the recording's digest. Where the count and
the takers' lots are recorded the trades sum to them too. Money is the sum over the trades where it is not recorded;
where it is, the bar says what was recorded and the trades come near it.

A bar of fifteen minutes is cut into minutes by its own trades, which are spread evenly over it: its minutes are what
these say, so they give the recorded bar back exactly, and every venue counts in raw bars of one minute.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numba import njit
from numpy.typing import NDArray

from helios_pipeline.core.errors import DataError
from simulated_venues.bars import Bars, Trades, draw_trades, share_out, sum_trades
from simulated_venues.columns import slice_columns
from simulated_venues.random import stream_key
from simulated_venues.replay.files import DAY_MS, MINUTE_MS, Recording
from simulated_venues.settings import MIN_TRADES_PER_RAW_BAR, RAW_BARS_PER_DAY

Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

TRADES_PER_MINUTE = 14
"""Mean trades of a recorded minute whose count is not recorded; the count grows with the root of the volume."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDay:
    """A recorded day at the times of recording: `bars` of one minute, int64[1440] each, and `trades`."""

    bars: Bars
    trades: Trades


def trade_counts(recording: Recording) -> Integers:
    """Trades of each recorded bar, int64.

    Raises:
        DataError: a bar has more different prices than it can have trades.
    """
    bars = recording.bars
    minutes = bars.interval_ms // MINUTE_MS
    activity = np.sqrt(bars.volume / max(1.0, float(bars.volume.mean())))
    drawn = np.maximum(MIN_TRADES_PER_RAW_BAR * minutes, np.rint(TRADES_PER_MINUTE * minutes * activity))
    counts = np.where(bars.trade_count > 0, bars.trade_count, np.minimum(drawn, bars.volume)).astype(np.int64)
    above = bars.high > np.maximum(bars.open, bars.close)
    below = bars.low < np.minimum(bars.open, bars.close)
    needed = (bars.high > 0) + (bars.open != bars.close).astype(np.int64) + above + below
    # One trade opens and closes a bar of one price; a turn between equal ends needs the two ends apart.
    needed += (bars.open == bars.close) & (above | below)
    short = (counts < needed) & (bars.volume > 0)
    if short.any():
        row = int(np.argmax(short))
        raise DataError(
            f"recorded bars of {recording.instrument.symbol}: expected {needed[row]} trades or more for the prices of "
            f"the bar of {datetime.fromtimestamp(int(bars.opened_at_ms[row]) / 1_000, UTC).isoformat()}, found "
            f"{counts[row]}. Fetch the file again, or choose other days."
        )
    return counts


def draw_day(recording: Recording, counts: Integers, day: int) -> RecordedDay:
    """Minutes and trades of one day of a recording.

    Args:
        recording: the instrument's.
        counts: `trade_counts` of it.
        day: 0 for the first recorded day.
    """
    per_day = DAY_MS // recording.bars.interval_ms
    bars = slice_columns(recording.bars, day * per_day, (day + 1) * per_day)
    today = counts[day * per_day : (day + 1) * per_day]
    first = 1 + int(counts[: day * per_day].sum())
    prices = np.stack((bars.open, bars.high, bars.low, bars.close))
    trades = draw_trades(
        stream_key(0, recording.digest),
        np.arange(first, first + int(today.sum())),
        bars.opened_at_ms,
        bars.interval_ms,
        prices,
        np.stack((today, bars.volume)),
    )
    known = bars.trade_count > 0
    _match_takers(today, known, np.stack((bars.volume, bars.taker_buy_volume)), trades.quantity, trades.buyer_is_maker)
    return RecordedDay(bars=_minutes_of(bars, known, today, prices, trades), trades=trades)


def _minutes_of(bars: Bars, known: Booleans, counts: Integers, prices: Integers, trades: Trades) -> Bars:
    """Bars of one minute of a day."""
    opened_at = bars.opened_at_ms[0] + MINUTE_MS * np.arange(RAW_BARS_PER_DAY, dtype=np.int64)
    within = np.bincount((trades.traded_at_ms - opened_at[0]) // MINUTE_MS, minlength=RAW_BARS_PER_DAY)
    quote, bought, bought_quote = sum_trades(within, trades.price, trades.quantity, trades.buyer_is_maker)
    open_, high, low, close, volume = minute_prices(within, counts, prices, trades.price, trades.quantity)
    recorded = np.stack((bars.quote_volume, bars.taker_buy_quote_volume))
    _state_recorded_money(known, recorded, quote, bought_quote)
    return Bars(
        interval_ms=MINUTE_MS,
        opened_at_ms=opened_at,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        quote_volume=quote,
        trade_count=within,
        taker_buy_volume=bought,
        taker_buy_quote_volume=bought_quote,
    )


@njit(cache=True, nogil=True)
def _match_takers(counts: Integers, known: Booleans, lots: Integers, quantity: Integers, seller_took: Booleans) -> None:
    """Make the takers' sides and quantities of a bar sum to what was recorded; `lots` are all and those bought."""
    first = 0
    for k in range(len(counts)):
        n, bought, sold = counts[k], lots[1, k], lots[0, k] - lots[1, k]
        if known[k]:
            sides = seller_took[first : first + n]
            fewest, most = max(min(1, bought), n - sold), min(n - min(1, sold), bought)
            buyers = n - sides.sum()
            for i in range(n):
                if buyers < fewest and sides[i]:
                    sides[i], buyers = False, buyers + 1
                elif buyers > most and not sides[i]:
                    sides[i], buyers = True, buyers - 1
            for took, total in ((True, sold), (False, bought)):
                chosen = first + np.flatnonzero(sides == took)
                shares = np.empty(len(chosen), np.int64)
                if len(chosen):
                    share_out(total, quantity[chosen].astype(np.float64), shares)
                quantity[chosen] = shares
        first += n


@njit(cache=True, nogil=True)
def minute_prices(
    within: Integers, counts: Integers, prices: Integers, price: Integers, quantity: Integers
) -> tuple[Integers, Integers, Integers, Integers, Integers]:
    """Open, high, low, close and volume of each minute; one without trades stands where the price stood.

    Minutes of a recorded bar without any trade all show its own prices.
    """
    n = len(within)
    open_, high, low, close = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    volume = np.zeros(n, np.int64)
    minutes, first, last = n // len(counts), 0, 0
    for m in range(n):
        k = m // minutes
        if m % minutes == 0:
            last = prices[0, k]
        open_[m] = high[m] = low[m] = close[m] = last
        if counts[k] == 0:
            open_[m], high[m], low[m], close[m] = prices[0, k], prices[1, k], prices[2, k], prices[3, k]
        for i in range(first, first + within[m]):
            if i == first:
                open_[m] = high[m] = low[m] = price[i]
            high[m], low[m], close[m] = max(high[m], price[i]), min(low[m], price[i]), price[i]
            volume[m] += quantity[i]
        first += within[m]
        last = close[m]
    return open_, high, low, close, volume


@njit(cache=True, nogil=True)
def _state_recorded_money(known: Booleans, recorded: Integers, quote: Integers, bought_quote: Integers) -> None:
    """Move what the trades lack of a bar's recorded money to its minute of most money."""
    minutes = len(quote) // len(known)
    for k in range(len(known)):
        if known[k]:
            first = k * minutes
            fullest = first + np.argmax(quote[first : first + minutes])
            quote[fullest] += recorded[0, k] - quote[first : first + minutes].sum()
            bought_quote[fullest] += recorded[1, k] - bought_quote[first : first + minutes].sum()
