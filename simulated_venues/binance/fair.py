"""Mark and index price, premium and estimated funding rate: at an instant, and as klines."""

import itertools
from dataclasses import dataclass

import numpy as np

from simulated_venues.binance.intervals import Interval
from simulated_venues.binance.view import Json
from simulated_venues.clock import instant
from simulated_venues.premium import estimated_rate_e8
from simulated_venues.settings import RAW_BARS_PER_FUNDING, RAW_BARS_PER_HOUR
from simulated_venues.source import MarketSource


@dataclass(frozen=True, slots=True, kw_only=True)
class FairPrice:
    """What surrounds the traded price; it changes with each raw bar.

    Attributes:
        mark_price, index_price: quote currency.
        estimated_settle_price: mean index price of the last 60 raw bars, an hour at natural speed.
        rate_e8: the funding rate that the premium of this interval so far would give, in units of 1e-8.
        next_funding_ms: when it is settled, milliseconds since 1970.
    """

    mark_price: float
    index_price: float
    estimated_settle_price: float
    rate_e8: int
    next_funding_ms: int


def fair_price(source: MarketSource, instrument_id: str, market_ms: int) -> FairPrice:
    """Fair prices of an instrument as of an instant."""
    funding_ms = RAW_BARS_PER_FUNDING * source.raw_interval_ms
    settled_ms = market_ms // funding_ms * funding_ms
    hour_ago = market_ms - RAW_BARS_PER_HOUR * source.raw_interval_ms
    found = source.fair_prices(instrument_id, instant(min(settled_ms, hour_ago)), instant(market_ms + 1))
    interval, hour = np.searchsorted(found.at_ms, [settled_ms, hour_ago])
    return FairPrice(
        mark_price=float(found.mark_price[-1]),
        index_price=float(found.index_price[-1]),
        estimated_settle_price=float(found.index_price[hour:].mean()),
        rate_e8=estimated_rate_e8(found.premium[interval:]),
        next_funding_ms=settled_ms + funding_ms,
    )


def fair_kline_rows(
    source: MarketSource, instrument_id: str, column: str, interval: Interval, span_ms: tuple[int, int]
) -> list[list[Json]]:
    """Klines of a column of `FairPrices` over a span: open, high, low, close of samples, how many, and zeros.

    Args:
        source: the market.
        instrument_id: of which.
        column: `mark_price`, `index_price` or `premium`.
        interval: of the klines.
        span_ms: from the start of the first kline to the instant before which samples are taken.
    """
    length = interval.length_ms
    found = source.fair_prices(instrument_id, instant(span_ms[0]), instant(span_ms[1]))
    samples, opens = getattr(found, column), found.at_ms // length
    starts = np.flatnonzero(np.diff(opens, prepend=-1)).tolist()
    rows: list[list[Json]] = []
    for start, stop in itertools.pairwise([*starts, len(samples)]):
        inside, at = samples[start:stop], int(opens[start]) * length
        prices = [f"{value:.8f}" for value in (inside[0], inside.max(), inside.min(), inside[-1])]
        rows.append([at, *prices, "0", at + length - 1, "0", stop - start, "0", "0", "0"])
    return rows
