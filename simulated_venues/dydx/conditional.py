"""When a conditional order wakes: the oracle price has reached its trigger."""

from fractions import Fraction

from simulated_venues.dydx.records import QUOTE_DECIMALS, Condition, Market, Order, Side

_ORACLE_DECIMALS = 8


def is_triggered(order: Order, market: Market, oracle_e8: int) -> bool:
    """Whether an oracle price (1e-8 USDC) wakes a conditional order.

    A stop-loss to sell and a take-profit to buy wake at or below their trigger, the others at or above it
    (v4-chain, `CanTrigger` in x/clob/types/order.go).
    """
    price = oracle_subticks(market, oracle_e8)
    if (order.condition is Condition.STOP_LOSS) == (order.side is Side.SELL):
        return price <= order.trigger_subticks
    return price >= order.trigger_subticks


def oracle_subticks(market: Market, oracle_e8: int) -> Fraction:
    """An oracle price in subticks, exact."""
    exponent = QUOTE_DECIMALS + market.atomic_resolution - market.quantum_conversion_exponent - _ORACLE_DECIMALS
    return oracle_e8 * Fraction(10) ** exponent
