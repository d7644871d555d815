"""The `helios` command: composition root of everything that a person starts.

Dagster, NautilusTrader and the database are imported inside the commands that need them, so `--help` is quick. A user's
mistake is one line and an exit code; `--debug` shows the traceback.
"""

import sys

from rich.markup import escape

from helios_pipeline.cli import dagster, database, keys, promotion, research
from helios_pipeline.cli.terminal import State, app, err
from helios_pipeline.core.errors import HeliosError

app.add_typer(database.app, name="db")
app.add_typer(keys.app, name="keys")
for module in (research, promotion, dagster):
    module.add_commands(app)

INTERRUPTED = 130


def main() -> None:
    """Entry point: run a command; an error with a known cause is one line."""
    try:
        app()
    except HeliosError as error:
        if State.debug:
            raise
        err.print(f"[bold red]helios:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        if State.debug:
            raise
        err.print("helios: stopped. What was finished is kept; run the same command to go on.")
        sys.exit(INTERRUPTED)
