"""`helios report`: list the reports that were made, print where one is, open or copy it."""

import shutil
import webbrowser
from pathlib import Path
from typing import Annotated, Literal

import typer

from helios_pipeline.adapters.reports.store import KINDS, Kind, ReportStore, StoredReport
from helios_pipeline.cli.terminal import out, settings_of, table
from helios_pipeline.core.errors import SettingsError

type About = Literal["round", "data", "champion"]

KIND_OF: dict[About, Kind] = {"round": "round", "data": "data-quality", "champion": "champion"}
MAKERS: dict[About, str] = {
    "round": "`helios research`",
    "data": "`helios research`, or data_quality_report in `helios dagster`,",
    "champion": "`helios research`, or champion_report in `helios dagster`,",
}


def add_commands(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(epilog="Example:  helios report round --open")(report)


def report(
    about: Annotated[About | None, typer.Argument(metavar="[round|data|champion]", help="What it is about.")] = None,
    name: Annotated[
        str | None, typer.Argument(help="Of the round, market or network. Default: the newest.", show_default=False)
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    output: Annotated[Path | None, typer.Option("--output", help="Copy it to this file.")] = None,
) -> None:
    """Print where a report is: one self-contained HTML file for a round, the market data or a champion.

    Without arguments, list the reports of this home.
    """
    store = ReportStore(settings_of().home / "reports")
    if about is None:
        _list(store)
        return
    found = _find(store, about, name)
    if output is not None:
        _copy(found.path, output)
    if open_it:
        webbrowser.open(found.path.as_uri())
    out.print(str(found.path), soft_wrap=True, highlight=False, markup=False)


def _list(store: ReportStore) -> None:
    words = {kind: about for about, kind in KIND_OF.items()}
    reports = [(words[kind], each) for kind in KINDS for each in store.latest(kind)]
    if not reports:
        out.print("No report was made yet. `helios research` makes them.")
        return
    shown = table("Reports, the newest of each", "about", "name", "made", "path")
    for about, each in reports:
        shown.add_row(about, each.name, f"{each.made_at:%Y-%m-%d %H:%M}", str(each.path))
    out.print(shown)


def _find(store: ReportStore, about: About, name: str | None) -> StoredReport:
    reports = store.latest(KIND_OF[about])
    found = next((each for each in reports if name is None or each.name == name), None)
    if found is None:
        wanted = f"{about} {name}" if name else about
        there = ", ".join(each.name for each in reports) or "none"
        raise SettingsError(f"report {wanted}: expected one that was made, found {there}. {MAKERS[about]} makes it.")
    return found


def _copy(source: Path, target: Path) -> None:
    if target.is_dir():
        raise SettingsError(f"report --output: expected a file, found the folder {target}. Name a file in it.")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
