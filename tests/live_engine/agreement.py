"""Whether journal, venue and PostgreSQL tell the same account, to the last quantum, each asked in its own way.

The venue is asked over its REST interface by our own few lines, not by the engine's reader. What differs is one line
each.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import httpx
import psycopg
from psycopg import sql

from helios_pipeline.core.trading import (
    RECORD_KINDS,
    Decision,
    FundingPayment,
    InferredFill,
    Intent,
    JournalRecord,
    OrderEvent,
    Transfer,
    VenueFill,
)
from helios_pipeline.core.venues import venue_client_id
from tests.live_engine.harness import Installation

SIGN = {"BUY": 1, "SELL": -1, "LONG": 1, "SHORT": -1}
PAGE = 1_000
REFUSED = {"denied", "rejected"}
"""States of an order that never reached a book."""

AGREE_SECONDS = 30.0
SETTLE_SECONDS = 20.0
PAPER_FEES = {"maker": Decimal("0.0001"), "taker": Decimal("0.0005")}
ASK_AGAIN_SECONDS = 0.2

TABLES: dict[type, str] = {
    RECORD_KINDS[name]: table
    for name, table in {
        "decision": "live_decisions",
        "intent": "intents",
        "order_event": "order_events",
        "fill": "fills",
        "inferred_fill": "inferred_fills",
        "funding": "funding_payments",
        "transfer": "transfers",
        "mode": "mode_changes",
        "champion": "champion_changes",
        "reconciliation": "reconciliations",
        "account": "account_snapshots",
        "bar_difference": "bar_differences",
    }.items()
}

Documents = list[dict[str, Any]]


def await_agreement(home: Installation, seconds: float = AGREE_SECONDS) -> list[str]:
    """What still differs when everything that was under way has had its time; empty as soon as nothing does."""
    deadline = time.monotonic() + seconds
    while (found := disagreements(home)) and time.monotonic() < deadline:
        time.sleep(ASK_AGAIN_SECONDS)
    return found


def disagreements(home: Installation) -> list[str]:
    """What differs now, and what broke a rule."""
    told = Told(records=tuple(home.journal()))
    found = [*broken_rules(told), *copy_differences(told, home.database.urls.live, home.account)]
    if home.network == "paper":
        settled = {name: settled_funding(home.world.dydx.url, name) for name in home.traded}
        return found + paper_differences(told, settled, datetime.now(UTC))
    return found + differences(told, read_ledger(home.world.dydx.url, home.address))


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """A subaccount as dYdX's indexer serves it."""

    usdc: Decimal
    positions: Mapping[str, Decimal]
    orders: Documents
    fills: Documents
    payments: Documents
    transfers: Documents

    @property
    def open_orders(self) -> Documents:
        return [order for order in self.orders if order["status"] in ("OPEN", "UNTRIGGERED", "BEST_EFFORT_OPENED")]


