"""The running engine: its parts put together, its loops, its end.

Everything that can be tried alone stands in a module of its own; here is the order in which they begin, work and stop.
"""

import asyncio
import contextlib
import logging
import signal
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from nautilus_trader.model.data import Bar
from nautilus_trader.model.identifiers import InstrumentId

from helios_pipeline.core.errors import EngineError, HeliosError, JournalError
from helios_pipeline.core.keys import Network
from helios_pipeline.core.market_data import MarketHistory
from helios_pipeline.core.status import EngineStatus
from helios_pipeline.core.trading import AccountSnapshot, JournalRecord, ModeChange, OrderEvent, VenueFill
from helios_pipeline.core.venues import RecordSink
from helios_pipeline.execution.reconciliation import ComparisonRules
from helios_pipeline.execution.traded_market import TradedMarket
from helios_pipeline.live_settings import LiveSection, RiskGateSection
from helios_pipeline.strategy.nautilus import MeanReversionConfig, MeanReversionStrategy
from live_engine.at_rest import unfinished
from live_engine.bar_maker import BarMaker, BarMakerSettings
from live_engine.champion import ChampionHolder
from live_engine.commands import EngineCommands
from live_engine.control import ControlServer
from live_engine.copier import Copier
from live_engine.desk import DeskParts, LiveDesk
from live_engine.flatten import Flattener
from live_engine.funding_watch import FundingWatch
from live_engine.gate import GateSources, RiskGate
from live_engine.gate_state import own_reasons
from live_engine.heartbeat import HEARTBEAT, remove_heartbeat, write_heartbeat
from live_engine.hooks import HookParts, install_hooks
from live_engine.journal import Journal
from live_engine.kill_switch import KillSwitch
from live_engine.lease_keeper import LeaseKeeper
from live_engine.live_features import LiveFeatures
from live_engine.market_bars import bar_type, to_bar
from live_engine.nautilus_account import NautilusAccount
from live_engine.node import Node
from live_engine.reconciler import Reconciler, ReconcilerTerms
from live_engine.status_report import StatusReport, StatusSources
from live_engine.stream_monitor import StreamMonitor
from live_engine.venues import DataParts, VenueParts
from live_engine.warm_up import WarmUp

log = logging.getLogger(__name__)

NS = 1_000_000_000
CHORE_SECONDS = 2.0
"""Between two looks at PostgreSQL: mode, lease, heartbeat."""

FLATTEN_LOOK_SECONDS = 3.0
STOP_LOOK_SECONDS = 0.1
REST_SECONDS = 10.0
"""In which orders should have their answers and positions their stops when the engine is to end."""

RETRY_NS = 2 * NS
"""Before an exit or a stop that came to nothing is tried again."""

SETTLE = timedelta(seconds=10)
UNLISTED = timedelta(seconds=60)
"""Well past what an indexer is behind its chain."""

SETTLE_BLOCKS = 3
CONFIRM_SECONDS = 1.0
CAPACITY_BARS = 4_096


