"""What a block has changed for each subaccount, as one message; without what `hide_fills` hides."""

from collections.abc import Callable
from dataclasses import dataclass, field

from simulated_venues.dydx.documents import (
    Json,
    balance_message,
    fill_message,
    order_message,
    position_document,
    position_message,
)
from simulated_venues.dydx.ledger import Ledger, Oracle
from simulated_venues.dydx.numbering import order_uuid
from simulated_venues.dydx.records import (
    BalanceChanged,
    Filled,
    OrderChanged,
    Position,
    PositionChanged,
    SubaccountId,
    Transferred,
)
from simulated_venues.faults import Faults

AccountEvent = OrderChanged | Filled | PositionChanged | BalanceChanged | Transferred


@dataclass(slots=True)
class _Changes:
    """Of one subaccount; transfers are messages of their own."""

    orders: list[Json] = field(default_factory=list)
    fills: list[Json] = field(default_factory=list)
    positions: dict[str, Position] = field(default_factory=dict)
    quote_quantums: int | None = None
    transfers: list[Json] = field(default_factory=list)
    hidden_orders: set[str] = field(default_factory=set)
    hidden_pairs: set[int] = field(default_factory=set)


@dataclass(slots=True)
class News:
    """Writes events into the ledger and remembers what to tell."""

    ledger: Ledger
    faults: Faults
    oracle: Oracle
    _changes: dict[SubaccountId, _Changes] = field(default_factory=dict)

    def take(self, event: AccountEvent) -> None:
        """Write an event."""
        match event:
            case OrderChanged():
                self.order_changed(event)
            case Filled():
                self.filled(event)
            case PositionChanged():
                self.position_changed(event)
            case BalanceChanged():
                self.balance_changed(event)
            case Transferred():
                self.transferred(event)

    def order_changed(self, change: OrderChanged) -> None:
        """An order has another status."""
        document = self.ledger.change_order(change)
        if document is not None:
            self._of(change.order.order_id.subaccount).orders.append(order_message(change, document))

    def filled(self, fill: Filled) -> None:
        """A fill; hidden if the fault strikes."""
        document, market = self.ledger.add_fill(fill), self.ledger.markets[fill.clob_pair_id]
        changes = self._of(fill.subaccount)
        if self.faults.take("hide_fills", market.ticker):
            changes.hidden_pairs.add(fill.clob_pair_id)
            if fill.order is not None:
                changes.hidden_orders.add(order_uuid(fill.order.order_id))
        else:
            changes.fills.append(fill_message(fill, market, document))

    def position_changed(self, change: PositionChanged) -> None:
        """A position as it is now."""
        self.ledger.change_position(change)
        self._of(change.position.subaccount).positions[change.position.position_id] = change.position

    def balance_changed(self, change: BalanceChanged) -> None:
        """A balance as it is now."""
        self.ledger.change_balance(change)
        self._of(change.subaccount).quote_quantums = change.quote_quantums

    def transferred(self, transfer: Transferred) -> None:
        """A transfer."""
        for subaccount, document in self.ledger.add_transfer(transfer):
            self._of(subaccount).transfers.append(document)

    def tell(self, publish: Callable[[str, str, Json], None], height: int) -> None:
        """Publish each subaccount's changes, and its transfers one by one."""
        for subaccount, changes in self._changes.items():
            name = f"{subaccount.owner}/{subaccount.number}"
            contents = self._contents(subaccount, changes)
            if contents:
                publish("v4_subaccounts", name, {**contents, "blockHeight": str(height)})
            for transfer in changes.transfers:
                publish("v4_subaccounts", name, {"transfers": transfer, "blockHeight": str(height)})

    def _contents(self, subaccount: SubaccountId, changes: _Changes) -> Json:
        orders = [order for order in changes.orders if order["id"] not in changes.hidden_orders]
        positions = [self._position(each) for each in changes.positions.values() if self._is_told(each, changes)]
        balance = None if changes.hidden_pairs else changes.quote_quantums
        balances = [] if balance is None else [balance_message(subaccount, balance)]
        contents: Json = {
            "orders": orders,
            "fills": changes.fills,
            "perpetualPositions": positions,
            "assetPositions": balances,
        }
        return {key: value for key, value in contents.items() if value}

    def _position(self, position: Position) -> Json:
        market = self.ledger.markets[position.clob_pair_id]
        return position_message(position, position_document(position, market, self.oracle(market)))

    def _is_told(self, position: Position, changes: _Changes) -> bool:
        return position.clob_pair_id not in changes.hidden_pairs

    def _of(self, subaccount: SubaccountId) -> _Changes:
        return self._changes.setdefault(subaccount, _Changes())
