"""The strategy's orders: entries, exits that are tried until they are filled, stops that follow what is held."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from nautilus_trader.common.component import TimeEvent
from nautilus_trader.core.message import Event
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.events import (
    OrderAccepted,
    OrderCanceled,
    OrderCancelRejected,
    OrderDenied,
    OrderExpired,
    OrderRejected,
)
from nautilus_trader.model.identifiers import ClientOrderId
from nautilus_trader.model.orders import Order
from nautilus_trader.trading.strategy import Strategy

from helios_pipeline.core.errors import JournalError
from helios_pipeline.core.trading import Purpose
from helios_pipeline.strategy.allocation import stop_ticks
from helios_pipeline.strategy.desk import Desk
from helios_pipeline.strategy.holding import SentOrder
from helios_pipeline.strategy.market_book import MarketBook
from helios_pipeline.strategy.order_tags import write_tags
from helios_pipeline.strategy.same_thread import same_thread

ENDED = (OrderDenied, OrderRejected, OrderCanceled, OrderExpired)
LONGEST_BACKOFF = 32
"""Times the first, before the next try of an order that keeps coming to nothing."""


class Orders:
    """Sends a strategy's orders and brings them in line with what its markets hold.

    Args:
        strategy: whose orders.
        desk: who runs it.
        retry_ns: time before the next try; 0 leaves it to the next decision.
        exit_quote_age_ns: oldest quote that an exit may be sent against; None: it needs none.
    """

    def __init__(self, strategy: Strategy, desk: Desk, retry_ns: int, exit_quote_age_ns: int | None) -> None:
        self._strategy = strategy
        self._desk = desk
        self._retry_ns = retry_ns
        self._exit_quote_age_ns = exit_quote_age_ns
        self._retries = 0

    def is_quoted(self, market: MarketBook, age_ns: int) -> bool:
        """Whether the traded instrument has a quote that is not older."""
        return bool(self._strategy.clock.timestamp_ns() - market.quoted_at <= age_ns)

    def pending_entry(self, market: MarketBook) -> int:
        """Lots of an entry that may still be filled."""
        order = self._in_flight(market, "entry")
        return 0 if order is None else market.lots(order.leaves_qty)

    def enter(self, market: MarketBook, signed_lots: int, boundary: int, atr: float) -> None:
        """Send an entry.

        Args:
            market: to enter.
            signed_lots: negative to sell.
            boundary: that decided it.
            atr: of its bar.
        """
        self._market_order(market, signed_lots, SentOrder("entry", "signal", boundary, atr))

    def leave(self, market: MarketBook) -> None:
        """Send an exit of all that is held, if none is on its way and one can be sent; else try again later."""
        if self._in_flight(market, "exit") is not None:
            return
        why = self._exit_waits(market)
        if not why:
            self._send_exit(market)
            return
        if why != market.waiting:
            self._strategy.log.warning(f"{market.traded.id}: the exit for {market.holding.leaving} waits: {why}")
            market.waiting = why
        self._try_later(market)

    def leave_all(self, markets: Sequence[MarketBook], reason: str) -> None:
        """Send an exit of everything, whatever the quotes and whatever it was being left for."""
        for market in markets:
            if market.holding.side:
                market.holding = replace(market.holding, leaving=reason)
                self._send_exit(market)

    def take_event(self, market: MarketBook, event: Event) -> None:
        """Look at a market again when one of its orders ended or a stop rests."""
        order_id = event.client_order_id.value
        sent = market.sent.get(order_id)
        if isinstance(event, ENDED):
            if sent is not None and market.newest[sent.purpose] == order_id:
                market.failures += 1
            if isinstance(event, OrderDenied):
                # It never left, and must not push one that did out of memory.
                market.sent.pop(order_id, None)
            self.tend(market)
        elif isinstance(event, OrderCancelRejected) or (
            isinstance(event, OrderAccepted) and sent is not None and sent.purpose == "stop"
        ):
            self.tend(market)

    def tend(self, market: MarketBook) -> None:
        """Bring a market's orders in line with what it holds."""
        if not market.holding.side:
            self._cancel_stops(market, kept=None)
            return
        self._keep_stop(market)
        if market.holding.leaving and self._retry_ns:
            self.leave(market)

    def _keep_stop(self, market: MarketBook) -> None:
        """A stop in the size of what is held; the one it replaces is cancelled once it rests."""
        trigger = self._stop_trigger(market)
        if trigger == 0:
            return
        resting = self._in_flight(market, "stop")
        if resting is not None and market.lots(resting.leaves_qty) == market.holding.lots:
            if resting.is_open:
                self._cancel_stops(market, kept=resting)
            return
        changing = self._in_flight(market, "entry") is not None or self._in_flight(market, "exit") is not None
        if resting is not None and (changing or not resting.is_open):
            return
        if self._desk.waits(market.index, "stop") or (resting is None and not self._may_try(market, "stop")):
            self._try_later(market)
            return
        self._send_stop(market, trigger)

    def _stop_trigger(self, market: MarketBook) -> int:
        holding = market.holding
        if market.terms is None or holding.atr != holding.atr:
            return 0
        stop_atr = market.terms.parameters.stop_atr
        return int(stop_ticks(holding.entry_ticks, holding.side, stop_atr, holding.atr, market.tick))

    def _send_stop(self, market: MarketBook, trigger: int) -> None:
        holding = market.holding
        sent = SentOrder("stop", "stop", holding.entered_at, holding.atr)

        def make(order_id: ClientOrderId | None) -> Order:
            return self._strategy.order_factory.stop_market(
                market.traded.id,
                OrderSide.SELL if holding.side > 0 else OrderSide.BUY,
                market.quantity(holding.lots),
                market.price(trigger),
                reduce_only=True,
                tags=write_tags(sent),
                client_order_id=order_id,
            )

        self._submit(market, make, sent)

    def _exit_waits(self, market: MarketBook) -> str:
        """Why no exit can be sent now; empty when it can."""
        if not self._may_try(market, "exit"):
            return "the last one came to nothing"
        if self._exit_quote_age_ns is not None and not self.is_quoted(market, self._exit_quote_age_ns):
            return "no fresh quote"
        return self._desk.waits(market.index, "exit")

    def _send_exit(self, market: MarketBook) -> None:
        holding = market.holding
        sent = SentOrder("exit", holding.leaving, market.decided_at, holding.atr)
        self._market_order(market, -holding.side * holding.lots, sent)

    def _market_order(self, market: MarketBook, signed_lots: int, sent: SentOrder) -> None:
        def make(order_id: ClientOrderId | None) -> Order:
            return self._strategy.order_factory.market(
                market.traded.id,
                OrderSide.BUY if signed_lots > 0 else OrderSide.SELL,
                market.quantity(abs(signed_lots)),
                reduce_only=sent.purpose != "entry",
                tags=write_tags(sent),
                client_order_id=order_id,
            )

        self._submit(market, make, sent)

    def _submit(self, market: MarketBook, make: Callable[[ClientOrderId | None], Order], sent: SentOrder) -> None:
        try:
            given = self._desk.next_order_id()
        except JournalError as error:
            self._strategy.log.exception(f"no {sent.purpose} is sent", error)  # noqa: TRY401 - its logger needs it
            self._try_later(market)
            return
        order = make(None if given is None else ClientOrderId(given))
        # Noted first: a denial or a fill can come before `submit_order` returns.
        market.note_sent(order.client_order_id.value, sent)
        market.tried_at[sent.purpose] = self._strategy.clock.timestamp_ns()
        self._strategy.submit_order(order)

    def _cancel_stops(self, market: MarketBook, kept: Order | None) -> None:
        for order in self._strategy.cache.orders_open(instrument_id=market.traded.id, strategy_id=self._strategy.id):
            if order.has_trigger_price and order != kept and not order.is_pending_cancel:
                self._strategy.cancel_order(order)

    def _in_flight(self, market: MarketBook, purpose: Purpose) -> Order | None:
        """The newest order for a purpose, while it may still be filled."""
        order_id = market.newest.get(purpose)
        order = None if order_id is None else self._strategy.cache.order(ClientOrderId(order_id))
        return None if order is None or order.is_closed else order

    def _may_try(self, market: MarketBook, purpose: Purpose) -> bool:
        wait = self._retry_ns * min(2 ** (market.failures - 1), LONGEST_BACKOFF) if market.failures else 0
        return bool(self._strategy.clock.timestamp_ns() >= market.tried_at.get(purpose, 0) + wait)

    def _try_later(self, market: MarketBook) -> None:
        if not self._retry_ns or market.retrying:
            return
        at = self._strategy.clock.timestamp_ns() + self._retry_ns

        def again(_: TimeEvent) -> None:
            market.retrying = False
            self.tend(market)

        # The live clock may still list a timer whose callback runs: it is not asked, and no name is given twice.
        market.retrying = True
        self._retries += 1
        self._strategy.clock.set_time_alert_ns(f"retry-{market.index}-{self._retries}", at, same_thread(again))
