"""All commands of `helios`: composition root of everything that a person starts.

Dagster, NautilusTrader and the database are imported inside the commands that need them, so `--help` is quick. A user's
mistake is one line and an exit code; `--debug` shows the traceback.
"""

import errno
import sys

from rich.markup import escape
from typer.exceptions import Abort, TyperException

from helios_pipeline.cli import (
    INTERRUPTED,
    STOPPED,
    bias,
    dagster,
    database,
    keys,
    live,
    live_control,
    promotion,
    reports,
    research,
    rounds,
    simulate,
)
from helios_pipeline.cli.terminal import State, app, err
from helios_pipeline.core.errors import HeliosError

app.add_typer(bias.app, name="check")
app.add_typer(database.app, name="db")
app.add_typer(keys.app, name="keys")
app.add_typer(rounds.app, name="rounds")
app.add_typer(simulate.app, name="simulate")
for module in (research, promotion, reports, dagster, live, live_control):
    module.add_commands(app)

NO_PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}
"""What the operating system says when files can't be kept where they should be: a matter for the user."""


def run() -> None:
    """Run a command; an error with a known cause is one line."""
    try:
        code = app(prog_name="helios", standalone_mode=False)
    except HeliosError as error:
        if State.debug:
            raise
        _say(str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        if State.debug or error.errno not in NO_PLACE:
            raise
        _say(no_place(error))
        sys.exit(HeliosError.exit_code)
    except TyperException as error:
        sys.exit(_explain_usage(error))
    except Abort:
        _say("stopped: the question was not answered with yes.")
        sys.exit(INTERRUPTED)
    if code == INTERRUPTED:
        _say(STOPPED)
    sys.exit(code or 0)


def no_place(error: OSError) -> str:
    """What to do about a file that can't be kept where it should be."""
    where = f"{error.filename}: " if error.filename else ""
    return (
        f"{where}expected to read and write files, found: {error.strerror}. Make room or give access, or set "
        "HELIOS_HOME to another folder. What was finished is kept; run the same command to go on."
    )


def _say(line: str) -> None:
    err.print(f"[bold red]helios:[/] {escape(line)}", soft_wrap=True, highlight=False)


def _explain_usage(error: TyperException) -> int:
    """Say in one line what of the command line is not understood, and whose `--help` lists what is."""
    context, message = getattr(error, "ctx", None), error.format_message().strip()
    if not message or "\n" in message:
        # A group without a command shows its help.
        error.show()  # type: ignore[attr-defined]
    else:
        said = message if message.endswith(("?", ".")) else f"{message}."
        asks = "`--help` after a command" if context is None else f"`{context.command_path} --help`"
        _say(f"{said} {asks} lists what may be given.")
    return error.exit_code
