"""How many stateful orders a subaccount may have open.

Limits: docs.dydx.xyz, "Equity tier limits", 2025. Short-term orders have none.
"""

_USDC = 10**6
STATEFUL_LIMITS = (
    (0, 0),
    (20 * _USDC, 10),
    (100 * _USDC, 20),
    (1_000 * _USDC, 40),
    (10_000 * _USDC, 100),
    (100_000 * _USDC, 200),
)
"""(equity in quote quantums, orders), from the smallest on."""


def stateful_limit(equity_quote_quantums: int) -> int:
    """Stateful orders that may be open with an equity."""
    limit = 0
    for equity, orders in STATEFUL_LIMITS:
        if equity_quote_quantums < equity:
            break
        limit = orders
    return limit
