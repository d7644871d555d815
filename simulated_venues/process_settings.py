"""Everything that a process with one venue in it is told, as JSON."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from helios_pipeline.core.errors import HeliosError, SettingsError
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.scenario import Scenario, scenario_of
from simulated_venues.settings import MarketSettings
from simulated_venues.sources import ReplaySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """A venue, its prices and what is to go wrong with it.

    Attributes:
        venue: how it behaves; says which venue it is.
        market: its prices, and how fast its time is.
        replay: recorded prices instead.
        scenario: faults over time, counted from the moment it listens.
        ahead_ms: how far ahead of the wall clock it is; for tests that look at tomorrow.
    """

    venue: BinanceSettings | DydxSettings
    market: MarketSettings
    replay: ReplaySettings | None = None
    scenario: Scenario = field(default_factory=Scenario)
    ahead_ms: int = 0

    @property
    def name(self) -> str:
        """`binance` or `dydx`."""
        return "binance" if isinstance(self.venue, BinanceSettings) else "dydx"

    def on_ports(self, port: int, grpc_port: int | None) -> "ProcessSettings":
        """The same venue on those ports."""
        if isinstance(self.venue, DydxSettings):
            return replace(self, venue=replace(self.venue, port=port, grpc_port=grpc_port or 0))
        return replace(self, venue=replace(self.venue, port=port))

    def to_json(self) -> bytes:
        """One line of JSON, which `read_settings` reads."""
        document = {
            self.name: self.venue,
            "market": self.market,
            "replay": self.replay,
            "scenario": self.scenario.rows(),
            "ahead_ms": self.ahead_ms,
        }
        return msgspec.json.encode(document, enc_hook=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    market: MarketSettings
    binance: BinanceSettings | None = None
    dydx: DydxSettings | None = None
    replay: ReplaySettings | None = None
    scenario: list[dict[str, Any]] = field(default_factory=list)
    ahead_ms: int = 0


def read_settings(text: bytes, venue: str) -> ProcessSettings:
    """The settings of one venue out of JSON.

    Args:
        text: keys `market`, `binance` or `dydx`, and if wanted `replay`, `scenario` and `ahead_ms`.
        venue: `binance` or `dydx`.

    Raises:
        SettingsError: the text is none of that.
    """
    try:
        document = msgspec.json.decode(text, type=_Document, dec_hook=_decode)
    except msgspec.MsgspecError as error:
        raise SettingsError(f"settings of simulated {venue}: expected JSON of them, found: {error}.") from None
    except HeliosError as error:
        raise SettingsError(f"settings of simulated {venue}: {error}") from None
    settings = document.binance if venue == "binance" else document.dydx
    if settings is None:
        raise SettingsError(f"settings of simulated {venue}: expected a table {venue}, found none.")
    return ProcessSettings(
        venue=settings,
        market=document.market,
        replay=document.replay,
        scenario=scenario_of(document.scenario, "of the settings").of(venue),
        ahead_ms=document.ahead_ms,
    )


def _decode(kind: type, value: object) -> object:
    if kind is Path:
        return Path(str(value))
    raise TypeError(f"expected {kind.__name__}, found {value!r}")
