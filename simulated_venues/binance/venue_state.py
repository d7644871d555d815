"""What the page of the venue shows of an instrument."""

from simulated_venues.binance.fair import fair_price
from simulated_venues.binance.payloads import levels
from simulated_venues.binance.text import RATE_DECIMALS, decimal_text
from simulated_venues.binance.trade_history import last_trades
from simulated_venues.clock import instant
from simulated_venues.settings import SimulatedInstrument
from simulated_venues.source import MarketSource

_LEVELS = 10
_TRADES = 20


def describe_instrument(source: MarketSource, instrument: SimulatedInstrument, market_ms: int) -> dict[str, object]:
    """Book, last trades, fair prices and funding at an instant, numbers as decimal text."""
    book = source.book(instrument.instrument_id, instant(market_ms))
    fair = fair_price(source, instrument.instrument_id, market_ms)
    return {
        "name": instrument.symbol,
        "bids": levels(book.bids, instrument, _LEVELS),
        "asks": levels(book.asks, instrument, _LEVELS),
        "trades": _trades(source, instrument, market_ms),
        "mark_price": f"{fair.mark_price:.8f}",
        "index_price": f"{fair.index_price:.8f}",
        "funding_rate": decimal_text(fair.rate_e8, RATE_DECIMALS),
        "next_funding_at": fair.next_funding_ms,
    }


def _trades(source: MarketSource, instrument: SimulatedInstrument, market_ms: int) -> list[dict[str, object]]:
    """The last trades, newest first."""
    found = last_trades(source, instrument.instrument_id, 0, market_ms + 1, _TRADES)
    rows = zip(
        found.traded_at_ms.tolist(),
        found.price.tolist(),
        found.quantity.tolist(),
        found.buyer_is_maker.tolist(),
        strict=True,
    )
    return [
        {
            "at": at_ms,
            "price": decimal_text(price, instrument.price_decimals),
            "quantity": decimal_text(quantity, instrument.quantity_decimals),
            "side": "SELL" if seller_took else "BUY",
        }
        for at_ms, price, quantity, seller_took in reversed(list(rows))
    ]
