from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from helios_pipeline.adapters.postgres.heartbeats import HeartbeatStore
from helios_pipeline.core.status import EngineStatus, MarketStatus, StreamStatus

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STATUS = EngineStatus(
    account="DYDX-paper",
    network="paper",
    venue="DYDX",
    pid=1,
    epoch=3,
    started_at=NOW,
    told_at=NOW,
    trader_running=True,
    mode="ACTIVE",
    mode_who="",
    mode_why="",
    blocked=("stale trades",),
    champion=None,
    champion_note="none yet",
    quote_balance=Decimal("100000.00000001"),
    equity=Decimal("100001"),
    day_pnl=Decimal(1),
    height=None,
    reconciled_at=None,
    differences=(),
    sequence=12,
    copy_lag_seconds=0.25,
    markets=(
        MarketStatus(
            instrument_id="BTC-USD-PERP.DYDX",
            signal_instrument_id="BTCUSDT-PERP.BINANCE",
            quantity=Decimal("-0.5"),
            entry_price=Decimal(60000),
            mark_price=None,
            stop_price=None,
            unrealised=Decimal(0),
            signal=-1.25,
            outcome="hold",
            closed_at=NOW,
            unknown_orders=0,
        ),
    ),
    streams=(StreamStatus(stream="trades", instrument_id="x", age_seconds=None, limit_seconds=3.5),),
    counters={"orders": 4},
)


def test_what_an_engine_said_last_is_read_back_whole(database):
    store = HeartbeatStore(database.urls.live)
    assert store.read("DYDX-paper") is None

    store.write(STATUS)

    assert store.read("DYDX-paper") == STATUS


def test_a_newer_heartbeat_replaces_and_an_older_one_does_not(database):
    store = HeartbeatStore(database.urls.live)
    newer = replace(STATUS, told_at=NOW + timedelta(seconds=1))
    next_engine = replace(STATUS, epoch=4, told_at=NOW - timedelta(seconds=5))

    for status, wanted in ((newer, newer), (STATUS, newer), (next_engine, next_engine), (newer, next_engine)):
        store.write(status)
        assert store.read("DYDX-paper") == wanted
