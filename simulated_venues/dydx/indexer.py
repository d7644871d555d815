"""The indexer: a read model built from committed blocks, and what it tells its subscribers of them.

It knows nothing but the blocks that it has been given. While `indexer_lag` is in force it leaves the last blocks
unread, so that everything it serves, its height included, is that of an earlier block.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Protocol

from simulated_venues.clock import VenueClock, iso
from simulated_venues.dydx.displayed import Displayed
from simulated_venues.dydx.documents import Json, text
from simulated_venues.dydx.heights import Heights
from simulated_venues.dydx.ledger import Ledger
from simulated_venues.dydx.listing import Listing
from simulated_venues.dydx.market_data import MarketData, match_document
from simulated_venues.dydx.news import News
from simulated_venues.dydx.records import (
    Event,
    FundingPaid,
    FundingSettled,
    LevelTaken,
    Market,
    MarketTraded,
    Moment,
    OrderChanged,
)
from simulated_venues.faults import Faults

Seen = Callable[[str], bool]
"""Tell the chain that an address was asked for; whether it has money coming in a block that is not shown yet."""


class Audience(Protocol):
    """Who hears what the indexer tells."""

    def hear(self, channel: str, name: str, contents: Json) -> None:
        """A message of a channel, and of the market or subaccount whose it is."""

    def traded(self, ticker: str, since_ms: int) -> None:
        """A market has new trades from an instant on, so its candles are others."""


class _Nobody:
    def hear(self, channel: str, name: str, contents: Json) -> None:
        del channel, name, contents

    def traded(self, ticker: str, since_ms: int) -> None:
        del ticker, since_ms


_STATISTICS_BLOCKS = 5
"""A market's statistics are told every so many blocks, if they have changed."""
_ACCOUNT_BLOCKS = 3
"""For so many blocks' time a request waits for the money of a new account."""
_MOST_TICKS = 1_000
"""Of a venue that was away for long, only the last ends of funding intervals are looked at."""
_NO_ORACLES: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    moment: Moment
    events: Sequence[Event]
    oracles: Mapping[str, int]


