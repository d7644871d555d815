"""`helios simulate`: Binance and dYdX on this machine, and faults in them on demand."""

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from helios_pipeline.adapters.postgres.lock_file import LockFile
from helios_pipeline.cli.terminal import out, settings_of, table
from helios_pipeline.core.errors import SettingsError, SimulationError
from helios_pipeline.settings import MINUTE_MS, Settings
from simulated_venues.faults import KINDS, Fault

if TYPE_CHECKING:
    from simulated_venues.process import VenueProcess
    from simulated_venues.process_settings import ProcessSettings
    from simulated_venues.remote import RemoteVenue
    from simulated_venues.settings import MarketSettings
    from simulated_venues.sources import ReplaySettings

type VenueName = Literal["binance", "dydx"]

VENUES: tuple[VenueName, ...] = ("binance", "dydx")
RUNNING = "running.json"
DEFAULT_INTERVAL = "1m"
TITLES = {"binance": "Binance USD-M", "dydx": "dYdX v4"}

EXAMPLES = """Examples:

helios simulate

helios simulate {venue}--time-scale 60 --seed 7

helios simulate {venue}--regimes calm,upward,downward,turbulent,crash,recovery"""
SCENARIO_EXAMPLE = "\n\nhelios simulate --scenario docs/scenarios/bad_hour.toml"

app = typer.Typer(help="Serve a simulated Binance and dYdX on 127.0.0.1 until Ctrl-C, with faults on demand.")

Ids = Annotated[
    str | None, typer.Option("--instruments", help="Ids, separated by commas. Default: simulated_market.instruments.")
]
Seed = Annotated[int | None, typer.Option("--seed", help="Of the market. Default: simulated_market.seed.")]
Regimes = Annotated[
    str | None, typer.Option("--regimes", help="Names, separated by commas. Default: simulated_market.regimes.")
]
TimeScale = Annotated[
    int | None,
    typer.Option("--time-scale", help="60: a market 60 times as fast. Default: simulated_venues.time_scale."),
]
BinancePort = Annotated[int | None, typer.Option("--binance-port", help="0: one that is free.")]
DydxPort = Annotated[int | None, typer.Option("--dydx-port", help="Of the indexer; 0: one that is free.")]
GrpcPort = Annotated[int | None, typer.Option("--grpc-port", help="Of dYdX's validator; 0: one that is free.")]
BlockMs = Annotated[int | None, typer.Option("--block-ms", help="Milliseconds between dYdX's blocks.")]
Weight = Annotated[int | None, typer.Option("--weight-per-minute", help="Request weight before Binance answers 429.")]
Hours = Annotated[
    float | None, typer.Option("--connection-hours", help="After which Binance closes a WebSocket connection.")
]
ScenarioFile = Annotated[Path | None, typer.Option("--scenario", help="A TOML file of faults over time.")]
Replay = Annotated[
    Path | None,
    typer.Option("--replay", help="Recorded prices: a folder with data/futures/um, or a gzipped raw recording."),
]
ReplayDays = Annotated[
    str | None, typer.Option("--replay-days", help="Of a folder, e.g. 2025-03-01:2025-03-07, the last included.")
]
ReplayInterval = Annotated[str, typer.Option("--replay-interval", help="Of a folder's bars: 1m or 15m.")]
State = Annotated[
    Path | None,
    typer.Option(
        "--state", help="Folder of accounts and addresses. Default: $HELIOS_HOME/simulated.", show_default=False
    ),
]
Which = Annotated[VenueName | None, typer.Option("--venue", help="Default: each that runs.")]
Url = Annotated[str | None, typer.Option("--url", help="Of a venue's page, instead of what `helios simulate` started.")]


