"""The engine's process: reads settings and keys, opens journal, lease and champion, warms up, and trades.

`python -m live_engine.main --config helios.toml`; `helios live` starts it with all that it needs. The first line of
standard output is one JSON object, once trading may begin; everything else that it says is on standard error, one JSON
object a line. It ends with SIGTERM or SIGINT: positions and their stops stay at the venue.

Environment: HELIOS_LIVE_DATABASE_URL (role `helios_live`; without it the database of helios.toml is opened, embedded or
HELIOS_DATABASE_URL), HELIOS_HOME, the venues' addresses, and the venue's key.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from helios_pipeline.adapters.keys.files import trusted_keys
from helios_pipeline.adapters.postgres.champion_news import ChampionNews, PromotedChampion
from helios_pipeline.adapters.postgres.connection import open_database
from helios_pipeline.adapters.postgres.heartbeats import HeartbeatStore
from helios_pipeline.adapters.postgres.journal_copy import JournalCopy
from helios_pipeline.adapters.postgres.lease import LEASE_SECONDS, Lease
from helios_pipeline.adapters.postgres.modes import ModeStore
from helios_pipeline.core.errors import HeliosError, UnreachableError
from helios_pipeline.core.manifest import Deployment
from helios_pipeline.core.status import EngineStatus
from helios_pipeline.core.trading import ChampionChange
from helios_pipeline.execution.champion_terms import make_terms
from helios_pipeline.execution.traded_market import TradedMarket
from helios_pipeline.settings import Settings, load_settings
from helios_pipeline.strategy.parameters import STRATEGY_VERSION
from live_engine.champion import ChampionHolder, TrustedDeployment
from live_engine.copier import Copier
from live_engine.durations import Durations
from live_engine.engine import Engine, EngineParts
from live_engine.heartbeat import HEARTBEAT
from live_engine.home_lock import HomeLock
from live_engine.journal import Journal
from live_engine.kill_points import at_records
from live_engine.kill_switch import KillSwitch
from live_engine.lease_keeper import LeaseKeeper
from live_engine.logs import start_logs
from live_engine.metrics import metrics_text
from live_engine.metrics_server import MetricsServer
from live_engine.redaction import Redactor
from live_engine.rehearsal import rehearse
from live_engine.venues import VenueChoice, account_id, signal_history, signal_parts, traded_markets, venue_parts
from live_engine.warm_up import Reach, WarmUp, warm_up

DATABASE_VARIABLE = "HELIOS_LIVE_DATABASE_URL"
CHAMPION_POLL_SECONDS = 15.0
VENUE_WAIT_SECONDS, VENUE_PAUSE_SECONDS = 90.0, 2.0
"""A venue that does not answer at the start is asked again for so long; then whoever started us decides."""

HISTORY_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What stands before a venue is asked: whose account it is, and everything that is written down of it."""

    choice: VenueChoice
    folder: Path
    url: str
    journal: Journal
    kill_switch: KillSwitch
    lease: LeaseKeeper


