"""The one style of all figures, and how they become bytes: no pyplot, no window, equal input gives equal bytes.

Panels map values to pixels themselves. matplotlib's own axes and ticks are two thirds of the time that a small figure
takes, and hundreds of months are drawn at a time.
"""

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

type Floats = NDArray[np.float64]
type Range = tuple[float, float]

WIDTH, HEIGHT = 640, 260
"""Pixels, as shown in Dagster; a report scales the vectors to its column."""

LEFT, RIGHT, ABOVE, BELOW, BETWEEN = 52, 14, 26, 22, 10
"""Pixels around the panels, and between them."""

DPI = 80
POINTS = 400
"""A line shows no more: two for each three pixels or so."""

COLOURS = 128
"""Of a PNG: lines and their soft edges need few, and the bytes live in an event log."""

INK, LINE, FAINT = "#6b7685", "#8b96a5", "#8b96a540"
"""Words, axes and grid: dark enough on white, light enough on black, since a report is read on either."""

BLUE, ORANGE, GREEN, RED, PURPLE = "#3b82c4", "#e08a1e", "#2f9e6e", "#d1495b", "#8a63c9"

FONT_SIZE = 8.0
MARGIN = 0.04
"""Of a range, above and below what is drawn."""

_ID = re.compile(r' id="[A-Za-z]+_\d+"')
_SI = ((1e9, "B"), (1e6, "M"), (1e3, "k"))
_NO_DATE = {"Date": None, "Creator": None}
_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A rectangle of a figure in which values have a place.

    Attributes:
        figure: that it is a part of.
        left: pixels from the figure's left edge.
        bottom: pixels from the figure's lower edge.
        width: pixels.
        height: pixels.
        x: values at its left and right edge.
        y: values at its lower and upper edge.
    """

    figure: "Figure"
    left: float
    bottom: float
    width: float
    height: float
    x: Range
    y: Range

    def across(self, at: ArrayLike) -> Floats:
        """Pixels of x values."""
        return self.left + (np.asarray(at, np.float64) - self.x[0]) / (self.x[1] - self.x[0]) * self.width

    def up(self, values: ArrayLike) -> Floats:
        """Pixels of y values."""
        return self.bottom + (np.asarray(values, np.float64) - self.y[0]) / (self.y[1] - self.y[0]) * self.height


def new_figure(width: int = WIDTH, height: int = HEIGHT) -> "Figure":
    """An empty figure of that many pixels."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / DPI, height / DPI), dpi=DPI)


def stack_panels(x: Range, rows: Sequence[tuple[float, Range]], *, height: int = HEIGHT) -> list[Panel]:
    """A new figure of panels one above the other that share their x axis.

    Args:
        x: values at the left and right edge.
        rows: relative height and y range of each, from the top.
        height: of the figure, pixels.
    """
    figure = new_figure(height=height)
    inner, top = height - ABOVE - BELOW - BETWEEN * (len(rows) - 1), float(height - ABOVE)
    panels = []
    for share, y in rows:
        size = inner * share / sum(share for share, _ in rows)
        place = {"left": LEFT, "bottom": top - size, "width": WIDTH - LEFT - RIGHT, "height": size}
        panels.append(Panel(figure=figure, **place, x=x, y=y))
        top -= size + BETWEEN
    return panels


def range_of(*values: ArrayLike) -> Range:
    """What holds all finite values, with a margin; around one value or none something that has an extent."""
    known = np.concatenate([np.ravel(np.asarray(each, np.float64)) for each in values])
    known = known[np.isfinite(known)]
    if len(known) == 0:
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    margin = (high - low) * MARGIN or abs(low) * MARGIN or 1.0
    return low - margin, high + margin


def write(figure: "Figure", x: float, y: float, text: str, *, align: str = "left", colour: str = INK) -> None:
    """Write at a pixel of the figure, vertically centred."""
    place = _pixels(figure)
    figure.text(x, y, text, ha=align, va="center_baseline", color=colour, fontsize=FONT_SIZE, transform=place)


def say(panel: Panel, text: str) -> None:
    """Say above the figure's first panel what it shows, with its unit."""
    write(panel.figure, panel.left, panel.bottom + panel.height + 13, text)


def say_inside(panel: Panel, text: str, *, low: bool = False) -> None:
    """Say in a panel's upper left corner, or the lower one, what it shows, with its unit."""
    write(panel.figure, panel.left + 3, panel.bottom + (7 if low else panel.height - 5), text)


