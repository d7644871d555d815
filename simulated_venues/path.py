"""The logarithm of the price: day anchors first, then every raw bar of a day between its two anchors.

log price = log start price + √share · σ · common walk + √(1 − share) · σ · own walk + edge · σ · reverting component.

A walk is a chain of Brownian bridges of `SPAN_DAYS` days, so that the price stays near its start for ever and any day
is found from its own span; over a day the bridge differs from a free walk by one part in 4,096. Its clock is the
variance, which clusters over days and hours. The reverting component is an Ornstein-Uhlenbeck process. A market with
regimes has their drift besides, σ times a level that returns to zero in every cycle, and their factors on the variance.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit

from simulated_venues.random import Floats, fill_averages, fill_normals, stream_key
from simulated_venues.regimes import regimes_of_days
from simulated_venues.settings import RAW_BARS_PER_DAY, RAW_BARS_PER_HOUR, MarketSettings, SimulatedInstrument

SPAN_DAYS = 4_096

_DAY_WALK, _DAY_VOLATILITY, _DAY_OWN_VOLATILITY, _DAY_REVERSION = range(4)
_HOUR_ACTIVITY, _RAW_ACTIVITY, _RAW_WALK, _RAW_REVERSION = range(4, 8)
_DAY_VOLATILITY_DECAY, _DAY_VOLATILITY_SPREAD = 0.96, 0.3
_HOUR_ACTIVITY_DECAY, _HOUR_ACTIVITY_SPREAD = 0.85, 0.35
_RAW_ACTIVITY_SPREAD = 0.35

_HOURS = (np.arange(RAW_BARS_PER_DAY) + 0.5) / RAW_BARS_PER_HOUR
DAY_SHAPE: Floats = 1.0 + 0.45 * np.cos(2.0 * np.pi * (_HOURS - 15.0) / 24.0)
"""Variance and volume by time of day: busiest when Europe and America both trade, 15:00, quietest at 03:00 UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayPath:
    """One instrument's log price through a day of the market.

    Attributes:
        log_price: float64[1441], at every boundary of raw bars; the last is the next day's first.
        reversion: float64[1441], the mean-reverting component in its own standard deviations, same instants.
        variance: float64[1440], of the log return in each raw bar.
    """

    log_price: Floats
    reversion: Floats
    variance: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class _SpanWalk:
    """A bridge over a span: `level` float64[SPAN_DAYS + 1] at day starts, `variance` float64[SPAN_DAYS] of each day."""

    level: Floats
    variance: Floats


def day_path(settings: MarketSettings, instrument: SimulatedInstrument, day: int) -> DayPath:
    """Log price of one day.

    Args:
        settings: the market.
        instrument: one of its instruments.
        day: days of the market since 1970, i.e. `raw bar // 1440`.
    """
    own, common = stream_key(settings.seed, instrument.instrument_id), stream_key(settings.seed, "common factor")
    volatility = instrument.daily_volatility
    shares = [(own, 1.0 - settings.factor_share), (common, settings.factor_share)]
    price, variance = np.full(RAW_BARS_PER_DAY + 1, math.log(float(instrument.start_price))), np.zeros(RAW_BARS_PER_DAY)
    for key, share in shares:
        level, walk_variance = _walk(settings, key, common, day)
        price += math.sqrt(share) * volatility * level
        variance += share * volatility**2 * walk_variance
    if settings.regimes:
        drifted = regimes_of_days(settings.regimes, common, settings.origin_day, day, 1).level
        price += volatility * np.linspace(drifted[0], drifted[1], RAW_BARS_PER_DAY + 1)
    reversion = _reverting_component(own, day, settings.edge_half_life)
    scale = settings.edge * volatility
    variance += 2.0 * scale**2 * (1.0 - 0.5 ** (1.0 / settings.edge_half_life))
    return DayPath(log_price=price + scale * reversion, reversion=reversion, variance=variance)


def _walk(settings: MarketSettings, key: np.uint64, common: np.uint64, day: int) -> tuple[Floats, Floats]:
    """Level float64[1441] of a unit walk through a day, and variance float64[1440] of each raw bar's step."""
    span, within = divmod(day - settings.origin_day, SPAN_DAYS)
    walk = _span_walk(key, common, settings.origin_day, span, settings.regimes)
    variance = walk.variance[within] * _variance_shares(key, day, DAY_SHAPE)
    return _bridge(key, day, walk.level[within], walk.level[within + 1], variance), variance


