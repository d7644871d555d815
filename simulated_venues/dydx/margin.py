"""What a subaccount must have: equity against initial and maintenance requirement.

Equity is its USDC and the value of its positions at oracle prices. A requirement is the sum over its positions of
notional × fraction, each rounded up. The growth of fractions with open interest is left out.
Source: v4-chain x/subaccounts/lib/updates.go, lib/margin/risk.go, x/perpetuals/lib/lib.go.
"""

from collections.abc import Iterable
from typing import NamedTuple

from simulated_venues.dydx.block import PPM
from simulated_venues.dydx.records import Market


class Risk(NamedTuple):
    """Equity, initial and maintenance requirement, in quote quantums."""

    equity: int
    initial: int
    maintenance: int

    @property
    def free_collateral(self) -> int:
        """What may still be bound, or withdrawn; negative below the initial requirement."""
        return self.equity - self.initial

    @property
    def is_liquidatable(self) -> bool:
        """Whether others may close its positions."""
        return self.maintenance > 0 and self.equity < self.maintenance


def risk_of(usdc: int, holdings: Iterable[tuple[Market, int, int]]) -> Risk:
    """Risk of a balance and holdings: (market, signed quantums, oracle price in 1e-8)."""
    equity, initial, maintenance = usdc, 0, 0
    for market, quantums, oracle_e8 in holdings:
        value = market.oracle_value(quantums, oracle_e8)
        notional = abs(value)
        equity += value
        initial += -(-notional * market.initial_margin_ppm // PPM)
        maintenance += -(-notional * market.maintenance_margin_ppm // PPM)
    return Risk(equity, initial, maintenance)


def is_allowed(before: Risk, after: Risk) -> bool:
    """Whether a subaccount may go from one risk to the other.

    It may when it has its initial requirement afterwards, or else when its maintenance requirement does not grow and
    equity ÷ maintenance does not fall (v4-chain, `IsValidStateTransitionForUndercollateralizedSubaccount`).
    """
    if after.equity >= after.initial:
        return True
    if after.maintenance > before.maintenance:
        return False
    if after.maintenance == 0 or before.maintenance == 0:
        return after.maintenance == 0 and before.maintenance == 0 and after.equity > before.equity
    return after.equity * before.maintenance >= before.equity * after.maintenance
