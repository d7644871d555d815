"""What the venue publishes below `/futures/data`: open interest, ratios, taker volume and basis, period by period."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from simulated_venues.bars import Bars
from simulated_venues.binance.intervals import Interval, served_periods
from simulated_venues.binance.klines import klines
from simulated_venues.binance.query import Query, Refusal
from simulated_venues.binance.symbols import listed_ms
from simulated_venues.binance.text import decimal_text
from simulated_venues.binance.view import Answer, Json, MarketView, Record
from simulated_venues.clock import instant
from simulated_venues.settings import RAW_BARS_PER_DAY, SimulatedInstrument
from simulated_venues.source import MarketSource

KEPT_MS = 30 * 86_400_000
"""The venue keeps these statistics for 30 days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """Instants at which statistics are wanted: multiples of a period, in order.

    Attributes:
        source: the market.
        instrument: of which.
        period: their distance.
        at_ms: milliseconds since 1970; none is later than the market's time.
        by_pair: they were asked for by pair, as those of coin-margined contracts always are.
    """

    source: MarketSource
    instrument: SimulatedInstrument
    period: Interval
    at_ms: range
    by_pair: bool

    def spans_ms(self) -> list[tuple[int, int]]:
        """Spans to read, half open: one, or, where days of the market lie between the instants, one for each."""
        if self.period.raw_bars > RAW_BARS_PER_DAY:
            return [(at, at + 1) for at in self.at_ms]
        return [(self.at_ms[0], self.at_ms[-1] + 1)]


type Statistic = Callable[[Periods], Iterator[Record]]
"""A record for each instant, with its `timestamp`; none where the source has nothing."""


def statistics_answers(view: MarketView) -> dict[str, Answer]:
    """What answers each path below `/futures/data/`."""
    by_symbol = {
        "openInterestHist": open_interest,
        "topLongShortAccountRatio": top_account_ratio,
        "topLongShortPositionRatio": top_position_ratio,
        "globalLongShortAccountRatio": account_ratio,
        "takerlongshortRatio": taker_ratio,
    }
    by_pair = {"takerBuySellVol": taker_volume, "basis": basis}
    return {
        **{name: _answer(view, statistic, always_by_pair=False) for name, statistic in by_symbol.items()},
        **{name: _answer(view, statistic, always_by_pair=True) for name, statistic in by_pair.items()},
    }


def open_interest(asked: Periods) -> Iterator[Record]:
    """Contracts open, in base and in quote currency."""
    lot = asked.instrument.lot
    for at, (lots, mark) in _measured(asked, "open_interest", "mark_price"):
        quantity = int(lots) * lot
        yield {
            "sumOpenInterest": f"{quantity:.8f}",
            "sumOpenInterestValue": f"{float(quantity) * mark:.8f}",
            "timestamp": at,
        }


def account_ratio(asked: Periods) -> Iterator[Record]:
    """Long over short, counted in accounts."""
    return _ratios(asked, "accounts_ratio")


def top_account_ratio(asked: Periods) -> Iterator[Record]:
    """Long over short, counted in accounts of the largest traders."""
    return _ratios(asked, "top_accounts_ratio")


def top_position_ratio(asked: Periods) -> Iterator[Record]:
    """Long over short, in positions of the largest traders; asked by symbol, the venue calls the shares accounts."""
    return _ratios(asked, "top_positions_ratio", "Position" if asked.by_pair else "Account")


def taker_ratio(asked: Periods) -> Iterator[Record]:
    """Bought and sold by takers in the period that ends at each instant, in base currency."""
    bars, decimals = _before(asked), asked.instrument.quantity_decimals
    for k, opened_at in enumerate(bars.opened_at_ms.tolist()):
        bought = int(bars.taker_buy_volume[k])
        sold = int(bars.volume[k]) - bought
        yield {
            "buySellRatio": f"{bought / max(1, sold):.4f}",
            "buyVol": decimal_text(bought, decimals),
            "sellVol": decimal_text(sold, decimals),
            "timestamp": opened_at + bars.interval_ms,
        }


def taker_volume(asked: Periods) -> Iterator[Record]:
    """Bought and sold by takers in the period that ends at each instant, in base and in quote currency."""
    bars, quantity = _before(asked), asked.instrument.quantity_decimals
    quote = quantity + asked.instrument.price_decimals
    columns = {
        "takerBuyVol": (bars.taker_buy_volume, quantity),
        "takerSellVol": (bars.volume - bars.taker_buy_volume, quantity),
        "takerBuyVolValue": (bars.taker_buy_quote_volume, quote),
        "takerSellVolValue": (bars.quote_volume - bars.taker_buy_quote_volume, quote),
    }
    for k, opened_at in enumerate(bars.opened_at_ms.tolist()):
        texts = {name: decimal_text(int(values[k]), decimals) for name, (values, decimals) in columns.items()}
        yield {**texts, "timestamp": opened_at + bars.interval_ms}


