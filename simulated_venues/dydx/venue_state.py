"""What the page of the venue shows: markets, open orders and accounts, numbers as decimal text."""

from decimal import Decimal

from simulated_venues.dydx.chain import Chain
from simulated_venues.dydx.documents import text
from simulated_venues.dydx.listing import Listing
from simulated_venues.dydx.records import QUOTE_DECIMALS, Market, Position, SubaccountId
from simulated_venues.dydx.state import Working
from simulated_venues.source import Levels

_LEVELS, _TRADES = 10, 20
_TRADES_WITHIN_RAW_BARS = 60
_ORACLE_DECIMALS, _RATE_DECIMALS = 8, 12


def describe_market(chain: Chain, listing: Listing, market: Market, market_ms: int) -> dict[str, object]:
    """Book, last trades, oracle price and funding of a market at an instant."""
    book, interval = listing.book(market, market_ms), listing.funding_interval_ms
    span = _TRADES_WITHIN_RAW_BARS * listing.source.raw_interval_ms
    trades = listing.trades(market, market_ms - span, market_ms + 1)[-_TRADES:]
    return {
        "name": market.ticker,
        "bids": _levels(market, book.bids),
        "asks": _levels(market, book.asks),
        "trades": [
            {
                "at": trade.at_ms,
                "price": text(market.price(trade.subticks)),
                "quantity": text(market.size(trade.quantums)),
                "side": trade.taker.value,
            }
            for trade in reversed(trades)
        ],
        "oracle_price": _scaled(chain.oracle_e8(market), _ORACLE_DECIMALS),
        "funding_rate": _scaled(listing.next_funding_rate_e12(market, market_ms), _RATE_DECIMALS),
        "next_funding_at": (market_ms // interval + 1) * interval,
    }


def describe_orders(chain: Chain) -> list[dict[str, object]]:
    """Orders that are not done, oldest first."""
    return [_order(chain.markets[working.order.order_id.clob_pair_id], working) for working in chain.exchange.orders()]


def describe_accounts(chain: Chain) -> list[dict[str, object]]:
    """Every subaccount with its risk at the last block."""
    return [_account(chain, subaccount) for subaccount in chain.subaccounts()]


def _account(chain: Chain, subaccount: SubaccountId) -> dict[str, object]:
    risk = chain.exchange.risk(subaccount, chain.last_block)
    return {
        "address": subaccount.owner,
        "number": subaccount.number,
        "equity": _scaled(risk.equity, QUOTE_DECIMALS),
        "free_collateral": _scaled(risk.free_collateral, QUOTE_DECIMALS),
        "usdc": _scaled(chain.exchange.usdc(subaccount), QUOTE_DECIMALS),
        "positions": [
            _position(chain.markets[each.clob_pair_id], each) for each in chain.exchange.positions(subaccount)
        ],
    }


def _position(market: Market, position: Position) -> dict[str, object]:
    entry = Decimal(position.open_quote_quantums).scaleb(-QUOTE_DECIMALS) / market.size(position.open_quantums)
    return {
        "market": market.ticker,
        "size": text(market.size(position.quantums)),
        "entry_price": text(entry.quantize(market.tick)),
        "funding": _scaled(position.funding_quote_quantums, QUOTE_DECIMALS),
    }


def _order(market: Market, working: Working) -> dict[str, object]:
    order = working.order
    return {
        "market": market.ticker,
        "address": order.order_id.subaccount.owner,
        "number": order.order_id.subaccount.number,
        "client_id": order.order_id.client_id,
        "kind": order.order_id.flags.name,
        "side": order.side.value,
        "price": text(market.price(order.subticks)),
        "size": text(market.size(order.quantums)),
        "filled": text(market.size(working.filled_quantums)),
        "trigger": text(market.price(order.trigger_subticks)) if order.condition is not None else "",
        "status": "UNTRIGGERED" if working.is_waiting else "OPEN",
        "good_til": order.good_til_block if order.good_til_block is not None else order.good_til_seconds,
    }


def _levels(market: Market, levels: Levels) -> list[list[str]]:
    rows = zip(levels.price[:_LEVELS].tolist(), levels.quantity[:_LEVELS].tolist(), strict=True)
    return [[text(price * market.tick), text(quantity * market.step)] for price, quantity in rows]


def _scaled(value: int, decimals: int) -> str:
    return text(Decimal(value).scaleb(-decimals))
