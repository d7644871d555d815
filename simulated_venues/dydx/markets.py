"""The perpetuals that the chain lists: real parameters where known, the protocol's own habit for the others."""

import math
from decimal import Decimal
from zlib import crc32

from helios_pipeline.core.errors import SimulationError
from simulated_venues.dydx.records import Market
from simulated_venues.settings import SimulatedInstrument
from simulated_venues.source import MarketSource

_QUOTES = ("USDT", "USDC", "USD")
_CONVERSION_EXPONENT, _STEP_QUANTUMS, _SUBTICKS_PER_TICK = -9, 1_000_000, 1_000_000
_FIRST_OTHER_PAIR, _OTHER_PAIRS = 10_000, 1_000_000

# Of `GET /v4/perpetualMarkets` of the indexer, 2025-12-08: clob pair, atomic resolution, subticks per tick, initial and
# maintenance margin in 1e-6. Conversion exponent and step are the same for all of them.
_LISTED = {
    "BTC-USD": (0, -10, 100_000, 20_000, 12_000),
    "ETH-USD": (1, -9, 100_000, 20_000, 12_000),
    "SOL-USD": (5, -7, 1_000_000, 50_000, 30_000),
}

# XRP-USD as in the genesis of the chain (v4-chain, `protocol/testing/genesis.sh`). BNB-USD follows the habit below at a
# price of hundreds, with the margins of its class; its number is ours.
_OTHERS = {
    "XRP-USD": (32, -5, 1_000_000, 50_000, 30_000),
    "BNB-USD": (9_999, -8, 1_000_000, 50_000, 30_000),
}


def markets_of(source: MarketSource) -> tuple[Market, ...]:
    """One perpetual for each of the source's instruments, in their order.

    Raises:
        SimulationError: two instruments would be the same perpetual.
    """
    markets = tuple(_market(instrument) for instrument in source.instruments)
    for what in ("ticker", "clob_pair_id"):
        found = [getattr(market, what) for market in markets]
        if len(set(found)) < len(found):
            raise SimulationError(
                f"dYdX markets: expected every {what} once, found {found} for "
                f"{[market.instrument_id for market in markets]}. Leave one of the instruments out."
            )
    return markets


def ticker_of(instrument: SimulatedInstrument) -> str:
    """`BTC-USD` of `BTCUSDT-PERP.BINANCE`."""
    symbol = instrument.symbol
    quote = next((quote for quote in _QUOTES if symbol.endswith(quote) and symbol != quote), "")
    return f"{symbol.removesuffix(quote).removesuffix('-')}-USD"


def _market(instrument: SimulatedInstrument) -> Market:
    ticker = ticker_of(instrument)
    listed = {**_LISTED, **_OTHERS}.get(ticker)
    pair, resolution, subticks, initial, maintenance = listed or _usual(ticker, instrument.start_price)
    return Market(
        ticker=ticker,
        instrument_id=instrument.instrument_id,
        clob_pair_id=pair,
        atomic_resolution=resolution,
        quantum_conversion_exponent=_CONVERSION_EXPONENT,
        step_base_quantums=_STEP_QUANTUMS,
        subticks_per_tick=subticks,
        initial_margin_ppm=initial,
        maintenance_margin_ppm=maintenance,
    )


def _usual(ticker: str, price: Decimal) -> tuple[int, int, int, int, int]:
    """As markets are proposed on the chain: a step is worth 1 to 10 USDC, a tick 0.01 to 0.1 % of the price.

    The pair's number is a function of the ticker alone, so that it does not depend on what else is listed.
    """
    pair = _FIRST_OTHER_PAIR + crc32(ticker.encode()) % _OTHER_PAIRS
    return pair, -6 - math.floor(price.log10()), _SUBTICKS_PER_TICK, 100_000, 50_000