class HeartbeatStore(Protocol):
    """Where PostgreSQL keeps the newest status. Raises DatabaseError while it is away."""

    def write(self, status: EngineStatus) -> None:
        """Keep it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineParts:
    """What the root has made and opened.

    Attributes:
        live, limits: of the settings.
        folder: of the account.
        journal: open.
        sink: the journal, or what a drill put before it.
        kill_switch, champion, lease: loaded.
        copier: of the journal; None without PostgreSQL.
        heartbeats: of PostgreSQL; None without it.
        venue, signals: of the registry.
        markets: in the order of signal ids.
        warm_ups: one a market, in that order.
        histories: of the signal venue, one for each actor that asks.
    """

    live: LiveSection
    limits: RiskGateSection
    folder: Path
    journal: Journal
    sink: RecordSink
    kill_switch: KillSwitch
    champion: ChampionHolder
    lease: LeaseKeeper
    copier: Copier | None
    heartbeats: HeartbeatStore | None
    venue: VenueParts
    signals: DataParts
    markets: tuple[TradedMarket, ...]
    warm_ups: tuple[WarmUp, ...]
    histories: tuple[MarketHistory, MarketHistory]

    @property
    def network(self) -> Network:
        """That is traded."""
        return self.live.network


class Engine:
    """One account's engine, on one event loop.

    Args:
        loop: that it runs on; `dispose` closes it.
        parts: what it is made of.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, parts: EngineParts) -> None:
        self._parts = parts
        self._loop = loop
        self._stopping = asyncio.Event()
        self._failure: HeliosError | None = None
        self._counts: Counter[str] = Counter()
        self._connections = 0
        self.status: EngineStatus | None = None
        self._node = Node(loop, parts.venue, parts.signals, parts.folder)
        live, names = parts.live, [market.signal_instrument_id for market in parts.markets]
        traded = [market.instrument_id for market in parts.markets]
        self._features = LiveFeatures(names, live.bar, CAPACITY_BARS)
        self._monitor = StreamMonitor(names, traded, live.bar, self._stream_limits(), self._block_heard_at())
        settings = BarMakerSettings(
            account=parts.journal.account, bar=live.bar, patience=timedelta(seconds=live.kline_seconds)
        )
        bars = BarMaker(settings, parts.warm_ups, self._features, parts.histories[0], parts.sink)
        funding = FundingWatch(live.bar, parts.warm_ups, self._features, parts.histories[1])
        strategy = self._trading = self._strategy()
        self._node.build(strategy, (self._monitor, funding, bars))
        nautilus = self._node.nautilus
        self._reconciler = Reconciler(
            parts.journal,
            NautilusAccount(nautilus, parts.journal.account),
            parts.venue.reader,
            self._reconciler_terms(),
            lambda line: log.warning("reconciliation", extra={"said": line}),
        )
        self._gate = RiskGate(parts.limits, self._gate_sources())
        install_hooks(
            nautilus,
            HookParts(
                account=parts.journal.account,
                sink=parts.sink,
                books=parts.journal.books,
                gate=self._gate,
                plan=getattr(self._venue_client(), "plan", None),
                page=self._page,
            ),
        )
        self._flattener = Flattener(nautilus, strategy, parts.journal, parts.kill_switch, self._reconciler)
        self._report = StatusReport(self._status_sources())
        commands = EngineCommands(parts.kill_switch, self._flattener, self._report.make)
        self._control = ControlServer(parts.folder, commands.handle)
        parts.journal.subscribe(self._count)
        parts.kill_switch.watch(self._note_mode)

    def run_until(self, stopping: threading.Event, ready: Callable[[EngineStatus], None]) -> None:
        """`run` on the loop until an event of another thread or a signal handler is set; then release everything."""

        async def run() -> None:
            # NautilusTrader has put its own handlers there, which would stop the node behind our back.
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, stopping.set)
            watching = asyncio.create_task(self._watch(stopping))
            try:
                await self.run(ready)
            finally:
                watching.cancel()

        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(run())
        finally:
            self.dispose()

    async def _watch(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            await asyncio.sleep(STOP_LOOK_SECONDS)
        self.stop()

    async def run(self, ready: Callable[[EngineStatus], None]) -> None:
        """Trade until `stop`.

        Args:
            ready: called once, when trading may begin.

        Raises:
            HeliosError: the node does not start, or another engine took the account.
        """
        await self._control.start()
        loops: list[asyncio.Task[None]] = []
        try:
            loops.append(asyncio.create_task(self._every(self._parts.live.heartbeat_seconds, self._beat)))
            loops.append(asyncio.create_task(self._every(CHORE_SECONDS, self._do_chores)))
            await self._start_node()
            if not self._stopping.is_set():
                await self._reconciler.compare()
                await self._beat()
                ready(self._report.make())
                log.info("trading", extra={"markets": [market.instrument_id for market in self._parts.markets]})
                loops.append(asyncio.create_task(self._reconciler.run()))
                loops.append(asyncio.create_task(self._every(FLATTEN_LOOK_SECONDS, self._flatten_when_asked)))
                await self._stopping.wait()
                await self._come_to_rest()
        finally:
            for task in loops:
                task.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await self._control.stop()
            await self._node.stop()
        if self._failure is not None:
            raise self._failure
        remove_heartbeat(self._parts.folder / HEARTBEAT)

    async def _come_to_rest(self) -> None:
        """Wait until orders have their answers and positions their stops; an account that is lost waits for nothing."""
        if self._failure is not None:
            return
        log.info("stopping", extra={"waits": list(self._unfinished())})
        deadline = self._loop.time() + REST_SECONDS
        while (left := list(self._unfinished())) and self._loop.time() < deadline:
            await asyncio.sleep(STOP_LOOK_SECONDS)
        if left:
            self._page(f"stopped all the same after {REST_SECONDS:g} s: {'; '.join(left)}")

    def _unfinished(self) -> Iterator[str]:
        with self._parts.journal.reading() as books:
            yield from unfinished(books, self._trading.markets)

    def stop(self, failure: HeliosError | None = None) -> None:
        """End `run`, with an error or without. From the loop."""
        self._failure = self._failure or failure
        self._stopping.set()

    def dispose(self) -> None:
        """Release what the node holds, the loop included."""
        self._node.dispose()

    async def _start_node(self) -> None:
        starting = asyncio.create_task(self._node.await_trading())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return
        await starting

    def _strategy(self) -> MeanReversionStrategy:
        parts, live = self._parts, self._parts.live
        desk = LiveDesk(
            DeskParts(
                journal=parts.journal,
                sink=parts.sink,
                champion=parts.champion,
                mode=lambda: parts.kill_switch.mode,
                blocked=lambda instrument_id: self._gate.blocked(instrument_id),
                missed_bars=self._missed_bars,
            ),
            parts.markets,
            live.bar,
        )
        traded = [InstrumentId.from_str(market.instrument_id) for market in parts.markets]
        return MeanReversionStrategy(
            MeanReversionConfig(
                strategy_id="HELIOS",
                order_id_tag="001",
                external_order_claims=traded,
                bar_types=tuple(bar_type(market.signal_instrument_id, live.bar) for market in parts.markets),
                traded=tuple(traded),
                interval_ns=live.bar_seconds * NS,
                grace_ns=round(live.grace_seconds * NS),
                late_ns=round(live.late_seconds * NS),
                quote_age_ns=round(parts.limits.stale_quotes_seconds * NS),
                exit_quote_age_ns=None,
                retry_ns=RETRY_NS,
                last_boundary_ns=0,
            ),
            self._features,
            desk,
        )

    def _missed_bars(self, since: datetime) -> list[Bar]:
        """Bars of history that closed after an instant, oldest first, market after market within a boundary."""
        cache, bar = self._node.nautilus.kernel.cache, self._parts.live.bar
        now_ns = self._node.nautilus.kernel.clock.timestamp_ns()
        found = [
            to_bar(
                candle,
                bar,
                bar_type(known.instrument_id, bar),
                cache.instrument(InstrumentId.from_str(known.instrument_id)),
                now_ns,
            )
            for known in self._parts.warm_ups
            for candle in known.missed(since, bar)
        ]
        return sorted(found, key=lambda each: each.ts_event)

    def _stream_limits(self) -> dict[str, float]:
        limits = self._parts.limits
        return {
            "trades": limits.stale_trades_seconds,
            "klines": limits.stale_klines_seconds,
            "quotes": limits.stale_quotes_seconds,
            "mark": limits.stale_mark_seconds,
            "blocks": limits.stale_block_seconds,
        }

    def _venue_client(self) -> object:
        return getattr(self._parts.venue.execution.factory, "client", None)

    def _block_heard_at(self) -> Callable[[], float | None] | None:
        """Where the venue has blocks: when its newest was heard of. Its client exists once the node is built."""
        if not self._parts.venue.has_blocks:
            return None
        return lambda: getattr(self._venue_client(), "height_at", None)

    def _height(self) -> int | None:
        return getattr(self._venue_client(), "height", None) if self._parts.venue.has_blocks else None

    def _marks(self) -> dict[str, Decimal]:
        cache, marks = self._node.nautilus.kernel.cache, {}
        for market in self._parts.markets:
            update = cache.mark_price(InstrumentId.from_str(market.instrument_id))
            if update is not None:
                marks[market.instrument_id] = update.value.as_decimal()
        return marks

    def _copy_lag(self) -> float:
        return 0.0 if self._parts.copier is None else self._parts.copier.lag_seconds

    def _others(self) -> tuple[str, ...]:
        parts = self._parts
        return own_reasons(parts.journal.failure, stopping=self._stopping.is_set(), lease=parts.lease.missing)

    def _gate_sources(self) -> GateSources:
        parts = self._parts
        return GateSources(
            books=parts.journal.books,
            signals={market.instrument_id: market.signal_instrument_id for market in parts.markets},
            mode=lambda: parts.kill_switch.state,
            marks=self._marks,
            streams=self._monitor.statuses,
            clock_skew_ms=self._monitor.clock_skew_ms,
            copy_lag_seconds=self._copy_lag,
            agreement=self._reconciler,
            others=self._others,
        )

    def _reconciler_terms(self) -> ReconcilerTerms:
        every = self._parts.live.reconcile_seconds
        return ReconcilerTerms(
            rules=ComparisonRules(
                settle=SETTLE,
                unlisted=UNLISTED,
                settle_blocks=SETTLE_BLOCKS,
                quote_rounding=self._parts.venue.quote_rounding,
            ),
            every_seconds=every,
            confirm_seconds=CONFIRM_SECONDS,
            trusted_seconds=2 * every,
        )

    def _status_sources(self) -> StatusSources:
        parts = self._parts
        return StatusSources(
            network=parts.network,
            venue=parts.venue.name,
            markets=parts.markets,
            journal=parts.journal,
            kill_switch=parts.kill_switch,
            champion=parts.champion,
            gate=self._gate,
            reconciler=self._reconciler,
            trader_running=lambda: self._node.trader_running,
            height=self._height,
            marks=self._marks,
            streams=self._monitor.statuses,
            copy_lag_seconds=self._copy_lag,
            counters=lambda: dict(self._counts) | {f"refused_{name}": n for name, n in self._gate.refused.items()},
        )

    async def _every(self, seconds: float, do: Callable[[], Awaitable[None]]) -> None:
        """Do something again and again; an error of one time is said, and the next time comes."""
        while True:
            try:
                await do()
            except Exception:
                log.exception("loop_failed", extra={"loop": do.__name__})
            await asyncio.sleep(seconds)

    async def _beat(self) -> None:
        """Say how the engine is, and write down the account's value where that is due."""
        status = self.status = self._report.make()
        write_heartbeat(self._parts.folder / HEARTBEAT, status)
        self._snapshot(status)
        connections = getattr(self._venue_client(), "connections", 0)
        if connections != self._connections:
            self._connections = connections
            self._reconciler.request()

    def _snapshot(self, status: EngineStatus) -> None:
        """The account's value at the start of each UTC day, and once at the start of the engine."""
        books, marks = self._parts.journal.books, self._marks()
        last = books.last_snapshot
        if self._counts["snapshots"] and last is not None and last.taken_at.date() == status.told_at.date():
            return
        if books.began_at is None or not books.positions.keys() <= marks.keys():
            return
        self._counts["snapshots"] += 1
        self._write(
            AccountSnapshot(
                account=status.account,
                quote_balance=status.quote_balance,
                equity=status.equity,
                taken_at=status.told_at,
            )
        )

    async def _do_chores(self) -> None:
        """What asks PostgreSQL, out of the loop that trades."""
        try:
            await asyncio.to_thread(self._parts.lease.keep)
        except EngineError as error:
            log.critical("account_lost", extra={"why": str(error)})
            self.stop(error)
        await asyncio.to_thread(self._tell_postgres)

    def _tell_postgres(self) -> None:
        self._parts.kill_switch.sync()
        if self._parts.heartbeats is not None and self.status is not None:
            with contextlib.suppress(HeliosError):
                self._parts.heartbeats.write(self.status)

    async def _flatten_when_asked(self) -> None:
        await self._flattener.when_asked(lambda line: log.warning("flatten", extra={"said": line}), self._page)

    def _page(self, line: str) -> None:
        self._counts["pages"] += 1
        log.critical("page", extra={"said": line})

    def _note_mode(self, change: ModeChange) -> None:
        log.warning("mode_changed", extra={"mode": change.mode, "who": change.who, "why": change.why})
        self._write(change)

    def _write(self, record: JournalRecord) -> None:
        try:
            self._parts.sink.append(record)
        except JournalError as error:
            log.critical("not_journalled", extra={"why": str(error)})

    def _count(self, _sequence: int, record: JournalRecord) -> None:
        """Count what was journalled, by kind."""
        name = type(record).__name__
        self._counts[record.state if isinstance(record, OrderEvent) else name] += 1
        if isinstance(record, VenueFill):
            log.info(
                "fill",
                extra={
                    "correlation": record.client_order_id,
                    "instrument": record.instrument_id,
                    "quantity": str(record.side * record.quantity),
                    "price": str(record.price),
                },
            )
