"""The contracts that the venue lists, by the names it gives them."""

from simulated_venues.settings import SimulatedInstrument
from simulated_venues.source import MarketSource

LISTED_MS = 1_577_836_800_000
"""2020-01-01: the venue has no older data of a source without ends, in REST and archive alike."""

QUOTE_ASSET = "USDT"


def symbols(source: MarketSource) -> dict[str, SimulatedInstrument]:
    """Binance's instruments of a source by symbol."""
    listed = [each for each in source.instruments if each.instrument_id.endswith(".BINANCE")]
    return {instrument.symbol: instrument for instrument in listed}


def listed_ms(source: MarketSource) -> int:
    """Since when the venue has data, milliseconds since 1970."""
    return LISTED_MS if source.span_ms is None else source.span_ms[0]


def base_asset(instrument: SimulatedInstrument) -> str:
    """`BTC` of `BTCUSDT`."""
    return instrument.symbol.removesuffix(QUOTE_ASSET)
