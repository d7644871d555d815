"""Decisions of the strategy as journal records, and back."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from helios_pipeline.core.records import QUANTA_PER_UNIT
from helios_pipeline.core.trading import Decision
from helios_pipeline.execution.traded_market import TradedMarket
from helios_pipeline.strategy.desk import BoundaryDecision

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def nanoseconds(instant: datetime) -> int:
    """Since 1970, exact to the microsecond that an instant has."""
    return (instant - _EPOCH) // _MICROSECOND * 1000


def instant_of(stamp_ns: int) -> datetime:
    """An instant, its rest below a microsecond dropped."""
    return _EPOCH + timedelta(microseconds=stamp_ns // 1000)


def money(quanta: int) -> Decimal:
    """Quanta of 1e-8 as an exact amount."""
    return Decimal(quanta).scaleb(-8)


def quanta(amount: Decimal) -> int:
    """An amount as whole quanta of 1e-8, a rest rounded down."""
    return math.floor(amount * QUANTA_PER_UNIT)


def decision_records(
    decided: BoundaryDecision, markets: Sequence[TradedMarket], account: str, interval: timedelta
) -> tuple[Decision, ...]:
    """One record for each market that decided.

    Args:
        decided: by the strategy.
        markets: in its order.
        account: of the orders.
        interval: length of a bar.
    """
    closed_at = instant_of(decided.closed_at)
    features, given = decided.features, decided.account
    records = []
    for one in decided.markets:
        m, market = one.market, markets[one.market]
        records.append(
            Decision(
                account=account,
                instrument_id=market.instrument_id,
                signal_instrument_id=market.signal_instrument_id,
                opened_at=closed_at - interval,
                closed_at=closed_at,
                decided_at=instant_of(decided.decided_at),
                manifest_hash=one.manifest_hash,
                z_price=_value(features.z_price[m]),
                z_funding=_value(features.z_funding[m]),
                volatility=_value(features.volatility[m]),
                atr=_value(features.atr[m]),
                close=decided.closes[m] * market.signal_tick if one.has_bar else None,
                position_side=one.state.position,
                position_lots=one.lots,
                bars_held=int(one.state.bars_held),
                may_enter=bool(one.state.may_enter),
                leaving=one.leaving,
                equity=money(given.equity),
                gross_kept=money(given.gross_kept),
                open_kept=given.open_kept,
                mode=decided.mode,
                late=decided.late,
                wanted=one.wanted,
                outcome=one.outcome,
                lots=one.entry_lots,
            )
        )
    return tuple(records)


def _value(number: float) -> float | None:
    return None if math.isnan(number) else float(number)
