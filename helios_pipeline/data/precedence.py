"""Archive rows take the place of REST rows."""

from collections.abc import Sequence

import polars as pl


def merge_archive_over_rest(
    archive: pl.DataFrame, rest: pl.DataFrame, *, key: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Join both sources of one partition; where both have a row, the archive's is kept.

    What the archive's row does not record (null, e.g. the mark price at a settlement) is taken from the REST row.

    Args:
        archive: rows of the archive, unique by key.
        rest: rows of the REST tail, same columns, unique by key.
        key: columns that name a row.

    Returns:
        The rows sorted by key, and every number both have but not equally: key, column, archive, rest.
    """
    values = [name for name in archive.columns if name not in key]
    filled = archive.join(rest, on=list(key), how="left", suffix="_rest", maintain_order="left").select(
        pl.coalesce(name, f"{name}_rest").alias(name) if name in values else pl.col(name) for name in archive.columns
    )
    merged = pl.concat([filled, rest.join(archive, on=list(key), how="anti")]).sort(key)
    both = archive.join(rest, on=list(key), suffix="_rest")
    numbers = [name for name, kind in archive.schema.items() if kind.is_numeric() and name not in key]
    differences = pl.concat(
        both.filter(pl.col(name) != pl.col(f"{name}_rest")).select(
            *key,
            pl.lit(name).alias("column"),
            pl.col(name).cast(pl.Float64).alias("archive"),
            pl.col(f"{name}_rest").cast(pl.Float64).alias("rest"),
        )
        for name in numbers
    )
    return merged, differences.sort(key, maintain_order=True)
