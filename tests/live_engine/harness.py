"""A whole live installation in the fast world: both venues, PostgreSQL, a signed champion, the engine as a process.

Everything is real and on this machine: processes, sockets, files, the database. Bars last 15 seconds, dYdX settles
funding each minute, and the champion's parameters trade at almost every bar.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from dydx_v4_client.key_pair import KeyPair
from dydx_v4_client.wallet import Wallet

from helios_pipeline.adapters.keys.files import load_key, new_key
from helios_pipeline.adapters.postgres.connection import Database, open_database
from helios_pipeline.adapters.postgres.embedded import EmbeddedServer, ensure_server, wait_until_stopped
from helios_pipeline.adapters.postgres.promotions import Decision as Promotion
from helios_pipeline.adapters.postgres.promotions import PromotionStore
from helios_pipeline.core.keys import Network, SigningKey
from helios_pipeline.core.manifest import Approval, Manifest, Provenance, SignedManifest, TradingTerms, sign_manifest
from helios_pipeline.core.records import REAL_MARKET, AllocationLimits, Costs, FeatureSettings, Instrument
from helios_pipeline.core.status import EngineStatus
from helios_pipeline.core.trading import JournalRecord
from helios_pipeline.strategy.parameters import STRATEGY_VERSION, ParameterSet
from live_engine.heartbeat import HEARTBEAT, read_heartbeat
from live_engine.segments import read_entries, record_of
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.faults import Fault
from simulated_venues.process import VenueProcess, venue_processes
from simulated_venues.process_settings import ProcessSettings
from simulated_venues.remote import RemoteVenue
from simulated_venues.settings import MarketSettings, SimulatedInstrument
from tests.helios_home import write_settings

HELIOS = str(Path(sys.executable).with_name("helios"))
BAR_SECONDS, FUNDING_SECONDS, TIME_SCALE = 15, 60, 60
BARS_PER_YEAR = 35_040 * TIME_SCALE
BLOCK_MS = 400
POLL_SECONDS = 0.02
START_SECONDS = 90.0
END_SECONDS = 40.0
EQUITY = 100_000
TRADES_PER_DAY = 20_000

MARKETS = (
    ("BTC", Decimal(30_000), Decimal("0.1"), Decimal("0.001"), 0.025, 250_000.0),
    ("ETH", Decimal(2_000), Decimal("0.01"), Decimal("0.001"), 0.030, 3_000_000.0),
    ("SOL", Decimal(150), Decimal("0.01"), Decimal("0.01"), 0.040, 20_000_000.0),
)

EAGER = ParameterSet(
    lookback_bars=8,
    funding_weight=0.0,
    entry_z=0.1,
    exit_z=0.0,
    max_holding_bars=2,
    cooldown_bars=0,
    stop_atr=1.0,
)
"""With three markets an entry every 13 s, a stop and three exits by time a minute."""

STEADY = ParameterSet(
    lookback_bars=20,
    funding_weight=0.5,
    entry_z=1.0,
    exit_z=0.0,
    max_holding_bars=8,
    cooldown_bars=1,
    stop_atr=1.5,
)
"""With three markets about an entry each 40 s; all kinds of exits."""

FEATURES = FeatureSettings(
    funding_lookback=5,
    funding_std_floor=1e-6,
    atr_bars=8,
    vol_lookback=24,
    periods_per_year=BARS_PER_YEAR,
    max_gap_bars=8,
    open_interest_delay_minutes=5,
)


def signal_id(base: str) -> str:
    return f"{base}USDT-PERP.BINANCE"


def dydx_id(base: str) -> str:
    return f"{base}-USD-PERP.DYDX"


def await_that[T](found: Callable[[], T], what: str, seconds: float = 60.0, seen: Callable[[], str] = str) -> T:
    """Ask again and again until the answer is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < deadline, f"expected within {seconds:g} s {what}. {seen()}"
        time.sleep(POLL_SECONDS)
    return answer


