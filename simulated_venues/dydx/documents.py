"""What the indexer serves, made from the chain's records: order, fill, position, trade and so on as JSON values.

Keys and spellings are those of the indexer (v4-chain, `indexer/services/comlink/src/types.ts` and
`public/websocket-documentation.md`) and of recorded answers. Where the two differ, both are served: a transfer has
`size` and `symbol` as the indexer's types say, and `amount` and `asset` as some recorded answers have them.
"""

import hashlib
import uuid
from decimal import Decimal

from simulated_venues.clock import iso
from simulated_venues.dydx.numbering import order_uuid, subaccount_uuid
from simulated_venues.dydx.records import (
    QUOTE_DECIMALS,
    Condition,
    Filled,
    FundingPaid,
    Market,
    Moment,
    Order,
    OrderChanged,
    Position,
    SubaccountId,
    TimeInForce,
    Transferred,
)

Json = dict[str, object]

NAMESPACE = uuid.UUID("0f9da948-a6fb-4c45-9edc-4685c3f3317d")
"""Of the indexer's ids (v4-chain, `indexer/packages/postgres/src/helpers/uuid.ts`)."""

_TYPES = {None: "LIMIT", Condition.STOP_LOSS: "STOP_LIMIT", Condition.TAKE_PROFIT: "TAKE_PROFIT"}


def name_uuid(*parts: object) -> str:
    """An id of whatever these parts name."""
    return str(uuid.uuid5(NAMESPACE, "-".join(str(part) for part in parts)))


def text(value: Decimal) -> str:
    """A number without exponent and without zeros at its end."""
    plain = f"{value:f}"
    return (plain.rstrip("0").rstrip(".") if "." in plain else plain) or "0"


def usdc(quote_quantums: int) -> str:
    """Millionths of a USDC as a number of USDC."""
    return text(Decimal(quote_quantums).scaleb(-QUOTE_DECIMALS))


def block_hash(height: int) -> str:
    """Hash of the transaction in which a block's proposer lists its matches."""
    return hashlib.sha256(f"operations of block {height}".encode()).hexdigest().upper()


def order_document(change: OrderChanged, market: Market, created_at_height: int) -> Json:
    """An order as REST has it."""
    order, moment = change.order, change.moment
    document: Json = {
        "id": order_uuid(order.order_id),
        "subaccountId": subaccount_uuid(order.order_id.subaccount),
        "clientId": str(order.order_id.client_id),
        "clobPairId": str(order.order_id.clob_pair_id),
        "side": order.side.value,
        "size": text(market.size(order.quantums)),
        "totalFilled": text(market.size(change.filled_quantums)),
        "price": text(market.price(order.subticks)),
        "type": _TYPES[order.condition],
        "status": change.status.value,
        "timeInForce": "IOC" if order.time_in_force is TimeInForce.IOC else "GTT",
        "reduceOnly": order.reduce_only,
        "orderFlags": str(int(order.order_id.flags)),
        **_good_til(order),
        "createdAtHeight": str(created_at_height),
        "clientMetadata": str(order.client_metadata),
        "updatedAt": iso(moment.at_ms),
        "updatedAtHeight": str(moment.height),
        "orderRouterAddress": "",
        "postOnly": order.time_in_force is TimeInForce.POST_ONLY,
        "ticker": market.ticker,
        "subaccountNumber": order.order_id.subaccount.number,
    }
    if order.condition is not None:
        document["triggerPrice"] = text(market.price(order.trigger_subticks))
    return document


def order_message(change: OrderChanged, document: Json) -> Json:
    """An order as the WebSocket has it; what a validator tells before the block has no height and no time yet."""
    message = {key: value for key, value in document.items() if key not in ("orderRouterAddress", "subaccountNumber")}
    if change.removal_reason is not None:
        message["removalReason"] = f"ORDER_REMOVAL_REASON_{change.removal_reason.value}"
    if not change.on_chain:
        message["totalOptimisticFilled"] = message["totalFilled"]
        for key in ("createdAtHeight", "updatedAt", "updatedAtHeight"):
            del message[key]
    return message


def fill_document(fill: Filled, market: Market) -> Json:
    """A fill as REST has it."""
    document: Json = {
        "id": fill.fill_id,
        "side": fill.side.value,
        "liquidity": fill.liquidity,
        "type": fill.kind,
        "market": market.ticker,
        "marketType": "PERPETUAL",
        "price": text(market.price(fill.subticks)),
        "size": text(market.size(fill.quantums)),
        "fee": usdc(fill.fee_quote_quantums),
        "affiliateRevShare": "0",
        "createdAt": iso(fill.moment.at_ms),
        "createdAtHeight": str(fill.moment.height),
    }
    if fill.order is not None:
        document["orderId"] = order_uuid(fill.order.order_id)
        document["clientMetadata"] = str(fill.order.client_metadata)
    return {**document, "subaccountNumber": fill.subaccount.number}


def fill_message(fill: Filled, market: Market, document: Json) -> Json:
    """A fill as the WebSocket has it: the market is its `ticker`, as the indexer's type says.

    It is not in `market` as well, though a sample of another client's tests has that key: NautilusTrader reads either
    name into one field, and drops a message with both.
    """
    rest_only = ("market", "marketType", "affiliateRevShare", "subaccountNumber")
    return {
        **{key: value for key, value in document.items() if key not in rest_only},
        "subaccountId": subaccount_uuid(fill.subaccount),
        "clobPairId": str(market.clob_pair_id),
        "quoteAmount": usdc(fill.quote_quantums),
        "eventId": fill.event_id,
        "transactionHash": block_hash(fill.moment.height),
        "ticker": market.ticker,
    }


