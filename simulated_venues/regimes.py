"""Regimes of a market: blocks of days in which every instrument is calm, trends, is turbulent, or crashes and recovers.

The chosen regimes follow each other in cycles that are counted from the day at which the market is priced. A cycle
holds each of them once, in an order drawn for that cycle from the factor common to all instruments, so any day's regime
is found without knowing another day's, and each named regime is met in every cycle.

A trend is a drift added to the walk. Over a cycle the drifts sum to zero, so that prices stay near their start for
ever, as they do without regimes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulated_venues.random import Floats, fill_uniforms

Integers = NDArray[np.int64]

RAMP_SHARE = 0.25
"""Share of a block's first day over which the premium moves from the last regime's level to its own."""

_CYCLE_ORDER = 400
_FOLLOWS_AT_ONCE = 1e-12
_MOST_REGIMES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """One kind of market.

    Attributes:
        days: days of the market that a block of it lasts.
        variance: factor on the variance of an instrument's walk. Over a cycle of all regimes its mean is 1, so an
            instrument's daily volatility stays the one it was given.
        drift: mean log return of a day, in an instrument's daily volatilities.
        premium: added to the level of the premium, in that level's standard deviations; funding follows it.
        after: regime that this one follows at once in a cycle that holds both; empty for one that may stand anywhere.
    """

    days: int
    variance: float
    drift: float
    premium: float
    after: str = ""


REGIMES: dict[str, Regime] = {
    "calm": Regime(days=12, variance=0.25, drift=0.0, premium=-0.3),
    "upward": Regime(days=10, variance=0.7, drift=0.6, premium=1.6),
    "downward": Regime(days=10, variance=1.0, drift=-0.45, premium=-1.2),
    "turbulent": Regime(days=8, variance=2.0, drift=0.0, premium=0.0),
    "crash": Regime(days=1, variance=5.0, drift=-4.5, premium=-2.0),
    "recovery": Regime(days=3, variance=1.0, drift=1.0, premium=-0.5, after="crash"),
}
"""The named regimes. An upward trend is paid for by longs, a downward one and a crash by shorts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRegimes:
    """What regimes do to a run of days of the market.

    Attributes:
        name: the regime of each day.
        variance: float64[days], factor on the day's variance.
        level: float64[days + 1], summed drift at each day's start and at the end, in daily volatilities.
        premium: float64[days], shift of the premium's level.
    """

    name: tuple[str, ...]
    variance: Floats
    level: Floats
    premium: Floats


def regimes_of_days(names: tuple[str, ...], common: np.uint64, origin: int, first: int, count: int) -> DayRegimes:
    """The regimes of `count` days from day `first` on.

    Args:
        names: the market's regimes, at least one.
        common: Philox key of the factor common to all instruments.
        origin: day at which the first cycle begins.
        first: first day asked for.
        count: how many days.
    """
    cycle_days = sum(REGIMES[name].days for name in names)
    start, skipped = divmod(first - origin, cycle_days)
    cycles = -(-(skipped + count) // cycle_days)
    order = [name for cycle in range(start, start + cycles) for name in _order(names, common, cycle)]
    by_day = [name for name in order for _ in range(REGIMES[name].days)]
    # Each cycle is summed by itself: a level must not depend on how many cycles were asked for at once.
    drift = np.array([REGIMES[name].drift for name in by_day]).reshape(cycles, cycle_days)
    before = np.cumsum(drift, axis=1) - drift
    level = np.append(before.reshape(-1), 0.0)
    within = slice(skipped, skipped + count)
    return DayRegimes(
        name=tuple(by_day[within]),
        variance=np.array([REGIMES[name].variance for name in by_day[within]]),
        level=level[skipped : skipped + count + 1],
        premium=np.array([REGIMES[name].premium for name in by_day[within]]),
    )


def broken_rules(names: tuple[str, ...]) -> list[str]:
    """Rules that a market's choice of regimes breaks; none for a good choice, and for no regimes at all."""
    unknown = sorted(set(names) - set(REGIMES))
    if unknown:
        return [f"regimes among {', '.join(REGIMES)}"]
    rules = {
        "every regime once": len(set(names)) == len(names),
        "regimes whose drifts sum to zero over their days, so that prices stay bounded": (
            abs(sum(REGIMES[name].drift * REGIMES[name].days for name in names)) < 1e-9
        ),
    }
    return [rule for rule, holds in rules.items() if not holds]


def _order(names: tuple[str, ...], common: np.uint64, cycle: int) -> list[str]:
    """The regimes in a cycle's order."""
    draws = np.empty(len(REGIMES))
    fill_uniforms(common, _CYCLE_ORDER, cycle * _MOST_REGIMES, draws)
    place = dict(zip(REGIMES, draws.tolist(), strict=True))
    for name in names:
        after = REGIMES[name].after
        if after in names:
            place[name] = place[after] + _FOLLOWS_AT_ONCE
    return sorted(names, key=place.__getitem__)
