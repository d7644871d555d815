"""All that an exchange remembers, as rows: in full, as what changed, and filled again from rows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from simulated_venues.dydx.accounts import Accounts
from simulated_venues.dydx.fees import Volumes
from simulated_venues.dydx.liquidity import Liquidity
from simulated_venues.dydx.orders import Orders
from simulated_venues.dydx.records import Position
from simulated_venues.dydx.state import (
    Balance,
    Canceled,
    Change,
    Finished,
    Row,
    Taken,
    Volume,
    Working,
    changes,
    holder_text,
    order_text,
)


@dataclass(slots=True, kw_only=True)
class Memory:
    """Accounts, orders, what was taken of the background's levels, and volumes."""

    volumes: Volumes
    accounts: Accounts = field(default_factory=Accounts)
    orders: Orders = field(default_factory=Orders)
    liquidity: Liquidity = field(default_factory=Liquidity)

    def rows(self) -> list[Row]:
        """Everything, in no order."""
        rows: list[Row] = [
            Balance(holder=holder, quote_quantums=amount) for holder, amount in self.accounts.balances.rows.items()
        ]
        rows += self.accounts.positions.rows.values()
        rows += self.orders.working.rows.values()
        rows += self.orders.finished.rows.values()
        rows += self.orders.canceled.rows.values()
        rows += self.liquidity.taken.rows.values()
        rows += self.volumes.rows.rows.values()
        return rows

    def restore(self, rows: Iterable[Row]) -> None:
        """Take in rows, in any order; only for a memory that is empty."""
        orders: list[Working | Finished | Canceled] = []
        for row in rows:
            if isinstance(row, Balance):
                self.accounts.balances.put(row.holder, row.quote_quantums)
            elif isinstance(row, Position):
                self.accounts.put_position(row)
            elif isinstance(row, Taken):
                self.liquidity.taken.put((row.clob_pair_id, row.side, row.subticks), row)
            elif isinstance(row, Volume):
                self.volumes.add(row)
            else:
                orders.append(row)
        self.orders.restore(orders)
        self.take_changes()

    def take_changes(self) -> list[Change]:
        """Rows that changed since this was last asked."""
        return list(self._changes())

    def _changes(self) -> Iterator[Change]:
        accounts, orders = self.accounts, self.orders
        yield from changes(
            "balances", accounts.balances, holder_text, lambda key, row: Balance(holder=key, quote_quantums=row)
        )
        yield from changes(
            "positions", accounts.positions, lambda key: f"{holder_text(key[0])}/{key[1]}", lambda _, row: row
        )
        yield from changes("working", orders.working, order_text, lambda _, row: row)
        yield from changes("finished", orders.finished, order_text, lambda _, row: row)
        yield from changes("canceled", orders.canceled, order_text, lambda _, row: row)
        yield from changes("taken", self.liquidity.taken, lambda key: f"{key[0]}/{key[1]}/{key[2]}", lambda _, row: row)
        yield from changes("volumes", self.volumes.rows, lambda key: f"{key[0]}/{key[1]}", lambda _, row: row)
