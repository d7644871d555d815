"""The application, its global options, and what every command shares."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from helios_pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from helios_pipeline.adapters.postgres.connection import Database

app = typer.Typer(
    name="helios",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Research, trade and watch a mean-reversion and funding strategy on crypto perpetuals.",
    epilog="Start with **helios demo**, then **helios research**. Settings are in helios.toml.",
)
PIPED_WIDTH = 140
"""Columns where nobody says how wide the terminal is, as in a file or a pipe."""

out = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True)

Instruments = Annotated[
    str | None,
    typer.Option("--instruments", help="Instrument ids, separated by commas. Default: research.instruments."),
]
First = Annotated[str | None, typer.Option("--from", metavar="YYYY-MM", help="First month. Default: research.from.")]
Last = Annotated[
    str | None, typer.Option("--to", metavar="YYYY-MM", help="Last month, included. Default: research.to.")
]


class State:
    """What the options before the command say."""

    config: Path = Path("helios.toml")
    debug: bool = False


def _print_version(value: bool) -> None:
    if value:
        out.print(f"helios {distribution_version('helios')}", highlight=False)
        raise typer.Exit


@app.callback()
def _global_options(
    config: Annotated[Path, typer.Option(envvar="HELIOS_CONFIG", help="The settings file.")] = Path("helios.toml"),
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback prints
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    State.config = config
    State.debug = debug


def settings_of(
    instruments: str | None = None,
    first: str | None = None,
    last: str | None = None,
    overrides: dict[tuple[str, str], Any] | None = None,
) -> Settings:
    """The settings in force: file, environment, then options.

    Raises:
        SettingsError: one of them is not allowed.
    """
    given = {
        ("research", "instruments"): None if instruments is None else [i.strip() for i in instruments.split(",")],
        ("research", "from"): first,
        ("research", "to"): last,
        **(overrides or {}),
    }
    return load_settings(State.config, os.environ, {key: value for key, value in given.items() if value is not None})


@contextmanager
def open_database(settings: Settings) -> Iterator["Database"]:
    """The database, migrated, up for as long as the block runs."""
    from helios_pipeline.adapters.postgres.connection import open_database as opened

    secret = settings.database.url
    with opened(settings.home, None if secret is None else secret.get_secret_value()) as database:
        yield database


def table(title: str, *columns: str) -> Table:
    """A table in the one style of the terminal; without a header where no column has a name."""
    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        box=None,
        pad_edge=False,
        show_header=any(columns),
    )
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


config_app = typer.Typer(no_args_is_help=True, help="Look at the settings in force.")
app.add_typer(config_app, name="config")


@config_app.command("check", epilog="Example:  HELIOS_ARCHIVE_URL=file:///srv/binance helios config check")
def config_check() -> None:
    """Check helios.toml and the environment, and print what is in force; secrets are hidden."""
    settings = settings_of()
    out.print_json(data=settings.shown())
    err.print(f"[green]{State.config}: all settings are allowed.[/]")
