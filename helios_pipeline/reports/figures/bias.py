"""What bias checks found: which re-runs were the same, what dearer and later trading leaves, what chance finds."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from helios_pipeline.reports.figures.canvas import (
    ABOVE,
    BELOW,
    BLUE,
    GREEN,
    INK,
    LEFT,
    ORANGE,
    PURPLE,
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
    say,
    say_nothing_there,
    stack_panels,
    words_below,
    words_left,
    write,
)
from helios_pipeline.reports.figures.cells import draw_cells

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW_HEIGHT = 24
COLOURS = (BLUE, GREEN, PURPLE, ORANGE)


def draw_reruns(rows: pl.DataFrame, *, by: str, fills: str) -> "Figure":
    """How many fills of each set were compared in each re-run: blue if all were the same, red if any was otherwise.

    Args:
        rows: `parameters`, `changed` (null for none), and the two columns named; may be empty.
        by: what the re-runs differ in.
        fills: how many fills were compared.
    """
    title = f"fills compared, by {by.replace('_', ' ')}; blue: all the same, red: some otherwise"
    known = rows.filter(pl.col("parameters").is_not_null())
    if known.is_empty():
        return say_nothing_there(title)
    sets, runs = known["parameters"].unique(maintain_order=True).to_list(), known[by].unique(maintain_order=True)
    table = np.full((len(sets), len(runs)), np.nan)
    signs = known["changed"].is_null().to_numpy() * 2.0 - 1.0
    for at, (parameters, run, count) in enumerate(known.select("parameters", by, fills).iter_rows()):
        # The first set at the top, where the last row is; a run without fills still has a colour.
        table[len(sets) - 1 - sets.index(parameters), runs.to_list().index(run)] = signs[at] * max(count, 1)
    size = ROW_HEIGHT * len(sets)
    figure = new_figure(height=ABOVE + BELOW + size)
    panel = Panel(
        figure=figure,
        left=LEFT,
        bottom=BELOW,
        width=WIDTH - LEFT - RIGHT,
        height=size,
        x=(0.0, float(len(runs))),
        y=(0.0, float(len(sets))),
    )
    say(panel, title)
    draw_cells(panel, table, "{:,.0f}")
    words_left(panel, [row + 0.5 for row in range(len(sets))], [f"set {at + 1}" for at in reversed(range(len(sets)))])
    words = runs.dt.strftime("%Y-%m-%d") if runs.dtype.is_temporal() else runs.cast(pl.String)
    words_below(panel, [column + 0.5 for column in range(len(runs))], words.to_list(), marks=False)
    return figure


def draw_stress(rows: pl.DataFrame, *, over: str) -> "Figure":
    """Net return of a set as trading gets dearer or later.

    Args:
        rows: `net_return`, the column named and, where several things get dearer, `cost`.
        over: what grows.
    """
    groups = rows["cost"].unique(maintain_order=True).to_list() if "cost" in rows.columns else [None]
    at, returns = rows[over].cast(pl.Float64).to_numpy(), rows["net_return"].to_numpy()
    (panel,) = stack_panels(range_of(at), [(1, range_of(returns, 0.0))])
    names = [(group, colour) for group, colour in zip(groups, COLOURS, strict=False) if group is not None]
    say(panel, f"net return of the set by {over.replace('_', ' ')}")
    number_axis(panel, percent)
    draw_levels(panel, [0.0], colour=INK)
    for row, (group, colour) in enumerate(names):
        write(panel.figure, panel.left + panel.width - 4, panel.bottom + panel.height - 8 - 13 * row, group,
              align="right", colour=colour)  # fmt: skip
    for group, colour in zip(groups, COLOURS, strict=False):
        own = np.ones(rows.height, np.bool_) if group is None else (rows["cost"] == group).to_numpy()
        draw_line(panel, at[own], returns[own], colour=colour, width=1.3)
    ticks = sorted(set(at.tolist()))
    words_below(panel, ticks, [f"{tick:g}" for tick in ticks])
    return panel.figure


def draw_control(rows: pl.DataFrame) -> "Figure":
    """The highest Sharpe ratio of any set on the market as it was and on each shuffled one.

    Args:
        rows: `market`, `best_sharpe`, `noise_would_score` and `found`; the market as it was first.
    """
    best, luck = (rows[name].to_numpy() for name in ("best_sharpe", "noise_would_score"))
    (panel,) = stack_panels((-0.6, rows.height - 0.4), [(1, range_of(best, luck, 0.0))])
    say(panel, "highest Sharpe ratio of any set; orange: the market as it was, blue: shuffled; green line: by noise")
    number_axis(panel)
    draw_levels(panel, [0.0], colour=INK)
    for at, (value, noise, found) in enumerate(zip(best.tolist(), luck.tolist(), rows["found"], strict=True)):
        if np.isfinite(value):
            edges = (at - 0.3, at + 0.3), (min(value, 0.0), max(value, 0.0))
            draw_rectangles(panel, *edges, BLUE if at else ORANGE)
        draw_line(panel, np.array([at - 0.42, at + 0.42]), np.full(2, noise), colour=GREEN, width=1.8)
        if found:
            write(panel.figure, float(panel.across(at)), float(panel.up(0.0)) + 8, "found", align="center")
    words_below(panel, list(range(rows.height)), rows["market"].to_list(), marks=False)
    return panel.figure