def _starting(*venues: VenueName) -> Any:  # noqa: ANN401 - typer reads its signature
    def start(  # noqa: PLR0913 - one for each option
        context: typer.Context,
        instruments: Ids = None,
        seed: Seed = None,
        regimes: Regimes = None,
        time_scale: TimeScale = None,
        scenario: ScenarioFile = None,
        replay: Replay = None,
        replay_days: ReplayDays = None,
        replay_interval: ReplayInterval = DEFAULT_INTERVAL,
        state: State = None,
        binance_port: BinancePort = None,
        dydx_port: DydxPort = None,
        grpc_port: GrpcPort = None,
        block_ms: BlockMs = None,
        weight_per_minute: Weight = None,
        connection_hours: Hours = None,
    ) -> None:
        if context.invoked_subcommand is not None:
            _refuse_options_before(context)
            return
        overrides = {
            ("simulated_market", "seed"): seed,
            ("simulated_market", "regimes"): None if regimes is None else _words(regimes),
            ("simulated_venues", "time_scale"): time_scale,
            ("simulated_venues", "binance_port"): binance_port,
            ("simulated_venues", "dydx_port"): dydx_port,
            ("simulated_venues", "grpc_port"): grpc_port,
            ("simulated_venues", "block_ms"): block_ms,
            ("simulated_venues", "weight_per_minute"): weight_per_minute,
            ("simulated_venues", "connection_hours"): connection_hours,
        }
        settings = settings_of(overrides=overrides)
        folder = state or settings.home / "simulated"
        market = _market(settings, instruments)
        recorded = None if replay is None else _replay(market, replay, replay_days, replay_interval)
        serve(venue_settings(settings, venues, folder, market, replay=recorded, scenario=scenario), folder)

    return start


app.callback(invoke_without_command=True, epilog=EXAMPLES.format(venue="") + SCENARIO_EXAMPLE)(_starting(*VENUES))
app.command("binance", help="Serve Binance alone.", epilog=EXAMPLES.format(venue="binance "))(_starting("binance"))
app.command("dydx", help="Serve dYdX alone.", epilog=EXAMPLES.format(venue="dydx "))(_starting("dydx"))


@app.command(epilog="Example:  helios simulate fault http_status --where '/fapi/v1/klines*' --value 429 --seconds 10")
def fault(  # noqa: PLR0913 - one for each option
    kind: Annotated[str, typer.Argument(metavar="KIND", help="`helios simulate kinds` lists them.")],
    where: Annotated[str, typer.Option(help="Pattern of what it strikes: a path, stream, symbol or ticker.")] = "*",
    value: Annotated[float, typer.Option(help="What the kind says.")] = 0.0,
    share: Annotated[float, typer.Option(help="How often it strikes of the times it could, above 0 to 1.")] = 1.0,
    count: Annotated[int | None, typer.Option(help="Ends after striking so often.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Ends after so long.")] = None,
    venue: Which = None,
    url: Url = None,
    state: State = None,
) -> None:
    """Start a fault in what `helios simulate` runs; it ends with its time or count, or with `helios simulate clear`."""
    wanted = Fault(kind=kind, where=where, value=value, share=share, count=count, seconds=seconds)
    running = _running(venue, url, state)
    able = {name: remote for name, remote in running.items() if name not in VENUES or name in KINDS[kind].venues}
    if not able:
        known = " or ".join(sorted(KINDS[kind].venues))
        raise SimulationError(f"fault {kind}: expected {known} to run, which knows it, found {', '.join(running)}.")
    for name, remote in able.items():
        out.print(f"{name}: fault {remote.start(wanted)} started, {KINDS[kind].meaning}.", highlight=False)


@app.command(epilog="Example:  helios simulate faults")
def faults(venue: Which = None, url: Url = None, state: State = None) -> None:
    """List the active faults."""
    shown = table("Active faults", "venue", "number", "kind", "where", "value", "share", "struck", "left")
    for name, remote in _running(venue, url, state).items():
        for each in remote.faults():
            left = "until ended" if each["seconds_left"] is None else f"{each['seconds_left']} s"
            values = (each["number"], each["kind"], each["where"], each["value"], each["share"], each["struck"], left)
            shown.add_row(name, *(str(value) for value in values))
    out.print(shown if shown.row_count else "No fault is active.")


@app.command(epilog="Example:  helios simulate clear --venue binance")
def clear(
    number: Annotated[int | None, typer.Option(help="Of one fault, of one venue. Default: all.")] = None,
    venue: Which = None,
    url: Url = None,
    state: State = None,
) -> None:
    """End faults."""
    running = _running(venue, url, state)
    if number is not None and len(running) > 1:
        raise SettingsError("simulate clear --number: expected --venue with it, since numbers are a venue's own.")
    for remote in running.values():
        if number is None:
            remote.stop_all()
        else:
            remote.stop(number)
    out.print("Ended.")


