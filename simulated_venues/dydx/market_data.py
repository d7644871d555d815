"""What the indexer knows of markets: prices, trades, funding, statistics of a day, up to the last block it has."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from simulated_venues.dydx.candles import RESOLUTION_MS, Candles, Match
from simulated_venues.dydx.documents import Json, rate_document, text, trade_document
from simulated_venues.dydx.heights import Heights
from simulated_venues.dydx.listing import Listing
from simulated_venues.dydx.records import FundingSettled, Market, MarketTraded, Moment

_HISTORY_DAYS = 60
"""Days of the market that lists of trades and of funding rates go back."""


@dataclass(slots=True)
class _State:
    """Of one market: the instant before which its trades are shown, its oracle price, and what accounts did in it."""

    until_ms: int = 0
    oracle_e8: int = 0
    matches: list[MarketTraded] = field(default_factory=list)
    settled: dict[int, FundingSettled] = field(default_factory=dict)

    def matches_in(self, first_ms: int, last_ms: int) -> list[MarketTraded]:
        """Matches of accounts in [first, last), in order."""
        start, stop = (bisect_left(self.matches, at_ms, key=_traded_ms) for at_ms in (first_ms, last_ms))
        return self.matches[start:stop]


@dataclass(slots=True)
class MarketData:
    """All markets."""

    listing: Listing
    heights: Heights
    by_ticker: dict[str, Market] = field(init=False)
    candles: Candles = field(init=False)
    _states: dict[str, _State] = field(init=False)

    def __post_init__(self) -> None:
        self.by_ticker = {market.ticker: market for market in self.listing.markets}
        self.candles = Candles(self.listing)
        self._states = {ticker: _State() for ticker in self.by_ticker}

    def advance(self, market: Market, until_ms: int, oracle_e8: int | None) -> tuple[int, bool]:
        """Show a market before an instant.

        Returns:
            Where what is new in the tape begins, and whether the oracle price is another one.
        """
        state = self._states[market.ticker]
        before, price = state.until_ms or until_ms, state.oracle_e8
        state.until_ms = max(state.until_ms, until_ms)
        state.oracle_e8 = self.listing.oracle_e8(market, state.until_ms - 1) if oracle_e8 is None else oracle_e8
        return before, state.oracle_e8 != price

    def until_ms(self, market: Market) -> int:
        """The instant before which the market is shown."""
        return self._states[market.ticker].until_ms

    def oracle_e8(self, market: Market) -> int:
        """The oracle price of the last block."""
        return self._states[market.ticker].oracle_e8

    def add_match(self, match: MarketTraded, market: Market) -> None:
        """Note a match of accounts."""
        self._states[market.ticker].matches.append(match)

    def add_settlement(self, settled: FundingSettled, market: Market) -> None:
        """Note a settled funding rate."""
        interval = self.listing.funding_interval_ms
        self._states[market.ticker].settled[settled.moment.at_ms // interval * interval] = settled

    def trades(self, market: Market, first_ms: int, last_ms: int) -> list[Json]:
        """The background's trades in [first, last), oldest first."""
        return [
            trade_document(
                market,
                f"{trade.trade_id:024x}",
                trade.taker.value,
                (trade.quantums, trade.subticks),
                "LIMIT",
                Moment(height=self.heights.at(trade.at_ms), at_ms=trade.at_ms),
            )
            for trade in self.listing.trades(market, first_ms, last_ms)
        ]

    def latest_trades(self, market: Market, limit: int, before_ms: int) -> list[Json]:
        """Trades before an instant, newest first: the background's and matches of accounts."""
        state, found = self._states[market.ticker], list[Json]()
        last = min(before_ms, state.until_ms)
        end, span = last, self.listing.source.raw_interval_ms
        while len(found) < limit and last - end < _HISTORY_DAYS * self.listing.day_ms:
            start = end - span
            mine = [match_document(each, market) for each in state.matches_in(start, end)]
            both = self.trades(market, start, end) + mine
            found.extend(sorted(reversed(both), key=lambda trade: str(trade["createdAt"]), reverse=True))
            end, span = start, span * 2
        return found[:limit]

    def read_candles(self, market: Market, resolution: str, span_ms: tuple[int, int], limit: int) -> list[Json]:
        """Candles that start in [first, last), newest first, `limit` at most."""
        state, length = self._states[market.ticker], RESOLUTION_MS[resolution]
        # Once, and before the matches are read: blocks come meanwhile, and candles that are over are kept.
        until = state.until_ms
        last, found = min(span_ms[1], until), list[Json]()
        while len(found) < limit and last > span_ms[0]:
            first = max(span_ms[0], (last // length - limit + len(found)) * length)
            matches = [_match(each, market) for each in state.matches_in(first, min(until, last + length))]
            candles = self.candles.read(market, resolution, (first, last), until, matches)
            found.extend(candles)
            if not candles:
                break
            last = first
        return found[:limit]

    def funding_rates(self, market: Market, limit: int, before_ms: int) -> list[Json]:
        """Settled rates at or before an instant, newest first."""
        state, interval, found = self._states[market.ticker], self.listing.funding_interval_ms, list[Json]()
        newest = min(before_ms, state.until_ms - 1) // interval * interval
        oldest = max(newest - _HISTORY_DAYS * self.listing.day_ms, self.listing.begins_ms)
        settled_at = newest
        while len(found) < limit and settled_at > oldest:
            known = state.settled.get(settled_at)
            if known is not None:
                found.append(rate_document(market, known.rate_e12, known.oracle_e8, known.moment))
            else:
                rate = self.listing.funding_rate_e12(market, settled_at)
                moment = Moment(height=self.heights.at(settled_at), at_ms=settled_at)
                found.append(rate_document(market, rate, self.listing.oracle_e8(market, settled_at), moment))
            settled_at -= interval
        return found

    def statistics(self, market: Market) -> Json:
        """What the market's document says of the last day of the market and of what comes next."""
        state = self._states[market.ticker]
        now, before = state.until_ms, state.until_ms - self.listing.day_ms
        money, trades = self.listing.volume(market, before, now)
        mine = [_match(each, market) for each in state.matches_in(before, now)]
        money, trades = money + sum(price * size for _, price, size in mine), trades + len(mine)
        change = state.oracle_e8 - self.listing.oracle_e8(market, before)
        rate = self.listing.next_funding_rate_e12(market, now - 1)
        return {
            "priceChange24H": text(Decimal(change).scaleb(-8)),
            "volume24H": text(money * market.tick * market.step),
            "trades24H": trades,
            "nextFundingRate": text(Decimal(rate).scaleb(-12)),
            "openInterest": text(market.size(self.listing.open_interest(market, now))),
        }

    def market_document(self, market: Market) -> Json:
        """A market as REST and the WebSocket's first message have it."""
        statistics = self.statistics(market)
        interest = statistics.pop("openInterest")
        return {
            "clobPairId": str(market.clob_pair_id),
            "ticker": market.ticker,
            "status": "ACTIVE",
            "oraclePrice": text(Decimal(self._states[market.ticker].oracle_e8).scaleb(-8)),
            **statistics,
            "initialMarginFraction": text(Decimal(market.initial_margin_ppm).scaleb(-6)),
            "maintenanceMarginFraction": text(Decimal(market.maintenance_margin_ppm).scaleb(-6)),
            "openInterest": interest,
            "atomicResolution": market.atomic_resolution,
            "quantumConversionExponent": market.quantum_conversion_exponent,
            "tickSize": text(market.tick),
            "stepSize": text(market.step),
            "stepBaseQuantums": market.step_base_quantums,
            "subticksPerTick": market.subticks_per_tick,
            "marketType": "CROSS",
            "openInterestLowerCap": "0",
            "openInterestUpperCap": "0",
            "baseOpenInterest": interest,
            "defaultFundingRate1H": "0",
        }

    def market_documents(self) -> Mapping[str, Json]:
        """All markets by ticker."""
        return {ticker: self.market_document(market) for ticker, market in self.by_ticker.items()}


def match_document(match: MarketTraded, market: Market) -> Json:
    """A match of accounts as a trade of the tape."""
    amounts = (match.quantums, match.subticks)
    return trade_document(market, match.trade_id, match.taker.value, amounts, match.kind, match.moment)


def _traded_ms(match: MarketTraded) -> int:
    return match.moment.at_ms


def _match(match: MarketTraded, market: Market) -> Match:
    ticks, steps = match.subticks // market.subticks_per_tick, match.quantums // market.step_base_quantums
    return match.moment.at_ms, ticks, steps
