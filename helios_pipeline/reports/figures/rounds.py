"""A round's sets in pictures: which parameters matter, and what of it luck could have done."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from helios_pipeline.reports.figures.canvas import (
    ABOVE,
    BELOW,
    BLUE,
    FAINT,
    INK,
    LEFT,
    LINE,
    ORANGE,
    RED,
    RIGHT,
    WIDTH,
    Floats,
    Panel,
    Range,
    draw_instants,
    draw_levels,
    draw_line,
    draw_rectangles,
    new_figure,
    number_axis,
    range_of,
    round_numbers,
    say,
    say_nothing_there,
    short_number,
    stack_panels,
    words_below,
    words_left,
    write,
)
from helios_pipeline.reports.figures.cells import draw_cells, largest_of
from helios_pipeline.reports.sensitivity import (
    Over,
    pair_values,
    parameter_sensitivity,
    slice_through,
    swept_parameters,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OVER_WORDS: dict[Over, str] = {"median": "median over", "best": "best of"}
CELL_HEIGHT = 34
PAIR_SIZE, PAIR_GAP = 100, 7
SENSITIVITY_COLUMNS = 4
SENSITIVITY_HEIGHT = 130
BINS = 60


def draw_heat_map(metrics: pl.DataFrame, x: str, y: str, value: str = "sharpe", *, over: Over = "median") -> "Figure":
    """A metric for each pair of values of two parameters, with its number.

    Args:
        metrics: a round's sets.
        x: parameter from left to right.
        y: parameter from bottom to top.
        value: the metric.
        over: what stands for all values of the other parameters; the title says which.
    """
    title = f"{_word(value)}: {y} against {x}, {OVER_WORDS[over]} all other parameters"
    pairs = pair_values(metrics, x, y, value, over)
    if pairs["value"].null_count() == pairs.height:
        return say_nothing_there(title, "no set has a value")
    xs, ys, table = _table(pairs)
    height = ABOVE + BELOW + 14 + CELL_HEIGHT * len(ys)
    figure = new_figure(height=height)
    panel = Panel(
        figure=figure,
        left=LEFT + 28,
        bottom=BELOW + 14,
        width=WIDTH - LEFT - RIGHT - 28,
        height=CELL_HEIGHT * len(ys),
        x=(0.0, len(xs)),
        y=(0.0, len(ys)),
    )
    say(panel, title)
    draw_cells(panel, table, "{:.2f}")
    words_below(panel, [k + 0.5 for k in range(len(xs))], [f"{each:g}" for each in xs], marks=False)
    words_left(panel, [k + 0.5 for k in range(len(ys))], [f"{each:g}" for each in ys])
    write(panel.figure, panel.left + panel.width / 2, 8, x, align="center")
    write(panel.figure, panel.left - 5, panel.bottom + panel.height + 13, y, align="right")
    return figure


def draw_heat_maps(metrics: pl.DataFrame, value: str = "sharpe", *, over: Over = "median") -> "Figure":
    """Every pair of swept parameters in small heat maps of one scale: the darker, the further from zero."""
    names = swept_parameters(metrics)
    title = f"{_word(value)}, {OVER_WORDS[over]} all other parameters: blue above zero, red below"
    if len(names) < 2:
        return say_nothing_there(title, "fewer than two parameters were varied")
    columns, rows = names[:-1], names[1:]
    left, below = 96, 34
    # Never narrower than what is said above.
    width = max(WIDTH, left + (PAIR_SIZE + PAIR_GAP) * len(columns) + 10)
    height = below + (PAIR_SIZE + PAIR_GAP) * len(rows) + 24
    figure = new_figure(width, height)
    tables = {
        (column, row): _table(pair_values(metrics, column, row, value, over))
        for at, row in enumerate(rows)
        for column in columns[: at + 1]
    }
    largest = max(largest_of(table) for _, _, table in tables.values())
    for (column, row), (xs, ys, table) in tables.items():
        panel = Panel(
            figure=figure,
            left=left + (PAIR_SIZE + PAIR_GAP) * columns.index(column),
            bottom=below + (PAIR_SIZE + PAIR_GAP) * (len(rows) - 1 - rows.index(row)),
            width=PAIR_SIZE,
            height=PAIR_SIZE,
            x=(0.0, len(xs)),
            y=(0.0, len(ys)),
        )
        draw_cells(panel, table, None, largest=largest)
        if row == rows[-1]:
            _few_words_below(panel, xs)
            write(panel.figure, panel.left + PAIR_SIZE / 2, 9, column, align="center")
        if column == columns[0]:
            words_left(panel, [0.5, len(ys) - 0.5], [f"{ys[0]:g}", f"{ys[-1]:g}"])
            write(panel.figure, left - 5, panel.bottom + PAIR_SIZE / 2, row, align="right")
    write(figure, left, height - 12, f"{title}, full colour at ±{largest:.2g}")
    return figure


def draw_sensitivity(metrics: pl.DataFrame, best: Mapping[str, float], value: str = "sharpe") -> "Figure":
    """Per parameter the median of a metric at each value, with the middle 90 % of the sets; the best set is orange.

    Args:
        metrics: a round's sets.
        best: the best set's parameters.
        value: the metric.
    """
    title = f"{_word(value)} by parameter: median (line) and middle 90 % of all sets; orange: the best set's value"
    frame = parameter_sensitivity(metrics, value)
    names = swept_parameters(metrics) if frame.height else []
    if not names:
        return say_nothing_there(title, "no parameter was varied, or no set has a value")
    limits = range_of(frame["low"].to_numpy(), frame["high"].to_numpy(), 0.0)
    panels = _sensitivity_panels([metrics[name].n_unique() for name in names], limits)
    say(panels[0], title)
    for k, (name, panel) in enumerate(zip(names, panels, strict=True)):
        _draw_values(panel, frame.filter(pl.col("parameter") == name), best[name])
        write(panel.figure, panel.left + panel.width / 2, panel.bottom - 25, name, align="center")
        draw_levels(panel, [0.0], colour=LINE)
        if k % SENSITIVITY_COLUMNS == 0:
            number_axis(panel)
    return panels[0].figure


def draw_slices(metrics: pl.DataFrame, best: Mapping[str, float], value: str = "sharpe") -> "Figure":
    """A metric along each parameter through the best set: a plateau is worth more than a peak.

    Args:
        metrics: a round's sets, on the grid's values.
        best: the best set's parameters, on the grid's values too.
        value: the metric.
    """
    title = f"{_word(value)} along each parameter, the others at the best set's values (orange: the best set)"
    slices = {name: slice_through(metrics, best, name, value) for name in swept_parameters(metrics)}
    if not any(frame.height for frame in slices.values()):
        return say_nothing_there(title, "no parameter was varied, or no set has a value")
    limits = range_of(*(frame["value"].to_numpy() for frame in slices.values()), 0.0)
    axes = {name: sorted(set(metrics[name].cast(pl.Float64))) for name in slices}
    panels = _sensitivity_panels([len(values) for values in axes.values()], limits)
    say(panels[0], title)
    for k, ((name, frame), panel) in enumerate(zip(slices.items(), panels, strict=True)):
        draw_levels(panel, [0.0], colour=LINE)
        at = np.array([axes[name].index(each) for each in frame["at"]], np.float64)
        values = frame["value"].to_numpy()
        draw_line(panel, at, values, colour=BLUE, width=1.2)
        colours = [ORANGE if own else BLUE for own in np.isclose(frame["at"].to_numpy(), best[name])]
        half = (limits[1] - limits[0]) * 0.02
        draw_rectangles(panel, (at - 0.08, at + 0.08), (values - half, values + half), colours)
        words_below(
            panel, [float(each) for each in range(len(axes[name]))], [f"{v:g}" for v in axes[name]], marks=False
        )
        write(panel.figure, panel.left + panel.width / 2, panel.bottom - 25, name, align="center")
        if k % SENSITIVITY_COLUMNS == 0:
            number_axis(panel)
    return panels[0].figure


def draw_distribution(sharpes: Floats, *, best: float, luck: float, needed: float | None) -> "Figure":
    """The Sharpe ratios of all sets, with what the best set has, what luck alone would show, and what is needed.

    Args:
        sharpes: annualised, of the sets; NaN is left out.
        best: the best set's.
        luck: that the best of as many trials without skill would be expected to show.
        needed: that the deflated Sharpe gate asks for; None if none would do.
    """
    title = "Sharpe ratio (annualised, in sample) of all sets"
    known = sharpes[np.isfinite(sharpes)]
    if len(known) == 0:
        return say_nothing_there(title, "no set has a Sharpe ratio")
    counts, edges = np.histogram(known, bins=BINS)
    marks = [(luck, ORANGE, "luck"), (best, BLUE, "best set")]
    marks += [] if needed is None else [(needed, RED, "needed")]
    at = [mark for mark, _, _ in marks if np.isfinite(mark)]
    (panel,) = stack_panels(range_of(known, at), [(1, (0.0, float(counts.max()) * 1.35))])
    words = ", ".join(f"{name} {mark:.2f}" for mark, _, name in marks)
    say(panel, f"{title}: {len(known):,}; {words}")
    number_axis(panel)
    draw_rectangles(panel, (edges[:-1], edges[1:]), (0.0, counts), FAINT[:7] + "b0")
    for row, (mark, colour, name) in enumerate(mark for mark in marks if np.isfinite(mark[0])):
        draw_instants(panel, [mark], colour=colour)
        x, y = float(panel.across(mark)), panel.bottom + panel.height - 8 - 13 * row
        beside = (x - 4, "right") if x > WIDTH - 90 else (x + 4, "left")
        write(panel.figure, beside[0], y, name, align=beside[1], colour=colour)
    ticks = round_numbers(panel.x, 6)
    words_below(panel, ticks, [short_number(tick) for tick in ticks])
    return panel.figure


def _sensitivity_panels(values: Sequence[int], limits: Range) -> list[Panel]:
    """A panel per parameter, as wide as its row allows, for so many values each."""
    rows = -(-len(values) // SENSITIVITY_COLUMNS)
    cell = (WIDTH - LEFT - RIGHT) / min(SENSITIVITY_COLUMNS, len(values))
    height = ABOVE + 4 + rows * SENSITIVITY_HEIGHT
    figure = new_figure(height=height)
    return [
        Panel(
            figure=figure,
            left=LEFT + cell * (k % SENSITIVITY_COLUMNS),
            bottom=height - ABOVE - SENSITIVITY_HEIGHT * (k // SENSITIVITY_COLUMNS + 1) + 40,
            width=cell - 12,
            height=SENSITIVITY_HEIGHT - 46,
            x=(-0.6, count - 0.4),
            y=limits,
        )
        for k, count in enumerate(values)
    ]


def _draw_values(panel: Panel, rows: pl.DataFrame, best: float) -> None:
    """One bar from the 5 % to the 95 % quantile per value, and a dot at the median."""
    at = np.arange(rows.height, dtype=np.float64)
    chosen = np.isclose(rows["at"].to_numpy(), best)
    colours = [ORANGE + "90" if own else BLUE + "60" for own in chosen]
    draw_rectangles(panel, (at - 0.22, at + 0.22), (rows["low"].to_numpy(), rows["high"].to_numpy()), colours)
    for x, y in zip(at.tolist(), rows["median"].to_list(), strict=True):
        draw_line(panel, np.array([x - 0.3, x + 0.3]), np.array([y, y]), colour=INK, width=1.6)
    words_below(panel, at.tolist(), [f"{value:g}" for value in rows["at"]], marks=False)


def _few_words_below(panel: Panel, values: list[float]) -> None:
    at = [0.5, len(values) - 0.5]
    words_below(panel, at, [f"{values[0]:g}", f"{values[-1]:g}"], marks=False)


def _table(pairs: pl.DataFrame) -> tuple[list[float], list[float], Floats]:
    """Values from left to right, from bottom to top, and the metric by row and column."""
    xs, ys = sorted(set(pairs["x"])), sorted(set(pairs["y"]))
    table = np.full((len(ys), len(xs)), np.nan)
    for x, y, value in pairs.iter_rows():
        table[ys.index(y), xs.index(x)] = np.nan if value is None else value
    return xs, ys, table


def _word(value: str) -> str:
    return {"sharpe": "Sharpe"}.get(value, value.replace("_", " "))