@app.command(epilog="Example:  helios simulate kinds")
def kinds() -> None:
    """List what can go wrong, where, and what `--value` means."""
    shown = table("Faults", "kind", "venues", "what happens", "--where", "--value")
    for kind, about in KINDS.items():
        venues = "both" if len(about.venues) == len(VENUES) else ", ".join(about.venues)
        shown.add_row(kind, venues, about.meaning, about.where, about.value)
    out.print(shown)


def _market(settings: Settings, instruments: str | None) -> "MarketSettings":
    from helios_pipeline.cli.simulated import simulated_market

    only = None if instruments is None else _words(instruments)
    return simulated_market(settings, settings.simulated_venues.raw_interval_ms, only).settings


def _replay(market: "MarketSettings", path: Path, days: str | None, interval: str) -> "ReplaySettings":
    """A recording of the market's instruments: bars from the funding interval that runs now, messages from now."""
    from simulated_venues.replay.bars import aligned_start
    from simulated_venues.replay.files import RecordedInstrument
    from simulated_venues.sources import ReplaySettings

    now = datetime.now(UTC)
    if not path.exists():
        raise SettingsError(f"simulate --replay: expected a folder or a recording at {path}, found none.")
    if path.is_dir() != (days is not None):
        found = f"a {'folder without' if path.is_dir() else 'recording with'} it"
        raise SettingsError(f"simulate --replay-days: expected it for a folder and for nothing else, found {found}.")
    instruments = tuple(
        RecordedInstrument(instrument_id=each.instrument_id, symbol=each.symbol, tick=each.tick, lot=each.lot)
        for each in market.instruments
    )
    if days is not None:
        starts_at, span = aligned_start(now, market.raw_interval_ms), _days(days)
        return ReplaySettings(
            path=path.resolve(), instruments=instruments, starts_at=starts_at, interval=interval, days=span
        )
    if len(instruments) != 1 or market.raw_interval_ms != MINUTE_MS:
        raise SettingsError(
            "simulate --replay: expected one instrument at natural speed for a raw recording, found "
            f"{len(instruments)} at {MINUTE_MS // market.raw_interval_ms}. Name it with --instruments."
        )
    # It begins up to a minute after the instant that is named, and has begun when the venues start.
    starts_at = now.replace(second=0, microsecond=0) - timedelta(minutes=1)
    return ReplaySettings(path=path.resolve(), instruments=instruments, starts_at=starts_at)


def _days(text: str) -> tuple[date, date]:
    """First day, and the day after the last, of `2025-03-01:2025-03-07`."""
    first, _, last = text.partition(":")
    try:
        return date.fromisoformat(first), date.fromisoformat(last or first) + timedelta(days=1)
    except ValueError:
        raise SettingsError(
            f"simulate --replay-days: expected days like 2025-03-01:2025-03-07, found {text!r}."
        ) from None


def venue_settings(
    settings: Settings,
    venues: Sequence[VenueName],
    state: Path,
    market: "MarketSettings",
    *,
    replay: "ReplaySettings | None",
    scenario: Path | None,
) -> list["ProcessSettings"]:
    """What each venue's process is told.

    Raises:
        SettingsError: the scenario can't be carried out.
    """
    from simulated_venues.binance.settings import BinanceSettings
    from simulated_venues.dydx.settings import DydxSettings
    from simulated_venues.process_settings import ProcessSettings
    from simulated_venues.scenario import Scenario, read_scenario

    section = settings.simulated_venues
    # Accounts belong to a market: at other prices they would be worth something else.
    name = market.digest if replay is None else replay.name_at(market.raw_interval_ms)
    happens = Scenario() if scenario is None else read_scenario(scenario)
    if strangers := {entry.venue for entry in happens.entries} - set(venues):
        raise SettingsError(
            f"simulate --scenario: expected faults of {' and '.join(venues)}, found some of {', '.join(strangers)}. "
            "Start both venues."
        )
    described: dict[str, BinanceSettings | DydxSettings] = {
        "binance": BinanceSettings(
            port=section.binance_port,
            weight_per_minute=section.weight_per_minute,
            connection_seconds=section.connection_hours * 3_600,
            ping_seconds=section.ping_seconds,
        ),
        "dydx": DydxSettings(
            port=section.dydx_port,
            grpc_port=section.grpc_port,
            state_folder=state / "dydx" / name,
            chain_id=section.chain_id,
            block_ms=section.block_ms,
            default_deposit_usdc=section.deposit_usdc,
        ),
    }
    return [
        ProcessSettings(venue=described[venue], market=market, replay=replay, scenario=happens.of(venue))
        for venue in venues
    ]


