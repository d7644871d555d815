"""Typed rows from the bytes of one CSV file of the archive, whatever is wrong with single lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from helios_pipeline.core.errors import DataError
from helios_pipeline.data.quarantine import STAMP, no_quarantine, quarantine_rows

LINE_SHOWN = 500
"""Characters of a bad line that are kept in quarantine."""

LONGEST_LINE = 10_000
"""Bytes at the end of a file that hold its last line whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvColumns:
    """Columns that one kind of file has.

    Attributes:
        types: name → type, in the file's order, none of them empty; columns to their right are not read.
        width: how many columns a line may have.
    """

    types: Mapping[str, type[pl.DataType]]
    width: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvRows:
    """Lines that parsed, with the file's own column names, and the lines that did not."""

    rows: pl.DataFrame
    quarantined: pl.DataFrame


def read_csv_rows(csv: bytes, columns: CsvColumns, *, file: str) -> CsvRows:
    """Read a file with or without a header row.

    Args:
        csv: the file's bytes.
        columns: what it should hold.
        file: its name, for messages.

    Returns:
        Rows in the file's order. Lines of a wrong width go to quarantine under `wrong_columns`, lines with a value of
        the wrong type under `unparsable`.

    Raises:
        DataError: no rows, a header of other columns, or an end that was cut off.
    """
    body, width = _without_header(csv, columns, file=file)
    _require_whole_end(body, columns, file=file)
    fast = _read_regular(body, columns, width=width)
    return _read_line_by_line(body, columns, file=file) if fast is None else fast


def stamps_to_instants(rows: pl.DataFrame, names: Sequence[str], *, file: str) -> pl.DataFrame:
    """Replace integer stamps by instants.

    Stamps of 13 digits are milliseconds, of 16 digits microseconds (the archive's spot files from 2025 on); one file
    has one kind.

    Raises:
        DataError: stamps of another width, or both widths in one file.
    """
    widths = {width for name in names for width in rows[name].cast(pl.String).str.len_chars().unique().to_list()}
    units = {13: "ms", 16: "us"}
    if len(widths) != 1 or not widths <= set(units):
        raise DataError(
            f"{file}: expected time stamps of 13 digits (milliseconds) or of 16 (microseconds), found widths "
            f"{sorted(widths)} in {', '.join(names)}. The file is damaged or its format has changed."
        )
    factor = 1_000 if widths == {13} else 1
    return rows.with_columns((pl.col(list(names)) * factor).cast(STAMP), _stamp_unit_us=pl.lit(factor, dtype=pl.Int64))


def _without_header(csv: bytes, columns: CsvColumns, *, file: str) -> tuple[bytes, int]:
    end = csv.find(b"\n")
    first = csv if end < 0 else csv[:end]
    cells = first.decode("utf-8", "replace").strip().split(",")
    if not first or first[:1].isdigit() or first[:1] == b"-":
        return csv, len(cells)
    expected = list(columns.types)
    if cells[: len(expected)] != expected or len(cells) not in columns.width:
        raise DataError(
            f"{file}: expected the header {','.join(expected)}, found {','.join(cells)[:LINE_SHOWN]}. "
            "The file is of another kind, or the archive's format has changed."
        )
    return b"" if end < 0 else csv[end + 1 :], len(cells)


def _require_whole_end(body: bytes, columns: CsvColumns, *, file: str) -> None:
    tail = body[-LONGEST_LINE:].rstrip(b"\r\n")
    if not tail:
        raise DataError(f"{file}: expected rows, found none. Download it again; if that repeats, the source is empty.")
    last = tail.rpartition(b"\n")[2]
    cells = last.count(b",") + 1
    if not body.endswith(b"\n") or cells < min(columns.width):
        ending = "a line end" if body.endswith(b"\n") else "no line end"
        raise DataError(
            f"{file}: expected the last line to have {min(columns.width)} columns and a line end, found "
            f"{cells} and {ending} in {last[-80:].decode('utf-8', 'replace')!r}. "
            "The file is cut off: download it again; if that repeats, the source itself is damaged."
        )


def _read_regular(body: bytes, columns: CsvColumns, *, width: int) -> CsvRows | None:
    """All lines at once, or None if any of them needs a closer look."""
    if width not in columns.width:
        return None
    extra: dict[str, type[pl.DataType]] = {f"_column_{k}": pl.String for k in range(len(columns.types), width)}
    try:
        rows = pl.read_csv(
            body,
            has_header=False,
            schema={**columns.types, **extra},
            columns=list(range(len(columns.types))),
            quote_char=None,
        )
    except pl.exceptions.PolarsError:
        return None
    # Short lines are filled up with nulls, also in columns that are not read: the commas tell.
    regular = rows.height == body.count(b"\n") and rows.height * (width - 1) == body.count(b",")
    if not regular or any(column.has_nulls() for column in rows):
        return None
    return CsvRows(rows=rows, quarantined=no_quarantine())


def _read_line_by_line(body: bytes, columns: CsvColumns, *, file: str) -> CsvRows:
    lines = pl.DataFrame({"line": body.decode("utf-8", "replace").split("\n")[:-1]})
    cells = pl.col("line").str.strip_chars_end("\r").str.split(",")
    lines = lines.with_columns(_cells=cells).with_columns(
        _cell(name, k, kind) for k, (name, kind) in enumerate(columns.types.items())
    )
    wide = pl.col("_cells").list.len().is_in(sorted(columns.width))
    whole = wide & pl.all_horizontal(pl.col(list(columns.types)).is_not_null())
    good, bad = lines.filter(whole), lines.filter(~whole)
    if good.is_empty():
        raise DataError(
            f"{file}: expected lines of {min(columns.width)} columns ({','.join(columns.types)}), found none among "
            f"{lines.height}. The file is damaged or of another kind."
        )
    shown = bad.select(
        pl.col("line").str.head(LINE_SHOWN),
        _reason=pl.when(wide).then(pl.lit("unparsable")).otherwise(pl.lit("wrong_columns")),
    )
    return CsvRows(
        rows=good.select(list(columns.types)),
        quarantined=quarantine_rows(shown, stamp=None, reason=pl.col("_reason"), source=file),
    )


def _cell(name: str, index: int, kind: type[pl.DataType]) -> pl.Expr:
    """The cell at `index` of each line, null where it does not parse as `kind`."""
    return pl.col("_cells").list.get(index, null_on_oob=True).cast(kind, strict=False).alias(name)
