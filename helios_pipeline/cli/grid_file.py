"""`--grid FILE`: a round from a file instead of the tables [grid] and [search] of helios.toml."""

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from helios_pipeline.core.errors import SettingsError

GridFile = Annotated[
    Path | None,
    typer.Option("--grid", metavar="FILE", help="A round as `helios rounds write` makes it. Default: helios.toml's."),
]


def grid_overrides(path: Path | None) -> dict[tuple[str, str], Any]:
    """(table, key) → value of the file, for `settings_of`; nothing without a file.

    Raises:
        SettingsError: there is no such file, or it is not one of a round.
    """
    if path is None:
        return {}
    from helios_pipeline.sweep.proposal import tables_of

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(
            f"--grid {path}: expected a TOML file, found: {error}. `helios rounds write {path}` makes one."
        ) from None
    return tables_of(document, str(path))
