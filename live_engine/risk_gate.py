"""The judge before every order: pure, so that each rule can be tried with numbers alone.

Unknown means no new risk. An order that can add to a position is refused while anything it depends on is unknown, old
or disagrees; an order that can only make a position smaller passes in every such state, and only the kill switch can
hold it back:

- ACTIVE: whatever meets the limits.
- REDUCING: orders that only reduce, whoever sends them: the strategy's exits, protective stops, flattening.
- HALTED: of those, flattening that a person asked for, and protective stops, which take effect only when the position
  would lose more. The strategy's own exits are refused: in HALTED a person decides.

An order only reduces if it is flagged so for the venue, which then holds it to that; or if it is no larger than what
is left of the position when every open order on its side has filled.
"""

from collections.abc import Callable
from decimal import Decimal

from helios_pipeline.core.status import StreamStatus
from helios_pipeline.core.trading import Purpose
from helios_pipeline.live_settings import RiskGateSection
from live_engine.gate_state import OWN, SIDES, GateState, OrderRequest, Refusal, only_reduces, worst_quantity

BPS = Decimal(10_000)
ALLOWED_WHEN_HALTED: frozenset[Purpose] = frozenset({"flatten", "stop"})


def judge(order: OrderRequest, state: GateState, limits: RiskGateSection) -> Refusal | None:
    """Whether an order may leave: the first gate that refuses it, or None."""
    reduces = only_reduces(order, state)
    if refusal := _mode_refusal(order, state, reduces):
        return refusal
    if reduces:
        return None
    for state_check in STATE_CHECKS:
        if refusal := state_check(order.instrument_id, state, limits):
            return refusal
    for order_check in ORDER_CHECKS:
        if refusal := order_check(order, state, limits):
            return refusal
    return None


def blocks(state: GateState, limits: RiskGateSection, instrument_id: str | None = None) -> tuple[Refusal, ...]:
    """Why any entry would be refused now, of one instrument or at all; empty if none would."""
    found = [] if state.mode == "ACTIVE" else [Refusal(gate="mode", why=_mode_text(state))]
    wanted = sorted(state.signals) if instrument_id is None else [instrument_id]
    for check in STATE_CHECKS:
        found += [refusal for each in wanted if (refusal := check(each, state, limits)) is not None]
    return tuple(dict.fromkeys(found))


def _mode_text(state: GateState) -> str:
    return f"{state.mode} by {state.mode_who or 'nobody known'}: {state.mode_why or 'no reason given'}"


def _mode_refusal(order: OrderRequest, state: GateState, reduces: bool) -> Refusal | None:
    if state.mode == "HALTED" and not (reduces and order.purpose in ALLOWED_WHEN_HALTED):
        return Refusal(gate="mode", why=f"{_mode_text(state)}. `helios flatten` closes, `helios resume` trades again")
    if state.mode == "REDUCING" and not reduces:
        return Refusal(gate="mode", why=f"{_mode_text(state)}. `helios resume` allows entries again")
    return None


def _other(instrument_id: str, state: GateState, limits: RiskGateSection) -> Refusal | None:  # noqa: ARG001
    return Refusal(gate=OWN, why="; ".join(state.others)) if state.others else None


def _reconciliation(instrument_id: str, state: GateState, limits: RiskGateSection) -> Refusal | None:  # noqa: ARG001
    if state.differences:
        return Refusal(gate="reconciliation", why="; ".join(state.differences))
    if not state.reconciled:
        return Refusal(gate="reconciliation", why="the account has not been compared with its venue yet")
    return None


def _unknown_order(instrument_id: str, state: GateState, limits: RiskGateSection) -> Refusal | None:  # noqa: ARG001
    if instrument_id not in state.unknown:
        return None
    return Refusal(
        gate="unknown_order",
        why=f"{instrument_id} has an order whose outcome is unknown; wait until the venue shows it or can't fill it",
    )


def _streams(instrument_id: str, state: GateState, limits: RiskGateSection) -> Refusal | None:  # noqa: ARG001
    signal = state.signals.get(instrument_id)
    if signal is None:
        return Refusal(gate="instrument", why=f"{instrument_id} is none of the traded ones in [[live_instruments]]")
    wanted = {("trades", signal), ("klines", signal), ("quotes", instrument_id), ("mark", instrument_id)}
    if unheard := sorted(wanted - {(each.stream, each.instrument_id) for each in state.streams}):
        stream, whose = unheard[0]
        return Refusal(gate=f"stale_{stream}", why=f"nobody listens to {stream} of {whose}")
    for each in state.streams:
        if each.stale and each.instrument_id in (signal, instrument_id, ""):
            return Refusal(gate=f"stale_{each.stream}", why=_stale_text(each))
    return None


def _stale_text(stream: StreamStatus) -> str:
    whose = f" of {stream.instrument_id}" if stream.instrument_id else ""
    heard = "never heard" if stream.age_seconds is None else f"{stream.age_seconds:.1f} s old"
    return f"{stream.stream}{whose}: {heard}, at most {stream.limit_seconds} s allowed"


