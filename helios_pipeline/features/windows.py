"""Statistics over windows of valid bars, compiled.

One function makes one window, and batch and live both call it, so a feature has the same bits in a backtest and in an
engine. Each window is summed afresh in two passes: running sums would drift (a cumulative z-score over three years is
off by 1e-4) and would depend on where the history began.

A window counts valid bars. It never reaches back over more than the allowed run of missing bars: `segment_starts` says
where the history that a bar may use begins.
"""

import math

import numpy as np
import numpy.typing as npt

from helios_pipeline.features.compiled import allocation_free, compiled, step

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LANES = 64
"""Windows that are summed side by side."""


def log_prices(prices: Floats) -> Floats:
    """Natural logarithms, by the C library's `log` on each price (numpy's own differs in the last bit at times)."""
    return np.array([math.log(price) for price in prices.tolist()], np.float64)


def segment_starts(opened_at: Integers, interval: int, max_gap_bars: int) -> Integers:
    """Index of the earliest bar that a window ending at each bar may contain.

    Args:
        opened_at: openings of valid bars, ascending, in any unit.
        interval: length of a bar in that unit.
        max_gap_bars: longest run of missing bars that a window may skip.

    Returns:
        One index per bar, non-decreasing.
    """
    return _last_begun(np.diff(opened_at) // interval - 1 > max_gap_bars, len(opened_at))


def _last_begun(begins: npt.NDArray[np.bool_], count: int) -> Integers:
    """Index of the last element up to each one that begins something; the first does, then those after `begins`."""
    indices = np.arange(count)
    indices[1:][~begins] = 0
    return np.maximum.accumulate(indices)


@step
def mean_and_std(values: Floats, at: int, lookback: int) -> tuple[float, float]:
    """Mean and standard deviation (ddof 0) of `values[at - lookback + 1 : at + 1]`, in two passes.

    The deviation of equal values is 0, also where rounding of their mean would make it a tiny number.
    """
    low = high = values[at]
    total = 0.0
    for k in range(at - lookback + 1, at + 1):
        value = values[k]
        total += value
        low = min(low, value)
        high = max(high, value)
    if low == high:
        return float(low), 0.0
    mean = total / lookback
    squares = 0.0
    for k in range(at - lookback + 1, at + 1):
        squares += (values[k] - mean) ** 2
    return mean, math.sqrt(squares / lookback)


@compiled
def z_score(values: Floats, at: int, lookback: int) -> float:
    """How many standard deviations the value at `at` lies from its window's mean.

    Args:
        values: a series; the caller makes sure that `at - lookback + 1 ≥ 0`.
        at: last index of the window, included.
        lookback: length of the window.

    Returns:
        (value − mean) / std with ddof 0; 0 for a window of equal values.
    """
    mean, std = mean_and_std(values, at, lookback)
    if std == 0.0:
        return 0.0
    return float((values[at] - mean) / std)


def z_scores(values: Floats, starts: Integers, lookback: int) -> Floats:
    """`z_score` at every bar; NaN while the bar's segment is shorter than `lookback`."""
    scores = np.full(len(values), np.nan)
    score_windows(values, starts, equal_runs(values), lookback, 0, new_lanes(), scores)
    return scores


def equal_runs(values: Floats) -> Integers:
    """How many values up to each one are equal to it, itself included."""
    return np.arange(len(values)) - _last_begun(values[1:] != values[:-1], len(values)) + 1


def new_lanes() -> Floats:
    """Room for the windows that `score_windows` sums side by side."""
    return np.empty((2, LANES))


@step
def sum_lanes(values: Floats, oldest: int, lookback: int, sums: Floats) -> None:
    """Sum of each lane's window, oldest value first; the window of lane 0 begins at `oldest`."""
    sums[:] = 0.0
    for k in range(oldest, oldest + lookback % 4):
        for lane in range(len(sums)):
            sums[lane] += values[k + lane]
    for k in range(oldest + lookback % 4, oldest + lookback, 4):
        for lane in range(len(sums)):
            total = sums[lane] + values[k + lane]
            total += values[k + lane + 1]
            total += values[k + lane + 2]
            total += values[k + lane + 3]
            sums[lane] = total


@step
def sum_squares(values: Floats, oldest: int, lookback: int, means: Floats, sums: Floats) -> None:
    """Sum of each lane's squared distances from its mean, oldest value first."""
    sums[:] = 0.0
    for k in range(oldest, oldest + lookback % 4):
        for lane in range(len(sums)):
            sums[lane] += (values[k + lane] - means[lane]) ** 2
    for k in range(oldest + lookback % 4, oldest + lookback, 4):
        for lane in range(len(sums)):
            mean = means[lane]
            total = sums[lane] + (values[k + lane] - mean) ** 2
            total += (values[k + lane + 1] - mean) ** 2
            total += (values[k + lane + 2] - mean) ** 2
            total += (values[k + lane + 3] - mean) ** 2
            sums[lane] = total


@allocation_free
def score_windows(  # noqa: PLR0913 - arrays of the caller
    values: Floats, starts: Integers, runs: Integers, lookback: int, first: int, lanes: Floats, scores: Floats
) -> None:
    """Write `z_score` of the bars from `first` on where the segment is long enough; nothing elsewhere.

    Windows that end at neighbouring bars are summed side by side, each in the order in which `mean_and_std` adds, so
    that the processor's vectors hold one window a lane and every score keeps its bits.

    Args:
        values: a series.
        starts: from `segment_starts`.
        runs: from `equal_runs`.
        lookback: length of the window.
        first: first bar to write.
        lanes: from `new_lanes`; is overwritten.
        scores: receives them, by bar.
    """
    sums, means = lanes[0], lanes[1]
    for base in range(max(first, lookback - 1), len(values), LANES):
        count = min(LANES, len(values) - base)
        sum_lanes(values, base - lookback + 1, lookback, sums[:count])
        for lane in range(count):
            means[lane] = sums[lane] / lookback
        sum_squares(values, base - lookback + 1, lookback, means, sums[:count])
        for lane in range(count):
            at = base + lane
            if at - lookback + 1 >= starts[at]:
                std = 0.0 if runs[at] >= lookback else math.sqrt(sums[lane] / lookback)
                scores[at] = 0.0 if std == 0.0 else (values[at] - means[lane]) / std


@compiled
def floored_z_score(values: Floats, at: int, lookback: int, std_floor: float, bound: float) -> float:
    """`z_score` with its standard deviation no smaller than `std_floor` and the result clipped to ±`bound`.

    For series that often stand still, such as a funding rate at its clamp: without floor and bound one pip of
    difference would outvote everything else.
    """
    mean, std = mean_and_std(values, at, lookback)
    if std == 0.0:
        return 0.0
    return float(min(max((values[at] - mean) / max(std, std_floor), -bound), bound))


@compiled
def floored_z_scores(values: Floats, lookback: int, std_floor: float, bound: float) -> Floats:
    """`floored_z_score` at every index; NaN before `lookback` values exist."""
    scores = np.full(len(values), np.nan)
    for i in range(lookback - 1, len(values)):
        scores[i] = floored_z_score(values, i, lookback, std_floor, bound)
    return scores


@compiled
def average_true_range(highs: Floats, lows: Floats, closes: Floats, at: int, bars: int) -> float:
    """Simple mean of the last `bars` true ranges, in price; needs the close before the window (`at - bars ≥ 0`).

    Simple, not Wilder's recursion, which would depend on where the history began.
    """
    total = 0.0
    for k in range(at - bars + 1, at + 1):
        total += max(highs[k], closes[k - 1]) - min(lows[k], closes[k - 1])
    return total / bars


@compiled
def average_true_ranges(highs: Floats, lows: Floats, closes: Floats, starts: Integers, bars: int) -> Floats:
    """`average_true_range` at every bar; NaN while the segment has fewer than `bars + 1` bars."""
    ranges = np.full(len(closes), np.nan)
    for i in range(len(closes)):
        if i - bars >= starts[i]:
            ranges[i] = average_true_range(highs, lows, closes, i, bars)
    return ranges


@compiled
def volatility(logs: Floats, at: int, lookback: int, periods_per_year: float) -> float:
    """Standard deviation (ddof 0) of the last `lookback` log returns, per year; 0 if all are equal.

    Args:
        logs: log prices; needs the one before the window (`at - lookback ≥ 0`).
        at: last index of the window, included.
        lookback: returns in the window.
        periods_per_year: returns in a year.
    """
    low = high = logs[at] - logs[at - 1]
    total = 0.0
    for k in range(at - lookback + 1, at + 1):
        change = logs[k] - logs[k - 1]
        total += change
        low = min(low, change)
        high = max(high, change)
    if low == high:
        return 0.0
    mean = total / lookback
    squares = 0.0
    for k in range(at - lookback + 1, at + 1):
        squares += (logs[k] - logs[k - 1] - mean) ** 2
    return math.sqrt(squares / lookback) * math.sqrt(periods_per_year)


@compiled
def volatilities(logs: Floats, starts: Integers, lookback: int, periods_per_year: float) -> Floats:
    """`volatility` at every bar; NaN while the segment has fewer than `lookback + 1` bars."""
    values = np.full(len(logs), np.nan)
    for i in range(len(logs)):
        if i - lookback >= starts[i]:
            values[i] = volatility(logs, i, lookback, periods_per_year)
    return values
