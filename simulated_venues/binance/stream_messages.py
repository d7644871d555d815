"""Payloads of the market streams, as the venue documents and sends them (USDⓈ-M Futures, WebSocket market streams).

Each function gives one event as JSON values. Prices and quantities are text with the instrument's decimals. `sent_ms`
is the venue's clock when the event is sent, `E`; the market's own time of the event is `T`.
"""

from dataclasses import dataclass

import numpy as np

from simulated_venues.binance.depth import DepthChange, Quantities
from simulated_venues.binance.fair import FairPrice
from simulated_venues.binance.stream_bars import StreamBar, StreamTrade
from simulated_venues.binance.text import RATE_DECIMALS, decimal_text, rows_text
from simulated_venues.settings import SimulatedInstrument

Payload = dict[str, object]

_SYMBOL_TYPE = 1
"""`st` of a perpetual in USDT, as newer messages state it."""

_TICKER_FIELDS = {
    "s": "symbol",
    "p": "priceChange",
    "P": "priceChangePercent",
    "w": "weightedAvgPrice",
    "c": "lastPrice",
    "Q": "lastQty",
    "o": "openPrice",
    "h": "highPrice",
    "l": "lowPrice",
    "v": "volume",
    "q": "quoteVolume",
    "O": "openTime",
    "C": "closeTime",
    "F": "firstId",
    "L": "lastId",
    "n": "count",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BestPrices:
    """The best level of each side since an instant: ticks and lots."""

    at_ms: int
    update_id: int
    bid: int
    bid_quantity: int
    ask: int
    ask_quantity: int

    @property
    def levels(self) -> tuple[int, int, int, int]:
        """Prices and quantities alone."""
        return self.bid, self.bid_quantity, self.ask, self.ask_quantity


def agg_trade(instrument: SimulatedInstrument, trade: StreamTrade, sent_ms: int) -> Payload:
    """`aggTrade`; every background trade is an aggregate of its own."""
    return {
        "e": "aggTrade",
        "E": sent_ms,
        "a": trade.trade_id,
        "s": instrument.symbol,
        "p": decimal_text(trade.price, instrument.price_decimals),
        "q": decimal_text(trade.quantity, instrument.quantity_decimals),
        "f": trade.trade_id,
        "l": trade.trade_id,
        "T": trade.at_ms,
        "m": trade.buyer_is_maker,
        "st": _SYMBOL_TYPE,
    }


def single_trade(instrument: SimulatedInstrument, trade: StreamTrade, sent_ms: int) -> Payload:
    """`trade`."""
    return {
        "e": "trade",
        "E": sent_ms,
        "s": instrument.symbol,
        "t": trade.trade_id,
        "p": decimal_text(trade.price, instrument.price_decimals),
        "q": decimal_text(trade.quantity, instrument.quantity_decimals),
        "T": trade.at_ms,
        "m": trade.buyer_is_maker,
    }


def book_ticker(instrument: SimulatedInstrument, best: BestPrices, sent_ms: int) -> Payload:
    """`bookTicker`."""
    return {
        "e": "bookTicker",
        "u": best.update_id,
        "E": sent_ms,
        "T": best.at_ms,
        "s": instrument.symbol,
        "b": decimal_text(best.bid, instrument.price_decimals),
        "B": decimal_text(best.bid_quantity, instrument.quantity_decimals),
        "a": decimal_text(best.ask, instrument.price_decimals),
        "A": decimal_text(best.ask_quantity, instrument.quantity_decimals),
        "st": _SYMBOL_TYPE,
        "ps": instrument.symbol,
    }


def depth_update(instrument: SimulatedInstrument, change: DepthChange, at_ms: int, sent_ms: int) -> Payload:
    """`depthUpdate`, of a diff stream: best prices first, quantity zero deletes."""
    return {
        "e": "depthUpdate",
        "E": sent_ms,
        "T": at_ms,
        "s": instrument.symbol,
        "ps": instrument.symbol,
        "st": _SYMBOL_TYPE,
        "U": change.first_id,
        "u": change.last_id,
        "pu": change.previous_id,
        "b": _rows(instrument, change.bids, best_is_highest=True),
        "a": _rows(instrument, change.asks, best_is_highest=False),
    }


def kline(instrument: SimulatedInstrument, interval: str, bar: StreamBar, sent_ms: int, *, closed: bool) -> Payload:
    """`kline`; a bar without trades has -1 for its first and last trade."""
    prices, lots = instrument.price_decimals, instrument.quantity_decimals
    last_id = bar.first_id + bar.trade_count - 1 if bar.trade_count else -1
    return {
        "e": "kline",
        "E": sent_ms,
        "s": instrument.symbol,
        "k": {
            "t": bar.opened_at_ms,
            "T": bar.closed_at_ms - 1,
            "s": instrument.symbol,
            "i": interval,
            "f": bar.first_id if bar.trade_count else -1,
            "L": last_id,
            "o": decimal_text(bar.open, prices),
            "c": decimal_text(bar.close, prices),
            "h": decimal_text(bar.high, prices),
            "l": decimal_text(bar.low, prices),
            "v": decimal_text(bar.volume, lots),
            "n": bar.trade_count,
            "x": closed,
            "q": decimal_text(bar.quote_volume, prices + lots),
            "V": decimal_text(bar.taker_buy_volume, lots),
            "Q": decimal_text(bar.taker_buy_quote_volume, prices + lots),
            "B": "0",
        },
    }


def mark_price(instrument: SimulatedInstrument, fair: FairPrice, sent_ms: int) -> Payload:
    """`markPriceUpdate`."""
    return {
        "e": "markPriceUpdate",
        "E": sent_ms,
        "s": instrument.symbol,
        "p": f"{fair.mark_price:.8f}",
        "i": f"{fair.index_price:.8f}",
        "P": f"{fair.estimated_settle_price:.8f}",
        "r": decimal_text(fair.rate_e8, RATE_DECIMALS),
        "T": fair.next_funding_ms,
        "st": _SYMBOL_TYPE,
    }


def ticker(statistics: Payload, sent_ms: int) -> Payload:
    """`24hrTicker`, from the record of REST's `ticker/24hr`."""
    told = {short: statistics[name] for short, name in _TICKER_FIELDS.items()}
    return {"e": "24hrTicker", "E": sent_ms, **told, "st": _SYMBOL_TYPE}


def mini_ticker(statistics: Payload, sent_ms: int) -> Payload:
    """`24hrMiniTicker`, from the same record."""
    told = {short: statistics[_TICKER_FIELDS[short]] for short in ("s", "c", "o", "h", "l", "v", "q")}
    return {"e": "24hrMiniTicker", "E": sent_ms, **told}


def force_order(instrument: SimulatedInstrument, trade: StreamTrade, sent_ms: int) -> Payload:
    """`forceOrder`: the trade as the order of a liquidated account, which took it."""
    price = decimal_text(trade.price, instrument.price_decimals)
    quantity = decimal_text(trade.quantity, instrument.quantity_decimals)
    return {
        "e": "forceOrder",
        "E": sent_ms,
        "o": {
            "s": instrument.symbol,
            "S": "SELL" if trade.buyer_is_maker else "BUY",
            "o": "LIMIT",
            "f": "IOC",
            "q": quantity,
            "p": price,
            "ap": price,
            "X": "FILLED",
            "l": quantity,
            "z": quantity,
            "T": trade.at_ms,
        },
    }


def _rows(instrument: SimulatedInstrument, levels: Quantities, *, best_is_highest: bool) -> list[list[str]]:
    prices = sorted(levels, reverse=best_is_highest)
    columns = np.array([prices, [levels[price] for price in prices]], np.int64)
    return rows_text([(columns[0], instrument.price_decimals), (columns[1], instrument.quantity_decimals)])