def read_ledger(url: str, address: str, subaccount: int = 0) -> Ledger:
    """Ask dYdX's indexer for everything that an account did."""
    with httpx.Client(base_url=url, trust_env=False, timeout=30.0) as client:

        def get(path: str, **query: Any) -> Any:
            answer = client.get(f"/v4/{path}", params={"address": address, "subaccountNumber": subaccount, **query})
            answer.raise_for_status()
            return answer.json()

        def pages(path: str, name: str) -> Documents:
            found: Documents = []
            while True:
                answer = get(path, limit=PAGE, page=len(found) // PAGE + 1)
                found += answer[name]
                if len(found) >= answer["totalResults"]:
                    return found

        account = get(f"addresses/{address}/subaccountNumber/{subaccount}")["subaccount"]
        balance = account["assetPositions"].get("USDC", {"size": "0", "side": "LONG"})
        return Ledger(
            usdc=Decimal(balance["size"]) * SIGN[balance["side"]],
            positions={
                instrument_of(ticker): abs(Decimal(each["size"])) * SIGN[each["side"]]
                for ticker, each in account["openPerpetualPositions"].items()
            },
            orders=get("orders", limit=PAGE),
            fills=pages("fills", "fills"),
            payments=pages("fundingPayments", "fundingPayments"),
            transfers=pages("transfers", "transfers"),
        )


def instrument_of(ticker: str) -> str:
    return f"{ticker}-PERP.DYDX"


@dataclass(frozen=True, kw_only=True)
class Told:
    """A journal's records by kind, in order."""

    records: tuple[JournalRecord, ...]

    def of[R: JournalRecord](self, kind: type[R]) -> list[R]:
        return [record for record in self.records if isinstance(record, kind)]

    @property
    def positions(self) -> dict[str, Decimal]:
        """Signed quantities that the fills add up to; flat ones left out."""
        held: Counter[str] = Counter()
        for fill in self.of(VenueFill):
            held[fill.instrument_id] += fill.side * fill.quantity
        return {name: Decimal(quantity) for name, quantity in held.items() if quantity}

    @property
    def cash(self) -> Decimal:
        """Transfers, funding and what fills paid and cost."""
        moved = sum((each.amount for each in self.of(Transfer)), Decimal(0))
        paid = sum((each.amount for each in self.of(FundingPayment)), Decimal(0))
        bought = sum((fill.side * fill.quantity * fill.price + fill.fee for fill in self.of(VenueFill)), Decimal(0))
        return moved + paid - bought


def broken_rules(told: Told) -> list[str]:
    """What may never be in a journal, whatever happened to the engine."""
    intents, fills, events = told.of(Intent), told.of(VenueFill), told.of(OrderEvent)
    known = {intent.client_order_id: intent for intent in intents}
    refused = {event.client_order_id for event in events if event.state in REFUSED}
    filled: Counter[str] = Counter()
    for fill in fills:
        if fill.client_order_id is not None:
            filled[fill.client_order_id] += fill.quantity
    return [
        *_twice("intent", (intent.client_order_id for intent in intents)),
        *_twice("fill", (fill.venue_fill_id for fill in fills)),
        *_twice("funding payment", ((each.instrument_id, each.settled_at) for each in told.of(FundingPayment))),
        *_twice("decision", ((each.instrument_id, each.opened_at) for each in told.of(Decision))),
        *_twice(
            "entry of one bar",
            (
                (intent.instrument_id, intent.boundary)
                for intent in intents
                if intent.purpose == "entry" and intent.client_order_id not in refused
            ),
        ),
        *(f"fill without an intent: {fill}" for fill in fills if fill.client_order_id not in known),
        *(
            f"order {name}: expected at most {known[name].quantity} filled, found {quantity}"
            for name, quantity in filled.items()
            if name in known and quantity > known[name].quantity
        ),
        *(
            f"intent {intent.client_order_id}: expected the venue's number {venue_client_id(intent.client_order_id)}"
            for intent in intents
            if intent.venue_client_id != venue_client_id(intent.client_order_id)
        ),
        *(f"a fill was inferred: {each}" for each in told.of(InferredFill)),
    ]


def differences(told: Told, ledger: Ledger) -> list[str]:
    """Where the journal and dYdX say other things of the same account."""
    ids = {intent.venue_client_id: intent for intent in told.of(Intent)}
    orders = Counter(int(order["clientId"]) for order in ledger.orders)
    return [
        *(f"the venue has an order without an intent: {number}" for number in orders if number not in ids),
        *(f"the venue has {count} orders for intent {number}" for number, count in orders.items() if count > 1),
        *_unequal("fill", (_fill_key(fill) for fill in told.of(VenueFill)), map(_venue_fill_key, ledger.fills)),
        *_unequal(
            "payment", (_payment_key(p) for p in told.of(FundingPayment)), map(_venue_payment_key, ledger.payments)
        ),
        *_equal("positions", told.positions, dict(ledger.positions)),
        *_equal("USDC", told.cash, ledger.usdc),
        *_order_differences(ids, ledger.orders),
    ]


type Settled = Mapping[datetime, tuple[Decimal, Decimal]]
"""Rate and price of each settlement."""


def settled_funding(url: str, instrument_id: str) -> Settled:
    """What dYdX's indexer says was settled, by the minute."""
    ticker = instrument_id.removesuffix("-PERP.DYDX")
    answer = httpx.get(f"{url}/v4/historicalFunding/{ticker}", params={"limit": PAGE}, trust_env=False, timeout=30.0)
    answer.raise_for_status()
    return {
        datetime.fromisoformat(row["effectiveAt"]).replace(second=0, microsecond=0): (
            Decimal(row["rate"]),
            Decimal(row["price"]),
        )
        for row in answer.json()["historicalFunding"]
    }


def paper_differences(told: Told, settled: Mapping[str, Settled], now: datetime) -> list[str]:
    """Where a paper account has other fees and funding payments than fills and the venue's settlements give.

    Settlements of the last `SETTLE_SECONDS` may still be missing.
    """
    booked = {(each.instrument_id, each.settled_at): each for each in told.of(FundingPayment)}
    found = [
        f"fee of {fill}: expected {fee}"
        for fill in told.of(VenueFill)
        if fill.fee != (fee := _rounded(fill.quantity * fill.price * PAPER_FEES[fill.liquidity], ROUND_CEILING))
    ]
    for name, settlements in settled.items():
        for settled_at, (rate, price) in settlements.items():
            carried = _carried(told, name, settled_at)
            expected = _rounded(-carried * price * rate, ROUND_FLOOR) if carried else None
            payment = booked.pop((name, settled_at), None)
            amount = None if payment is None else payment.amount
            if amount != expected and (payment is not None or (now - settled_at).total_seconds() > SETTLE_SECONDS):
                found.append(f"funding of {name} at {settled_at}: expected {expected}, found {payment}")
    return found + [f"funding that was not settled: {payment}" for payment in booked.values()]


def _carried(told: Told, instrument_id: str, settled_at: datetime) -> Decimal:
    fills = [fill for fill in told.of(VenueFill) if fill.instrument_id == instrument_id and fill.filled_at < settled_at]
    return sum((fill.side * fill.quantity for fill in fills), Decimal(0))


def _rounded(money: Decimal, how: str) -> Decimal:
    return money.quantize(Decimal("0.000001"), how)


def copy_differences(told: Told, url: str, account: str) -> list[str]:
    """Where PostgreSQL has other rows than the journal has records, or has them in another order."""
    found: list[str] = []
    with psycopg.connect(url) as connection:
        for kind, table in TABLES.items():
            names = [field.name for field in fields(kind)]
            columns = sql.SQL(", ").join(map(sql.Identifier, names))
            query = sql.SQL("select {} from {} where account = %s order by epoch, sequence")
            rows = connection.execute(query.format(columns, sql.Identifier(table)), (account,)).fetchall()
            copied = [kind(**dict(zip(names, map(_record_value, row), strict=True))) for row in rows]
            records = told.of(kind)
            if copied != records:
                found += _unequal(f"{table}: row", map(repr, records), map(repr, copied)) or [f"{table}: another order"]
    return found


def _record_value(value: object) -> object:
    """A column's value as records have it."""
    if isinstance(value, list):
        return tuple(value)
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _order_differences(ids: Mapping[int, Intent], orders: Documents) -> Iterable[str]:
    for order in orders:
        intent = ids.get(int(order["clientId"]))
        if intent is None:
            continue
        asked = (intent.instrument_id, intent.side, intent.quantity, intent.reduce_only)
        found = (instrument_of(order["ticker"]), SIGN[order["side"]], Decimal(order["size"]), order["reduceOnly"])
        yield from _equal(f"order {intent.client_order_id}", asked, found)


def _fill_key(fill: VenueFill) -> tuple[object, ...]:
    stamp = int(fill.filled_at.timestamp() * 1_000 + 0.5)
    liquidity = fill.liquidity.upper()
    return fill.venue_fill_id, fill.instrument_id, fill.side, fill.quantity, fill.price, fill.fee, liquidity, stamp


def _venue_fill_key(fill: Mapping[str, Any]) -> tuple[object, ...]:
    numbers = (Decimal(fill[name]) for name in ("size", "price", "fee"))
    return (
        fill["id"],
        instrument_of(fill["market"]),
        SIGN[fill["side"]],
        *numbers,
        fill["liquidity"],
        _ms(fill["createdAt"]),
    )


def _payment_key(payment: FundingPayment) -> tuple[object, ...]:
    minute = int(payment.settled_at.timestamp()) // 60
    return payment.instrument_id, minute, payment.position_quantity, payment.price, payment.rate, payment.amount


def _venue_payment_key(payment: Mapping[str, Any]) -> tuple[object, ...]:
    quantity = abs(Decimal(payment["size"])) * SIGN[payment["side"]]
    numbers = (Decimal(payment[name]) for name in ("oraclePrice", "rate", "payment"))
    return instrument_of(payment["ticker"]), _ms(payment["createdAt"]) // 60_000, quantity, *numbers


def _ms(stamp: str) -> int:
    return int(datetime.fromisoformat(stamp).timestamp() * 1_000 + 0.5)


def _twice(what: str, keys: Iterable[object]) -> list[str]:
    return [f"{what} {key}: expected once, found {count} times" for key, count in Counter(keys).items() if count > 1]


def _equal(what: str, ours: object, theirs: object) -> list[str]:
    return [] if ours == theirs else [f"{what}: the journal has {ours}, the venue {theirs}"]


def _unequal(what: str, ours: Iterable[object], theirs: Iterable[object]) -> list[str]:
    """What only one of two has; both may have an equal thing several times."""
    mine, venues = Counter(ours), Counter(theirs)
    return [
        *(f"{what} that only the journal has: {each}" for each in (mine - venues).elements()),
        *(f"{what} that only the other has: {each}" for each in (venues - mine).elements()),
    ]
