"""The tables of `helios.toml` that engine and watchdog read. Keys and webhooks come from the environment."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from helios_pipeline.core.keys import Network
from helios_pipeline.section import InstrumentId, NotNegative, Port, Positive, Section, like

RAW_KLINES_PER_BAR = 15
"""A bar is made of so many of the signal venue's klines: 1m for bars of 15 minutes, 1s in the fast world."""

Seconds = Annotated[float, Field(gt=0)]
VenueName = Literal["BINANCE", "DYDX"]


def _bar_seconds(value: int) -> int:
    if value // RAW_KLINES_PER_BAR not in (1, 60) or value % RAW_KLINES_PER_BAR:
        raise ValueError("900, or 15 in a market that is 60 times as fast")
    return value


class LiveSection(Section):
    """What is traded where, and when a bar may be used."""

    network: Network
    venue: VenueName
    signal_venue: VenueName
    bar_seconds: Annotated[int, AfterValidator(_bar_seconds)]
    funding_interval_seconds: Annotated[int, Field(ge=1)]
    paper_equity_quote: Positive
    grace_seconds: Seconds
    late_seconds: Seconds
    kline_seconds: Seconds
    slippage_bps: NotNegative
    good_til_blocks: Annotated[int, Field(ge=1, le=40)]
    reconcile_seconds: Seconds
    heartbeat_seconds: Seconds
    metrics_port: Port

    @property
    def bar(self) -> timedelta:
        """Length of a bar."""
        return timedelta(seconds=self.bar_seconds)

    @property
    def raw_kline_seconds(self) -> int:
        """Length of the klines that a bar is made of."""
        return self.bar_seconds // RAW_KLINES_PER_BAR


class TradedInstrumentSection(Section):
    """Which contract is traded on what another contract's prices say."""

    signal: InstrumentId
    trade: Annotated[str, AfterValidator(like("BTC-USD-PERP.DYDX", r"[A-Z0-9]+(-USD)?-PERP\.[A-Z]+"))]
    maker_fee_fraction: Annotated[NotNegative, Field(lt=1)]
    taker_fee_fraction: Annotated[NotNegative, Field(lt=1)]


class LiveVenuesSection(Section):
    """Where venues are; each address can come from the environment too."""

    binance_http: str
    binance_ws: str
    dydx_http: str
    dydx_ws: str
    dydx_grpc: str
    dydx_grpc_tls: bool
    dydx_chain_id: str
    dydx_subaccount: Annotated[int, Field(ge=0, le=128_000)]


class RiskGateSection(Section):
    """What an order must meet. Orders that only make a position smaller pass, whatever else is wrong."""

    max_order_notional_quote: Positive
    max_leverage: Positive
    max_gross_notional_quote: Positive
    max_market_notional_quote: Positive
    max_orders_per_minute: Annotated[int, Field(ge=1)]
    price_band_bps: Positive
    max_daily_loss_fraction: Annotated[Positive, Field(lt=1)]
    max_consecutive_losses: Annotated[int, Field(ge=1)]
    stale_trades_seconds: Seconds
    stale_klines_seconds: Seconds
    stale_quotes_seconds: Seconds
    stale_mark_seconds: Seconds
    stale_block_seconds: Seconds
    max_clock_skew_ms: Annotated[int, Field(ge=1)]
    max_copy_lag_seconds: Seconds


class WatchdogSection(Section):
    """When the watchdog speaks, and when it starts a dead engine again."""

    stale_heartbeat_seconds: Seconds
    start_seconds: Seconds
    first_backoff_seconds: Seconds
    longest_backoff_seconds: Seconds
    max_starts: Annotated[int, Field(ge=1)]
    within_minutes: Annotated[float, Field(gt=0)]
    webhook_format: Literal["helios", "slack", "discord"]
    repeat_minutes: Annotated[float, Field(gt=0)]
