"""Tables by which a run passes over slots in which nothing can happen.

Two kinds. What depends on prices alone is made once for a span: what could touch a stop, and what marks an account
between one event (a settlement, a midnight) and the next. What depends on lookback and funding weight is made for each
pair of them and serves all sets that share it. Blocks of `BLOCK` slots hold the extreme of each, so that a search looks
at one number where a loop would look at sixteen.

A run jumps about in these tables, so they are small: what is read together stands together, and nothing is kept per
slot that is needed per stretch.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from helios_pipeline.features.compiled import over_arrays, step
from helios_pipeline.features.windows import Floats, Integers
from helios_pipeline.simulation.arrays import Market, Records
from helios_pipeline.strategy.signal import signal

BLOCK = 16

STRETCH = np.dtype([(name, np.int64) for name in ("mark_low", "mark_high", "low", "high", "settlement")])
"""One market in the boundaries from an event until before the next: extremes of their marks (the closes before them)
and of the bars that open at them, in ticks; the settlement at the first (index, −1 for none)."""


class Skips(NamedTuple):
    """One number a market and slot, or block of slots: shapes (markets, slots + 1) except where said.

    Attributes:
        levels: what an exit is judged by, NaN for none; `level_lows`, `level_highs` of its block, NaN if all are.
        scored: whether that is s, by which an entry is judged too; `strength_highs`, the highest |s| of its block.
        downs: the lowest price that could touch a long's stop, in ticks, ∞ where the bar is missing; `down_lows`.
        ups: the highest price that could touch a short's stop, in ticks, −∞ where the bar is missing; `up_highs`.
        closes: shape (slots + 1, markets), those of `SLOT`.
        stretch_of: shape (slots + 1,), the stretch that a boundary lies in.
        starts: the boundary at which each stretch starts, an event of any market; then the number of slots.
        stretches: `STRETCH`, shape (stretches, markets).
    """

    levels: Floats
    level_lows: Floats
    level_highs: Floats
    scored: npt.NDArray[np.bool_]
    strength_highs: Floats
    downs: Floats
    down_lows: Floats
    ups: Floats
    up_highs: Floats
    closes: Integers
    stretch_of: npt.NDArray[np.int32]
    starts: Integers
    stretches: Records


def price_skips(slots: Records, first_day_slot: int, slots_per_day: int) -> Skips:
    """The tables of prices, and room for those of scores.

    Args:
        slots: `SLOT`, shape (slots + 1, markets).
        first_day_slot: any slot that opens at midnight.
        slots_per_day: slots from one midnight to the next.
    """
    count, markets = slots.shape
    shape, blocks = (markets, count), (markets, -(-count // BLOCK))
    exists, closes = slots["ask"] > 0, np.ascontiguousarray(slots["close"])
    # A tick is 1e-8 at least, so as doubles prices below 90 million are exact; one search serves them and scores.
    downs = np.ascontiguousarray(np.where(exists, np.minimum(slots["bid"], slots["low"]), np.inf).T)
    ups = np.ascontiguousarray(np.where(exists, np.maximum(slots["ask"], slots["high"]), -np.inf).T)
    firsts = np.arange(0, count, BLOCK)
    events = (slots["settlement"] >= 0).any(axis=1)
    events[first_day_slot % slots_per_day :: slots_per_day] = True
    events[0] = True
    starts = np.flatnonzero(events)
    marks = np.concatenate([closes[:1], closes[:-1]])
    stretches = np.zeros((len(starts), markets), STRETCH)
    stretches["mark_low"], stretches["mark_high"] = (
        np.minimum.reduceat(marks, starts),
        np.maximum.reduceat(marks, starts),
    )
    stretches["low"] = np.minimum.reduceat(np.where(exists, slots["low"], closes), starts)
    stretches["high"] = np.maximum.reduceat(np.where(exists, slots["high"], closes), starts)
    stretches["settlement"] = slots["settlement"][starts]
    return Skips(
        levels=np.full(shape, np.nan),
        level_lows=np.full(blocks, np.inf),
        level_highs=np.full(blocks, -np.inf),
        scored=np.zeros(shape, np.bool_),
        strength_highs=np.full(blocks, -1.0),
        downs=downs,
        down_lows=np.minimum.reduceat(downs, firsts, axis=1),
        ups=ups,
        up_highs=np.maximum.reduceat(ups, firsts, axis=1),
        closes=closes,
        stretch_of=(np.cumsum(events) - 1).astype(np.int32),
        starts=np.append(starts, count),
        stretches=stretches,
    )


def fill_scores(skips: Skips, market: Market, funding_weight: float, first: int, stop: int) -> None:
    """Write everything that depends on lookback and funding weight, for the bars `first ≤ slot < stop`."""
    bars, blocks = slice(first, stop), slice(first // BLOCK, (stop - 1) // BLOCK + 1)
    starts = np.maximum(np.arange(blocks.start, blocks.stop) * BLOCK - first, 0)
    for m in range(len(skips.levels)):
        z_price = market.z_price[bars, m]
        scores = over_arrays(signal)(z_price, market.z_funding[bars, m], funding_weight)
        skips.scored[m, bars] = scored = scores == scores
        skips.levels[m, bars] = levels = np.where(scored, scores, z_price)
        skips.strength_highs[m, blocks] = np.maximum.reduceat(np.where(scored, np.abs(scores), -1.0), starts)
        skips.level_lows[m, blocks] = np.fmin.reduceat(levels, starts)
        skips.level_highs[m, blocks] = np.fmax.reduceat(levels, starts)


@step
def first_entry(
    levels: Floats, scored: npt.NDArray[np.bool_], highs: Floats, first: int, stop: int, bound: float
) -> int:
    """The first slot in [first, stop) whose |s| is at least `bound`; `stop` if none."""
    i = first
    while i < stop:
        if i % BLOCK == 0:
            block = i // BLOCK
            while i < stop and not highs[block] >= bound:
                block += 1
                i += BLOCK
        end = min(stop, (i // BLOCK + 1) * BLOCK)
        while i < end:
            if abs(levels[i]) >= bound and scored[i]:
                return i
            i += 1
    return stop


@step
def first_at_least(values: Floats, highs: Floats, first: int, stop: int, bound: float) -> int:
    """The first slot in [first, stop) whose value is at least `bound`; `stop` if none."""
    i = first
    while i < stop:
        if i % BLOCK == 0:
            block = i // BLOCK
            while i < stop and not highs[block] >= bound:
                block += 1
                i += BLOCK
        end = min(stop, (i // BLOCK + 1) * BLOCK)
        while i < end:
            if values[i] >= bound:
                return i
            i += 1
    return stop


@step
def first_at_most(values: Floats, lows: Floats, first: int, stop: int, bound: float) -> int:
    """The first slot in [first, stop) whose value is at most `bound`; `stop` if none."""
    i = first
    while i < stop:
        if i % BLOCK == 0:
            block = i // BLOCK
            while i < stop and not lows[block] <= bound:
                block += 1
                i += BLOCK
        end = min(stop, (i // BLOCK + 1) * BLOCK)
        while i < end:
            if values[i] <= bound:
                return i
            i += 1
    return stop
