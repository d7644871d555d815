"""What the engine says of itself, gathered at one moment from those who know it."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from helios_pipeline.core.keys import Network
from helios_pipeline.core.status import EngineStatus, MarketStatus, StreamStatus
from helios_pipeline.execution.books import Books
from helios_pipeline.execution.traded_market import TradedMarket
from helios_pipeline.strategy.signal import signal
from live_engine.champion import ChampionHolder
from live_engine.gate import RiskGate
from live_engine.journal import Journal
from live_engine.kill_switch import KillSwitch
from live_engine.reconciler import Reconciler

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSources:
    """Who knows what.

    Attributes:
        network, venue: that are traded.
        markets: of the engine.
        journal, kill_switch, champion, gate, reconciler: as they are.
        trader_running: whether strategies run.
        height: of the venue; None where there are no blocks.
        marks: the venue's mark prices, as far as they are known.
        streams: age of everything heard.
        copy_lag_seconds: of PostgreSQL behind the local log.
        counters: events since the start.
    """

    network: Network
    venue: str
    markets: Sequence[TradedMarket]
    journal: Journal
    kill_switch: KillSwitch
    champion: ChampionHolder
    gate: RiskGate
    reconciler: Reconciler
    trader_running: Callable[[], bool]
    height: Callable[[], int | None]
    marks: Callable[[], Mapping[str, Decimal]]
    streams: Callable[[], tuple[StreamStatus, ...]]
    copy_lag_seconds: Callable[[], float]
    counters: Callable[[], dict[str, int]]


class StatusReport:
    """Makes the engine's status, for its event loop.

    Args:
        sources: who knows what.
    """

    def __init__(self, sources: StatusSources) -> None:
        self._from = sources
        self._started_at = datetime.now(UTC)

    def make(self) -> EngineStatus:
        """The status of now."""
        known, mode = self._from, self._from.kill_switch.state
        champion = known.champion.current
        with known.journal.reading() as books:
            marks = dict(known.marks())
            prices = {each: marks.get(each, position.entry_price) for each, position in books.positions.items()}
            equity = books.equity(prices)
            began = books.day_start_equity
            return EngineStatus(
                account=books.account,
                network=known.network,
                venue=known.venue,
                pid=os.getpid(),
                epoch=known.journal.epoch,
                started_at=self._started_at,
                told_at=datetime.now(UTC),
                trader_running=known.trader_running(),
                mode=mode.mode,
                mode_who=mode.who,
                mode_why=mode.why,
                blocked=known.gate.blocked(),
                champion=None if champion is None else champion.manifest_hash,
                champion_note=known.champion.note,
                quote_balance=books.quote_balance,
                equity=equity,
                day_pnl=ZERO if began is None else equity - began,
                height=known.height(),
                reconciled_at=known.reconciler.agreed_at,
                differences=known.reconciler.differences,
                sequence=known.journal.sequence,
                copy_lag_seconds=known.copy_lag_seconds(),
                markets=tuple(self._market(market, books, marks) for market in known.markets),
                streams=known.streams(),
                counters=known.counters(),
            )

    def _market(self, market: TradedMarket, books: Books, marks: Mapping[str, Decimal]) -> MarketStatus:
        traded = market.instrument_id
        position, decision, mark = books.positions.get(traded), books.last_decision(traded), marks.get(traded)
        stops = [
            line.intent.trigger_price
            for line in books.open_orders(traded)
            if line.intent is not None and line.intent.trigger_price is not None
        ]
        held = position is not None and mark is not None
        level: float | None = None
        if decision is not None and decision.z_price is not None:
            terms = self._from.champion.terms_of(decision.manifest_hash) if decision.manifest_hash else None
            weight = 0.0 if terms is None else terms.rule.funding_weight
            level = signal(decision.z_price, float("nan") if decision.z_funding is None else decision.z_funding, weight)
        return MarketStatus(
            instrument_id=traded,
            signal_instrument_id=market.signal_instrument_id,
            quantity=books.quantity(traded),
            entry_price=None if position is None else position.entry_price,
            mark_price=mark,
            stop_price=stops[-1] if stops else None,
            unrealised=position.quantity * (mark - position.entry_price) if held and position and mark else ZERO,
            signal=None if level is None or level != level else level,
            outcome="" if decision is None else decision.outcome,
            closed_at=None if decision is None else decision.closed_at,
            unknown_orders=len(books.unknown(traded)),
        )
