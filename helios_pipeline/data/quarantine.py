"""Rows that may not be used, kept with the reason instead of dropped."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

STAMP = pl.Datetime("us", "UTC")
"""Type of every instant in a frame."""

QUARANTINE_SCHEMA = pl.Schema({"opened_at": STAMP, "reason": pl.String(), "source": pl.String(), "row": pl.String()})
"""opened_at: the row's key, null where it could not be read; source: file or frame it came from; row: as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedRows:
    """What could be read, and what could not.

    Attributes:
        frame: usable rows, sorted by key, one per key.
        quarantined: the other rows, `QUARANTINE_SCHEMA`.
    """

    frame: pl.DataFrame
    quarantined: pl.DataFrame


def no_quarantine() -> pl.DataFrame:
    """An empty quarantine frame."""
    return QUARANTINE_SCHEMA.to_frame()


def quarantine_rows(rows: pl.DataFrame, *, stamp: str | None, reason: pl.Expr, source: str) -> pl.DataFrame:
    """Turn rows of any shape into quarantine rows.

    Args:
        rows: what to quarantine; every column goes into `row`.
        stamp: name of the column that becomes `opened_at`; None if the rows have none.
        reason: why, an expression over `rows`.
        source: file name, or the frame that held the rows.
    """
    if rows.is_empty():
        return no_quarantine()
    shown = [name for name in rows.columns if not name.startswith("_")]
    return rows.select(
        opened_at=pl.lit(None, dtype=STAMP) if stamp is None else pl.col(stamp),
        reason=reason,
        source=pl.lit(source),
        row=pl.struct(shown).struct.json_encode(),
    ).cast(QUARANTINE_SCHEMA)


def separate_duplicates(
    frame: pl.DataFrame, *, key: Sequence[str], source: str, stamp: str | None = None
) -> ParsedRows:
    """Keep one row per key: of identical rows the first, of rows that contradict each other none.

    Args:
        frame: rows in any order.
        key: columns that name a row.
        source: file name, or the frame that held the rows.
        stamp: column that becomes `opened_at` in quarantine; the last of `key` if None.

    Returns:
        Rows sorted by key; copies under `duplicate`, all rows of a contested key under `conflicting_rows`.
    """
    frame = frame.sort(key, maintain_order=True)
    same_as_before = pl.all_horizontal(pl.col(name) == pl.col(name).shift() for name in key)
    if not frame.select(same_as_before.any()).item():
        return ParsedRows(frame=frame, quarantined=no_quarantine())
    copy = ~pl.struct(pl.all()).is_first_distinct()
    marked = frame.with_columns(_copy=copy).with_columns(
        _contested=pl.col("_copy").not_().sum().over(key) > 1  # more than one distinct row of this key
    )
    reason = pl.when("_contested").then(pl.lit("conflicting_rows")).otherwise(pl.lit("duplicate"))
    return ParsedRows(
        frame=marked.filter(~pl.col("_copy") & ~pl.col("_contested")).drop("_copy", "_contested"),
        quarantined=quarantine_rows(
            marked.filter(pl.col("_copy") | pl.col("_contested")), stamp=stamp or key[-1], reason=reason, source=source
        ),
    )


def combine(parts: Sequence[ParsedRows], *, key: Sequence[str], source: str, inside: pl.Expr) -> ParsedRows:
    """Join the files of one partition.

    Args:
        parts: at least one.
        key: columns that name a row; the last is its stamp.
        source: name of the partition, for rows that contradict each other across files.
        inside: true for rows that belong to the partition; the others go under `outside_partition`.
    """
    joined = pl.concat([part.frame for part in parts])
    outside = quarantine_rows(joined.filter(~inside), stamp=key[-1], reason=pl.lit("outside_partition"), source=source)
    unique = separate_duplicates(joined.filter(inside), key=key, source=source)
    return ParsedRows(
        frame=unique.frame,
        quarantined=pl.concat([*(part.quarantined for part in parts), outside, unique.quarantined]),
    )
