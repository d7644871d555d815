"""A report as sections of text, facts, tables and pictures, and as one self-contained HTML page."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Literal

import polars as pl

from helios_pipeline.core.records import REAL_MARKET
from helios_pipeline.reports.figures import to_svg
from helios_pipeline.reports.template import MACROS, STYLE, TEMPLATE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Tone = Literal["good", "bad", "open"]

TONES: Mapping[str, Tone] = {"passed": "good", "failed": "bad", "not reached": "open", "warning": "open"}
"""Verdicts that stand out in a table."""

NONE = "–"
"""What stands for a value that there is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome, first of all.

    Attributes:
        word: `Promoted`, `Refused` and the like.
        sentence: what there is to it.
        tone: how it is shown.
    """

    word: str
    sentence: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list of sentences."""

    kind: ClassVar[str] = "items"
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values."""

    kind: ClassVar[str] = "facts"
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure, with what it shows for those who can't see it."""

    kind: ClassVar[str] = "picture"
    figure: "Figure"
    alt: str

    @property
    def svg(self) -> object:
        """The figure as markup."""
        return _markup(to_svg(self.figure))


SHORT = 24
"""Characters of a cell that is not broken into lines."""


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column: numbers stand at the right, short words on one line."""

    name: str
    style: Literal["number", "short", "long"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text under columns; see `table_of`."""

    kind: ClassVar[str] = "table"
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str | None = None


type Block = Text | Items | Facts | Picture | Table


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: tuple[Block, ...]

    @property
    def anchor(self) -> str:
        """What links to it."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A whole report.

    Attributes:
        kind: what sort of report, in words.
        title: what it is about.
        verdict: the outcome.
        warning: what nobody may overlook, e.g. that a market is simulated; None if there is nothing.
        facts: what was looked at.
        sections: in order.
        version: of what it was made from.
        made_at: UTC.
    """

    kind: str
    title: str
    verdict: Verdict
    warning: str | None
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    version: str
    made_at: datetime


def render_page(page: Page) -> str:
    """One HTML file that needs nothing else; every word in it is escaped."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False)
    template = environment.from_string(MACROS + TEMPLATE)
    style = _markup(STYLE)
    return template.render(page=page, made_at=show(page.made_at), style=style, tones=TONES, zip=zip) + "\n"


def simulated_warning(market_data: str) -> str | None:
    """What has to be said of a market that is not the real one."""
    if market_data == REAL_MARKET:
        return None
    return f"Simulated market ({market_data}): no price in this report is real, and nothing in it is evidence."


def table_of(
    rows: pl.DataFrame | Sequence[Mapping[str, object]],
    forms: Mapping[str, str] | None = None,
    *,
    caption: str | None = None,
) -> Table:
    """A table of values as people read them.

    Args:
        rows: a frame, or rows that all have the keys of the first.
        forms: column → format of its numbers, e.g. `.1%`; others are shown as `show` shows them.
        caption: what stands above it.
    """
    given = forms or {}
    names = rows.columns if isinstance(rows, pl.DataFrame) else list(rows[0]) if rows else []
    found = rows.to_dicts() if isinstance(rows, pl.DataFrame) else rows
    cells = tuple(tuple(show(row[name], given.get(name)) for name in names) for row in found)
    columns = tuple(
        Column(words(name), _style([row[name] for row in found], [row[at] for row in cells]))
        for at, name in enumerate(names)
    )
    return Table(columns=columns, rows=cells, caption=caption)


def show(value: object, form: str | None = None) -> str:
    """A value as text: four digits of a fraction, thousands apart, minutes of an instant; a dash for none."""
    match value:
        case None:
            return NONE
        case bool():
            return "yes" if value else "no"
        case int() | float() | Decimal() if not math.isfinite(value):
            return NONE
        case int():
            return format(value, form or ",")
        case float() | Decimal():
            return format(value, form) if form else _short(float(value))
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"
        case date():
            return value.isoformat()
        case _:
            return str(value)


def words(name: str) -> str:
    """A name as it stands in a heading."""
    return name.replace("_", " ")


def _markup(text: str) -> object:
    """What matplotlib and we ourselves wrote: the only parts of a page that are not escaped."""
    from markupsafe import Markup

    return Markup(text)


def _style(values: Sequence[object], cells: Sequence[str]) -> Literal["number", "short", "long"]:
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in known):
        return "number"
    return "short" if all(len(cell) <= SHORT for cell in cells) else "long"


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 10_000 or number == int(number) else f"{number:,.4g}"
