"""Liquidations of others, which the market's own trades tell: large ones, in the direction in which the price runs."""

import math

import numpy as np

from simulated_venues.binance.stream_bars import StreamTrade
from simulated_venues.clock import instant
from simulated_venues.settings import RAW_BARS_PER_DAY, SimulatedInstrument
from simulated_venues.source import MarketSource

EVERY_MS = 1_000
"""The venue tells of one liquidation a second and symbol at most, the largest."""

_RUN_RAW_BARS = 5
_RUN_DEVIATIONS = 1.5
_LARGE_TRADES = 3.0


def liquidation(source: MarketSource, instrument: SimulatedInstrument, until_ms: int) -> StreamTrade | None:
    """The liquidation of the second that ends at `until_ms`; None if there was none.

    It is the largest trade of that second, if it has at least three times the mean size and its taker went with a move
    of more than 1.5 usual deviations over the last five raw bars.
    """
    run_ms = _RUN_RAW_BARS * source.raw_interval_ms
    trades = source.trades(instrument.instrument_id, instant(until_ms - max(run_ms, EVERY_MS)), instant(until_ms))
    second = np.flatnonzero(trades.traded_at_ms >= until_ms - EVERY_MS)
    if not len(second):
        return None
    largest = int(second[np.argmax(trades.quantity[second])])
    mean_lots = instrument.daily_volume / float(instrument.lot) / instrument.trades_per_day
    move = math.log(float(trades.price[largest]) / float(trades.price[0]))
    usual = instrument.daily_volatility * math.sqrt(_RUN_RAW_BARS / RAW_BARS_PER_DAY)
    seller_took = bool(trades.buyer_is_maker[largest])
    runs = -move if seller_took else move
    if trades.quantity[largest] < _LARGE_TRADES * mean_lots or runs < _RUN_DEVIATIONS * usual:
        return None
    return StreamTrade(
        trade_id=int(trades.trade_id[largest]),
        at_ms=int(trades.traded_at_ms[largest]),
        price=int(trades.price[largest]),
        quantity=int(trades.quantity[largest]),
        buyer_is_maker=seller_took,
    )
