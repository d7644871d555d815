"""What the indexer knows of accounts, from the events of committed blocks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from simulated_venues.clock import iso
from simulated_venues.dydx.documents import (
    Json,
    balance_document,
    fill_document,
    name_uuid,
    order_document,
    payment_document,
    position_document,
    text,
    transfer_document,
    usdc,
)
from simulated_venues.dydx.numbering import order_uuid, subaccount_uuid
from simulated_venues.dydx.records import (
    BalanceChanged,
    Filled,
    FundingPaid,
    Market,
    Moment,
    OrderChanged,
    OrderStatus,
    Position,
    PositionChanged,
    SubaccountId,
    Transferred,
)

PARENTS = 128
"""Subaccounts n, n + 128, n + 256, … belong to the parent n; n below 128 is its own parent as well."""

_PPM = 1_000_000
_FINAL = {OrderStatus.FILLED.value, OrderStatus.CANCELED.value}

Oracle = Callable[[Market], int]
"""Oracle price in 1e-8 USDC."""


@dataclass(slots=True)
class Account:
    """A subaccount as the indexer has it; documents as REST serves them, oldest first.

    Attributes:
        quote_quantums: its USDC in 1e-6.
        net_transfers: what came in less what went out, 1e-6 USDC.
        updated_at_height: block of the last change.
        positions: by position id, closed ones too.
        ticks: equity and result at the ends of funding intervals.
    """

    subaccount: SubaccountId
    quote_quantums: int = 0
    net_transfers: int = 0
    updated_at_height: int = 0
    orders: dict[str, Json] = field(default_factory=dict)
    fills: list[Json] = field(default_factory=list)
    positions: dict[str, Position] = field(default_factory=dict)
    transfers: list[Json] = field(default_factory=list)
    payments: list[Json] = field(default_factory=list)
    ticks: list[Json] = field(default_factory=list)

    def open_positions(self) -> Iterator[Position]:
        """Positions that are not closed."""
        return (position for position in self.positions.values() if position.closed is None)


@dataclass(slots=True)
class Ledger:
    """All subaccounts.

    Attributes:
        markets: by CLOB pair id.
    """

    markets: Mapping[int, Market]
    accounts: dict[SubaccountId, Account] = field(default_factory=dict)
    _orders: dict[str, Account] = field(default_factory=dict)

    def account(self, subaccount: SubaccountId) -> Account:
        """The account of a subaccount that something happens to."""
        return self.accounts.setdefault(subaccount, Account(subaccount))

    def of_address(self, address: str) -> list[Account]:
        """All subaccounts of an address, by number."""
        found = [account for subaccount, account in self.accounts.items() if subaccount.owner == address]
        return sorted(found, key=lambda account: account.subaccount.number)

    def of_parent(self, address: str, number: int) -> list[Account]:
        """The subaccounts of a parent."""
        return [each for each in self.of_address(address) if each.subaccount.number % PARENTS == number]

    def order(self, order_id: str) -> Json | None:
        """An order by the indexer's id."""
        account = self._orders.get(order_id)
        return None if account is None else account.orders[order_id]

    def change_order(self, change: OrderChanged) -> Json | None:
        """Write an order; None if the change comes too late to say anything."""
        order_id = order_uuid(change.order.order_id)
        account = self.account(change.order.order_id.subaccount)
        known = account.orders.get(order_id)
        late = known is not None and known["status"] in _FINAL and change.status is OrderStatus.BEST_EFFORT_CANCELED
        if late:
            return None
        renewed = known is None or change.status is OrderStatus.BEST_EFFORT_OPENED
        created = change.moment.height if known is None or renewed else int(str(known["createdAtHeight"]))
        document = order_document(change, self.markets[change.order.order_id.clob_pair_id], created)
        if renewed:
            account.orders.pop(order_id, None)
        account.orders[order_id] = document
        self._orders[order_id] = account
        return document

    def add_fill(self, fill: Filled) -> Json:
        """Write a fill."""
        document = fill_document(fill, self.markets[fill.clob_pair_id])
        self._touched(fill.subaccount, fill.moment).fills.append(document)
        return document

    def change_position(self, change: PositionChanged) -> None:
        """Write a position."""
        position = change.position
        self._touched(position.subaccount, change.moment).positions[position.position_id] = position

    def change_balance(self, change: BalanceChanged) -> None:
        """Write a balance."""
        self._touched(change.subaccount, change.moment).quote_quantums = change.quote_quantums

    def add_payment(self, payment: FundingPaid) -> None:
        """Write a funding payment."""
        document = payment_document(payment, self.markets[payment.clob_pair_id])
        self._touched(payment.subaccount, payment.moment).payments.append(document)

    def add_transfer(self, transfer: Transferred) -> list[tuple[SubaccountId, Json]]:
        """Write a transfer for each of its subaccounts."""
        written = []
        for subaccount, sign in ((transfer.sender, -1), (transfer.recipient, 1)):
            if subaccount is not None:
                account = self._touched(subaccount, transfer.moment)
                account.net_transfers += sign * transfer.quote_quantums
                account.transfers.append(transfer_document(transfer, subaccount))
                written.append((subaccount, account.transfers[-1]))
        return written

    def add_ticks(self, moment: Moment, oracle: Oracle) -> None:
        """Write equity and result of every account at an instant."""
        for account in self.accounts.values():
            equity = self.equity(account, oracle)
            account.ticks.append(
                {
                    "id": name_uuid(subaccount_uuid(account.subaccount), iso(moment.at_ms)),
                    "subaccountId": subaccount_uuid(account.subaccount),
                    "equity": usdc(equity),
                    "totalPnl": usdc(equity - account.net_transfers),
                    "netTransfers": usdc(account.net_transfers),
                    "createdAt": iso(moment.at_ms),
                    "blockHeight": str(moment.height),
                    "blockTime": iso(moment.at_ms),
                }
            )

    def equity(self, account: Account, oracle: Oracle) -> int:
        """USDC and positions at oracle prices, 1e-6 USDC."""
        positions = ((self.markets[each.clob_pair_id], each.quantums) for each in account.open_positions())
        return account.quote_quantums + sum(market.oracle_value(held, oracle(market)) for market, held in positions)

    def free_collateral(self, account: Account, oracle: Oracle) -> Decimal:
        """Equity less initial margin, USDC."""
        margin = Decimal(0)
        for position in account.open_positions():
            market = self.markets[position.clob_pair_id]
            value = market.oracle_value(abs(position.quantums), oracle(market))
            margin += Decimal(value * market.initial_margin_ppm) / _PPM
        return (self.equity(account, oracle) - margin).scaleb(-6)

    def subaccount_document(self, account: Account, oracle: Oracle, height: int) -> Json:
        """A subaccount as REST and the WebSocket's first message have it."""
        positions = {
            market.ticker: position_document(position, market, oracle(market))
            for position in account.open_positions()
            for market in [self.markets[position.clob_pair_id]]
        }
        balance = balance_document(account.subaccount, account.quote_quantums)
        return {
            "address": account.subaccount.owner,
            "subaccountNumber": account.subaccount.number,
            "equity": usdc(self.equity(account, oracle)),
            "freeCollateral": text(self.free_collateral(account, oracle)),
            "openPerpetualPositions": positions,
            "assetPositions": {"USDC": balance} if account.quote_quantums else {},
            "marginEnabled": True,
            "updatedAtHeight": str(account.updated_at_height),
            "latestProcessedBlockHeight": str(height),
        }

    def parent_document(self, address: str, number: int, oracle: Oracle, height: int) -> Json:
        """A parent as REST and the WebSocket's first message have it: sums over its subaccounts."""
        accounts = self.of_parent(address, number)
        return {
            "address": address,
            "parentSubaccountNumber": number,
            "equity": usdc(sum(self.equity(account, oracle) for account in accounts)),
            "freeCollateral": text(sum((self.free_collateral(each, oracle) for each in accounts), Decimal(0))),
            "childSubaccounts": [self.subaccount_document(account, oracle, height) for account in accounts],
        }

    def _touched(self, subaccount: SubaccountId, moment: Moment) -> Account:
        account = self.account(subaccount)
        account.updated_at_height = moment.height
        return account
