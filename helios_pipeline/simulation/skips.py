"""Tables by which a run passes over slots in which nothing can happen, compiled.

Two kinds. What depends on prices alone is made once for a span: what could touch a stop, and what marks an account
between one event (a settlement, a midnight) and the next. What depends on lookback and funding weight is made for each
pair of them and serves all sets that share it. Blocks of `BLOCK` slots hold the extreme of each, so that a search looks
at one number where a loop would look at sixteen.
"""

from typing import NamedTuple

import numpy as np

from helios_pipeline.features.compiled import compiled, step
from helios_pipeline.features.windows import Floats, Integers
from helios_pipeline.simulation.arrays import Market, Record, Records
from helios_pipeline.simulation.machine import bar_high, bar_low
from helios_pipeline.strategy.signal import signal

BLOCK = 16
_FAR = np.int64(2**62)

RANGE = np.dtype([(name, np.int64) for name in ("mark_low", "mark_high", "low", "high")])
"""Extremes of some boundaries' marks (the closes before them) and of the bars that open at them, in ticks."""


class Skips(NamedTuple):
    """One number a slot, or a block of slots, of the only market.

    Attributes:
        strengths: |s| of the slot's bar, −1 for none; `strength_highs` of its block.
        levels: what an exit is judged by, NaN for none; `level_lows`, `level_highs` of its block, NaN left out.
        downs: the lowest price that could touch a long's stop, far up where the bar is missing; `down_lows`.
        ups: the highest price that could touch a short's stop, 0 where the bar is missing; `up_highs`.
        starts, ends: the events before (or at) and after a boundary: settlements of the market, and midnights.
        before: `RANGE` of the boundaries from `starts` to this one.
        after: `RANGE` of the boundaries from this one until before `ends`.
    """

    strengths: Floats
    strength_highs: Floats
    levels: Floats
    level_lows: Floats
    level_highs: Floats
    downs: Integers
    down_lows: Integers
    ups: Integers
    up_highs: Integers
    starts: Integers
    ends: Integers
    before: Records
    after: Records


def price_skips(slots: Records, first_day_slot: int, slots_per_day: int) -> Skips:
    """The tables of prices, and room for those of scores.

    Args:
        slots: `SLOT`, shape (slots + 1, 1).
        first_day_slot: any slot that opens at midnight.
        slots_per_day: slots from one midnight to the next.
    """
    shape, blocks = len(slots), -(-len(slots) // BLOCK)
    skips = Skips(
        strengths=np.full(shape, -1.0),
        strength_highs=np.full(blocks, -1.0),
        levels=np.full(shape, np.nan),
        level_lows=np.full(blocks, np.inf),
        level_highs=np.full(blocks, -np.inf),
        downs=np.full(shape, _FAR),
        down_lows=np.full(blocks, _FAR),
        ups=np.zeros(shape, np.int64),
        up_highs=np.zeros(blocks, np.int64),
        starts=np.zeros(shape, np.int64),
        ends=np.zeros(shape, np.int64),
        before=np.zeros(shape, RANGE),
        after=np.zeros(shape, RANGE),
    )
    fill_prices(skips, slots, first_day_slot % slots_per_day, slots_per_day)
    return skips


@compiled
def fill_prices(skips: Skips, slots: Records, midnight: int, slots_per_day: int) -> None:  # noqa: C901 - one pass
    """Write everything that depends on prices alone."""
    count = len(slots)
    start = 0
    for i in range(count):
        slot = slots[i, 0]
        if slot.ask > 0:
            skips.downs[i] = min(slot.bid, slot.low)
            skips.ups[i] = max(slot.ask, slot.high)
        block = i // BLOCK
        skips.down_lows[block] = min(skips.down_lows[block], skips.downs[i])
        skips.up_highs[block] = max(skips.up_highs[block], skips.ups[i])
        if slot.settlement >= 0 or i % slots_per_day == midnight:
            start = i
        skips.starts[i] = start
        own = skips.before[i]
        own.mark_low = own.mark_high = slots[max(i - 1, 0), 0].close
        own.low, own.high = bar_low(slot), bar_high(slot)
    end = count
    for i in range(count - 1, -1, -1):
        skips.ends[i] = end
        skips.after[i] = skips.before[i]
        if i + 1 < end:
            widen(skips.after[i], skips.after[i + 1])
        if skips.starts[i] == i:
            end = i
    for i in range(1, count):
        if skips.starts[i] < i:
            widen(skips.before[i], skips.before[i - 1])


@step
def widen(one: Record, other: Record) -> None:
    """Make a range hold another one too."""
    one.mark_low = min(one.mark_low, other.mark_low)
    one.mark_high = max(one.mark_high, other.mark_high)
    one.low = min(one.low, other.low)
    one.high = max(one.high, other.high)


@compiled
def fill_scores(skips: Skips, market: Market, funding_weight: float, first: int, stop: int) -> None:
    """Write everything that depends on lookback and funding weight, for the bars `first ≤ slot < stop`."""
    for block in range(first // BLOCK, (stop - 1) // BLOCK + 1):
        strength_high, level_low, level_high = -1.0, np.inf, -np.inf
        for i in range(max(first, block * BLOCK), min(stop, (block + 1) * BLOCK)):
            level = signal(market.z_price[i, 0], market.z_funding[i, 0], funding_weight)
            strength = abs(level) if level == level else -1.0
            if level != level:
                level = market.z_price[i, 0]
            skips.strengths[i] = strength
            skips.levels[i] = level
            strength_high = max(strength_high, strength)
            if level < level_low:
                level_low = level
            if level > level_high:
                level_high = level
        skips.strength_highs[block] = strength_high
        skips.level_lows[block] = level_low
        skips.level_highs[block] = level_high


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
