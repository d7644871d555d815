"""How a position changes by a fill or a funding payment."""

from dataclasses import dataclass, replace

from simulated_venues.dydx.numbering import position_uuid
from simulated_venues.dydx.records import Market, Moment, Position, SubaccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionFill:
    """One side of a match, as its position sees it: `quantums` signed, positive if bought."""

    subaccount: SubaccountId
    market: Market
    quantums: int
    subticks: int
    event_id: str
    moment: Moment


def after_fill(position: Position | None, fill: PositionFill) -> tuple[Position, ...]:
    """The position after a fill; two if it crosses zero: the closed one, then the new one."""
    if position is None:
        return (_opened(fill, fill.quantums),)
    if (position.quantums > 0) == (fill.quantums > 0):
        return (_enlarged(position, fill),)
    closing = min(abs(fill.quantums), abs(position.quantums))
    reduced = _reduced(position, fill, closing)
    left = abs(fill.quantums) - closing
    if not left:
        return (reduced,)
    return reduced, _opened(fill, left if fill.quantums > 0 else -left)


def after_funding(position: Position, quote_quantums: int) -> Position:
    """The position after it received (positive) or paid (negative) funding."""
    return replace(position, funding_quote_quantums=position.funding_quote_quantums + quote_quantums)


def _opened(fill: PositionFill, quantums: int) -> Position:
    size = abs(quantums)
    return Position(
        position_id=position_uuid(fill.subaccount, fill.event_id),
        subaccount=fill.subaccount,
        clob_pair_id=fill.market.clob_pair_id,
        quantums=quantums,
        max_quantums=quantums,
        open_quantums=size,
        open_quote_quantums=fill.market.quote_quantums(size, fill.subticks),
        close_quantums=0,
        close_quote_quantums=0,
        funding_quote_quantums=0,
        opened=fill.moment,
        closed=None,
    )


def _enlarged(position: Position, fill: PositionFill) -> Position:
    quantums, size = position.quantums + fill.quantums, abs(fill.quantums)
    return Position(
        position_id=position.position_id,
        subaccount=position.subaccount,
        clob_pair_id=position.clob_pair_id,
        quantums=quantums,
        max_quantums=quantums if abs(quantums) > abs(position.max_quantums) else position.max_quantums,
        open_quantums=position.open_quantums + size,
        open_quote_quantums=position.open_quote_quantums + fill.market.quote_quantums(size, fill.subticks),
        close_quantums=position.close_quantums,
        close_quote_quantums=position.close_quote_quantums,
        funding_quote_quantums=position.funding_quote_quantums,
        opened=position.opened,
        closed=None,
    )


def _reduced(position: Position, fill: PositionFill, closing: int) -> Position:
    quantums = position.quantums + (closing if fill.quantums > 0 else -closing)
    return Position(
        position_id=position.position_id,
        subaccount=position.subaccount,
        clob_pair_id=position.clob_pair_id,
        quantums=quantums,
        max_quantums=position.max_quantums,
        open_quantums=position.open_quantums,
        open_quote_quantums=position.open_quote_quantums,
        close_quantums=position.close_quantums + closing,
        close_quote_quantums=position.close_quote_quantums + fill.market.quote_quantums(closing, fill.subticks),
        funding_quote_quantums=position.funding_quote_quantums,
        opened=position.opened,
        closed=None if quantums else fill.moment,
    )
