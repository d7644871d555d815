"""What a parameter set earned: equity, months, folds and costs."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from helios_pipeline.reports.costs import CostSplit
from helios_pipeline.reports.figures.canvas import (
    ABOVE,
    BELOW,
    BLUE,
    GREEN,
    INK,
    LEFT,
    LINE,
    ORANGE,
    RED,
    RIGHT,
    WIDTH,
    Panel,
    draw_levels,
    draw_line,
    draw_rectangles,
    new_figure,
    number_axis,
    percent,
    range_of,
    round_numbers,
    say,
    say_inside,
    say_nothing_there,
    seconds,
    short_number,
    stack_panels,
    time_axis,
    words_below,
    words_left,
    write,
)
from helios_pipeline.reports.figures.cells import draw_cells, largest_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "year")
DAY = 86_400.0
ROW_HEIGHT = 28
BAR_ROW = 26


def draw_equity(in_sample: pl.DataFrame, out_of_sample: pl.DataFrame, *, height: int = 300) -> "Figure":
    """Growth of 1 and drawdown: the set in sample, and what walk-forward's choices earned on unseen days.

    Args:
        in_sample: `at` (UTC) and `growth` of the candidate or best set over the window; may be empty.
        out_of_sample: `at` and `growth` of the stitched out-of-sample days; may be empty.
        height: pixels.
    """
    title = "growth of 1 after all costs"
    title += "" if in_sample.is_empty() else "; blue: the set, in sample"
    title += "" if out_of_sample.is_empty() else "; orange: walk-forward, out of sample"
    lines = [(frame, colour) for frame, colour in ((in_sample, BLUE), (out_of_sample, ORANGE)) if not frame.is_empty()]
    if not lines:
        return say_nothing_there(title)
    stamps = np.concatenate([seconds(frame["at"]) for frame, _ in lines])
    growths = [frame["growth"].to_numpy() for frame, _ in lines]
    drawdowns = [growth / np.maximum.accumulate(np.maximum(growth, 1.0)) - 1.0 for growth in growths]
    equity, drawdown = stack_panels(
        (float(stamps.min()), float(stamps.max())),
        [(5, range_of(*growths, 1.0)), (2, range_of(*drawdowns, 0.0))],
        height=height,
    )
    say(equity, title)
    say_inside(drawdown, "drawdown", low=True)
    number_axis(equity)
    number_axis(drawdown, percent, ticks=2)
    draw_levels(equity, [1.0], colour=LINE)
    for (frame, colour), growth, below in zip(lines, growths, drawdowns, strict=True):
        at = seconds(frame["at"])
        draw_line(equity, at, growth, colour=colour, width=1.1)
        draw_line(drawdown, at, below, colour=colour)
    time_axis(drawdown)
    return equity.figure


def monthly_returns(daily: pl.DataFrame) -> pl.DataFrame:
    """Compounded net return per calendar month: year, month, net_return.

    Args:
        daily: `day` (UTC) and `daily_return`.
    """
    return (
        daily.group_by(year=pl.col("day").dt.year(), month=pl.col("day").dt.month())
        .agg(net_return=(pl.col("daily_return") + 1.0).product() - 1.0)
        .sort("year", "month")
    )


def draw_monthly_returns(daily: pl.DataFrame) -> "Figure":
    """Net return of each month and year, in percent.

    Args:
        daily: `day` (UTC) and `daily_return`; may be empty.
    """
    title = "net return per month (%), after all costs"
    if daily.is_empty():
        return say_nothing_there(title)
    months = monthly_returns(daily)
    years = sorted(set(months["year"]), reverse=True)  # the newest at the bottom, where rows begin
    table = np.full((len(years), len(COLUMNS)), np.nan)
    for year, month, net_return in months.iter_rows():
        table[years.index(year), month - 1] = net_return * 100
    table[:, -1] = (np.nanprod(1 + table[:, :-1] / 100, axis=1) - 1) * 100
    size = ROW_HEIGHT * len(years)
    figure = new_figure(height=ABOVE + BELOW + size)
    panel = Panel(
        figure=figure,
        left=LEFT,
        bottom=BELOW,
        width=WIDTH - LEFT - RIGHT,
        height=size,
        x=(0.0, len(COLUMNS)),
        y=(0.0, len(years)),
    )
    say(panel, title)
    draw_cells(panel, table, "{:+.1f}", largest=largest_of(table[:, :-1]))
    words_left(panel, [row + 0.5 for row in range(len(years))], [str(year) for year in years])
    words_below(panel, [column + 0.5 for column in range(len(COLUMNS))], COLUMNS, marks=False)
    return figure


def draw_folds(folds: pl.DataFrame) -> "Figure":
    """Sharpe ratio of each fold's choice in sample, and of what it then did out of sample.

    Args:
        folds: of a walk-forward result: `in_sample_sharpe`, `out_of_sample_sharpe`, `parameters`; may be empty. With
            `noise_would_score` a line over each in-sample bar says what luck would have shown there.
    """
    title = "Sharpe per fold; blue: chosen on in-sample days; orange: the days after"
    luck = folds["noise_would_score"].to_numpy() if "noise_would_score" in folds.columns else np.empty(0)
    title += "; green line: noise in sample" if len(luck) else ""
    if folds.is_empty():
        return say_nothing_there(title)
    bars = [(folds[f"{part}_sharpe"].cast(pl.Float64).fill_null(np.nan).to_numpy(), colour, shift)
            for part, colour, shift in (("in_sample", BLUE, -0.36), ("out_of_sample", ORANGE, 0.02))]  # fmt: skip
    heights = np.concatenate([values for values, _, _ in bars])
    (panel,) = stack_panels((-0.6, folds.height - 0.4), [(1, range_of(heights, luck, 0.0))])
    say(panel, title)
    number_axis(panel)
    draw_levels(panel, [0.0], colour=INK)
    at = np.arange(folds.height, dtype=np.float64)
    for values, colour, shift in bars:
        there = np.isfinite(values)
        left = at[there] + shift
        edges = (np.minimum(values[there], 0.0), np.maximum(values[there], 0.0))
        draw_rectangles(panel, (left, left + 0.34), edges, colour)
    for x, noise in zip(at.tolist(), luck.tolist(), strict=False):
        draw_line(panel, np.array([x - 0.4, x + 0.02]), np.full(2, noise), colour=GREEN, width=1.8)
    for x, parameters in zip(at.tolist(), folds["parameters"], strict=True):
        if parameters is None:
            write(panel.figure, float(panel.across(x)), float(panel.up(0.0)) + 8, "no set passed", align="center")
    words_below(panel, at.tolist(), [f"fold {number}" for number in folds["fold"]])
    return panel.figure


def draw_cost_split(split: CostSplit) -> "Figure":
    """From the profit before costs to what was left, in quote currency: each cost begins where the one before ended."""
    parts = split.in_quote()
    ends = np.cumsum([parts[name] for name in list(parts)[:-1]])
    starts = np.concatenate([[0.0], ends[:-1]])
    starts, ends = np.append(starts, 0.0), np.append(ends, parts["net"])
    height = ABOVE + BELOW + BAR_ROW * len(parts)
    figure = new_figure(height=height)
    low, high = range_of(starts, ends, 0.0)
    panel = Panel(
        figure=figure,
        left=LEFT + 76,
        bottom=BELOW,
        width=WIDTH - LEFT - RIGHT - 76 - 60,
        height=BAR_ROW * len(parts),
        x=(low, high),
        y=(float(len(parts)), 0.0),
    )
    say(panel, "profit before costs, what each cost took, and what was left (quote currency)")
    for row, (name, amount) in enumerate(parts.items()):
        colour = BLUE if name in ("gross", "net") else GREEN if amount > 0 else RED
        edges = (min(starts[row], ends[row]), max(starts[row], ends[row]))
        draw_rectangles(panel, edges, (row + 0.82, row + 0.18), colour)
        words_left(panel, [row + 0.5], [name.replace("_", " ")])
        write(panel.figure, float(panel.across(edges[1])) + 5, float(panel.up(row + 0.5)), f"{amount:+,.0f}")
    ticks = round_numbers(panel.x, 5)
    words_below(panel, ticks, [short_number(tick) for tick in ticks])
    return figure