def position_document(position: Position, market: Market, oracle_e8: int) -> Json:
    """A position as REST has it, its unrealised result at an oracle price."""
    long = position.max_quantums > 0
    entry = _average(market, position.open_quote_quantums, position.open_quantums)
    exit_price = _average(market, position.close_quote_quantums, position.close_quantums)
    closed, funding = market.size(abs(position.close_quantums)), Decimal(position.funding_quote_quantums).scaleb(-6)
    gained = ((exit_price or entry) - entry) * closed * (1 if long else -1) if entry is not None else Decimal(0)
    open_result = market.size(position.quantums) * (Decimal(oracle_e8).scaleb(-8) - (entry or Decimal(0)))
    return {
        "market": market.ticker,
        "status": "OPEN" if position.closed is None else "CLOSED",
        "side": "LONG" if long else "SHORT",
        "size": text(market.size(position.quantums)),
        "maxSize": text(market.size(position.max_quantums)),
        "entryPrice": text(entry or Decimal(0)),
        "exitPrice": None if exit_price is None else text(exit_price),
        "realizedPnl": text(gained + funding),
        "unrealizedPnl": text(open_result),
        "createdAt": iso(position.opened.at_ms),
        "createdAtHeight": str(position.opened.height),
        "closedAt": None if position.closed is None else iso(position.closed.at_ms),
        "sumOpen": text(market.size(abs(position.open_quantums))),
        "sumClose": text(closed),
        "netFunding": text(funding),
        "subaccountNumber": position.subaccount.number,
    }


def position_message(position: Position, document: Json) -> Json:
    """A position as the WebSocket has it."""
    return {"address": position.subaccount.owner, "positionId": position.position_id, **document}


def balance_document(subaccount: SubaccountId, quote_quantums: int) -> Json:
    """A subaccount's USDC as REST has it."""
    return {
        "size": usdc(abs(quote_quantums)),
        "symbol": "USDC",
        "side": "LONG" if quote_quantums >= 0 else "SHORT",
        "assetId": "0",
        "subaccountNumber": subaccount.number,
    }


def balance_message(subaccount: SubaccountId, quote_quantums: int) -> Json:
    """A subaccount's USDC as the WebSocket has it."""
    return {
        "address": subaccount.owner,
        "positionId": name_uuid(subaccount_uuid(subaccount), 0),
        **balance_document(subaccount, quote_quantums),
    }


def transfer_document(transfer: Transferred, owner: SubaccountId) -> Json:
    """A transfer as one of its two subaccounts sees it; what comes from outside comes from the owner's wallet."""
    if transfer.sender is None:
        kind = "DEPOSIT"
    elif transfer.recipient is None:
        kind = "WITHDRAWAL"
    else:
        kind = "TRANSFER_OUT" if transfer.sender == owner else "TRANSFER_IN"
    amount = usdc(transfer.quote_quantums)
    return {
        "id": transfer.transfer_id,
        "sender": _party(transfer.sender or owner),
        "recipient": _party(transfer.recipient or owner),
        "amount": amount,
        "size": amount,
        "createdAt": iso(transfer.moment.at_ms),
        "createdAtHeight": str(transfer.moment.height),
        "asset": "USDC",
        "symbol": "USDC",
        "type": kind,
        "transactionHash": transfer.transaction_hash,
    }


def payment_document(payment: FundingPaid, market: Market) -> Json:
    """A funding payment as REST has it; positive if it was received."""
    return {
        "createdAt": iso(payment.moment.at_ms),
        "createdAtHeight": str(payment.moment.height),
        "perpetualId": str(market.clob_pair_id),
        "ticker": market.ticker,
        "oraclePrice": text(Decimal(payment.oracle_e8).scaleb(-8)),
        "size": text(market.size(abs(payment.quantums))),
        "side": "LONG" if payment.quantums > 0 else "SHORT",
        "rate": text(Decimal(payment.rate_e12).scaleb(-12)),
        "payment": usdc(payment.quote_quantums),
        "subaccountNumber": str(payment.subaccount.number),
        "fundingIndex": "0",
    }


def rate_document(market: Market, rate_e12: int, oracle_e8: int, moment: Moment) -> Json:
    """A settled funding rate as REST has it."""
    return {
        "ticker": market.ticker,
        "rate": text(Decimal(rate_e12).scaleb(-12)),
        "price": text(Decimal(oracle_e8).scaleb(-8)),
        "effectiveAtHeight": str(moment.height),
        "effectiveAt": iso(moment.at_ms),
    }


def trade_document(
    market: Market, trade_id: str, side: str, amounts: tuple[int, int], kind: str, moment: Moment
) -> Json:
    """A trade of the tape; `amounts` are quantums and subticks."""
    return {
        "id": trade_id,
        "side": side,
        "size": text(market.size(amounts[0])),
        "price": text(market.price(amounts[1])),
        "type": kind,
        "createdAt": iso(moment.at_ms),
        "createdAtHeight": str(moment.height),
    }


def _good_til(order: Order) -> Json:
    if order.good_til_block is not None:
        return {"goodTilBlock": str(order.good_til_block)}
    return {"goodTilBlockTime": iso((order.good_til_seconds or 0) * 1_000)}


def _party(subaccount: SubaccountId) -> Json:
    return {"address": subaccount.owner, "subaccountNumber": subaccount.number}


def _average(market: Market, quote_quantums: int, quantums: int) -> Decimal | None:
    """Price of so much money for so many quantums; None without quantums."""
    if not quantums:
        return None
    return Decimal(abs(quote_quantums)).scaleb(-QUOTE_DECIMALS) / market.size(abs(quantums))
