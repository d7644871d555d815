"""Funding: at every settlement, long pays short (or the other way) its notional at the oracle price × the rate.

What a position receives is rounded down and what it pays is rounded up, to whole quote quantums, so that no money is
made; what is left over stays in the pool (v4-chain x/perpetuals, `GetSettlementPpm`, and its rounding of settlements).
The protocol settles a position when it is next touched; here all are settled at the instant.
"""

from simulated_venues.dydx.block import Block
from simulated_venues.dydx.positions import after_funding
from simulated_venues.dydx.records import FundingPaid, FundingSettled, Market, Moment, PositionChanged
from simulated_venues.dydx.settlement import Settlement
from simulated_venues.dydx.state import House

_RATE_DECIMALS = 12


def settlement_instants(previous: Moment, moment: Moment, interval_ms: int) -> list[int]:
    """Multiples of the interval since 1970 in (previous, moment], milliseconds."""
    first = previous.at_ms // interval_ms + 1
    return [each * interval_ms for each in range(first, moment.at_ms // interval_ms + 1)]


def payment_quote_quantums(market: Market, quantums: int, oracle_e8: int, rate_e12: int) -> int:
    """What a position of signed quantums receives; negative: pays. Rounded towards minus infinity."""
    exponent = market.atomic_resolution + 6 - 8 - _RATE_DECIMALS
    amount = -quantums * oracle_e8 * rate_e12
    return int(amount // 10**-exponent if exponent < 0 else amount * 10**exponent)


def settle(block: Block, settlement: Settlement, at_ms: int) -> None:
    """Settle an instant in every market, in the order of their CLOB pair ids."""
    for _, market in sorted(settlement.markets.items()):
        _settle_market(block, settlement, market, at_ms)


def _settle_market(block: Block, settlement: Settlement, market: Market, at_ms: int) -> None:
    accounts, pair = settlement.accounts, market.clob_pair_id
    rate, oracle = block.background.funding_rate_e12(market, at_ms), block.oracle_at(market, at_ms)
    block.events.append(FundingSettled(clob_pair_id=pair, rate_e12=rate, oracle_e8=oracle, moment=block.moment))
    for position in list(accounts.positions_of_pair(pair)):
        amount = payment_quote_quantums(market, position.quantums, oracle, rate)
        accounts.move(House.FUNDING_POOL, position.subaccount, amount)
        changed = after_funding(position, amount)
        accounts.put_position(changed)
        block.events.append(
            FundingPaid(
                subaccount=position.subaccount,
                clob_pair_id=pair,
                quantums=position.quantums,
                rate_e12=rate,
                oracle_e8=oracle,
                quote_quantums=amount,
                moment=block.moment,
            )
        )
        block.events.append(PositionChanged(position=changed, moment=block.moment))
        settlement.tell_balance(block, position.subaccount)
