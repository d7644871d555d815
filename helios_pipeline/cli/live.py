"""`helios live`: the engine, the watchdog beside it, and a view of both, until Ctrl-C."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live

from helios_pipeline.adapters.webhook.address import read_webhook
from helios_pipeline.cli.live_audience import Follower, LineFollower, LogFile, PlainFollower, TerminalFollower
from helios_pipeline.cli.live_environment import engine_environment, watchdog_environment
from helios_pipeline.cli.live_launcher import Launcher, LiveProcesses
from helios_pipeline.cli.terminal import State, err, open_database, out, settings_of
from helios_pipeline.core.errors import EngineError
from live_engine.home_lock import home_holder
from live_engine.service_manager import is_service
from live_engine.venues import VenueChoice, account_id

REAL = {"paper": "orders are ours alone", "testnet": "orders go to the test network", "mainnet": "ORDERS ARE REAL"}


def add_commands(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command("live", epilog="Example:  helios live --paper")(live)


def live(
    paper: Annotated[
        bool, typer.Option("--paper", help="On paper, whatever helios.toml says. Default: live.network.")
    ] = False,
    watchdog: Annotated[
        bool, typer.Option("--watchdog/--no-watchdog", help="Watch the engine and start it again when it dies.")
    ] = True,
    plain: Annotated[bool, typer.Option("--plain", help="Log events, a line of JSON each, instead of tables.")] = False,
) -> None:
    """Trade the champion until Ctrl-C, which leaves positions as they are, with their stops at the venue.

    Keys and the webhook come from the environment: HELIOS_DYDX_KEY or HELIOS_DYDX_KEY_FILE, HELIOS_WEBHOOK_URL and
    HELIOS_WEBHOOK_SECRET. As a systemd service it starts no watchdog: that is a service of its own.
    """
    settings = settings_of(overrides={("live", "network"): "paper" if paper else None})
    choice = VenueChoice(live=settings.live, addresses=settings.live_venues, instruments=settings.live_instruments)
    account = account_id(choice, os.environ)
    alone = is_service(os.environ, os.getpid()) or not watchdog
    if not alone:
        read_webhook(os.environ, settings.watchdog.webhook_format)  # says what is wrong before anything starts
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a supervisor's stop is a person's Ctrl-C
    folder = settings.home / "live" / account
    if (holder := home_holder(folder)) is not None:
        raise EngineError(f"{account}: expected no engine of this home, found {holder}. Stop that one first.")
    with open_database(settings) as database, _follower(folder, plain=plain) as follower:
        network = settings.live.network
        follower.tell(f"{account} on {network}: {REAL[network]}. {database.describe}.")
        processes = LiveProcesses(
            config=State.config.resolve(),
            account=account,
            engine=engine_environment(os.environ, settings, State.config, database.urls.live),
            watchdog=None if alone else watchdog_environment(os.environ, settings, State.config),
        )
        Launcher(processes, follower).run()
    err.print("Stopped.", highlight=False)


@contextmanager
def _follower(folder: Path, *, plain: bool) -> Iterator[Follower]:
    with closing(LogFile(folder / "logs")) as logs:
        if plain:
            yield PlainFollower(folder, logs)
        elif not out.is_terminal:
            yield LineFollower(folder, logs)
        else:
            with Live(console=out, auto_refresh=False, transient=False) as shown:
                yield TerminalFollower(folder, logs, live=shown)
