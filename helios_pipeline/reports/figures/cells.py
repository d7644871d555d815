"""Tables as colours: blue above zero, red below, the more the further from it."""

import numpy as np

from helios_pipeline.reports.figures.canvas import Floats, Panel, draw_rectangles, write

ZERO = np.array([238.0, 240.0, 243.0])
ABOVE_ZERO = np.array([30.0, 98.0, 166.0])
BELOW_ZERO = np.array([178.0, 54.0, 70.0])
DARK, LIGHT = "#20262e", "#ffffff"
EMPTY = "#8b96a520"


def shade(value: float, largest: float) -> str:
    """The colour of a value; full colour at ± `largest`."""
    if not np.isfinite(value):
        return EMPTY
    share = min(1.0, abs(value) / largest) if largest > 0 else 0.0
    colour = ZERO + ((ABOVE_ZERO if value >= 0 else BELOW_ZERO) - ZERO) * share
    return "#" + "".join(f"{round(part):02x}" for part in colour.tolist())


def ink_on(value: float, largest: float) -> str:
    """A colour of words that can be read on `shade` of the same."""
    return LIGHT if largest > 0 and abs(value) / largest > 0.55 else DARK


def largest_of(table: Floats) -> float:
    """The largest magnitude in a table; 1 if it has no value, or zeros alone."""
    known = np.abs(table[np.isfinite(table)])
    return float(known.max(initial=0.0)) or 1.0


def draw_cells(panel: Panel, table: Floats, form: str | None, *, largest: float | None = None) -> None:
    """Fill a panel with cells of one unit each.

    Args:
        panel: whose x and y run from 0 to the table's columns and rows.
        table: by row, from the bottom, and column; NaN is an empty cell.
        form: of the numbers in the cells, e.g. `{:.2f}`; None writes none.
        largest: value of full colour; None takes the table's own.
    """
    largest = largest or largest_of(table)
    rows, columns = table.shape
    at_row, at_column = (each.ravel() for each in np.indices((rows, columns)))
    colours = [shade(value, largest) for value in table.ravel().tolist()]
    gap_x, gap_y = 1 / panel.width * columns, 1 / panel.height * rows
    draw_rectangles(panel, (at_column, at_column + 1 - gap_x), (at_row, at_row + 1 - gap_y), colours)
    if form is None:
        return
    for row, column, value in zip(at_row.tolist(), at_column.tolist(), table.ravel().tolist(), strict=True):
        if np.isfinite(value):
            x, y = float(panel.across(column + 0.5)), float(panel.up(row + 0.5))
            write(panel.figure, x, y, form.format(value), align="center", colour=ink_on(value, largest))