def serve(described: Sequence["ProcessSettings"], folder: Path) -> None:
    """Run venues until Ctrl-C or SIGTERM.

    Raises:
        SettingsError: others run in that folder.
        SimulationError: one can't start, or fails.
    """
    from helios_pipeline.cli.simulate_view import watch
    from simulated_venues.process import venue_processes

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a supervisor's stop is a person's Ctrl-C
    try:
        with _claimed(folder), venue_processes(*described) as processes, _listed(processes, folder):
            _announce(processes)
            watch(processes)
    except KeyboardInterrupt:
        out.print("Stopped. Accounts of dYdX are kept.")


def _announce(processes: Sequence["VenueProcess"]) -> None:
    market = processes[0].settings.market
    speed = MINUTE_MS // market.raw_interval_ms
    fast = "at natural speed" if speed == 1 else f"{speed} times as fast as real ones"
    names = " and ".join(TITLES[process.name] for process in processes)
    replay = processes[0].settings.replay
    prices = f"seed {market.seed}, {fast}: none of these prices is real"
    if replay is not None:
        prices = f"{fast}, prices recorded in {replay.path}, played from {replay.starts_at:%Y-%m-%d %H:%M:%S} UTC"
    out.print(f"[bold]{names}, simulated, {prices}.[/]", soft_wrap=True, highlight=False)
    shown = table("", "", "", "")
    for process in processes:
        for key, address in process.addresses.items():
            if key != "venue":
                shown.add_row(TITLES[process.name] if key == "url" else "", WORDS.get(key, key), address)
        if process.name == "binance":
            shown.add_row("", "for Helios", f"HELIOS_ARCHIVE_URL={process.url} HELIOS_REST_URL={process.url}")
    out.print(shown, soft_wrap=True, highlight=False)
    out.print("The pages show books, trades, clients and faults. Until Ctrl-C.", highlight=False)


WORDS = {"url": "page, REST", "ws": "WebSocket", "grpc": "validator, gRPC"}
"""What each address of a venue is."""


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Hold a state folder for as long as the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    with LockFile(folder / "lock") as lock:
        if not lock.try_own():
            raise SettingsError(
                f"simulate: expected {folder} to be free, found venues that run in it. Stop them, or choose another "
                "folder with --state."
            )
        yield


@contextmanager
def _listed(processes: Sequence["VenueProcess"], folder: Path) -> Iterator[None]:
    """Say in the folder where the venues are, for the commands about faults."""
    path = folder / RUNNING
    unfinished = path.with_name(f".{RUNNING}")
    unfinished.write_text(json.dumps({process.name: process.url for process in processes}) + "\n")
    unfinished.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _running(venue: VenueName | None, url: str | None, state: Path | None) -> dict[str, "RemoteVenue"]:
    """The venues that a command is about, by name."""
    from simulated_venues.remote import RemoteVenue

    if url is not None:
        remote = RemoteVenue(url)
        return {str(remote.state().get("venue", url)): remote}
    folder = state or settings_of().home / "simulated"
    try:
        urls: dict[str, str] = json.loads((folder / RUNNING).read_text())
    except FileNotFoundError:
        raise SimulationError(
            f"simulated venues: expected some to run in {folder}, found none. `helios simulate` starts them; --state "
            "or --url names others."
        ) from None
    found = {name: RemoteVenue(url) for name, url in urls.items() if venue in (None, name)}
    if not found:
        raise SimulationError(f"simulated venues: expected {venue} to run, found {', '.join(urls)}.")
    return found


def _refuse_options_before(context: typer.Context) -> None:
    given = sorted(name for name, value in context.params.items() if value not in (None, DEFAULT_INTERVAL))
    if given:
        raise SettingsError(
            f"simulate: expected options after {context.invoked_subcommand}, found --{given[0].replace('_', '-')} "
            "before it."
        )


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
