"""The indexer's documents of an account as the journal's records, exact; REST and WebSocket spell them alike."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from helios_pipeline.adapters.dydx.indexer import read_instant
from helios_pipeline.adapters.dydx.market import BUY, SELL, VENUE
from helios_pipeline.core.errors import VenueError
from helios_pipeline.core.trading import FundingPayment, Transfer, VenueFill
from helios_pipeline.core.venues import VenueOrder, VenuePosition

type Json = dict[str, Any]
type Owner = Callable[[str], str | None]
"""From a venue's order id to our own client order id, None for an order that is not ours."""

_DIRECTIONS = {"DEPOSIT": 1, "TRANSFER_IN": 1, "WITHDRAWAL": -1, "TRANSFER_OUT": -1}
_ONE_ROW = timedelta(microseconds=1)


def read_fill(document: Json, account: str, owner: Owner) -> VenueFill:
    """A fill. A liquidation has no order: it is named after the fill."""
    try:
        fill_id = str(document["id"])
        venue_order_id = str(document.get("orderId") or f"liquidation-{fill_id}")
        return VenueFill(
            account=account,
            instrument_id=instrument_of(document),
            venue_fill_id=fill_id,
            venue_order_id=venue_order_id,
            client_order_id=owner(venue_order_id),
            side=BUY if document["side"] == "BUY" else SELL,
            quantity=Decimal(document["size"]),
            price=Decimal(document["price"]),
            fee=Decimal(document["fee"]),
            liquidity=_liquidity(document["liquidity"]),
            filled_at=read_instant(document["createdAt"]),
        )
    except (KeyError, ValueError, InvalidOperation) as error:
        raise _unreadable("fill", document, error) from error


def read_payments(documents: Iterable[Json], account: str) -> list[FundingPayment]:
    """Funding payments, oldest first.

    After a halt a block may settle several instants at once, all with its own time: the second one of an instrument is
    put a microsecond after the first, and so on, because an instant names a payment.

    Args:
        documents: newest first; of each block and instrument all or none.
        account: whose.
    """
    payments: list[FundingPayment] = []
    seen: dict[tuple[str, datetime], int] = {}
    for document in reversed(list(documents)):
        try:
            instrument_id, booked_at = instrument_of(document), read_instant(document["createdAt"])
            earlier = seen.get((instrument_id, booked_at), 0)
            seen[instrument_id, booked_at] = earlier + 1
            payments.append(
                FundingPayment(
                    account=account,
                    instrument_id=instrument_id,
                    settled_at=booked_at + earlier * _ONE_ROW,
                    rate=Decimal(document["rate"]),
                    position_quantity=_signed(document),
                    price=Decimal(document["oraclePrice"]),
                    amount=Decimal(document["payment"]),
                )
            )
        except (KeyError, ValueError, InvalidOperation) as error:
            raise _unreadable("funding payment", document, error) from error
    return payments


def read_transfer(document: Json, account: str) -> Transfer:
    """A deposit, a withdrawal, or a transfer from or to another subaccount."""
    try:
        kind = str(document["type"])
        return Transfer(
            account=account,
            transfer_id=str(document["id"]),
            amount=_DIRECTIONS[kind] * Decimal(document["size"]),
            reason=kind.lower(),
            transferred_at=read_instant(document["createdAt"]),
        )
    except (KeyError, ValueError, InvalidOperation) as error:
        raise _unreadable("transfer", document, error) from error


def read_order(document: Json) -> VenueOrder:
    """An order that the venue has."""
    try:
        trigger, block = document.get("triggerPrice"), document.get("goodTilBlock")
        return VenueOrder(
            venue_order_id=str(document["id"]),
            venue_client_id=int(document["clientId"]),
            instrument_id=instrument_of(document),
            side=BUY if document["side"] == "BUY" else SELL,
            quantity=Decimal(document["size"]),
            filled=Decimal(document["totalFilled"]),
            limit_price=Decimal(document["price"]),
            trigger_price=Decimal(trigger) if trigger is not None and document["status"] == "UNTRIGGERED" else None,
            reduce_only=bool(document["reduceOnly"]),
            good_til_block=int(block) if block is not None else None,
        )
    except (KeyError, ValueError, InvalidOperation) as error:
        raise _unreadable("order", document, error) from error


def read_positions(subaccount: Json) -> dict[str, VenuePosition]:
    """Open positions of a subaccount by instrument id, quantities signed."""
    try:
        return {
            instrument_of(each): VenuePosition(quantity=_signed(each), entry_price=Decimal(each["entryPrice"]))
            for each in subaccount["openPerpetualPositions"].values()
        }
    except (KeyError, ValueError, InvalidOperation) as error:
        raise _unreadable("positions", subaccount, error) from error


def read_quote_balance(subaccount: Json) -> Decimal:
    """USDC of a subaccount after everything that was traded and settled; negative where more was borrowed."""
    try:
        balance = subaccount["assetPositions"].get("USDC")
        if balance is None:
            return Decimal(0)
        size = Decimal(balance["size"])
    except (KeyError, ValueError, InvalidOperation) as error:
        raise _unreadable("balance", subaccount, error) from error
    return size if balance["side"] == "LONG" else -size


def instrument_of(document: Json) -> str:
    """The instrument of a document: REST says `market`, some documents `ticker`."""
    return f"{document.get('market') or document['ticker']}-PERP.{VENUE}"


def _signed(document: Json) -> Decimal:
    """A size with the sign of its side, whether or not it has one already."""
    size = abs(Decimal(document["size"]))
    return size if document["side"] == "LONG" else -size


def _liquidity(text: str) -> Literal["maker", "taker"]:
    return "maker" if text == "MAKER" else "taker"


def _unreadable(what: str, document: Json, error: Exception) -> VenueError:
    return VenueError(
        f"dYdX {what}: expected the indexer's fields, found {document!r} ({error!r}). "
        "The indexer speaks another version."
    )
