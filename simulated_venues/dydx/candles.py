"""Candles, aggregated from the tape: the background's trades and the accounts' matches."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

import numpy as np
from numba import njit

from simulated_venues.clock import iso
from simulated_venues.dydx.documents import Json, name_uuid, text
from simulated_venues.dydx.listing import Listing
from simulated_venues.dydx.records import Market
from simulated_venues.source import Integers

RESOLUTION_MS = MappingProxyType(
    {
        "1MIN": 60_000,
        "5MINS": 300_000,
        "15MINS": 900_000,
        "30MINS": 1_800_000,
        "1HOUR": 3_600_000,
        "4HOURS": 14_400_000,
        "1DAY": 86_400_000,
    }
)
"""Length of a candle by the resolution's name."""

HISTORY_DAYS = 180
"""Days of the market for which candles are served: trades of longer ago are not read."""

Match = tuple[int, int, int]
"""A match of accounts: milliseconds since 1970, price in ticks, quantity in steps."""

_OPEN, _HIGH, _LOW, _CLOSE, _VOLUME, _MONEY, _COUNT = range(7)
_HOUR_MS = RESOLUTION_MS["1HOUR"]
_MOST_KEPT = 20_000


@dataclass(slots=True)
class Candles:
    """Makes candles; those that are over do not change any more, so they are kept, and hours to make longer ones of."""

    listing: Listing
    _over: dict[tuple[str, str, int], Json] = field(default_factory=dict)
    _hours: dict[tuple[str, int], Integers] = field(default_factory=dict)

    def read(
        self, market: Market, resolution: str, span_ms: tuple[int, int], now_ms: int, matches: Sequence[Match]
    ) -> list[Json]:
        """Candles that start in [first, last), newest first; none where there was no trade.

        Args:
            market: whose.
            resolution: a key of `RESOLUTION_MS`.
            span_ms: first and last.
            now_ms: trades from then on are not known yet; the candle that it lies in is the open one.
            matches: of accounts in the market, in order of time.
        """
        length = RESOLUTION_MS[resolution]
        oldest = max(now_ms - HISTORY_DAYS * self.listing.day_ms, self.listing.begins_ms)
        first = -(-max(span_ms[0], oldest) // length) * length
        starts = range(first, min(span_ms[1], now_ms), length)
        known = {start: self._over.get((market.ticker, resolution, start)) for start in starts}
        made = self._make(market, resolution, [start for start in starts if known[start] is None], now_ms, matches)
        if len(self._over) > _MOST_KEPT:
            self._over.clear()
        self._over.update({(market.ticker, resolution, s): made[s] for s in made if s + length <= now_ms})
        found = [made[start] if start in made else known[start] for start in reversed(starts)]
        return [candle for candle in found if candle]

    def _make(
        self, market: Market, resolution: str, starts: Sequence[int], now_ms: int, matches: Sequence[Match]
    ) -> dict[int, Json]:
        """A candle for each start; an empty one where there was no trade."""
        if not starts:
            return {}
        length = RESOLUTION_MS[resolution]
        first, last = starts[0], min(now_ms, starts[-1] + length)
        mine = np.array([match for match in matches if first <= match[0] < last], np.int64).reshape(-1, 3).T
        if length > _HOUR_MS:
            totals = self._totals_of_hours(market, (first, last), length, mine)
        else:
            totals = self._totals(market, (first, last), length, mine)
        traded = np.flatnonzero(totals[_COUNT])
        ends = np.stack((first + length * traded, np.minimum(first + length * (traded + 1), now_ms)))
        mids = {k: self.listing.mids(market, ends[:, i] - 1) for i, k in enumerate(traded.tolist())}
        return {
            start: self._document(market, resolution, start, totals[:, k], mids[k]) if k in mids else {}
            for start in starts
            for k in [(start - first) // length]
        }

    def _totals(self, market: Market, span_ms: tuple[int, int], length: int, matches: Integers) -> Integers:
        """Totals of the candles in a span, int64[7, candles]."""
        first, last = span_ms
        day_ms = self.listing.day_ms
        totals = np.zeros((7, -(-(last - first) // length)), np.int64)
        for day in range(first // day_ms, -(-last // day_ms)):
            start, end = max(first, day * day_ms), min(last, (day + 1) * day_ms)
            for tape in self.listing.tapes(market, start, end):
                trades = _merge(np.stack((tape.at_ms, tape.price, tape.quantity)), matches, start, end)
                _fold(trades, first, length, totals)
        return totals

    def _totals_of_hours(self, market: Market, span_ms: tuple[int, int], length: int, matches: Integers) -> Integers:
        """The same from hours: a day of the clock may be many days of the market."""
        first, last = span_ms
        totals = np.zeros((7, -(-(last - first) // length)), np.int64)
        for started in range(first, last, _HOUR_MS):
            ended = min(started + _HOUR_MS, last)
            hour = self._hours.get((market.ticker, started))
            if hour is None:
                hour = self._totals(market, (started, ended), _HOUR_MS, matches)[:, 0]
                if ended == started + _HOUR_MS:
                    self._hours[market.ticker, started] = hour
            _add(totals[:, (started - first) // length], hour)
        return totals

    def _document(self, market: Market, resolution: str, started_ms: int, totals: Integers, mids: Integers) -> Json:
        prices = [text(int(totals[row]) * market.tick) for row in (_LOW, _HIGH, _OPEN, _CLOSE)]
        return {
            "startedAt": iso(started_ms),
            "ticker": market.ticker,
            "resolution": resolution,
            **dict(zip(("low", "high", "open", "close"), prices, strict=True)),
            "baseTokenVolume": text(int(totals[_VOLUME]) * market.step),
            "usdVolume": text(int(totals[_MONEY]) * market.tick * market.step),
            "trades": int(totals[_COUNT]),
            "startingOpenInterest": text(market.size(self.listing.open_interest(market, started_ms))),
            "orderbookMidPriceOpen": text(int(mids[0]) * market.tick / Decimal(2)),
            "orderbookMidPriceClose": text(int(mids[1]) * market.tick / Decimal(2)),
        }


def candle_message(candle: Json) -> Json:
    """A candle as the WebSocket has it, with the indexer's id of it."""
    return {**candle, "id": name_uuid(candle["startedAt"], candle["ticker"], candle["resolution"])}


def _merge(trades: Integers, matches: Integers, first_ms: int, last_ms: int) -> Integers:
    """Trades and those matches that lie in [first, last), in order of time; int64[3, n]."""
    inside = matches[:, (matches[0] >= first_ms) & (matches[0] < last_ms)]
    if not inside.shape[1]:
        return trades
    both = np.concatenate((trades, inside), axis=1)
    return both[:, np.argsort(both[0], kind="stable")]


def _add(total: Integers, part: Integers) -> None:
    """Add a part to the candle that it ends, both int64[7]."""
    if part[_COUNT]:
        if not total[_COUNT]:
            total[[_OPEN, _HIGH, _LOW]] = part[[_OPEN, _HIGH, _LOW]]
        total[_HIGH], total[_LOW] = max(total[_HIGH], part[_HIGH]), min(total[_LOW], part[_LOW])
        total[_CLOSE] = part[_CLOSE]
        total[_VOLUME:] += part[_VOLUME:]


@njit(cache=True, nogil=True)
def _fold(trades: Integers, first_ms: int, length_ms: int, totals: Integers) -> None:
    """Add trades in order of time to candles: int64[3, n] of time, ticks and steps to int64[7, candles]."""
    for i in range(trades.shape[1]):
        price, quantity, k = trades[1, i], trades[2, i], (trades[0, i] - first_ms) // length_ms
        if not totals[6, k]:
            totals[0, k] = totals[1, k] = totals[2, k] = price
        totals[1, k] = max(totals[1, k], price)
        totals[2, k] = min(totals[2, k], price)
        totals[3, k] = price
        totals[4, k] += quantity
        totals[5, k] += price * quantity
        totals[6, k] += 1
