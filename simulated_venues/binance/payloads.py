"""The venue's REST messages, as JSON values, out of records of the market."""

from simulated_venues.bars import Bars, Trades
from simulated_venues.binance.fair import FairPrice
from simulated_venues.binance.klines import Klines
from simulated_venues.binance.text import RATE_DECIMALS, decimal_text, rows_text
from simulated_venues.binance.view import Json, Record
from simulated_venues.settings import SimulatedInstrument
from simulated_venues.source import Book, Levels, Settlements


def kline_rows(klines: Klines, instrument: SimulatedInstrument) -> list[list[Json]]:
    """Twelve columns a kline."""
    bars, price, quantity = klines.bars, instrument.price_decimals, instrument.quantity_decimals
    texts = rows_text(
        [
            (bars.open, price),
            (bars.high, price),
            (bars.low, price),
            (bars.close, price),
            (bars.volume, quantity),
            (bars.quote_volume, price + quantity),
            (bars.taker_buy_volume, quantity),
            (bars.taker_buy_quote_volume, price + quantity),
        ]
    )
    opened, counts, length = bars.opened_at_ms.tolist(), bars.trade_count.tolist(), bars.interval_ms
    return [
        [at, *row[:5], at + length - 1, row[5], count, *row[6:], "0"]
        for at, row, count in zip(opened, texts, counts, strict=True)
    ]


def aggregate_trades(trades: Trades, instrument: SimulatedInstrument) -> list[Record]:
    """Aggregate trades: each trade is one by itself, and has its id."""
    texts = rows_text([(trades.price, instrument.price_decimals), (trades.quantity, instrument.quantity_decimals)])
    return [
        {"a": number, "p": price, "q": quantity, "f": number, "l": number, "T": at, "m": seller_took}
        for number, (price, quantity), at, seller_took in zip(
            trades.trade_id.tolist(), texts, trades.traded_at_ms.tolist(), trades.buyer_is_maker.tolist(), strict=True
        )
    ]


def trades(found: Trades, instrument: SimulatedInstrument) -> list[Record]:
    """Single trades."""
    price, quantity = instrument.price_decimals, instrument.quantity_decimals
    texts = rows_text(
        [(found.price, price), (found.quantity, quantity), (found.price * found.quantity, price + quantity)]
    )
    return [
        {
            "id": number,
            "price": row[0],
            "qty": row[1],
            "quoteQty": row[2],
            "time": at,
            "isBuyerMaker": seller_took,
        }
        for number, row, at, seller_took in zip(
            found.trade_id.tolist(), texts, found.traded_at_ms.tolist(), found.buyer_is_maker.tolist(), strict=True
        )
    ]


def levels(side: Levels, instrument: SimulatedInstrument, limit: int) -> list[list[str]]:
    """Price and quantity of the best `limit` levels."""
    return rows_text(
        [(side.price[:limit], instrument.price_decimals), (side.quantity[:limit], instrument.quantity_decimals)]
    )


def book_ticker(book: Book, instrument: SimulatedInstrument) -> Record:
    """Best prices."""
    (bid,), (ask,) = levels(book.bids, instrument, 1), levels(book.asks, instrument, 1)
    return {
        "symbol": instrument.symbol,
        "bidPrice": bid[0],
        "bidQty": bid[1],
        "askPrice": ask[0],
        "askQty": ask[1],
        "time": book.at_ms,
    }


def funding_rates(found: Settlements, symbol: str) -> list[Record]:
    """Settled funding."""
    return [
        {
            "symbol": symbol,
            "fundingTime": at,
            "fundingRate": decimal_text(rate, RATE_DECIMALS),
            "markPrice": f"{mark:.8f}",
        }
        for at, rate, mark in zip(
            found.published_at_ms.tolist(), found.rate_e8.tolist(), found.mark_price.tolist(), strict=True
        )
    ]


def premium_index(fair: FairPrice, symbol: str, now_ms: int) -> Record:
    """Mark price and funding as of now."""
    return {
        "symbol": symbol,
        "markPrice": f"{fair.mark_price:.8f}",
        "indexPrice": f"{fair.index_price:.8f}",
        "estimatedSettlePrice": f"{fair.estimated_settle_price:.8f}",
        "lastFundingRate": decimal_text(fair.rate_e8, RATE_DECIMALS),
        "interestRate": "0.00010000",
        "nextFundingTime": fair.next_funding_ms,
        "time": now_ms,
    }


def day_statistics(bar: Bars, last: Trades, instrument: SimulatedInstrument, span_ms: tuple[int, int]) -> Record:
    """Statistics of 24 hours.

    Args:
        bar: one bar of all of their trades.
        last: the last of them.
        instrument: whose.
        span_ms: first and last instant.
    """
    price, quantity = instrument.price_decimals, instrument.quantity_decimals
    open_, close, volume, count = (int(each[0]) for each in (bar.open, bar.close, bar.volume, bar.trade_count))
    last_id = int(last.trade_id[-1])
    average = round(int(bar.quote_volume[0]) / volume)
    return {
        "symbol": instrument.symbol,
        "priceChange": decimal_text(close - open_, price),
        "priceChangePercent": f"{(close - open_) / open_ * 100:.3f}",
        "weightedAvgPrice": decimal_text(average, price),
        "lastPrice": decimal_text(close, price),
        "lastQty": decimal_text(int(last.quantity[-1]), quantity),
        "openPrice": decimal_text(open_, price),
        "highPrice": decimal_text(int(bar.high[0]), price),
        "lowPrice": decimal_text(int(bar.low[0]), price),
        "volume": decimal_text(volume, quantity),
        "quoteVolume": decimal_text(int(bar.quote_volume[0]), price + quantity),
        "openTime": span_ms[0],
        "closeTime": span_ms[1],
        "firstId": last_id - count + 1,
        "lastId": last_id,
        "count": count,
    }
