"""One market of the live engine: what is heard, what is traded, and the exact steps of both."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class TradedMarket:
    """A market.

    Attributes:
        instrument_id: traded: `BTC-USD-PERP.DYDX`.
        signal_instrument_id: heard: `BTCUSDT-PERP.BINANCE`.
        signal_tick: price step of what is heard; decisions count closes in it.
        tick: price step of what is traded; fills and stops are counted in it.
        lot: quantity step of what is traded, in base currency.
        min_quantity: smallest order, in base currency.
        min_notional_quote: smallest order, in quote currency; 0 for none.
    """

    instrument_id: str
    signal_instrument_id: str
    signal_tick: Decimal
    tick: Decimal
    lot: Decimal
    min_quantity: Decimal
    min_notional_quote: Decimal
