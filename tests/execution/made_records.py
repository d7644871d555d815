"""Journal records of one account, with what a test does not care about filled in."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from helios_pipeline.core.trading import (
    AccountSnapshot,
    Decision,
    FundingPayment,
    Intent,
    OrderEvent,
    Transfer,
    VenueFill,
)

ACCOUNT = "DYDX-paper"
BTC, ETH = "BTC-USD-PERP.DYDX", "ETH-USD-PERP.DYDX"
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def fill(number, side, quantity, price, *, fee="0", minute=None, instrument=BTC, order=None) -> VenueFill:
    return VenueFill(
        account=ACCOUNT,
        instrument_id=instrument,
        venue_fill_id=str(number),
        venue_order_id=f"venue-{order}",
        client_order_id=order,
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(price),
        fee=Decimal(fee),
        liquidity="taker",
        filled_at=at(number if minute is None else minute),
    )


def funding(minute, amount, instrument=BTC) -> FundingPayment:
    return FundingPayment(
        account=ACCOUNT,
        instrument_id=instrument,
        settled_at=at(minute),
        rate=Decimal("0.0001"),
        position_quantity=Decimal(1),
        price=Decimal(100),
        amount=Decimal(amount),
    )


def transfer(name, amount, minute=0) -> Transfer:
    return Transfer(
        account=ACCOUNT, transfer_id=name, amount=Decimal(amount), reason="deposit", transferred_at=at(minute)
    )


def intent(order, quantity="1", *, side=1, instrument=BTC, purpose="entry") -> Intent:
    return Intent(
        account=ACCOUNT,
        instrument_id=instrument,
        client_order_id=order,
        venue_client_id=7,
        side=side,
        kind="market",
        quantity=Decimal(quantity),
        limit_price=Decimal(100),
        trigger_price=None,
        reduce_only=False,
        purpose=purpose,
        reason="signal",
        boundary=START,
        atr=1.5,
        good_til_block=10,
        intended_at=START,
    )


def event(order, state, *, reason="", venue_order_id=None, minute=0) -> OrderEvent:
    return OrderEvent(
        account=ACCOUNT,
        client_order_id=order,
        state=state,
        venue_order_id=venue_order_id,
        reason=reason,
        occurred_at=at(minute),
    )


def snapshot(equity, taken_at) -> AccountSnapshot:
    return AccountSnapshot(account=ACCOUNT, quote_balance=Decimal(equity), equity=Decimal(equity), taken_at=taken_at)


def decision(bar, *, instrument=BTC, outcome="hold") -> Decision:
    opened = START + bar * timedelta(minutes=15)
    return Decision(
        account=ACCOUNT,
        instrument_id=instrument,
        signal_instrument_id="BTCUSDT-PERP.BINANCE",
        opened_at=opened,
        closed_at=opened + timedelta(minutes=15),
        decided_at=opened + timedelta(minutes=15, seconds=1),
        manifest_hash="ab",
        z_price=0.1 + 0.2,
        z_funding=None,
        volatility=0.5,
        atr=12.25,
        close=Decimal("60000.5"),
        position_side=0,
        position_lots=0,
        bars_held=0,
        may_enter=True,
        leaving="",
        equity=Decimal("100000"),
        gross_kept=Decimal(0),
        open_kept=0,
        mode="ACTIVE",
        late=False,
        wanted=0,
        outcome=outcome,
        lots=0,
    )
