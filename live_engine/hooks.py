"""What stands between NautilusTrader and its execution engine: the gate, and the journal.

Four endpoints of the message bus are ours. `ExecEngine.execute` is the one place that every order passes, whoever sends
it: a strategy, the emulator, an execution algorithm, `market_exit`. There the gate judges, and the intent is durable
before the command goes on. `ExecEngine.process` and the two for reports journal what became of orders before
NautilusTrader acts on it. Events that it makes up itself pass no endpoint; they are heard once it publishes them.

The bus refuses a second handler at an endpoint, so the engine's own is taken off first, and called by ours.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from nautilus_trader.cache.base import CacheFacade
from nautilus_trader.common.component import Clock, MessageBus
from nautilus_trader.core.message import Command
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import (
    BatchCancelOrders,
    CancelAllOrders,
    CancelOrder,
    ModifyOrder,
    SubmitOrder,
    SubmitOrderList,
)
from nautilus_trader.execution.reports import ExecutionMassStatus, ExecutionReport, FillReport
from nautilus_trader.live.execution_engine import LiveExecutionEngine
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.enums import OrderStatus
from nautilus_trader.model.events import OrderEvent
from nautilus_trader.model.orders import Order

from helios_pipeline.core.errors import JournalError
from helios_pipeline.core.trading import JournalRecord
from helios_pipeline.core.venues import RecordSink
from helios_pipeline.execution.books import Books
from live_engine.gate import RiskGate
from live_engine.kill_points import reached
from live_engine.order_records import event_record, fill_record, order_intent, order_request, unsendable
from live_engine.refusals import alone, change_refusal, denial

log = logging.getLogger(__name__)

EVENTS = "events.order.*"
SENDABLE = (OrderStatus.INITIALIZED, OrderStatus.RELEASED)
"""States in which an order has gone nowhere yet; `RELEASED` comes from the emulator."""

type Plan = Callable[[Order], int | None]
"""The last block that may hold an order, which the venue client will send it with; None for one that rests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookParts:
    """What the hooks work with.

    Attributes:
        account: that orders are sent from.
        sink: the journal.
        books: that its records make.
        gate: judges orders.
        plan: of the venue client; None where the venue has no blocks.
        page: wakes a person; takes a line.
    """

    account: str
    sink: RecordSink
    books: Books
    gate: RiskGate
    plan: Plan | None
    page: Callable[[str], None]


def install_hooks(node: TradingNode, parts: HookParts) -> "Hooks":
    """Take over the endpoints of a node's execution engine; once, after `node.build()` and before it runs.

    Raises:
        ValueError: another handler than the engine's is there already.
    """
    kernel = node.kernel
    hooks = Hooks(kernel.exec_engine, kernel.msgbus, kernel.cache, kernel.clock, parts)
    hooks.install()
    return hooks


