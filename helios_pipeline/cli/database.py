"""`helios db`: the database."""

import typer

from helios_pipeline.cli.terminal import open_database, out, settings_of

app = typer.Typer(no_args_is_help=True, help="The database: embedded, or at HELIOS_DATABASE_URL.")


@app.command(epilog="Example:  HELIOS_DATABASE_URL=postgresql://… helios db migrate")
def migrate() -> None:
    """Bring the schema up to date."""
    from helios_pipeline.adapters.postgres.connection import open_database as opened

    settings = settings_of()
    secret = settings.database.url
    applied: list[str] = []
    with opened(settings.home, None if secret is None else secret.get_secret_value(), applied.append) as database:
        for line in applied or ["Nothing to apply: the schema is up to date."]:
            out.print(line, highlight=False)
        out.print(database.describe, highlight=False)


@app.command(epilog="Example:  helios db status")
def status() -> None:
    """Say which database is in use and what is in it."""
    from helios_pipeline.adapters.postgres.rounds import RoundStore

    settings = settings_of()
    with open_database(settings) as database:
        rounds = RoundStore(database.urls.pipeline).rounds()
        out.print(database.describe, highlight=False)
        out.print(f"{len(rounds)} optimization rounds" + (f", the newest {rounds[0]}" if rounds else ""))


@app.command(epilog='Example:  psql "$(helios db url)"   (while `helios db run` or `helios dagster` keeps it up)')
def url() -> None:
    """Print the address of role helios_pipeline, password included."""
    with open_database(settings_of()) as database:
        typer.echo(database.urls.pipeline)


@app.command(epilog="Example:  helios db run")
def run() -> None:
    """Keep the database up until Ctrl-C, for work with other tools."""
    import signal

    stops = {signal.SIGINT, signal.SIGTERM}
    with open_database(settings_of()) as database:
        signal.pthread_sigmask(signal.SIG_BLOCK, stops)  # a signal that is not blocked ends us before it is waited for
        out.print(database.describe, highlight=False)
        out.print("Up until Ctrl-C.")
        signal.sigwait(stops)
