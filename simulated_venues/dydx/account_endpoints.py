"""What the indexer serves of accounts over HTTP."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from simulated_venues.dydx.documents import Json, balance_document, position_document, text
from simulated_venues.dydx.indexer import Indexer
from simulated_venues.dydx.ledger import PARENTS, Account
from simulated_venues.dydx.query import Query, RequestError
from simulated_venues.dydx.records import OrderStatus, Side

Answer = Callable[[Query], object]
Choose = Callable[[Query], list[Account]]

_ORDER_TYPES = ("LIMIT", "MARKET", "STOP_LIMIT", "STOP_MARKET", "TRAILING_STOP", "TAKE_PROFIT", "TAKE_PROFIT_MARKET")
_POSITION_STATUSES = ("OPEN", "CLOSED", "LIQUIDATED")


@dataclass(frozen=True, slots=True)
class AccountEndpoints:
    """Answers about subaccounts; of a parent, about all of its subaccounts together."""

    indexer: Indexer

    def answers(self) -> dict[str, Answer]:
        """Endpoints by path."""
        listed: dict[str, Callable[[Query, list[Account]], object]] = {
            "orders": self._orders,
            "fills": self._fills,
            "perpetualPositions": self._positions,
            "assetPositions": self._balances,
            "historical-pnl": self._ticks,
            "fundingPayments": self._payments,
            "transfers": self._transfers,
        }
        answers: dict[str, Answer] = {
            "addresses/{address}": self._address,
            "addresses/{address}/subaccountNumber/{subaccountNumber}": self._subaccount,
            "addresses/{address}/parentSubaccountNumber/{parentSubaccountNumber}": self._parent,
            "orders/{orderId}": self._order,
            "transfers/between": self._transfers_between,
        }
        own: dict[str, Answer] = {path: _of(answer, self._one) for path, answer in listed.items()}
        parents: dict[str, Answer] = {
            f"{path}/parentSubaccount{'' if path == 'fundingPayments' else 'Number'}": _of(answer, self._family)
            for path, answer in listed.items()
        }
        # Before `orders/{orderId}`: the first route that fits is taken.
        return {**own, **parents, **answers}

    def _one(self, query: Query) -> list[Account]:
        account = self.indexer.ledger.accounts.get(query.subaccount())
        return [] if account is None else [account]

    def _family(self, query: Query) -> list[Account]:
        parent = query.subaccount("parentSubaccountNumber")
        if parent.number >= PARENTS:
            raise query.wrong("parentSubaccountNumber", f"parentSubaccountNumber must be below {PARENTS}")
        return self.indexer.ledger.of_parent(parent.owner, parent.number)

    def _address(self, query: Query) -> object:
        address = query.required("address")
        accounts = self.indexer.ledger.of_address(address)
        if not accounts:
            raise RequestError(404, f"No subaccounts found for address {address}")
        return {"subaccounts": [self._document(account) for account in accounts], "totalTradingRewards": "0"}

    def _subaccount(self, query: Query) -> object:
        wanted = query.subaccount()
        account = self.indexer.ledger.accounts.get(wanted)
        if account is None:
            raise RequestError(
                404, f"No subaccount found with address {wanted.owner} and subaccountNumber {wanted.number}"
            )
        return {"subaccount": self._document(account)}

    def _parent(self, query: Query) -> object:
        accounts, parent = self._family(query), query.subaccount("parentSubaccountNumber")
        if not accounts:
            raise RequestError(
                404, f"No subaccounts found with address {parent.owner} and parentSubaccountNumber {parent.number}"
            )
        document = self.indexer.ledger.parent_document(
            parent.owner, parent.number, self.indexer.oracle_e8, self.indexer.applied.height
        )
        return {"subaccount": document}

    def _document(self, account: Account) -> Json:
        return self.indexer.ledger.subaccount_document(account, self.indexer.oracle_e8, self.indexer.applied.height)

    def _order(self, query: Query) -> object:
        order = self.indexer.ledger.order(query.required("orderId"))
        if order is None:
            raise RequestError(404, f"Unable to find order id {query.required('orderId')}")
        return order

    def _orders(self, query: Query, accounts: list[Account]) -> object:
        wanted = {
            "ticker": query.text("ticker"),
            "side": query.among("side", [side.value for side in Side]),
            "type": query.among("type", _ORDER_TYPES),
        }
        statuses = query.several("status", [status.value for status in OrderStatus])
        until_block = query.number("goodTilBlockBeforeOrAt")
        until_ms = query.instant_ms("goodTilBlockTimeBeforeOrAt")
        newest_first = query.among("returnLatestOrders", ("true", "false")) != "false"
        orders = [order for account in accounts for order in account.orders.values()]
        oldest_first = sorted(orders, key=lambda order: int(str(order["createdAtHeight"])))
        found = [
            order
            for order in (reversed(oldest_first) if newest_first else oldest_first)
            if all(value is None or order[key] == value for key, value in wanted.items())
            and (not statuses or order["status"] in statuses)
            and (until_block is None or int(str(order.get("goodTilBlock", until_block + 1))) <= until_block)
            and (until_ms is None or _instant(order, "goodTilBlockTime", until_ms + 1) <= until_ms)
        ]
        return found[: query.limit()]

    def _fills(self, query: Query, accounts: list[Account]) -> object:
        market = query.text("market") or query.text("ticker")
        fills = [fill for account in accounts for fill in account.fills if market in (None, fill["market"])]
        return _page(query, "fills", fills)

    def _positions(self, query: Query, accounts: list[Account]) -> object:
        statuses = query.several("status", _POSITION_STATUSES)
        markets = self.indexer.ledger.markets
        found = [
            position_document(position, market, self.indexer.oracle_e8(market))
            for account in accounts
            for position in account.positions.values()
            for market in [markets[position.clob_pair_id]]
        ]
        chosen = [document for document in found if not statuses or document["status"] in statuses]
        return {"positions": _before(query, chosen)[: query.limit()]}

    def _balances(self, query: Query, accounts: list[Account]) -> object:
        del query
        held = [account for account in accounts if account.quote_quantums]
        return {"positions": [balance_document(account.subaccount, account.quote_quantums) for account in held]}

    def _ticks(self, query: Query, accounts: list[Account]) -> object:
        since = query.instant_ms("createdOnOrAfter", "effectiveAtOrAfter")
        until = query.instant_ms("createdBeforeOrAt", "effectiveBeforeOrAt")
        first_height = query.number("createdOnOrAfterHeight")
        ticks = [
            tick
            for account in accounts
            for tick in account.ticks
            if (since is None or _instant(tick, "createdAt", 0) >= since)
            and (until is None or _instant(tick, "createdAt", 0) <= until)
            and (first_height is None or int(str(tick["blockHeight"])) >= first_height)
        ]
        return _page(query, "historicalPnl", ticks, height="blockHeight")

    def _payments(self, query: Query, accounts: list[Account]) -> object:
        ticker, after = query.text("ticker"), query.instant_ms("afterOrAt")
        payments = [
            payment
            for account in accounts
            for payment in account.payments
            if ticker in (None, payment["ticker"]) and (after is None or _instant(payment, "createdAt", 0) >= after)
        ]
        return _page(query, "fundingPayments", payments)

    def _transfers(self, query: Query, accounts: list[Account]) -> object:
        return _page(query, "transfers", [each for account in accounts for each in account.transfers])

    def _transfers_between(self, query: Query) -> object:
        source = query.subaccount("sourceSubaccountNumber", "sourceAddress")
        recipient = query.subaccount("recipientSubaccountNumber", "recipientAddress")
        account = self.indexer.ledger.accounts.get(source)
        parties = [{"address": each.owner, "subaccountNumber": each.number} for each in (source, recipient)]
        found = [
            each
            for each in (account.transfers if account else [])
            if each["sender"] in parties and each["recipient"] in parties and each["sender"] != each["recipient"]
        ]
        net = sum(
            (Decimal(str(each["size"])) * (1 if each["sender"] == parties[0] else -1) for each in found), Decimal(0)
        )
        return {"transfersSubset": _before(query, found)[: query.limit()], "totalNetTransfers": text(net)}


def _of(answer: Callable[[Query, list[Account]], object], choose: Choose) -> Answer:
    return lambda query: answer(query, choose(query))


def _page(query: Query, name: str, documents: list[Json], *, height: str = "createdAtHeight") -> Json:
    """A page of documents that are in order of time, newest first; with sizes if a page was asked for."""
    found = _before(query, documents, height=height)
    limit, page = query.limit(), query.number("page", least=1)
    if page is None:
        return {name: found[:limit]}
    offset = (page - 1) * limit
    return {"pageSize": limit, "totalResults": len(found), "offset": offset, name: found[offset : offset + limit]}


def _before(query: Query, documents: Iterable[Json], *, height: str = "createdAtHeight") -> list[Json]:
    """Documents up to a height or time that the query may name, newest first."""
    most, until = query.number("createdBeforeOrAtHeight"), query.instant_ms("createdBeforeOrAt")
    found = [
        document
        for document in documents
        if (most is None or int(str(document[height])) <= most)
        and (until is None or _instant(document, "createdAt", 0) <= until)
    ]
    # The last written first, also within a block.
    return sorted(reversed(found), key=lambda document: int(str(document[height])), reverse=True)


def _instant(document: Json, key: str, otherwise: int) -> int:
    value = Query({}, {key: str(document[key])}).instant_ms(key) if key in document else None
    return otherwise if value is None else value