class Hooks:
    """Handlers at the execution engine's endpoints.

    Args:
        engine: whose endpoints.
        msgbus, cache, clock: of the node.
        parts: what to judge with and where to write.
    """

    def __init__(
        self, engine: LiveExecutionEngine, msgbus: MessageBus, cache: CacheFacade, clock: Clock, parts: HookParts
    ) -> None:
        self._engine = engine
        self._msgbus = msgbus
        self._cache = cache
        self._clock = clock
        self._parts = parts
        self._admitting = threading.Lock()
        self._passed: set[UUID4] = set()
        self._journal_lost = False

    def install(self) -> None:
        """Put our handlers where the engine's are."""
        engine = self._engine
        for endpoint, theirs, ours in (
            ("ExecEngine.execute", engine.execute, self.execute),
            ("ExecEngine.process", engine.process, self.process),
            ("ExecEngine.reconcile_execution_report", engine.reconcile_execution_report, self.take_report),
            (
                "ExecEngine.reconcile_execution_mass_status",
                engine.reconcile_execution_mass_status,
                self.take_mass_status,
            ),
        ):
            self._msgbus.deregister(endpoint, theirs)
            self._msgbus.register(endpoint, ours)
        self._msgbus.subscribe(topic=EVENTS, handler=self.hear)

    def execute(self, command: Command) -> None:
        """Let a command through to the execution engine, or refuse it."""
        match command:
            case SubmitOrder():
                if self._admit(command.order):
                    self._engine.execute(command)
            case SubmitOrderList():
                self._submit_list(command)
            case ModifyOrder():
                self._refuse_change(command)
            case CancelOrder() | CancelAllOrders() | BatchCancelOrders():
                self._engine.execute(command)
                reached("cancel_pending")
            case _:
                self._engine.execute(command)

    def process(self, event: OrderEvent) -> None:
        """Journal what became of an order, then let NautilusTrader act on it."""
        self._write_event(event)
        self._passed.add(event.id)
        self._engine.process(event)

    def take_report(self, report: ExecutionReport) -> None:
        """Journal a fill that a report tells, then let NautilusTrader act on it."""
        if isinstance(report, FillReport):
            self._write_fill(report)
        self._engine.reconcile_execution_report(report)

    def take_mass_status(self, status: ExecutionMassStatus) -> None:
        """Journal the fills that a report on the whole account tells, then let NautilusTrader act on it."""
        for fills in status.fill_reports.values():
            for report in fills:
                self._write_fill(report)
        self._engine.reconcile_execution_mass_status(status)

    def hear(self, event: object) -> None:
        """Journal an event that NautilusTrader made itself; those that passed `process` are there already."""
        if not isinstance(event, OrderEvent):
            return
        if event.id in self._passed:
            self._passed.remove(event.id)
        else:
            self._write_event(event)

    def _submit_list(self, command: SubmitOrderList) -> None:
        orders = command.order_list.orders
        refused: set[str] = set()
        admitted: list[Order] = []
        for order in orders:
            parent = order.parent_order_id
            if parent is not None and parent.value in refused:
                self._deny(order, f"its order {parent.value} was refused")
            elif self._admit(order):
                admitted.append(order)
                continue
            refused.add(order.client_order_id.value)
        if not refused:
            self._engine.execute(command)
            return
        for order in admitted:
            self._engine.execute(alone(command, order, self._clock.timestamp_ns()))

    def _admit(self, order: Order) -> bool:
        """Judge an order and make its intent durable; False if it was refused.

        One at a time: NautilusTrader's timers call on threads of their own, and two orders that fit alone must not both
        be judged before either is in the books.
        """
        with self._admitting:
            try:
                why = unsendable(order) or self._gate_refusal(order) or self._write_intent(order)
                if not why:
                    self._parts.gate.sent()
            except Exception as error:
                log.exception("order_not_judged", extra={"correlation": order.client_order_id.value})
                why = self._defect(f"order {order.client_order_id.value} can't be judged, and was refused", error)
        if why:
            log.warning("order_refused", extra={"correlation": order.client_order_id.value, "why": why})
            self._deny(order, why)
        else:
            log.info("order_sent", extra={"correlation": order.client_order_id.value, "order": order.info()})
        return not why

    def _gate_refusal(self, order: Order) -> str:
        refusal = self._parts.gate.judge(order_request(order, self._cache.quote_tick(order.instrument_id)))
        return "" if refusal is None else str(refusal)

    def _write_intent(self, order: Order) -> str:
        plan = self._parts.plan
        last_block = None if plan is None else plan(order)
        intent = order_intent(self._parts.account, order, last_block, datetime.now(UTC))
        try:
            new = self._parts.sink.append(intent) is not None
        except JournalError as error:
            self._say_lost(error)
            return f"journal: {error}"
        return "" if new else f"journal: an order {order.client_order_id.value} was sent before; nothing is sent twice"

    def _deny(self, order: Order, why: str) -> None:
        if order.status not in SENDABLE:
            # It is under way already: to deny it would hide what becomes of it.
            self._parts.page(f"order {order.client_order_id.value} was not sent again: {why}")
            return
        if not self._cache.order_exists(order.client_order_id):
            self._cache.add_order(order)
        self.process(denial(order, why, self._clock.timestamp_ns()))

    def _refuse_change(self, command: ModifyOrder) -> None:
        order = self._cache.order(command.client_order_id)
        self.process(change_refusal(command, order, self._clock.timestamp_ns()))

    def _write_event(self, event: OrderEvent) -> None:
        self._write(lambda: event_record(self._parts.account, event, self._parts.books))

    def _write_fill(self, report: FillReport) -> None:
        self._write(lambda: fill_record(self._parts.account, report, self._parts.books))

    def _write(self, records: Callable[[], Iterable[JournalRecord]]) -> None:
        """Journal what is told. What can't be is said, and NautilusTrader acts on it all the same."""
        try:
            for record in records():
                self._parts.sink.append(record)
        except JournalError as error:
            self._say_lost(error)
        except Exception as error:
            log.exception("not_journalled")
            self._defect("what was told of an order can't be journalled", error)

    def _defect(self, what: str, error: Exception) -> str:
        """Page an error that nobody foresaw: out of here it would end the process, in NautilusTrader's queues."""
        line = f"{what}: {type(error).__name__}: {error}"
        self._parts.page(line)
        return line

    def _say_lost(self, error: JournalError) -> None:
        if not self._journal_lost:
            self._journal_lost = True
            self._parts.page(f"the journal can't be written, so every order is refused: {error}")
