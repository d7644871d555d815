"""`helios halt`, `reduce`, `resume`, `flatten` and `status`: they work whether or not the engine and PostgreSQL live.

A running engine is told at its socket. Without one the mode is left in the account's folder, where the next engine
finds it; and flattening goes to the venue itself, as far as there is one.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from getpass import getuser
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from helios_pipeline.cli.live_account import (
    account_folder,
    halted_by_file,
    kill_switch,
    last_status,
    show,
    show_answer,
    show_mode,
    show_positions,
    show_status,
)
from helios_pipeline.cli.live_flatten import flatten_without_engine
from helios_pipeline.cli.terminal import err, open_database, settings_of
from helios_pipeline.core.canonical import from_document
from helios_pipeline.core.errors import DatabaseError, EngineError, SettingsError
from helios_pipeline.core.status import EngineStatus
from helios_pipeline.core.trading import STRICTNESS, Mode
from helios_pipeline.settings import Settings
from live_engine.control import Command, ControlRequest, HungEngineError, ask_engine
from live_engine.home_lock import home_holder
from live_engine.kill_switch import KillSwitch

ANSWER_SECONDS = 20.0
FLATTEN_SECONDS = 90.0
"""An engine that flattens says something at least so often."""

MODES: dict[Command, Mode] = {"halt": "HALTED", "reduce": "REDUCING", "resume": "ACTIVE"}

Words = Annotated[list[str] | None, typer.Argument(metavar="[WHY]", help="Kept with the mode, for whoever looks next.")]
Why = Annotated[str, typer.Option("--why", help="The same, as an option.")]
Account = Annotated[
    str | None,
    typer.Option("--account", help="A folder below $HELIOS_HOME/live. Default: the account that helios.toml trades."),
]


def add_commands(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(epilog="Example:  helios halt 'prices look wrong'")(halt)
    app.command(epilog="Example:  helios reduce 'over the weekend'")(reduce)
    app.command(epilog="Example:  helios resume 'looked at it, all well'")(resume)
    app.command(epilog="Example:  helios flatten --yes 'venue is in trouble'")(flatten)
    app.command(epilog="Example:  helios status --account DYDX-paper")(status)


def halt(words: Words = None, why: Why = "", account: Account = None) -> None:
    """Send nothing more but protective stops. Positions and stops stay; works without engine and PostgreSQL."""
    _set_mode("halt", _reason(words, why), account)


def reduce(words: Words = None, why: Why = "", account: Account = None) -> None:
    """Let positions only get smaller: exits and stops, no entries. From HALTED it needs PostgreSQL."""
    _set_mode("reduce", _reason(words, why), account)


def resume(words: Words = None, why: Why = "", account: Account = None) -> None:
    """Trade again. It needs PostgreSQL, where others may have said something stricter; losses in a row count anew."""
    _set_mode("resume", _reason(words, why), account)


def flatten(
    words: Words = None,
    why: Why = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    account: Account = None,
) -> None:
    """Halt, cancel every order, stops included, and close every position; exit code 9 unless all is flat then.

    Without an engine it goes to the venue itself, with the key from the environment. A paper account lives in its
    engine: without one it is halted, and flattened by the engine that starts next.
    """
    if not (yes or sys.stdin.isatty()):
        raise SettingsError("flatten: expected a yes, found no terminal to ask at. Add --yes.")
    settings = settings_of()
    folder = account_folder(settings, account)
    if (told := last_status(folder)) is not None:
        show_positions(told)
    if not yes:
        typer.confirm(f"Cancel every order and close every position of {folder.name}?", abort=True)
    request = ControlRequest(command="flatten", who=getuser(), why=_reason(words, why) or "flattened by hand")
    try:
        answer = ask_engine(folder, request, show, FLATTEN_SECONDS)
    except HungEngineError as error:
        kill_switch(folder).request_flatten(request.who, request.why)
        raise EngineError(f"{error} {halted_by_file(folder)}") from None
    if answer is None:
        flatten_without_engine(settings, folder, request)
    elif not answer.get("flat"):
        raise EngineError(f"{folder.name}: expected it to be flat, found it is not; see above. Repeat the command.")


def status(account: Account = None) -> None:
    """Show mode, positions and what blocks entries; exit code 9 if no engine answers."""
    folder = account_folder(settings_of(), account)
    request = ControlRequest(command="status", who=getuser(), why="")
    answer = ask_engine(folder, request, show, ANSWER_SECONDS)
    if answer is None:
        show_mode(kill_switch(folder).state)
        if (told := last_status(folder)) is not None:
            show_status(told)
        raise EngineError(f"{folder.name}: expected an engine to answer, found none. `helios live` starts it.")
    show_answer(folder, answer)
    show_status(from_document(EngineStatus, answer["status"], f"status of {folder.name}"))


def _reason(words: list[str] | None, why: str) -> str:
    """Everything that was said, with quotes or without: the kill switch fails for no reason's form."""
    return " ".join([*(words or ()), why]).strip()


def _set_mode(command: Command, why: str, account: str | None) -> None:
    settings = settings_of()
    folder = account_folder(settings, account)
    request = ControlRequest(command=command, who=getuser(), why=why or "no reason given")
    try:
        answer = ask_engine(folder, request, show, ANSWER_SECONDS)
    except HungEngineError as error:
        if command == "resume":
            raise
        err.print(f"[yellow]{escape(str(error))}[/] The file is written all the same.", highlight=False)
        answer = None
    if answer is not None:
        show_answer(folder, answer)
        return
    with _store_for(settings, folder, MODES[command]) as switch:
        show_mode(switch.set(MODES[command], request.who, request.why))
        if command == "resume":
            switch.flattened()
    holder = home_holder(folder)
    show(
        "No engine runs: the next one starts in this mode." if holder is None else f"Running, without answer: {holder}"
    )
    if not switch.told_store:
        _tell_store(settings, folder)


@contextmanager
def _store_for(settings: Settings, folder: Path, mode: Mode) -> Iterator[KillSwitch]:
    """The kill switch; with PostgreSQL, started if need be, where the mode allows more than now."""
    switch = kill_switch(folder)
    if mode != "ACTIVE" and STRICTNESS[mode] >= STRICTNESS[switch.mode]:
        yield switch
        return
    from helios_pipeline.adapters.postgres.modes import ModeStore

    with open_database(settings) as database:
        yield KillSwitch.load(folder, folder.name, ModeStore(database.urls.live))


def _tell_store(settings: Settings, folder: Path) -> None:
    """Tell PostgreSQL a mode that the file has; nothing is started for it, since the next engine tells it too."""
    told = False
    if settings.database.url is not None:
        from helios_pipeline.adapters.postgres.modes import ModeStore

        with suppress(DatabaseError), open_database(settings) as database:
            told = KillSwitch.load(folder, folder.name, ModeStore(database.urls.live)).told_store
    show("PostgreSQL is told." if told else "PostgreSQL is told when an engine runs and reaches it.")
