"""What a running engine says of itself: its heartbeat file, `helios status`, the terminal view and the metrics."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from helios_pipeline.core.keys import Network
from helios_pipeline.core.trading import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStatus:
    """How old the newest of a stream is.

    Attributes:
        stream: `trades`, `klines`, `quotes`, `mark`, `funding` or `blocks`.
        instrument_id: whose; empty for a venue's own.
        age_seconds: since the newest arrived; None if none has.
        limit_seconds: beyond which entries are refused; None for no limit.
    """

    stream: str
    instrument_id: str
    age_seconds: float | None
    limit_seconds: float | None

    @property
    def stale(self) -> bool:
        """Whether it blocks entries."""
        return self.limit_seconds is not None and (self.age_seconds is None or self.age_seconds > self.limit_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketStatus:
    """One traded instrument.

    Attributes:
        instrument_id, signal_instrument_id: traded and heard.
        quantity: signed position, in base currency.
        entry_price, mark_price, stop_price: None where there is none.
        unrealised: at the mark price.
        signal: `s` of the last decision; None for no value.
        outcome: of the last decision; empty before the first.
        closed_at: of the last deciding bar.
        unknown_orders: intents without a known outcome.
    """

    instrument_id: str
    signal_instrument_id: str
    quantity: Decimal
    entry_price: Decimal | None
    mark_price: Decimal | None
    stop_price: Decimal | None
    unrealised: Decimal
    signal: float | None
    outcome: str
    closed_at: datetime | None
    unknown_orders: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """The engine at one moment.

    Attributes:
        account, network, venue: what is traded.
        pid, epoch, started_at, told_at: which engine says so, and when.
        trader_running: whether NautilusTrader's trader runs.
        mode, mode_who, mode_why: of the kill switch.
        blocked: why entries are refused now; empty when they are not.
        champion: hash of the manifest in force; None for none.
        champion_note: why there is none, or why the last one offered was refused; else empty.
        quote_balance, equity, day_pnl: by the journal's books, at mark prices; day from 00:00 UTC.
        height: the venue's block; None where there are none.
        reconciled_at: last agreement of journal, NautilusTrader and venue; None for never.
        differences: of the last comparison; empty when it agreed.
        sequence: of the newest journal record.
        copy_lag_seconds: of PostgreSQL behind the local log; 0 when it has everything.
        markets, streams: one entry each.
        counters: orders, fills, refusals, reconnects, … since the start.
    """

    account: str
    network: Network
    venue: str
    pid: int
    epoch: int
    started_at: datetime
    told_at: datetime
    trader_running: bool
    mode: Mode
    mode_who: str
    mode_why: str
    blocked: tuple[str, ...]
    champion: str | None
    champion_note: str
    quote_balance: Decimal
    equity: Decimal
    day_pnl: Decimal
    height: int | None
    reconciled_at: datetime | None
    differences: tuple[str, ...]
    sequence: int
    copy_lag_seconds: float
    markets: tuple[MarketStatus, ...]
    streams: tuple[StreamStatus, ...]
    counters: dict[str, int]