@dataclass(slots=True)
class Indexer:
    """See the module.

    Attributes:
        listing: the background of the markets.
        clock: the venue's; `stale_prices` stops markets.
        faults: `indexer_lag` and `hide_fills` act here.
        block_ms: usual time between blocks.
        audience: who hears of blocks.
        applied: the last block that is shown.
    """

    listing: Listing
    clock: VenueClock
    faults: Faults
    block_ms: int
    audience: Audience = field(default_factory=_Nobody)
    applied: Moment = field(default_factory=lambda: Moment(height=0, at_ms=0))
    heights: Heights = field(init=False)
    markets: MarketData = field(init=False)
    ledger: Ledger = field(init=False)
    displayed: Displayed = field(init=False)
    _by_pair: dict[int, Market] = field(init=False)
    _waiting: deque[_Batch | OrderChanged] = field(default_factory=deque)
    _told: dict[str, Json] = field(default_factory=dict)
    _waiters: list[asyncio.Future[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.heights = Heights(self.block_ms)
        self.markets = MarketData(self.listing, self.heights)
        self._by_pair = {market.clob_pair_id: market for market in self.listing.markets}
        self.ledger = Ledger(self._by_pair)
        self.displayed = Displayed()

    def restore(
        self, blocks: Iterable[tuple[Moment, Sequence[Event]]], last: Moment, moments: Iterable[Moment]
    ) -> None:
        """Read the blocks of an earlier run again; tells nobody.

        Args:
            blocks: those with events at least, oldest first.
            last: the last one; of a new chain, the moment at which it was made.
            moments: of all blocks, oldest first; none of a new chain.
        """
        for moment in moments:
            self.heights.add(moment)
        is_new = self.heights.is_empty
        # What nobody hears can't be hidden: faults are not counted.
        unheard = Faults(self.faults.venue)
        for moment, events in blocks:
            if moment.height < last.height:
                self._read(_Batch(moment=moment, events=events, oracles=_NO_ORACLES), unheard)
            else:
                last_events: Sequence[Event] = events
                self._read(_Batch(moment=last, events=last_events, oracles=_NO_ORACLES), unheard)
        if self.applied.height < last.height:
            self._read(_Batch(moment=last, events=(), oracles=_NO_ORACLES), unheard)
        if is_new:
            self.heights.assume(last)
        self._show_markets(last, _NO_ORACLES)

    def commit(self, moment: Moment, events: Sequence[Event], oracles: Mapping[str, int] = _NO_ORACLES) -> None:
        """Take a committed block.

        Args:
            moment: its height and time.
            events: what happened to accounts in it, in order.
            oracles: ticker → oracle price in 1e-8 USDC, where it is not the background's own.
        """
        self._waiting.append(_Batch(moment=moment, events=tuple(events), oracles=oracles))
        self._catch_up()

    def tell(self, change: OrderChanged) -> None:
        """Take what a validator says of an order before its block."""
        self._waiting.append(change)
        self._catch_up()

    def oracle_e8(self, market: Market) -> int:
        """Oracle price of the block that is shown."""
        return self.markets.oracle_e8(market)

    def book_ms(self, market: Market) -> int:
        """The instant whose book is shown: now, but not beyond the block after the last one that is known."""
        return min(self.clock.market_ms(market.ticker), self.applied.at_ms + self.block_ms)

    def height_document(self) -> Json:
        """Height and time of the block that is shown."""
        return {"height": str(self.applied.height), "time": iso(self.applied.at_ms)}

    async def applied_another(self) -> None:
        """Wait until another block is shown."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    async def wait_for_account(self, address: str, seen: Seen) -> None:
        """Let the chain see an address that nothing is known of, and wait for the money that it gets for that."""
        if not self.ledger.of_address(address) and seen(address):
            with suppress(TimeoutError):
                async with asyncio.timeout(_ACCOUNT_BLOCKS * self.block_ms / 1_000):
                    while not self.ledger.of_address(address):
                        await self.applied_another()

    def _catch_up(self) -> None:
        lag = self.faults.active("indexer_lag")
        allowed = int(lag.value) if lag else 0
        behind = sum(isinstance(each, _Batch) for each in self._waiting)
        while self._waiting:
            first = self._waiting[0]
            behind -= isinstance(first, _Batch)
            if behind < allowed:
                return
            if isinstance(first, _Batch):
                self._apply(first)
            else:
                news = News(self.ledger, self.faults, self.oracle_e8)
                self._take(first, news)
                news.tell(self.audience.hear, self.applied.height)
            self._waiting.popleft()

    def _apply(self, batch: _Batch) -> None:
        """Read a block and tell of it."""
        news = self._read(batch, self.faults)
        matches = [event for event in batch.events if isinstance(event, MarketTraded)]
        self._tell_markets(batch, self._show_markets(batch.moment, batch.oracles), matches)
        news.tell(self.audience.hear, batch.moment.height)
        contents: Json = {"blockHeight": str(batch.moment.height), "time": iso(batch.moment.at_ms)}
        self.audience.hear("v4_block_height", "v4_block_height", contents)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _read(self, batch: _Batch, faults: Faults) -> News:
        before, self.applied = self.applied, batch.moment
        self.heights.add(batch.moment)
        self._add_ticks(before.at_ms, batch.moment.at_ms)
        news = News(self.ledger, faults, self.oracle_e8)
        for event in batch.events:
            self._take(event, news)
        return news

    def _take(self, event: Event, news: News) -> None:
        match event:
            case FundingPaid():
                self.ledger.add_payment(event)
            case FundingSettled():
                self.markets.add_settlement(event, self._by_pair[event.clob_pair_id])
            case MarketTraded():
                self.markets.add_match(event, self._by_pair[event.clob_pair_id])
            case LevelTaken():
                self.displayed.note_taken(event, self._by_pair[event.clob_pair_id])
            case _:
                news.take(event)
        if isinstance(event, OrderChanged):
            self.displayed.note_order(event, self._by_pair[event.order.order_id.clob_pair_id])

    def _add_ticks(self, after_ms: int, until_ms: int) -> None:
        """Equity at every end of a funding interval since the last block, by what was known then."""
        interval = self.listing.funding_interval_ms
        if not self.ledger.accounts:
            return
        first = -(-max(after_ms, until_ms - _MOST_TICKS * interval) // interval)
        for at_ms in range(first * interval, until_ms, interval):
            moment = Moment(height=self.heights.at(at_ms), at_ms=at_ms)
            self.ledger.add_ticks(moment, lambda market, at_ms=at_ms: self.listing.oracle_e8(market, at_ms))  # type: ignore[misc]

    def _show_markets(self, moment: Moment, oracles: Mapping[str, int]) -> dict[str, tuple[int, bool]]:
        """Show every market up to a block; per ticker, from when on its tape is new, and if its oracle price is."""
        shown = {}
        for ticker, market in self.markets.by_ticker.items():
            # The clock goes on between the two questions.
            behind = max(0, self.clock.now_ms() - self.clock.market_ms(ticker))
            shown[ticker] = self.markets.advance(market, moment.at_ms - behind + 1, oracles.get(ticker))
        return shown

    def _tell_markets(
        self, batch: _Batch, shown: Mapping[str, tuple[int, bool]], matches: Sequence[MarketTraded]
    ) -> None:
        prices: Json = {}
        for ticker, (since_ms, new_price) in shown.items():
            market = self.markets.by_ticker[ticker]
            trades = self.markets.trades(market, since_ms, self.markets.until_ms(market))
            trades += [match_document(each, market) for each in matches if each.clob_pair_id == market.clob_pair_id]
            if trades:
                self.audience.hear("v4_trades", ticker, {"trades": trades})
                self.audience.traded(ticker, since_ms)
            if new_price:
                prices[ticker] = self._oracle_message(market, batch.moment)
        if prices:
            self.audience.hear("v4_markets", "v4_markets", {"oraclePrices": prices})
        if batch.moment.height % _STATISTICS_BLOCKS == 0:
            self._tell_statistics()

    def _tell_statistics(self) -> None:
        changed: Json = {}
        for ticker, market in self.markets.by_ticker.items():
            now, before = self.markets.statistics(market), self._told.get(ticker, {})
            different = {key: value for key, value in now.items() if before.get(key) != value}
            if different:
                changed[ticker] = {"id": str(market.clob_pair_id), **different}
                self._told[ticker] = now
        if changed:
            self.audience.hear("v4_markets", "v4_markets", {"trading": changed})

    def _oracle_message(self, market: Market, moment: Moment) -> Json:
        return {
            "oraclePrice": text(Decimal(self.oracle_e8(market)).scaleb(-8)),
            "effectiveAt": iso(moment.at_ms),
            "effectiveAtHeight": str(moment.height),
            "marketId": market.clob_pair_id,
        }
