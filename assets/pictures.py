"""What Dagster's UI shows beside numbers: a picture, and a table with the types of its columns."""

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from assets.research import Research
from helios_pipeline.adapters.reports.store import PictureStore
from helios_pipeline.reports.figures import to_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS_SHOWN = 100
"""A table lives in the event log, which is no place for a whole frame."""

type Cell = str | int | float | bool | None


def picture(research: Research, name: str, figure: "Figure", alt: str) -> dg.MarkdownMetadataValue:
    """A figure inside the page.

    The file lies beside the reports and the event holds its address: Dagster shows only short Markdown without a click,
    and an event log is no place for pictures.

    Args:
        research: whose reports.
        name: of the picture, as a path: `bars_15m/BTCUSDT-PERP.BINANCE/2025-05`; the next one takes its place.
        figure: what to show.
        alt: what it shows, for those who can't see it.
    """
    address = PictureStore(research.settings.home / "reports").replace(name, to_png(figure))
    words = alt.translate(str.maketrans("[]\n", "() "))
    return dg.MetadataValue.md(f"![{words}]({address})")


def rows_table(rows: pl.DataFrame | Sequence[Mapping[str, object]], limit: int = ROWS_SHOWN) -> dg.TableMetadataValue:
    """The first rows as a table; cells that are none, NaN or infinite are empty.

    Args:
        rows: a frame, or rows that all have the keys of the first.
        limit: most rows that are shown.
    """
    names = rows.columns if isinstance(rows, pl.DataFrame) else list(rows[0]) if rows else []
    shown = rows.head(limit).to_dicts() if isinstance(rows, pl.DataFrame) else rows[:limit]
    cells = [{name: _cell(row.get(name)) for name in names} for row in shown]
    columns = [dg.TableColumn(name, _type_of([row[name] for row in cells])) for name in names]
    records = [dg.TableRecord(row) for row in cells]
    return dg.MetadataValue.table(records=records, schema=dg.TableSchema(columns=columns))


def _cell(value: object) -> Cell:
    """A value as Dagster stores it: numbers and truths as they are, everything else as people read it."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case None | str() | int():
            return value
        case datetime():
            return value.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
        case date() | Decimal():
            return str(value)
        case _:
            return str(value)


def _type_of(values: Sequence[Cell]) -> str:
    """Dagster's name of the one type that a column's values share; text if they share none."""
    known = {type(value) for value in values if value is not None}
    if known == {bool}:
        return "bool"
    if known == {int}:
        return "int"
    return "float" if known and known <= {int, float} else "string"