@dataclass(frozen=True, kw_only=True)
class FastWorld:
    """Binance and dYdX over one market that is 60 times as fast."""

    binance: VenueProcess
    dydx: VenueProcess
    bases: tuple[str, ...]

    @property
    def addresses(self) -> dict[str, str]:
        return {
            "HELIOS_BINANCE_URL": self.binance.url,
            "HELIOS_BINANCE_WS_URL": self.binance.url.replace("http://", "ws://"),
            "HELIOS_DYDX_URL": self.dydx.url,
            "HELIOS_DYDX_WS_URL": self.dydx.addresses["ws"],
            "HELIOS_DYDX_GRPC": self.dydx.addresses["grpc"].removeprefix("http://"),
        }

    def venue(self, name: str) -> VenueProcess:
        return self.binance if name == "binance" else self.dydx

    @contextmanager
    def fault(self, venue: str, kind: str, **how: Any) -> Iterator[None]:
        """A fault for as long as the block runs."""
        remote = RemoteVenue(self.venue(venue).url)
        remote.start(Fault(kind=kind, **how))
        try:
            yield
        finally:
            remote.stop_all()


@contextmanager
def fast_world(state: Path, *, markets: int = 3, trades_per_day: int = TRADES_PER_DAY) -> Iterator[FastWorld]:
    """Start both venues; accounts are kept in `state`."""
    market = fast_market(markets=markets, trades_per_day=trades_per_day)
    dydx = DydxSettings(state_folder=state, block_ms=BLOCK_MS, default_deposit_usdc=EQUITY)
    described = [
        ProcessSettings(venue=BinanceSettings(weight_per_minute=100_000), market=market),
        ProcessSettings(venue=dydx, market=market),
    ]
    with venue_processes(*described) as (first, second):
        yield FastWorld(binance=first, dydx=second, bases=tuple(row[0] for row in MARKETS[:markets]))


def fast_market(*, markets: int = 3, trades_per_day: int = TRADES_PER_DAY) -> MarketSettings:
    return MarketSettings(
        seed=13,
        instruments=tuple(
            SimulatedInstrument(
                instrument_id=signal_id(base),
                start_price=price,
                tick=tick,
                lot=lot,
                daily_volatility=volatility,
                daily_volume=volume,
                trades_per_day=trades_per_day,
            )
            for base, price, tick, lot, volatility, volume in MARKETS[:markets]
        ),
        priced_at=datetime(2026, 1, 1, tzinfo=UTC),
        raw_interval_ms=60_000 // TIME_SCALE,
        factor_share=0.5,
        edge=0.58,
        edge_half_life=720.0,
    )