def basis(asked: Periods) -> Iterator[Record]:
    """The traded price over the index at each instant."""
    bars, instrument = _before(asked), asked.instrument
    closes = dict(zip((bars.opened_at_ms + bars.interval_ms).tolist(), bars.close.tolist(), strict=True))
    for at, index in _index_prices(asked):
        if at in closes:
            price = float(closes[at] * instrument.tick)
            yield {
                "indexPrice": f"{index:.8f}",
                "futuresPrice": decimal_text(closes[at], instrument.price_decimals),
                "basis": f"{price - index:.8f}",
                "basisRate": f"{(price - index) / index:.4f}",
                # Of a perpetual contract there is no rate to its delivery.
                "annualizedBasisRate": "",
                "timestamp": at,
            }


def _answer(view: MarketView, statistic: Statistic, *, always_by_pair: bool) -> Answer:
    def answer(query: Query) -> Json:
        by_pair = always_by_pair or (query.text("symbol") is None and query.text("pair") is not None)
        named = "pair" if by_pair else "symbol"
        instrument, period = view.instrument(query, named), _period(view, query)
        at_ms = _instants(view, query, instrument, period)
        labels: Record = {} if statistic is taker_ratio else {named: instrument.symbol}
        if always_by_pair or query.text("contractType"):
            labels["contractType"] = _contract_type(query)
        if not at_ms:
            return []
        asked = Periods(source=view.source, instrument=instrument, period=period, at_ms=at_ms, by_pair=by_pair)
        return [{**labels, **record} for record in statistic(asked)]

    return answer


def _instants(view: MarketView, query: Query, instrument: SimulatedInstrument, period: Interval) -> range:
    """The last of a span that are wanted: multiples of the period up to now."""
    (start, end), limit, length = query.span(), query.limit(usual=30, most=500), period.length_ms
    now = view.now_ms(instrument)
    if start is not None and start < now - KEPT_MS:
        raise _invalid("startTime")
    # The first instant of all has no period before it.
    first = max(now - KEPT_MS if start is None else start, listed_ms(view.source) + length)
    first, last = -(-first // length) * length, min(now, now if end is None else end) // length * length
    return range(max(first, last - (limit - 1) * length), last + 1, length)


def _period(view: MarketView, query: Query) -> Interval:
    found = served_periods(view.source.raw_interval_ms).get(query.required("period"))
    if found is None:
        raise _invalid("period")
    return found


def _contract_type(query: Query) -> str:
    contract_type = query.required("contractType")
    if contract_type not in ("PERPETUAL", "ALL"):
        raise _invalid("contractType")
    return contract_type


def _invalid(name: str) -> Refusal:
    return Refusal(-1130, f"parameter '{name}' is invalid.")


def _ratios(asked: Periods, column: str, share_of: str = "Account") -> Iterator[Record]:
    for at, (ratio,) in _measured(asked, column):
        yield {
            "longShortRatio": f"{ratio:.4f}",
            f"long{share_of}": f"{ratio / (1 + ratio):.4f}",
            f"short{share_of}": f"{1 / (1 + ratio):.4f}",
            "timestamp": at,
        }


def _measured(asked: Periods, *columns: str) -> Iterator[tuple[int, list[float]]]:
    """What was measured with the open interest at the wanted instants."""
    for first, last in asked.spans_ms():
        found = asked.source.open_interest(asked.instrument.instrument_id, instant(first), instant(last))
        wanted = np.flatnonzero(found.measured_at_ms % asked.period.length_ms == 0)
        for k in wanted.tolist():
            yield int(found.measured_at_ms[k]), [float(getattr(found, column)[k]) for column in columns]


def _index_prices(asked: Periods) -> Iterator[tuple[int, float]]:
    for first, last in asked.spans_ms():
        found = asked.source.fair_prices(asked.instrument.instrument_id, instant(first), instant(last))
        for k in np.flatnonzero(found.at_ms % asked.period.length_ms == 0).tolist():
            yield int(found.at_ms[k]), float(found.index_price[k])


def _before(asked: Periods) -> Bars:
    """The bars that end at the wanted instants."""
    first, end = asked.at_ms[0] - asked.period.length_ms, asked.at_ms[-1]
    return klines(asked.source, asked.instrument.instrument_id, asked.period, first, end, end - 1).bars
