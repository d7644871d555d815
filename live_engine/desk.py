"""The strategy's desk in the live engine: what it asks is answered from journal, champion and gate."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Protocol

from nautilus_trader.model.data import Bar

from helios_pipeline.core.trading import ChampionChange, JournalRecord, Mode, Purpose
from helios_pipeline.core.venues import RecordSink
from helios_pipeline.execution.books import Books
from helios_pipeline.execution.decision_records import decision_records, instant_of, quanta
from helios_pipeline.execution.restore import REMEMBERED, MarketFold
from helios_pipeline.execution.traded_market import TradedMarket
from helios_pipeline.strategy.desk import BoundaryDecision, RestoredMarket
from helios_pipeline.strategy.terms import Terms
from live_engine.champion import ChampionHolder


class DeskJournal(Protocol):
    """What the desk needs of a journal."""

    @property
    def account(self) -> str:
        """Whose it is."""

    def records(self, *kinds: type[JournalRecord]) -> Iterator[JournalRecord]:
        """Every record of some kinds, oldest first."""

    def subscribe(self, listener: Callable[[int, JournalRecord], None]) -> None:
        """Have a function called with each new record."""

    def reading(self) -> AbstractContextManager[Books]:
        """The books of one moment."""

    def next_client_order_id(self) -> int:
        """An id that was never given before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskParts:
    """What the desk is put together from.

    Attributes:
        journal: of the account.
        sink: where records are written.
        champion: what may be traded.
        mode: of the kill switch, now.
        blocked: traded instrument id → why it may not be entered now, a line each.
        missed_bars: since an instant, of all markets, oldest first.
    """

    journal: DeskJournal
    sink: RecordSink
    champion: ChampionHolder
    mode: Callable[[], Mode]
    blocked: Callable[[str], tuple[str, ...]]
    missed_bars: Callable[[datetime], Sequence[Bar]]


class LiveDesk:
    """`strategy.desk.Desk` of the live engine.

    Made before the engine trades: it reads the whole journal, which takes its time, and follows it from then on.

    Args:
        parts: where answers come from.
        markets: in the strategy's order.
        interval: length of a bar.
    """

    def __init__(self, parts: DeskParts, markets: Sequence[TradedMarket], interval: timedelta) -> None:
        self._parts = parts
        self._markets = tuple(markets)
        self._interval = interval
        self._folds = [MarketFold(each, self._cooldown) for each in self._markets]
        with parts.journal.reading():
            # What is on disk and not told yet is folded twice, which changes nothing.
            for record in parts.journal.records(*REMEMBERED):
                self._fold(0, record)
            parts.journal.subscribe(self._fold)

    def terms(self) -> Terms | None:
        """Of the champion that is valid now."""
        champion = self._parts.champion.current
        return None if champion is None else champion.terms

    def terms_of(self, manifest_hash: str) -> Terms | None:
        """Of one that was accepted once."""
        return self._parts.champion.terms_of(manifest_hash)

    def took_over(self, manifest_hash: str, markets: Sequence[int]) -> None:
        """Journal it."""
        instruments = tuple(self._markets[m].instrument_id for m in markets)
        self._parts.sink.append(
            ChampionChange(
                account=self._parts.journal.account,
                manifest_hash=manifest_hash,
                action="taken_over",
                instruments=instruments,
                why="",
                changed_at=datetime.now(UTC),
            )
        )

    def restored(self, market: int) -> RestoredMarket | None:
        """The market by the journal's records of before this moment."""
        with self._parts.journal.reading():
            return self._folds[market].restored

    def missed_bars(self, since_ns: int) -> Sequence[Bar]:
        """From the signal venue's history."""
        return self._parts.missed_bars(instant_of(since_ns))

    def equity_quanta(self, closes: Sequence[int]) -> int:
        """The journal's cash, and what it holds at the closes of the signals."""
        ticks = zip(self._markets, closes, strict=True)
        prices = {market.instrument_id: close * market.signal_tick for market, close in ticks}
        with self._parts.journal.reading() as books:
            held = (
                position.quantity * prices.get(name, position.entry_price) for name, position in books.positions.items()
            )
            return quanta(books.quote_balance + sum(held, start=Decimal(0)))

    def mode(self) -> Mode:
        """Of the kill switch."""
        return self._parts.mode()

    def blocked(self, market: int) -> str:
        """The first gate that an entry would not pass."""
        reasons = self._parts.blocked(self._markets[market].instrument_id)
        return reasons[0].partition(":")[0] if reasons else ""

    def waits(self, market: int, purpose: Purpose) -> str:
        """An order whose outcome is not known holds everything back; HALTED holds exits back, not stops."""
        if purpose == "exit" and self._parts.mode() == "HALTED":
            return "halted"
        with self._parts.journal.reading() as books:
            unknown = books.unknown(self._markets[market].instrument_id)
        return f"order {unknown[0].client_order_id} is unknown" if unknown else ""

    def next_order_id(self) -> str:
        """From the journal's counter."""
        return str(self._parts.journal.next_client_order_id())

    def record(self, decision: BoundaryDecision) -> None:
        """Journal a decision of each market."""
        for record in decision_records(decision, self._markets, self._parts.journal.account, self._interval):
            self._parts.sink.append(record)

    def _fold(self, _sequence: int, record: JournalRecord) -> None:
        for fold in self._folds:
            fold.take(record)

    def _cooldown(self, manifest_hash: str) -> int:
        terms = self.terms_of(manifest_hash) if manifest_hash else None
        return (
            0
            if terms is None
            else terms.parameters.cooldown_bars * (self._interval // timedelta(microseconds=1)) * 1000
        )
