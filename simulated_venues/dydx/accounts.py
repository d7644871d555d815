"""Whose money and positions: double entry, so that everybody's money together is zero at all times."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from simulated_venues.dydx.records import Position, SubaccountId
from simulated_venues.dydx.state import Holder, Table

_NONE: Mapping[int, Position] = MappingProxyType({})


@dataclass(slots=True)
class Accounts:
    """Balances in quote quantums, and open positions.

    Attributes:
        balances: of subaccounts and house accounts.
        positions: (subaccount, CLOB pair id) → open position.
    """

    balances: Table[Holder, int] = field(default_factory=Table)
    positions: Table[tuple[SubaccountId, int], Position] = field(default_factory=Table)
    _holdings: dict[SubaccountId, dict[int, Position]] = field(default_factory=dict)

    def move(self, source: Holder, target: Holder, quote_quantums: int) -> None:
        """Move money; a negative amount moves the other way."""
        if not quote_quantums:
            return
        rows = self.balances.rows
        self.balances.put(source, rows.get(source, 0) - quote_quantums)
        self.balances.put(target, rows.get(target, 0) + quote_quantums)

    def balance(self, holder: Holder) -> int:
        """Somebody's USDC, 0 if nothing is known of it."""
        return self.balances.rows.get(holder, 0)

    def total(self) -> int:
        """Everybody's money: zero."""
        return sum(self.balances.rows.values())

    def position(self, subaccount: SubaccountId, clob_pair_id: int) -> Position | None:
        """An open position."""
        return self.positions.rows.get((subaccount, clob_pair_id))

    def holding(self, subaccount: SubaccountId, clob_pair_id: int) -> int:
        """Signed quantums of a position, 0 for none."""
        position = self.positions.rows.get((subaccount, clob_pair_id))
        return position.quantums if position is not None else 0

    def holdings(self, subaccount: SubaccountId) -> Mapping[int, Position]:
        """CLOB pair id → open position."""
        return self._holdings.get(subaccount, _NONE)

    def positions_of(self, subaccount: SubaccountId) -> list[Position]:
        """A subaccount's open positions, by CLOB pair id."""
        return [position for _, position in sorted(self.holdings(subaccount).items())]

    def holders_of_positions(self) -> list[SubaccountId]:
        """Subaccounts with an open position, in order of owner and number."""
        return sorted(self._holdings, key=lambda each: (each.owner, each.number))

    def positions_of_pair(self, clob_pair_id: int) -> Iterator[Position]:
        """Open positions in a market, in order of owner and number."""
        for subaccount in self.holders_of_positions():
            position = self._holdings[subaccount].get(clob_pair_id)
            if position is not None:
                yield position

    def put_position(self, position: Position) -> None:
        """Set a position, or forget it if it is closed."""
        key = (position.subaccount, position.clob_pair_id)
        if position.quantums:
            self.positions.put(key, position)
            self._holdings.setdefault(position.subaccount, {})[position.clob_pair_id] = position
            return
        self.positions.drop(key)
        holdings = self._holdings.get(position.subaccount, {})
        holdings.pop(position.clob_pair_id, None)
        if not holdings:
            self._holdings.pop(position.subaccount, None)