def say_nothing_there(title: str, what: str = "no rows") -> "Figure":
    """A figure that says that there is nothing to show."""
    (panel,) = stack_panels((0, 1), [(1, (0, 1))])
    say(panel, title)
    write(panel.figure, float(panel.across(0.5)), float(panel.up(0.5)), what, align="center")
    return panel.figure


def draw_line(
    panel: Panel, at: Floats, values: Floats, *, colour: str = BLUE, step: float | None = None, width: float = 0.9
) -> None:
    """A line of any length; with a step given, no line bridges a place where rows are further apart."""
    from matplotlib.lines import Line2D

    if step is not None:
        at, values = on_clock(at, values, step)
    at, values = thin_out(at, values)
    line = Line2D(panel.across(at), panel.up(values), color=colour, linewidth=width, transform=_pixels(panel.figure))
    panel.figure.add_artist(line)


def draw_levels(panel: Panel, values: Sequence[float], *, colour: str = FAINT) -> None:
    """Lines across a panel."""
    edges = np.array([panel.left, panel.left + panel.width, np.nan])
    _draw_path(panel, np.tile(edges, len(values)), np.repeat(panel.up(values), 3), colour)


def draw_instants(panel: Panel, at: Sequence[float], *, colour: str = INK) -> None:
    """Lines from a panel's bottom to its top."""
    edges = np.array([panel.bottom, panel.bottom + panel.height, np.nan])
    _draw_path(panel, np.repeat(panel.across(at), 3), np.tile(edges, len(at)), colour)


def draw_rectangles(
    panel: Panel, x: tuple[ArrayLike, ArrayLike], y: tuple[ArrayLike, ArrayLike], colours: str | Sequence[str]
) -> None:
    """Filled rectangles, at least a pixel wide.

    Args:
        panel: where.
        x: left and right edges.
        y: lower and upper edges.
        colours: of all, or of each.
    """
    from matplotlib.collections import PolyCollection

    left, right = panel.across(x[0]), panel.across(x[1])
    left, right, low, high = np.broadcast_arrays(left, np.maximum(right, left + 1), panel.up(y[0]), panel.up(y[1]))
    corners = np.stack([np.stack([left, low], -1), np.stack([left, high], -1)], -2)
    corners = np.concatenate([corners, np.stack([np.stack([right, high], -1), np.stack([right, low], -1)], -2)], -2)
    shapes = list(corners.reshape(-1, 4, 2))
    pixels = _pixels(panel.figure)
    panel.figure.add_artist(PolyCollection(shapes, facecolors=colours, linewidths=0, transform=pixels))


def time_axis(panel: Panel, ticks: int = 5) -> None:
    """Days or months below a panel whose x is in seconds since 1970."""
    stamps = _day_ticks(datetime.fromtimestamp(panel.x[0], UTC), datetime.fromtimestamp(panel.x[1], UTC), ticks)
    form = "%Y-%m" if len(stamps) > 1 and all(stamp.day == 1 for stamp in stamps) else "%m-%d"
    words_below(panel, [stamp.timestamp() for stamp in stamps], [format(stamp, form) for stamp in stamps])


def words_below(panel: Panel, at: Sequence[float], words: Sequence[str], *, marks: bool = True) -> None:
    """Write words below a panel, each with a mark at its place on a line."""
    right = panel.left + panel.width
    _draw_path(panel, np.array([panel.left, right]), np.full(2, panel.bottom), LINE)
    if marks:
        ends = np.array([panel.bottom, panel.bottom - 3, np.nan])
        _draw_path(panel, np.repeat(panel.across(at), 3), np.tile(ends, len(at)), LINE)
    for x, word in zip(panel.across(at).tolist(), words, strict=True):
        # A word at the edge stays inside the figure.
        align = "right" if x > right - 20 and marks else "center"
        write(panel.figure, x, panel.bottom - 11, word, align=align)


def number_axis(panel: Panel, form: Callable[[float], str] | None = None, ticks: int = 3) -> None:
    """A few round numbers left of a panel, with a faint line each."""
    at = round_numbers(panel.y, ticks)
    draw_levels(panel, at)
    words_left(panel, at, [(form or short_number)(y) for y in at])


def round_numbers(within: Range, count: int) -> list[float]:
    """About so many round numbers inside a range, at least two if there is room."""
    from matplotlib.ticker import MaxNLocator

    low, high = min(within), max(within)
    return [at for at in MaxNLocator(count, min_n_ticks=2).tick_values(low, high) if low <= at <= high]


