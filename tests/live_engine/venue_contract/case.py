"""What the contract suite is run on: a venue, how it is chosen in the settings, and what it is known to charge."""

import json
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path

from helios_pipeline.live_settings import LiveSection, LiveVenuesSection, TradedInstrumentSection
from live_engine.venues import VenueChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueCase:
    """One venue under test. A new venue is a new case: see `docs/adapters.md`.

    Attributes:
        network, venue: as in `[live]`.
        instrument_id: what is traded.
        quantity: of an entry, above the venue's minimum.
        taker_fee_fraction: that the venue charges for it.
        funding_interval_seconds: between its settlements.
        addresses: keys of `[live_venues]` that differ from those of the real venues.
        environment: where keys come from; nothing on paper.
    """

    network: str
    venue: str
    instrument_id: str
    quantity: str
    taker_fee_fraction: str
    funding_interval_seconds: int
    addresses: dict[str, str | bool] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def choice(self) -> VenueChoice:
        """What an engine with this venue in its settings would choose."""
        return VenueChoice(
            live=LiveSection(
                network=self.network,
                venue=self.venue,
                signal_venue="BINANCE",
                bar_seconds=15,
                funding_interval_seconds=self.funding_interval_seconds,
                paper_equity_quote=Decimal(100_000),
                grace_seconds=2.0,
                late_seconds=10.0,
                kline_seconds=10.0,
                slippage_bps=Decimal(100),
                good_til_blocks=10,
                reconcile_seconds=30.0,
                heartbeat_seconds=1.0,
                metrics_port=0,
            ),
            addresses=LiveVenuesSection(**(_REAL | self.addresses)),
            instruments=(
                TradedInstrumentSection(
                    signal="BTCUSDT-PERP.BINANCE",
                    trade=self.instrument_id,
                    maker_fee_fraction=Decimal("0.0001"),
                    taker_fee_fraction=Decimal(self.taker_fee_fraction),
                ),
            ),
        )

    def write(self, path: Path) -> None:
        """Hand it to another process."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "VenueCase":
        return cls(**json.loads(path.read_text()))


_REAL: dict[str, str | bool | int] = {
    "binance_http": "https://fapi.binance.com",
    "binance_ws": "wss://fstream.binance.com",
    "dydx_http": "https://indexer.dydx.trade",
    "dydx_ws": "wss://indexer.dydx.trade/v4/ws",
    "dydx_grpc": "dydx-ops-grpc.kingnodes.com:443",
    "dydx_grpc_tls": False,
    "dydx_chain_id": "dydx-mainnet-1",
    "dydx_subaccount": 0,
}
