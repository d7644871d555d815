"""The market as frames in the shape the research pipeline reads from the archive; here whole numbers become floats."""

from datetime import datetime

import numpy as np
import polars as pl

from simulated_venues.bars import Integers
from simulated_venues.market import SimulatedMarket
from simulated_venues.random import Floats
from simulated_venues.settings import RAW_BARS_PER_FUNDING, RAW_BARS_PER_HOUR

_INSTANT = pl.Datetime("us", "UTC")


def klines_frame(
    market: SimulatedMarket, instrument_id: str, first: datetime, last: datetime, *, raw_bars: int
) -> pl.DataFrame:
    """Bars that open in [first, last) as raw klines: key (interval, opened_at), float64 prices and quantities.

    `raw_bars` is 1 for interval `1m` and 15 for `15m`.
    """
    instrument = market.settings.instrument(instrument_id)
    bars = market.bars(instrument_id, first, last, raw_bars=raw_bars)
    price, quantity = instrument.price_decimals, instrument.quantity_decimals
    return pl.DataFrame(
        {
            "opened_at": _instants(bars.opened_at_ms),
            "interval": pl.repeat(f"{raw_bars}m", len(bars), dtype=pl.String, eager=True),
            "open": _float(bars.open, price),
            "high": _float(bars.high, price),
            "low": _float(bars.low, price),
            "close": _float(bars.close, price),
            "volume": _float(bars.volume, quantity),
            "quote_volume": _float(bars.quote_volume, price + quantity),
            "trade_count": bars.trade_count,
            "taker_buy_volume": _float(bars.taker_buy_volume, quantity),
            "taker_buy_quote_volume": _float(bars.taker_buy_quote_volume, price + quantity),
            "source": pl.repeat("archive", len(bars), dtype=pl.String, eager=True),
        }
    )


def funding_frame(market: SimulatedMarket, instrument_id: str, first: datetime, last: datetime) -> pl.DataFrame:
    """Funding settled in [first, last) as raw funding rates: key settled_at, mark prices not recorded."""
    settlements = market.settlements(instrument_id, first, last)
    count = len(settlements.rate_e8)
    hours = RAW_BARS_PER_FUNDING // RAW_BARS_PER_HOUR
    return pl.DataFrame(
        {
            "settled_at": _instants(settlements.settled_at_ms),
            "published_at": _instants(settlements.published_at_ms),
            "funding_rate": _float(settlements.rate_e8, 8),
            "interval_hours": np.full(count, hours, np.int64),
            "mark_price": pl.repeat(None, count, dtype=pl.Float64, eager=True),
            "source": pl.repeat("archive", count, dtype=pl.String, eager=True),
        }
    )


def open_interest_frame(market: SimulatedMarket, instrument_id: str, first: datetime, last: datetime) -> pl.DataFrame:
    """Open interest measured in [first, last) as raw open interest: key measured_at, base and quote currency."""
    instrument = market.settings.instrument(instrument_id)
    metrics = market.open_interest(instrument_id, first, last)
    base = _float(metrics.open_interest, instrument.quantity_decimals)
    return pl.DataFrame(
        {
            "measured_at": _instants(metrics.measured_at_ms),
            "open_interest": base,
            "open_interest_quote": base * metrics.mark_price,
            "source": pl.repeat("archive", len(base), dtype=pl.String, eager=True),
        }
    )


def _instants(milliseconds: Integers) -> pl.Series:
    return pl.Series(milliseconds * 1_000).cast(_INSTANT)


def _float(values: Integers, decimals: int) -> Floats:
    """The double nearest to values / 10^decimals, as parsing its decimal text gives (exact below 2^53)."""
    return values / 10.0**decimals