def words_left(panel: Panel, at: ArrayLike, words: Sequence[str]) -> None:
    """Write words left of a panel."""
    for y, word in zip(panel.up(at).tolist(), words, strict=True):
        write(panel.figure, panel.left - 5, y, word, align="right")


def seconds(stamps: pl.Series) -> Floats:
    """UTC stamps as seconds since 1970."""
    return np.asarray(stamps.cast(pl.Datetime("us", "UTC")).dt.epoch("us").to_numpy() / 1e6, np.float64)


def on_clock(at: Floats, values: Floats, step: float) -> tuple[Floats, Floats]:
    """Put NaN after every row that the next one does not follow by a step."""
    before = np.flatnonzero(np.diff(at) > 1.5 * step)
    return np.insert(at, before + 1, at[before] + step), np.insert(values, before + 1, np.nan)


def runs(at: Floats, step: float) -> tuple[Floats, Floats]:
    """First instant of each run of rows that follow each other by a step, and the instant after its last."""
    if len(at) == 0:
        return at, at
    before = np.flatnonzero(np.diff(at) > 1.5 * step)
    return at[np.append(0, before + 1)], at[np.append(before, len(at) - 1)] + step


def thin_out(at: Floats, values: Floats, points: int = POINTS) -> tuple[Floats, Floats]:
    """Leave out what can't be seen: of each stretch the lowest and the highest value stay, NaN where there is none."""
    if len(values) <= points:
        return at, values
    size = math.ceil(2 * len(values) / points)
    table = np.pad(values, (0, -len(values) % size), constant_values=np.nan).reshape(-1, size)
    low = np.where(np.isnan(table), np.inf, table).argmin(axis=1)
    high = np.where(np.isnan(table), -np.inf, table).argmax(axis=1)
    kept = np.unique(np.stack([low, high]) + np.arange(len(table)) * size)
    return at[kept], values[kept]


def short_number(value: float) -> str:
    """Up to five characters or so: `12.5k`, `0.0031`."""
    for scale, letter in _SI:
        if abs(value) >= scale:
            return f"{value / scale:.4g}{letter}"
    return f"{value:.4g}"


def percent(value: float) -> str:
    """A fraction in percent, as whole as it is."""
    return f"{value * 100:.4g}%"


def to_png(figure: "Figure") -> bytes:
    """PNG on white at the figure's size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    width, height = canvas.get_width_height()
    pixels = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
    image = Image.frombuffer("RGBA", (width, height), pixels, "raw", "RGBA", 0, 1).convert("RGB")
    buffer = io.BytesIO()
    image.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(buffer, "PNG")
    return buffer.getvalue()


def to_svg(figure: "Figure") -> str:
    """An `<svg>` element on a transparent ground, its words as text, to stand inside a page."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    # The two settings can't be given in another way; they hold for this call alone.
    with matplotlib.rc_context({"svg.hashsalt": "helios", "svg.fonttype": "none"}):
        figure.set_facecolor("none")
        FigureCanvasSVG(figure).print_svg(buffer, metadata=_NO_DATE)  # type: ignore[no-untyped-call]
    text = buffer.getvalue()
    # The groups' numbers would be there again in the next figure of the page, and nothing refers to them.
    return _ID.sub("", text[text.index("<svg") :]).strip()


def _draw_path(panel: Panel, x: Floats, y: Floats, colour: str) -> None:
    from matplotlib.lines import Line2D

    panel.figure.add_artist(Line2D(x, y, color=colour, linewidth=0.7, transform=_pixels(panel.figure)))


def _pixels(figure: "Figure") -> "Transform":
    from matplotlib.transforms import Affine2D

    width, height = figure.get_size_inches() * DPI
    return Affine2D().scale(1 / width, 1 / height) + figure.transFigure


def _day_ticks(first: datetime, last: datetime, ticks: int) -> list[datetime]:
    days = (last - first).total_seconds() / _DAY
    if days <= 45:
        step = max(1, math.ceil(days / ticks)) * _DAY
        start = math.ceil(first.timestamp() / _DAY) * _DAY
        return [datetime.fromtimestamp(at, UTC) for at in np.arange(start, last.timestamp() + 1, step)]
    step = next((step for step in (1, 2, 3, 6, 12, 24, 48) if days / 30.4 / step <= ticks), 120)
    months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    stamps = [datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in months if month % step == 0]
    return [stamp for stamp in stamps if first <= stamp <= last]