def main() -> None:
    """Entry point: an error with a known cause is the last line of standard error."""
    parser = argparse.ArgumentParser(
        prog="python -m live_engine.main",
        description="The live engine of one account. `helios live` starts it, with a view and a watchdog.",
        epilog="Example: HELIOS_LIVE_DATABASE_URL=postgresql://… python -m live_engine.main --config helios.toml",
    )
    parser.add_argument("--config", type=Path, default=Path(os.environ.get("HELIOS_CONFIG", "helios.toml")))
    try:
        run(parser.parse_args().config, os.environ)
    except HeliosError as error:
        print(f"helios: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)


def run(config: Path, environment: Mapping[str, str]) -> None:
    """Trade until a signal comes.

    Raises:
        HeliosError: it can't start or go on; says what to do.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with ExitStack() as stack:
        redactor = Redactor.of_environment(environment)
        formatter = stack.enter_context(start_logs(sys.stderr, process="engine", redactor=redactor))
        settings = load_settings(config, environment)
        opened = _open(stack, settings, environment)
        formatter.common |= {"account": opened.journal.account, "epoch": opened.journal.epoch}
        _trade(stack, settings, environment, opened, stopping)


def _open(stack: ExitStack, settings: Settings, environment: Mapping[str, str]) -> Opened:
    """Take the account: its folder's lock, its journal, its lease."""
    choice = VenueChoice(live=settings.live, addresses=settings.live_venues, instruments=settings.live_instruments)
    account = account_id(choice, environment)
    folder = settings.home / "live" / account
    lock = HomeLock.take(folder)
    stack.callback(lock.close)
    url = environment.get(DATABASE_VARIABLE) or _database_url(stack, settings)
    journal = Journal.open(folder / "log", account)
    stack.callback(journal.close)
    lease = LeaseKeeper(
        Lease(url, account, lock.holder, home=lock.place), journal.raise_epoch, lambda: journal.epoch, LEASE_SECONDS
    )
    lease.keep()
    stack.callback(lease.release)
    return Opened(
        choice=choice,
        folder=folder,
        url=url,
        journal=journal,
        kill_switch=KillSwitch.load(folder, account, ModeStore(url)),
        lease=lease,
    )


def _database_url(stack: ExitStack, settings: Settings) -> str:
    secret = settings.database.url
    database = open_database(settings.home, None if secret is None else secret.get_secret_value())
    return stack.enter_context(database).urls.live


def _trade(
    stack: ExitStack, settings: Settings, environment: Mapping[str, str], opened: Opened, stopping: threading.Event
) -> None:
    rehearse()
    choice, journal = opened.choice, opened.journal
    markets = _asked_again(lambda: traded_markets(choice), stopping)
    champion = _champion(settings, opened, markets)
    champion.load()
    news = ChampionNews(opened.url, champion.poll, CHAMPION_POLL_SECONDS)
    champion.poll()
    copier = Copier(opened.folder / "log", lambda: JournalCopy(opened.url))
    journal.subscribe(copier.wake)
    copier.start()
    stack.callback(copier.stop)
    sink = at_records(journal)
    engine = Engine(
        uvloop.new_event_loop(),
        EngineParts(
            live=settings.live,
            limits=settings.risk_gate,
            folder=opened.folder,
            journal=journal,
            sink=sink,
            kill_switch=opened.kill_switch,
            champion=champion,
            lease=opened.lease,
            copier=copier,
            heartbeats=HeartbeatStore(opened.url),
            venue=venue_parts(choice, environment, sink, journal.history()),
            signals=signal_parts(choice),
            markets=markets,
            warm_ups=_asked_again(lambda: _warm_ups(settings, opened, champion, markets), stopping),
            histories=(signal_history(choice, 1), signal_history(choice, 1)),
        ),
    )
    durations = Durations()
    journal.subscribe(durations.hear)
    metrics = MetricsServer(
        settings.live.metrics_port, lambda: metrics_text(engine.status, datetime.now(UTC), durations.histograms)
    )
    stack.callback(metrics.close)
    news.start()
    stack.callback(news.stop)

    def ready(status: EngineStatus) -> None:
        told = {
            "ready": True,
            "account": status.account,
            "pid": status.pid,
            "champion": status.champion,
            "metrics": metrics.url,
            "heartbeat": str(opened.folder / HEARTBEAT),
        }
        print(json.dumps(told), flush=True)

    engine.run_until(stopping, ready)


def _champion(settings: Settings, opened: Opened, markets: tuple[TradedMarket, ...]) -> ChampionHolder:
    live, journal = settings.live, opened.journal
    trusted = trusted_keys(settings.home, settings.keys.model_dump())

    def refused(manifest_hash: str, why: str) -> None:
        journal.append(
            ChampionChange(
                account=journal.account,
                manifest_hash=manifest_hash,
                action="refused",
                instruments=(),
                why=why,
                changed_at=datetime.now(UTC),
            )
        )

    deployment = Deployment(network=live.network, bar_seconds=live.bar_seconds, strategy_version=STRATEGY_VERSION)
    return ChampionHolder(
        TrustedDeployment(
            deployment=deployment,
            trusted={network: [key for key, _ in keys] for network, keys in trusted.items()},
        ),
        PromotedChampion(opened.url, live.network),
        opened.folder / "champions",
        lambda manifest, manifest_hash: make_terms(manifest, manifest_hash, markets),
        refused,
    )


def _warm_ups(
    settings: Settings, opened: Opened, champion: ChampionHolder, markets: tuple[TradedMarket, ...]
) -> tuple[WarmUp, ...]:
    """History for the champion and for any that the grid could give next, and for the bars that were missed."""
    current, books = champion.current, opened.journal.books
    terms = None if current is None else current.terms
    lookbacks = [*settings.grid.lookback_bars, *([] if terms is None else [terms.parameters.lookback_bars])]
    reach = Reach.of(max(lookbacks), settings.feature_settings if terms is None else terms.features)
    decided = [books.last_decision(market.instrument_id) for market in markets]
    since = min((each.closed_at for each in decided if each is not None), default=None)
    history = signal_history(opened.choice, HISTORY_ATTEMPTS)
    return tuple(warm_up(history, market.signal_instrument_id, settings.live.bar, reach, since) for market in markets)


def _asked_again[Answer](ask: Callable[[], Answer], stopping: threading.Event) -> Answer:
    """The answer of a venue, which may have to be asked for a while.

    Raises:
        UnreachableError: it does not answer.
    """
    deadline = time.monotonic() + VENUE_WAIT_SECONDS
    while True:
        try:
            return ask()
        except UnreachableError:
            if stopping.is_set() or time.monotonic() > deadline:
                raise
            stopping.wait(VENUE_PAUSE_SECONDS)


if __name__ == "__main__":
    main()
