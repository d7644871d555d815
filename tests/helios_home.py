"""Homes with small settings, and the `helios` command run in them as a person would."""

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from helios_pipeline.adapters.postgres.embedded import wait_until_stopped
from helios_pipeline.adapters.postgres.places import Places
from simulated_venues.archive import write_archive
from simulated_venues.market import SimulatedMarket
from simulated_venues.settings import MarketSettings, SimulatedInstrument

ROOT = Path(__file__).resolve().parents[1]
BTC, ETH, SOL, BNB, XRP = (
    f"{symbol}-PERP.BINANCE" for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT")
)
MONTHS = ("2025-01", "2025-05")
DEADLINE_SECONDS = 300.0

SMALL: dict[str, Any] = {
    "research.instruments": [BTC],
    "research.from": MONTHS[0],
    "research.to": MONTHS[1],
    "research.workers": 2,
    "paths.home": "home",
    "data.attempts": 2,
    "grid.lookback_bars": [48, 96],
    "grid.funding_weight": [0.0, 0.5],
    "grid.entry_z": [2.0, 3.0],
    "grid.exit_z": [0.0],
    "grid.max_holding_bars": [96],
    "grid.cooldown_bars": [0],
    "grid.stop_atr": [0.0, 4.0],
    "walk_forward.in_sample_days": 60,
    "walk_forward.out_of_sample_days": 20,
    "walk_forward.purge_bars": 96,
    "walk_forward.embargo_bars": 0,
    "holdout.days": 20,
    "holdout.bootstrap_draws": 1000,
    "gates.agreement_sets": 1,
}
"""Five months of one instrument and 16 parameter sets."""


def write_settings(path: Path, changes: Mapping[str, Any]) -> None:
    """The shipped settings with some of them changed, as `section.key`, or whole tables, as `section`."""
    values = tomllib.loads((ROOT / "helios.toml").read_text())
    for name, value in changes.items():
        section, _, key = name.partition(".")
        if key:
            values[section][key] = value
        else:
            values[section] = value
    lines: list[str] = []
    for section, table in values.items():
        if isinstance(table, list):
            lines += [line for row in table for line in _table(f"[[{section}]]", row)]
            continue
        rows = {key: value for key, value in table.items() if _is_rows(value)}
        lines += _table(f"[{section}]", {key: value for key, value in table.items() if key not in rows})
        lines += [line for key in rows for row in rows[key] for line in _table(f"[[{section}.{key}]]", row)]
    path.write_text("\n".join(lines) + "\n")


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _table(title: str, values: Mapping[str, Any]) -> list[str]:
    # A JSON string, number, boolean or list of these is TOML.
    return [title, *(f"{key} = {json.dumps(value)}" for key, value in values.items()), ""]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Lines of the standard error: what a person is told about a mistake."""
        return self.err.splitlines()


@dataclass(kw_only=True)
class HeliosHome:
    """A folder with a helios.toml, and the home `home` below it."""

    folder: Path
    archive: Path | None = None
    command: Sequence[str] = (str(Path(sys.executable).with_name("helios")),)
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def environment(self) -> dict[str, str]:
        """What commands are given; it names this folder, so its processes can be told from others."""
        archive = {} if self.archive is None else {"HELIOS_ARCHIVE_URL": self.archive.as_uri()}
        config = {"HELIOS_CONFIG": str(self.folder / "helios.toml")}
        return {"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1"} | config | archive | self.variables

    def configure(self, **changes: Any) -> None:
        """Write helios.toml anew: `costs__fee_fraction=0.0004`."""
        named = {name.replace("__", "."): value for name, value in changes.items()}
        write_settings(self.folder / "helios.toml", SMALL | named)

    def run(self, *arguments: str, seconds: float = DEADLINE_SECONDS, **variables: str) -> Outcome:
        """Run a command to its end, which has to come within some seconds."""
        done = subprocess.run(
            [*self.command, *arguments],
            cwd=self.folder,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        return Outcome(code=done.returncode, out=done.stdout, err=done.stderr)

    @contextmanager
    def started(self, *arguments: str, said: int | IO[str] = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
        """Start a command in a session of its own; killed at the end of the block if it still runs.

        What runs for long is given a file for what it says: a pipe that nobody reads fills up and stops it.
        """
        with subprocess.Popen(
            [*self.command, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def stored(self) -> dict[str, int]:
        """When each file of the lake was written, in nanoseconds."""
        lake = self.home / "lake"
        return {str(path.relative_to(lake)): path.stat().st_mtime_ns for path in sorted(lake.rglob("*.parquet"))}

    def processes(self) -> dict[int, str]:
        """Processes that were started for this home, however indirectly: number and command line."""
        mark = os.fsencode(self.folder)
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                said = (entry / "cmdline").read_bytes()
                if mark in said or mark in (entry / "environ").read_bytes():
                    found[int(entry.name)] = said.replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
        return found

    def left_after(self, seconds: float) -> dict[int, str]:
        """Processes of this home that still run after the deadline; returns as soon as none does."""
        deadline = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < deadline:
            await_end(next(iter(left)), deadline - time.monotonic())
        return left


def await_end(pid: int, seconds: float) -> bool:
    """Whether a process ends within some seconds."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        waiting = select.poll()
        waiting.register(process, select.POLLIN)
        return bool(waiting.poll(max(0.0, seconds) * 1000))
    finally:
        os.close(process)