def _clock(instrument_id: str, state: GateState, limits: RiskGateSection) -> Refusal | None:  # noqa: ARG001
    if state.clock_skew_ms is None:
        return Refusal(gate="clock_skew", why="no venue has told its time yet")
    if abs(state.clock_skew_ms) > limits.max_clock_skew_ms:
        return Refusal(
            gate="clock_skew",
            why=f"this clock is {state.clock_skew_ms:.0f} ms off, at most {limits.max_clock_skew_ms} ms allowed",
        )
    return None


def _copy_lag(instrument_id: str, state: GateState, limits: RiskGateSection) -> Refusal | None:  # noqa: ARG001
    if state.copy_lag_seconds <= limits.max_copy_lag_seconds:
        return None
    return Refusal(
        gate="copy_lag",
        why=f"PostgreSQL is {state.copy_lag_seconds:.0f} s behind, at most {limits.max_copy_lag_seconds:.0f} s allowed",
    )


def _daily_loss(instrument_id: str, state: GateState, limits: RiskGateSection) -> Refusal | None:  # noqa: ARG001
    if state.equity is None or state.day_start_equity is None or state.day_start_equity <= 0:
        return Refusal(gate="daily_loss", why="the account's equity, now or at 00:00 UTC, is not known")
    lost = 1 - state.equity / state.day_start_equity
    if lost < limits.max_daily_loss_fraction:
        return None
    return Refusal(
        gate="daily_loss",
        why=f"{lost:.2%} of the equity at 00:00 UTC is lost, the limit is {limits.max_daily_loss_fraction:.2%}",
    )


def _losses_in_a_row(instrument_id: str, state: GateState, limits: RiskGateSection) -> Refusal | None:  # noqa: ARG001
    if state.losses_in_a_row < limits.max_consecutive_losses:
        return None
    return Refusal(
        gate="losses_in_a_row",
        why=f"{state.losses_in_a_row} round trips in a row lost, the limit is {limits.max_consecutive_losses}; "
        "`helios resume` counts anew",
    )


def _order_rate(instrument_id: str, state: GateState, limits: RiskGateSection) -> Refusal | None:  # noqa: ARG001
    if state.orders_last_minute < limits.max_orders_per_minute:
        return None
    return Refusal(
        gate="order_rate",
        why=f"{state.orders_last_minute} orders in the last minute, the limit is {limits.max_orders_per_minute}",
    )


def _price_band(order: OrderRequest, state: GateState, limits: RiskGateSection) -> Refusal | None:
    mark = state.marks.get(order.instrument_id)
    if mark is None or mark <= 0 or order.price is None:
        missing = "mark price" if mark is None or mark <= 0 else "price to send it at"
        return Refusal(gate="price_band", why=f"{order.instrument_id} has no {missing}")
    away = abs(order.price / mark - 1) * BPS
    if away <= limits.price_band_bps:
        return None
    return Refusal(
        gate="price_band",
        why=f"{SIDES[order.side]} at {order.price} is {away:.0f} bps from the mark {mark}, "
        f"at most {limits.price_band_bps} bps allowed",
    )


def _order_notional(order: OrderRequest, state: GateState, limits: RiskGateSection) -> Refusal | None:
    notional = order.quantity * max(state.marks[order.instrument_id], order.price or Decimal(0))
    return _too_large("order_notional", notional, limits.max_order_notional_quote)


def _market_notional(order: OrderRequest, state: GateState, limits: RiskGateSection) -> Refusal | None:
    notional = worst_quantity(order.instrument_id, state, order) * state.marks[order.instrument_id]
    return _too_large("market_notional", notional, limits.max_market_notional_quote)


def _gross(order: OrderRequest, state: GateState, limits: RiskGateSection) -> Refusal | None:
    gross = Decimal(0)
    held = {each for each, quantity in state.positions.items() if quantity}
    for instrument_id in held | {each.instrument_id for each in state.open_quantities} | {order.instrument_id}:
        mark = state.marks.get(instrument_id)
        if mark is None:
            return Refusal(gate="gross_notional", why=f"{instrument_id} is held and has no mark price")
        gross += worst_quantity(instrument_id, state, order) * mark
    equity = state.equity or Decimal(0)
    if equity <= 0 or gross > limits.max_leverage * equity:
        return Refusal(
            gate="leverage",
            why=f"{gross:.2f} in positions and open orders on {equity:.2f} of equity, "
            f"at most {limits.max_leverage} × allowed",
        )
    return _too_large("gross_notional", gross, limits.max_gross_notional_quote)


def _too_large(gate: str, found: Decimal, limit: Decimal) -> Refusal | None:
    return Refusal(gate=gate, why=f"{found:.2f}, at most {limit} allowed") if found > limit else None


STATE_CHECKS: tuple[Callable[[str, GateState, RiskGateSection], Refusal | None], ...] = (
    _other,
    _reconciliation,
    _unknown_order,
    _streams,
    _clock,
    _copy_lag,
    _daily_loss,
    _losses_in_a_row,
    _order_rate,
)
"""Gates that look at the state alone."""

ORDER_CHECKS: tuple[Callable[[OrderRequest, GateState, RiskGateSection], Refusal | None], ...] = (
    _price_band,
    _order_notional,
    _market_notional,
    _gross,
)
"""Gates that look at the order too; those behind the price band may rely on a mark price."""