@dataclass(kw_only=True)
class Installation:
    """A home with its settings, its database and its keys, beside a fast world.

    Attributes:
        folder: holds helios.toml, `home` and what the processes said.
        world: the venues.
        network: of the champion: paper, or mainnet for orders at the simulated dYdX.
        venue: where orders go.
        signing: key that signs champions.
        dydx_key: private key of the account in hex.
    """

    folder: Path
    world: FastWorld
    network: Network
    venue: str
    signing: SigningKey
    server: EmbeddedServer
    database: Database
    dydx_key: str = field(repr=False)
    variables: dict[str, str] = field(default_factory=dict)
    started: list["Process"] = field(default_factory=list)
    read: list[JournalRecord] = field(default_factory=list)
    read_to: int = 0
    read_size: int = 0

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def address(self) -> str:
        return str(Wallet(KeyPair.from_hex(self.dydx_key), 0, 0).address)

    @property
    def account(self) -> str:
        return f"{self.venue}-paper" if self.network == "paper" else f"DYDX-{self.address}-0"

    @property
    def live_folder(self) -> Path:
        return self.home / "live" / self.account

    @property
    def traded(self) -> tuple[str, ...]:
        return tuple(dydx_id(base) if self.venue == "DYDX" else signal_id(base) for base in self.world.bases)

    @property
    def environment(self) -> dict[str, str]:
        names = {
            "HELIOS_CONFIG": str(self.folder / "helios.toml"),
            "HELIOS_HOME": str(self.home),
            "HELIOS_LIVE_DATABASE_URL": self.database.urls.live,
        }
        key = {} if self.network == "paper" else {"HELIOS_DYDX_KEY": self.dydx_key}
        base = {"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1", "PYTHONPATH": os.getcwd()}
        return base | names | key | self.world.addresses | self.variables

    def configure(self, **changes: Any) -> None:
        """Write helios.toml anew: `risk_gate__max_order_notional_quote=1`."""
        write_settings(
            self.folder / "helios.toml", self._settings() | {k.replace("__", "."): v for k, v in changes.items()}
        )

    def _settings(self) -> dict[str, Any]:
        trusted = [self.signing.public.text]
        rows = [
            {"signal": signal_id(base), "trade": trade, "maker_fee_fraction": 0.0001, "taker_fee_fraction": 0.0005}
            for base, trade in zip(self.world.bases, self.traded, strict=True)
        ]
        return {"paths.home": "home", f"keys.{self.network}": trusted, "live_instruments": rows, **FAST_SETTINGS} | {
            "live.network": self.network,
            "live.venue": self.venue,
        }

    def promote(self, parameters: ParameterSet, **changes: Any) -> SignedManifest:
        """Make a parameter set the network's champion, as the pipeline does."""
        signed = self.sign(parameters, **changes)
        self.record(signed, parameters)
        return signed

    def sign(self, parameters: ParameterSet, **changes: Any) -> SignedManifest:
        return sign_manifest(self.manifest(parameters, **changes), self.signing)

    def record(self, signed: SignedManifest, parameters: ParameterSet) -> None:
        PromotionStore(self.database.urls.pipeline).record(
            Promotion(
                network=self.network,
                decision="promoted",
                round="drill",
                candidate=asdict(parameters),
                gates={"gates": []},
                manifest=signed.content,
                signature=signed.signature.hex(),
                key_id=signed.key_id,
            )
        )

    def manifest(self, parameters: ParameterSet, **approval: Any) -> Manifest:
        now = datetime.now(UTC)
        terms = {
            "network": self.network,
            "approver": "the drills",
            "created_at": now,
            "expires_at": now + timedelta(days=1),
        } | approval
        return Manifest(
            parameters=asdict(parameters),
            terms=TradingTerms(
                strategy_version=STRATEGY_VERSION,
                bar_seconds=BAR_SECONDS,
                funding_interval_seconds=FUNDING_SECONDS,
                instruments=tuple(
                    sorted((instrument(base) for base in self.world.bases), key=lambda i: i.instrument_id)
                ),
                costs=Costs(
                    fee_fraction=Decimal("0.0005"),
                    half_spread_bps=Decimal("0.5"),
                    slippage_bps=Decimal("0.5"),
                    stop_slippage_bps=Decimal(1),
                ),
                limits=AllocationLimits(vol_target=0.5, max_leverage=3.0, gross_cap=3.0, max_open=3),
                features=FEATURES,
            ),
            provenance=Provenance(market_data=REAL_MARKET, data_hashes={}, round_id="drill", trials=1),
            evidence=(),
            approval=Approval(**terms),
        )

    def engine(self, **variables: str) -> "Engine":
        """Start the engine; `await_trading` waits until it trades."""
        arguments = (sys.executable, "-m", "live_engine.main", "--config", str(self.folder / "helios.toml"))
        return self._started(Engine, arguments, variables)

    def command(self, *arguments: str) -> "Process":
        """Start a command of `helios` that goes on until it is stopped."""
        return self._started(Process, (HELIOS, *arguments), {})

    def _started[P: "Process"](self, kind: type[P], arguments: Sequence[str], variables: Mapping[str, str]) -> P:
        said = self.folder / f"{len(self.started)}.log"
        with said.open("wb") as log:
            process = subprocess.Popen(
                arguments,
                cwd=self.folder,
                env=self.environment | variables,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        made = kind(installation=self, process=process, said=said)
        self.started.append(made)
        return made

    def records[R: JournalRecord](self, kind: type[R]) -> list[R]:
        """The journal's records of a kind, in order."""
        return [record for record in self.journal() if isinstance(record, kind)]

    def journal(self) -> list[JournalRecord]:
        """Every record that is in the log, whether the engine runs or not."""
        folder = self.live_folder / "log"
        size = sum(path.stat().st_size for path in folder.iterdir()) if folder.exists() else 0
        if size != self.read_size:
            self.read_size = size
            for entry in read_entries(folder, after=self.read_to):
                self.read_to = entry.sequence
                if (record := record_of(entry)) is not None:
                    self.read.append(record)
        return list(self.read)

    def await_heartbeat(self, pid: int, seconds: float = START_SECONDS) -> EngineStatus:
        """What the engine of a process says of itself, once it runs."""

        def found() -> EngineStatus | None:
            told = read_heartbeat(self.live_folder / HEARTBEAT)
            return told if told is not None and told.pid == pid and told.trader_running else None

        told = await_that(found, f"process {pid} to trade", seconds)
        assert told is not None
        return told

    def kill_database(self) -> None:
        """End PostgreSQL as `kill -9` would; the system ends what it had started."""
        os.kill(self.server.pid, signal.SIGKILL)
        await_that(lambda: not Path(f"/proc/{self.server.pid}").exists(), "the postmaster to be gone")

    def start_database(self) -> None:
        """Start PostgreSQL again, at the same port."""
        old = self.server
        self.server = ensure_server(self.home)
        old.close()

    def close(self) -> None:
        for process in self.started:
            process.discard()
        self.server.close()


FAST_SETTINGS: dict[str, Any] = {
    "grid.lookback_bars": [EAGER.lookback_bars, STEADY.lookback_bars],
    "live.bar_seconds": BAR_SECONDS,
    "live.funding_interval_seconds": FUNDING_SECONDS,
    "live.paper_equity_quote": EQUITY,
    "live.grace_seconds": 1.0,
    "live.late_seconds": 5.0,
    "live.kline_seconds": 5.0,
    "live.slippage_bps": 100,
    "live.good_til_blocks": 8,
    "live.reconcile_seconds": 5.0,
    "live.heartbeat_seconds": 0.25,
    "live.metrics_port": 0,
    "live_venues.dydx_grpc_tls": False,
    "risk_gate.max_orders_per_minute": 600,
    "risk_gate.price_band_bps": 300,
    "risk_gate.max_daily_loss_fraction": 0.5,
    "risk_gate.max_consecutive_losses": 1_000,
    "risk_gate.stale_trades_seconds": 6.0,
    "risk_gate.stale_klines_seconds": 8.0,
    "risk_gate.stale_quotes_seconds": 6.0,
    "risk_gate.stale_mark_seconds": 8.0,
    "risk_gate.stale_block_seconds": 6.0,
    "watchdog.stale_heartbeat_seconds": 5.0,
    "watchdog.first_backoff_seconds": 0.5,
}
"""The engine's settings as the fast world needs them."""


def instrument(base: str) -> Instrument:
    tick, lot = next((row[2], row[3]) for row in MARKETS if row[0] == base)
    return Instrument(
        instrument_id=signal_id(base),
        tick=tick,
        lot=lot,
        min_quantity=lot,
        min_notional_quote=Decimal(20),
        max_notional_quote=Decimal(400_000),
    )


@contextmanager
def installation(
    world: FastWorld, *, network: Network = "paper", venue: str = "DYDX", parent: str | None = None
) -> Iterator[Installation]:
    """A new home with its database and a key that may sign for the network; no champion yet."""
    folder = Path(tempfile.mkdtemp(prefix="helios-live-", dir=parent))
    folder.chmod(0o711)
    home = folder / "home"
    with ExitStack() as ending:
        ending.callback(shutil.rmtree, folder)
        server = ensure_server(home)
        ending.callback(wait_until_stopped, server.places)
        with open_database(home, None) as database:
            key = home / "keys" / ("pipeline.json" if network == "paper" else "operator.json")
            new_key(key, "pipeline" if network == "paper" else "operator")
            made = Installation(
                folder=folder,
                world=world,
                network=network,
                venue=venue,
                signing=load_key(key),
                server=server,
                database=database,
                dydx_key=secrets.token_hex(32),
            )
            ending.callback(lambda: made.close())
            made.configure()
            yield made


@dataclass(kw_only=True)
class Process:
    """A process of an installation.

    Attributes:
        said: file of what it wrote.
    """

    installation: Installation
    process: subprocess.Popen[bytes]
    said: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """As `kill -9`."""
        self.process.kill()
        self.process.wait()

    def await_end(self, seconds: float = START_SECONDS) -> int:
        """How it ended; a negative signal for one that was killed."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"expected the process to end within {seconds:g} s. {self.tail()}") from None

    def stop(self, seconds: float = END_SECONDS) -> None:
        """Let it end, as Ctrl-C or a service manager does; it has to say that all went well."""
        self.process.terminate()
        assert self.await_end(seconds) == 0, self.tail()

    def tail(self, lines: int = 25) -> str:
        written = self.said.read_text(errors="replace").splitlines()
        return f"It said, in {self.said}:\n" + "\n".join(written[-lines:])

    def discard(self) -> None:
        if self.process.poll() is None:
            self.kill()


@dataclass(kw_only=True)
class Engine(Process):
    """The engine."""

    def status(self) -> EngineStatus | None:
        """What it last said of itself; None before it has."""
        self.expect_running()
        told = read_heartbeat(self.installation.live_folder / HEARTBEAT)
        return told if told is not None and told.pid == self.pid else None

    def expect_running(self) -> None:
        code = self.process.poll()
        assert code is None, f"expected the engine to run, it ended with {code}. {self.tail()}"

    def await_status(
        self, is_so: Callable[[EngineStatus], bool], what: str, seconds: float = START_SECONDS
    ) -> EngineStatus:
        """The first status of which something is so."""

        def found() -> EngineStatus | None:
            told = self.status()
            return told if told is not None and is_so(told) else None

        told = await_that(found, what, seconds, lambda: f"{self.status()}\n{self.tail()}")
        assert told is not None
        return told

    def await_trading(self, seconds: float = START_SECONDS) -> EngineStatus:
        """Wait until nothing keeps it from entering."""
        return self.await_status(
            lambda told: told.trader_running and not told.blocked and told.reconciled_at is not None,
            "the engine to be ready for entries",
            seconds,
        )

    def await_record[R: JournalRecord](
        self, kind: type[R], is_it: Callable[[R], bool], what: str, seconds: float = 120.0, after: int = 0
    ) -> R:
        """The first record of a kind, after so many records, of which something is so."""

        def found() -> list[R]:
            self.expect_running()
            records = self.installation.journal()[after:]
            return [record for record in records if isinstance(record, kind) and is_it(record)]

        return await_that(found, what, seconds, lambda: f"{self.status()}\n{self.tail()}")[0]


def tampered(signed: SignedManifest) -> SignedManifest:
    """The same manifest with one byte of its content changed, still canonical: a threshold is another."""
    text = signed.content.decode()
    document: dict[str, Any] = json.loads(text)
    entry = document["parameters"]["entry_z"]
    changed = text.replace(f'"entry_z":{json.dumps(entry)}', f'"entry_z":{json.dumps(_next(entry))}')
    assert changed != text
    assert len(changed) == len(text)
    return replace(signed, content=changed.encode())


def _next(spelled: str) -> str:
    return spelled[:-1] + ("2" if spelled[-1] != "2" else "3")