@contextmanager
def new_home(parent: str | None, **changes: Any) -> Iterator[HeliosHome]:
    """An empty home that the database's account can enter; removed with its server at the end."""
    folder = Path(tempfile.mkdtemp(prefix="helios-home-", dir=parent))
    folder.chmod(0o711)
    made = HeliosHome(folder=folder)
    made.configure(**changes)
    try:
        yield made
    finally:
        for home in {path.parent for path in folder.rglob("postgres")} & {folder / "home", folder / "home" / "demo"}:
            wait_until_stopped(Places(folder=home / "postgres", base=home, sockets=home))
        shutil.rmtree(folder)


def small_market(*, edge: float, instruments: Sequence[str] = (BTC,)) -> SimulatedMarket:
    """A simulated market of some of the instruments of helios.toml."""
    known = {
        BTC: (Decimal(60_000), Decimal("0.1"), Decimal("0.001"), 0.025, 150_000.0),
        ETH: (Decimal(2_500), Decimal("0.01"), Decimal("0.001"), 0.03, 1_500_000.0),
        SOL: (Decimal(150), Decimal("0.01"), Decimal("0.01"), 0.04, 20_000_000.0),
        BNB: (Decimal(600), Decimal("0.01"), Decimal("0.01"), 0.03, 1_000_000.0),
        XRP: (Decimal(2), Decimal("0.0001"), Decimal("0.1"), 0.04, 300_000_000.0),
    }
    made = []
    for instrument in instruments:
        price, tick, lot, volatility, volume = known[instrument]
        made.append(
            SimulatedInstrument(
                instrument_id=instrument,
                start_price=price,
                tick=tick,
                lot=lot,
                daily_volatility=volatility,
                daily_volume=volume,
                trades_per_day=20_000,
            )
        )
    return SimulatedMarket(
        MarketSettings(
            seed=11,
            instruments=tuple(made),
            priced_at=datetime(2025, 1, 1, tzinfo=UTC),
            raw_interval_ms=60_000,
            factor_share=0.5,
            edge=edge,
            edge_half_life=720.0,
        )
    )


def write_simulated_archive(
    root: Path, *, edge: float, months: tuple[str, str] = MONTHS, instruments: Sequence[str] = (BTC,)
) -> None:
    """A small archive of simulated prices."""
    market = small_market(edge=edge, instruments=instruments)
    write_archive(root, market, instruments, months, metrics_days=1, progress=lambda _done, _total: None)


def copy_archive(source: Path, target: Path, months: Sequence[str], instrument: str = BTC) -> Path:
    """The months of one instrument out of an archive; returns `target`."""
    symbol = instrument.partition("-")[0]
    for path in [*source.glob("SIMULATED.json"), *source.glob(f"data/futures/um/*/*/{symbol}/**/*")]:
        if path.is_file() and (path.name == "SIMULATED.json" or any(month in path.name for month in months)):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    return target
