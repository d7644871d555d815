"""Liquidation: who falls below the maintenance requirement has its positions closed against the book.

Each block, position by position in the order of CLOB pair ids until the requirement is met again, an immediate order
for the whole position is matched at prices no worse than the fillable price:
`(PNNV − ABR × SMMR × PMMR) ÷ PS` with `ABR = 1 − TNC ÷ TMMR` within 0 and 1 and `SMMR` = 1.5. The account pays to the
insurance fund what it gets above its bankruptcy price, 1.5 % of the fill at most. Below that price the insurance fund
pays the account the difference; the fund has no bottom, so it may owe money, and nobody is deleveraged. What the book
does not take goes on in the next block, at the fillable price of then.

Source: v4-chain x/clob/keeper/liquidations.go; figures of dydx-mainnet-1. Limits per block are left out.
"""

from dataclasses import dataclass
from fractions import Fraction

from simulated_venues.dydx.block import PPM, Block
from simulated_venues.dydx.margin import Risk, risk_of
from simulated_venues.dydx.part import LIQUIDATED, TAKER, Part
from simulated_venues.dydx.records import Market, Position, Side

MAX_FEE_PPM = 15_000
SPREAD_TO_MAINTENANCE = Fraction(3, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidationFill:
    """Base and quote quantums of a fill, unsigned."""

    quantums: int
    quote_quantums: int


def liquidation_part(block: Block, market: Market, position: Position, risk: Risk) -> Part:
    """The order that closes a position, with the fillable price as its limit."""
    own = risk_of(0, [(market, position.quantums, block.oracle_e8(market))])
    is_long = position.quantums > 0
    return Part(
        position.subaccount,
        Side.SELL if is_long else Side.BUY,
        None,
        TAKER,
        LIQUIDATED,
        abs(position.quantums),
        _fillable_subticks(market, position.quantums, own, risk),
    )


def insurance_quote_quantums(
    market: Market, position: Position, oracle_e8: int, risk: Risk, fill: LiquidationFill
) -> int:
    """What the account pays to the insurance fund for a fill; negative: the fund pays.

    Args:
        market: where.
        position: before the fill.
        oracle_e8: oracle price.
        risk: of the whole subaccount before the fill.
        fill: quantums and quote quantums, unsigned.
    """
    sign = -1 if position.quantums > 0 else 1
    before = risk_of(0, [(market, position.quantums, oracle_e8)])
    after = risk_of(0, [(market, position.quantums + sign * fill.quantums, oracle_e8)])
    released = before.maintenance - after.maintenance
    bankruptcy = -(after.equity - before.equity) - risk.equity * released // risk.maintenance
    surplus = -sign * fill.quote_quantums - bankruptcy
    return min(surplus, fill.quote_quantums * MAX_FEE_PPM // PPM) if surplus > 0 else surplus


def _fillable_subticks(market: Market, quantums: int, own: Risk, risk: Risk) -> int:
    """The fillable price, rounded to a tick in the account's favour, one tick at least."""
    rating = min(Fraction(1), max(Fraction(0), 1 - Fraction(risk.equity, risk.maintenance)))
    quote_per_quantum = (own.equity - rating * SPREAD_TO_MAINTENANCE * own.maintenance) / quantums
    ticks = quote_per_quantum / Fraction(10) ** market.quantum_conversion_exponent / market.subticks_per_tick
    rounded = -(-ticks.numerator // ticks.denominator) if quantums > 0 else ticks.numerator // ticks.denominator
    return max(1, rounded) * market.subticks_per_tick