@lru_cache(maxsize=64)
def _span_walk(key: np.uint64, common: np.uint64, origin: int, span: int, regimes: tuple[str, ...]) -> _SpanWalk:
    """Day anchors of one span; kept because a span is asked for day by day, not because it depends on the asking."""
    first_day = origin + span * SPAN_DAYS
    steps, shared, own = np.empty(SPAN_DAYS), np.empty(SPAN_DAYS), np.empty(SPAN_DAYS)
    fill_normals(key, _DAY_WALK, first_day, steps)
    fill_averages(common, _DAY_VOLATILITY, first_day, _DAY_VOLATILITY_DECAY, shared)
    fill_averages(key, _DAY_OWN_VOLATILITY, first_day, _DAY_VOLATILITY_DECAY, own)
    log_volatility = _DAY_VOLATILITY_SPREAD * (0.8 * shared + 0.6 * own)
    variance = np.exp(2.0 * log_volatility - 2.0 * _DAY_VOLATILITY_SPREAD**2)
    if regimes:
        variance *= regimes_of_days(regimes, common, origin, first_day, SPAN_DAYS).variance
    clock = np.concatenate(([0.0], np.cumsum(variance)))
    free = np.concatenate(([0.0], np.cumsum(np.sqrt(variance) * steps)))
    level = free - clock / clock[-1] * free[-1]
    level[-1] = 0.0
    return _SpanWalk(level=level, variance=variance)


@njit(cache=True, nogil=True)
def _variance_shares(key: np.uint64, day: int, shape: Floats) -> Floats:
    """Share of a day's variance in each of its raw bars, float64[1440], sum 1."""
    hours = np.empty(len(shape) // RAW_BARS_PER_HOUR + 1)
    fill_averages(key, _HOUR_ACTIVITY, day * (len(hours) - 1), _HOUR_ACTIVITY_DECAY, hours)
    shares = np.empty(len(shape))
    fill_normals(key, _RAW_ACTIVITY, day * len(shape), shares)
    total = 0.0
    for k in range(len(shape)):
        hour, part = k // RAW_BARS_PER_HOUR, (k % RAW_BARS_PER_HOUR) / RAW_BARS_PER_HOUR
        activity = _HOUR_ACTIVITY_SPREAD * ((1.0 - part) * hours[hour] + part * hours[hour + 1])
        shares[k] = shape[k] * math.exp(2.0 * (activity + _RAW_ACTIVITY_SPREAD * shares[k]))
        total += shares[k]
    return shares / total


@njit(cache=True, nogil=True)
def _bridge(key: np.uint64, day: int, start: float, end: float, variance: Floats) -> Floats:
    """A Brownian path from `start` to `end` with the given variance in each step, both ends exact."""
    n = len(variance)
    path, steps = np.empty(n + 1), np.empty(n)
    fill_normals(key, _RAW_WALK, day * n, steps)
    path[0], clock = 0.0, 0.0
    for k in range(n):
        path[k + 1] = path[k] + math.sqrt(variance[k]) * steps[k]
    missing, total = end - start - path[n], variance.sum()
    for k in range(n):
        clock += variance[k]
        path[k + 1] += start + missing * clock / total
    path[0], path[n] = start, end
    return path


@njit(cache=True, nogil=True)
def _reverting_component(key: np.uint64, day: int, half_life: float) -> Floats:
    """An Ornstein-Uhlenbeck path of unit variance through a day, float64[1441], between the anchors of its two ends.

    A free path from the day's anchor is corrected towards the next anchor by its regression on the end point, which
    is the exact law of the process given both ends.
    """
    n = RAW_BARS_PER_DAY
    decay = 0.5 ** (1.0 / half_life)
    anchors, steps, path = np.empty(2), np.empty(n), np.empty(n + 1)
    fill_averages(key, _DAY_REVERSION, day, decay**n, anchors)
    fill_normals(key, _RAW_REVERSION, day * n, steps)
    path[0], spread = anchors[0], math.sqrt(1.0 - decay**2)
    for k in range(n):
        path[k + 1] = decay * path[k] + spread * steps[k]
    missing, whole = anchors[1] - path[n], 1.0 - decay ** (2 * n)
    for k in range(1, n):
        path[k] += missing * decay ** (n - k) * (1.0 - decay ** (2 * k)) / whole
    path[n] = anchors[1]
    return path
