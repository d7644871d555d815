"""One month of market data in one picture: prices, funding, open interest, features."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.reports.figures.canvas import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    RED,
    Floats,
    Range,
    draw_levels,
    draw_line,
    draw_rectangles,
    number_axis,
    percent,
    range_of,
    runs,
    say,
    say_inside,
    say_nothing_there,
    seconds,
    stack_panels,
    time_axis,
    words_left,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HOUR = 3600.0
BAR = BAR_INTERVAL.total_seconds()
KLINE_SECONDS = {"1m": 60.0, "15m": BAR}
OPEN_INTEREST_SECONDS = 300.0
SOURCE_COLOURS = {"archive": BLUE, "rest": ORANGE}
VOLUME_BINS = 124
FUNDING_SCORE_RANGE = (-3.4, 3.4)


def draw_klines(klines: pl.DataFrame) -> "Figure":
    """Closes, and below them when each interval has klines: blue from the archive, orange from REST.

    Args:
        klines: `RAW_KLINES_SCHEMA`; may be empty.
    """
    title = "close (quote); below: klines there are, from the archive in blue, from REST in orange"
    if klines.is_empty():
        return say_nothing_there(title)
    coarsest = "15m" if "15m" in klines["interval"] else "1m"
    shown = klines.filter(pl.col("interval") == coarsest).sort("opened_at")
    closes = shown["close"].to_numpy()
    span = _span(seconds(klines["opened_at"]), KLINE_SECONDS[coarsest])
    price, cover = stack_panels(span, [(5, range_of(closes)), (1, (0.0, len(KLINE_SECONDS)))])
    say(price, title)
    number_axis(price)
    draw_line(price, seconds(shown["opened_at"]), closes, step=KLINE_SECONDS[coarsest])
    for row, (interval, step) in enumerate(reversed(KLINE_SECONDS.items())):
        words_left(cover, [row + 0.5], [interval])
        for source, colour in SOURCE_COLOURS.items():
            chosen = klines.filter((pl.col("interval") == interval) & (pl.col("source") == source))
            there = runs(np.sort(seconds(chosen["opened_at"])), step)
            draw_rectangles(cover, there, (row + 0.1, row + 0.9), colour)
    time_axis(cover)
    return price.figure


def draw_bars(bars: pl.DataFrame, gaps: Sequence[Mapping[str, object]]) -> "Figure":
    """Closes and volume of 15-minute bars, gaps shaded.

    Args:
        bars: `BARS_SCHEMA`; may be empty.
        gaps: `first` and `last`, ISO 8601, of each run of missing bars, with `bars` and `cause`.
    """
    missing = sum(int(str(gap["bars"])) for gap in gaps)
    title = f"close (quote) of {bars.height:,} bars, {missing:,} missing" + (" (shaded)" if missing else "")
    if bars.is_empty():
        return say_nothing_there(title)
    at, closes = seconds(bars["opened_at"]), bars["close"].to_numpy()
    shaded = [np.array([_instant(gap[end]) for gap in gaps]) for end in ("first", "last")]
    totals, edges = np.histogram(at, bins=VOLUME_BINS, weights=np.nan_to_num(bars["volume"].to_numpy()))
    price, volume = stack_panels(
        _span(np.concatenate([at, *shaded]), BAR), [(3, range_of(closes)), (1, (0.0, float(totals.max()) * 1.3 or 1.0))]
    )
    say(price, title)
    say_inside(volume, "volume (base)")
    number_axis(price)
    for panel in (price, volume):
        draw_rectangles(panel, (shaded[0], shaded[1] + BAR), panel.y, RED + "60")
    draw_line(price, at, closes, step=BAR)
    draw_rectangles(volume, (edges[:-1], edges[1:]), (0.0, totals), BLUE + "90")
    time_axis(volume)
    return price.figure


def draw_funding(rates: pl.DataFrame) -> "Figure":
    """Funding rate per hour in basis points over time; longs pay what is above zero.

    Args:
        rates: `RAW_FUNDING_SCHEMA`; may be empty.
    """
    title = "funding (bps of notional per hour); above zero longs pay"
    if rates.is_empty():
        return say_nothing_there(title)
    at, hours = seconds(rates["settled_at"]), rates["interval_hours"].to_numpy()
    per_hour = rates["funding_rate"].to_numpy() / hours * 1e4
    began = at - hours * HOUR  # a rate is of the interval that its settlement ends
    (panel,) = stack_panels((float(began[0]), float(at[-1])), [(1, range_of(per_hour, 0.0))])
    every = "/".join(map(str, sorted(set(rates["interval_hours"]))))
    say(panel, f"{title}: {rates.height:,} settlements, every {every} h, mean {per_hour.mean():.3g}")
    number_axis(panel)
    colours = [GREEN + "a0" if rate >= 0 else RED + "a0" for rate in per_hour.tolist()]
    draw_rectangles(panel, (began, at), (np.minimum(per_hour, 0.0), np.maximum(per_hour, 0.0)), colours)
    draw_levels(panel, [0.0], colour=INK)
    time_axis(panel)
    return panel.figure


def draw_open_interest(rows: pl.DataFrame) -> "Figure":
    """Open interest over time.

    Args:
        rows: `RAW_OPEN_INTEREST_SCHEMA`; may be empty.
    """
    title = "open interest (base currency)"
    if rows.is_empty():
        return say_nothing_there(title)
    at, values = seconds(rows["measured_at"]), rows["open_interest"].cast(pl.Float64).to_numpy()
    (panel,) = stack_panels(_span(at, OPEN_INTEREST_SECONDS), [(1, range_of(values))])
    say(panel, f"{title}, {rows.height:,} rows")
    number_axis(panel)
    draw_line(panel, at, values, colour=PURPLE, step=OPEN_INTEREST_SECONDS)
    time_axis(panel)
    return panel.figure


def draw_features(features: pl.DataFrame, bars: pl.DataFrame) -> "Figure":
    """Closes with the funding score and the volatility that were known at each of them.

    Args:
        features: of `make_features`; may be empty.
        bars: `BARS_SCHEMA` of the same month.
    """
    title = "close (quote), funding z-score, volatility (per year)"
    if features.is_empty() or bars.is_empty():
        return say_nothing_there(title)
    at, closes = seconds(features["closed_at"]), bars["close"].to_numpy()
    volatilities = features["volatility"].to_numpy()
    price, score, volatility = stack_panels(
        _span(at, BAR), [(2, range_of(closes)), (1, FUNDING_SCORE_RANGE), (1, range_of(volatilities))]
    )
    say(price, title)
    number_axis(price)
    number_axis(volatility, percent, ticks=2)
    words_left(score, [-3, 0, 3], ["-3", "0", "3"])
    draw_levels(score, [-3, 0, 3])
    draw_line(price, seconds(bars["closed_at"]), closes, step=BAR)
    draw_line(score, at, features["z_funding"].to_numpy(), colour=ORANGE, step=BAR)
    draw_line(volatility, at, volatilities, colour=PURPLE, step=BAR)
    time_axis(volatility)
    return price.figure


def _span(at: Floats, step: float) -> Range:
    return float(at.min()), float(at.max()) + step


def _instant(text: object) -> float:
    return datetime.fromisoformat(str(text)).timestamp()
