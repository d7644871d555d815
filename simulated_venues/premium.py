"""What surrounds the price: premium over the index, mark price, funding rates and open interest.

The premium is a slow level, half of it shared by all instruments, that now and then runs high, and a small share of
the mean-reverting component: a price above its course is also a price that longs pay for. Regimes move the level.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from simulated_venues.path import DayPath
from simulated_venues.random import Floats, fill_averages, fill_normals, fill_uniforms, stream_key
from simulated_venues.regimes import RAMP_SHARE, regimes_of_days
from simulated_venues.settings import (
    RAW_BARS_PER_DAY,
    RAW_BARS_PER_FUNDING,
    RAW_BARS_PER_HOUR,
    RAW_BARS_PER_METRICS,
    MarketSettings,
    SimulatedInstrument,
)

Integers = NDArray[np.int64]

_HOUR_PREMIUM, _DAY_PREMIUM, _RAW_PREMIUM, _HOUR_OPEN_INTEREST, _DAY_OPEN_INTEREST, _DELAY, _RATIOS = range(200, 207)
_HOURS_PER_DAY = RAW_BARS_PER_DAY // RAW_BARS_PER_HOUR

INTEREST_RATE = 0.0001
PREMIUM_CLAMP = 0.0005
RATE_CAP = 0.003
_PREMIUM_FLOOR, _PREMIUM_LEVEL, _PREMIUM_SKEW, _PREMIUM_NOISE = -0.00075, 0.00033, 0.9, 0.00005
_PREMIUM_OF_REVERSION = 0.00006
_SETTLEMENT_DELAY_MS = 15
OPEN_INTEREST_OF_DAILY_VOLUME = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class DayPremium:
    """Prices around the traded one at each boundary of raw bars of a day, float64[1440], the day's end excluded.

    Attributes:
        premium: how far the traded price stands above the index, as a fraction of it.
        index_price: the underlying reference, quote currency.
        mark_price: the venue's fair price: the index moved by the premium without its noise.
    """

    premium: Floats
    index_price: Floats
    mark_price: Floats


def day_premium(settings: MarketSettings, instrument: SimulatedInstrument, day: int, path: DayPath) -> DayPremium:
    """Premium, index and mark through a day."""
    own, common = stream_key(settings.seed, instrument.instrument_id), stream_key(settings.seed, "common factor")
    level = np.sqrt(0.5) * (_slow_level(own, day) + _slow_level(common, day))
    if settings.regimes:
        before, now = regimes_of_days(settings.regimes, common, settings.origin_day, day - 1, 2).premium
        level += before + (now - before) * np.minimum(
            1.0, np.arange(RAW_BARS_PER_DAY) / (RAMP_SHARE * RAW_BARS_PER_DAY)
        )
    smooth = _PREMIUM_FLOOR + _PREMIUM_LEVEL * np.exp(_PREMIUM_SKEW * level)
    # The share that funding tells of the edge goes with the edge: without one, funding foretells nothing.
    smooth = smooth + _PREMIUM_OF_REVERSION * settings.edge * path.reversion[:-1]
    noise = np.empty(RAW_BARS_PER_DAY)
    fill_normals(own, _RAW_PREMIUM, day * RAW_BARS_PER_DAY, noise)
    premium = smooth + _PREMIUM_NOISE * noise
    index = np.exp(path.log_price[:-1]) / (1.0 + premium)
    return DayPremium(premium=premium, index_price=index, mark_price=index * (1.0 + smooth))


def funding_rates_e8(premium: Floats) -> Integers:
    """Rates settled at the end of each funding interval in a day's premium, in units of 1e-8.

    Binance, "Introduction to Binance Futures Funding Rates" (2024): rate = P + clamp(interest − P, ±0.05 %), P the
    average premium in which the k-th sample of the interval weighs k; interest 0.01 % per eight hours.
    """
    return _rates_e8(premium.reshape(-1, RAW_BARS_PER_FUNDING))


def estimated_rate_e8(premium: Floats) -> int:
    """The rate that would be settled if the interval ended after these samples, its first and the ones since."""
    return int(_rates_e8(premium.reshape(1, -1))[0])


def _rates_e8(premium: Floats) -> Integers:
    """Rates of intervals, float64[intervals, samples], in units of 1e-8."""
    weights = np.arange(1, premium.shape[1] + 1)
    average = (premium * weights).sum(axis=1) / weights.sum()
    rate = average + np.clip(INTEREST_RATE - average, -PREMIUM_CLAMP, PREMIUM_CLAMP)
    rates: Integers = np.rint(np.clip(rate, -RATE_CAP, RATE_CAP) * 1e8).astype(np.int64)
    return rates


def open_interest_lots(settings: MarketSettings, instrument: SimulatedInstrument, day: int) -> Integers:
    """Open interest in lots, int64[288]: every five raw bars of a day, its start included."""
    key = stream_key(settings.seed, instrument.instrument_id)
    level = 0.2 * _knots(key, _DAY_OPEN_INTEREST, day, 0.97, RAW_BARS_PER_DAY, RAW_BARS_PER_DAY)
    level += 0.03 * _knots(key, _HOUR_OPEN_INTEREST, day * _HOURS_PER_DAY, 0.9, RAW_BARS_PER_HOUR, RAW_BARS_PER_DAY)
    usual = instrument.daily_volume / float(instrument.lot) * OPEN_INTEREST_OF_DAILY_VOLUME
    return np.maximum(1, np.rint(usual * np.exp(level[::RAW_BARS_PER_METRICS]))).astype(np.int64)


def position_ratios(settings: MarketSettings, instrument: SimulatedInstrument, day: int) -> Floats:
    """Long-short ratios of the metrics files, float64[3, 288]: top accounts, top positions, all accounts."""
    key = stream_key(settings.seed, instrument.instrument_id)
    rows = [
        _knots(key, _RATIOS + kind, day * _HOURS_PER_DAY, 0.95, RAW_BARS_PER_HOUR, RAW_BARS_PER_DAY)
        for kind in range(3)
    ]
    return np.exp(0.15 * np.stack(rows)[:, ::RAW_BARS_PER_METRICS])


def settlement_delays_ms(settings: MarketSettings, instrument: SimulatedInstrument, day: int) -> Integers:
    """How late each settlement of a day is stamped, int64[3], 0 to 15 ms."""
    delays = np.empty(RAW_BARS_PER_DAY // RAW_BARS_PER_FUNDING)
    fill_uniforms(stream_key(settings.seed, instrument.instrument_id), _DELAY, day * len(delays), delays)
    return np.floor(delays * (_SETTLEMENT_DELAY_MS + 1)).astype(np.int64)


@njit(cache=True, nogil=True)
def _slow_level(key: np.uint64, day: int) -> Floats:
    """A series of unit variance that moves over days and hours, float64[1440]."""
    days = _knots(key, _DAY_PREMIUM, day, 0.9, RAW_BARS_PER_DAY, RAW_BARS_PER_DAY)
    hours = _knots(key, _HOUR_PREMIUM, day * _HOURS_PER_DAY, 0.93, RAW_BARS_PER_HOUR, RAW_BARS_PER_DAY)
    return 0.8 * days + 0.6 * hours


@njit(cache=True, nogil=True)
def _knots(key: np.uint64, stream: int, first: int, decay: float, every: int, length: int) -> Floats:
    """Straight lines between the values of a slow series, one value `every` elements, float64[length]."""
    values, line = np.empty(length // every + 1), np.empty(length)
    fill_averages(key, stream, first, decay, values)
    for k in range(length):
        part = (k % every) / every
        line[k] = (1.0 - part) * values[k // every] + part * values[k // every + 1]
    return line
