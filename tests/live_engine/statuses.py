"""Statuses of engines, as tests need them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from helios_pipeline.core.status import EngineStatus, MarketStatus, StreamStatus

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def market(instrument: str = "BTC-USD-PERP.DYDX", **changes: Any) -> MarketStatus:
    made = MarketStatus(
        instrument_id=instrument,
        signal_instrument_id="BTCUSDT-PERP.BINANCE",
        quantity=Decimal("-0.25"),
        entry_price=Decimal("61000.5"),
        mark_price=Decimal("60990"),
        stop_price=Decimal("63000"),
        unrealised=Decimal("2.625"),
        signal=2.25,
        outcome="enter",
        closed_at=NOW - timedelta(seconds=900),
        unknown_orders=0,
    )
    return replace(made, **changes)


def stream(name: str = "trades", instrument: str = "BTCUSDT-PERP.BINANCE", **changes: Any) -> StreamStatus:
    return replace(StreamStatus(stream=name, instrument_id=instrument, age_seconds=0.5, limit_seconds=60.0), **changes)


def status(**changes: Any) -> EngineStatus:
    made = EngineStatus(
        account="DYDX-paper",
        network="paper",
        venue="DYDX",
        pid=4711,
        epoch=3,
        started_at=NOW - timedelta(hours=2),
        told_at=NOW,
        trader_running=True,
        mode="ACTIVE",
        mode_who="",
        mode_why="",
        blocked=(),
        champion="ab" * 32,
        champion_note="",
        quote_balance=Decimal("115250.125"),
        equity=Decimal("100002.625"),
        day_pnl=Decimal("2.625"),
        height=12_345,
        reconciled_at=NOW - timedelta(seconds=12),
        differences=(),
        sequence=812,
        copy_lag_seconds=0.0,
        markets=(market(),),
        streams=(stream(), stream("blocks", "", age_seconds=1.25, limit_seconds=15.0)),
        counters={"orders": 12, "fills": 11, "refusals": 1},
    )
    return replace(made, **changes)
