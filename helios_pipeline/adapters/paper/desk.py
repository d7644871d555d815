"""Carries orders of a paper account out, at the prices that NautilusTrader knows at that moment."""

from collections.abc import Callable, Iterable
from datetime import datetime

from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import LiveClock
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.orders import Order

from helios_pipeline.adapters.paper.account import PaperAccount
from helios_pipeline.adapters.paper.orders import best_prices, fill_prices, intent_of, is_immediate, to_instant
from helios_pipeline.adapters.paper.terms import MarketPrices
from helios_pipeline.core.trading import FundingPayment, JournalRecord, OrderEvent, VenueFill


class PaperDesk:
    """Asks the rules what happens, and lets it happen: durable, true, told, in that order.

    Every method that lets something happen raises JournalError if it can't be made durable: what could not is neither
    true nor told, nor is anything after it.

    Args:
        account: that is traded.
        cache: where NautilusTrader keeps prices.
        clock: of the node.
        tell: takes each record when it is true.
        tell_money: called when cash or positions have changed.
    """

    def __init__(
        self,
        account: PaperAccount,
        cache: Cache,
        clock: LiveClock,
        tell: Callable[[JournalRecord], None],
        tell_money: Callable[[], None],
    ) -> None:
        self._account = account
        self._rules = account.venue
        self._cache = cache
        self._clock = clock
        self._tell = tell
        self._tell_money = tell_money

    def now(self) -> datetime:
        """By the node's clock, UTC."""
        return to_instant(self._clock.timestamp_ns())

    def open(self) -> None:
        """Begin: a new account gets its balance, and intents of an engine before this one end."""
        self.carry_out(self._rules.open_account(self.now()))
        self.carry_out(self._rules.forget_unsent(self.now()))

    def take_in(self, order: Order) -> None:
        """An order arrives: it is taken in or refused, and acts at once where prices let it."""
        now = self.now()
        intent = intent_of(order, self._account.terms.account, now)
        prices = self._prices(order.instrument_id)
        # Whoever knew its purpose has journalled it before; then this changes nothing there.
        self._account.keep(intent)
        received = self._rules.receive(intent, now, post_only_at=prices if order.is_post_only else None)
        self.carry_out(received)
        taken = self._account.state.orders[intent.client_order_id]
        if not received or not taken.is_open:
            return
        immediate = is_immediate(order)
        if self._rules.acts(taken, prices) or (immediate and intent.kind == "limit"):
            self.carry_out(self._rules.execute(taken, prices, now, arriving=True, immediate=immediate))

    def match(self, instrument_id: InstrumentId) -> None:
        """A price has come: what waits for it acts. Most find nothing that does."""
        best = best_prices(self._cache, instrument_id, self._clock.timestamp_ns())
        if not any(self._rules.acts(each, best) for each in self._account.state.open_orders(instrument_id.value)):
            return
        prices = self._prices(instrument_id)
        for order in self._rules.due(instrument_id.value, prices):
            self.carry_out(self._rules.execute(order, prices, self.now(), arriving=False, immediate=False))

    def expire(self, instrument_id: str) -> None:
        """End the market orders that no price has come for in time."""
        self.carry_out(self._rules.expire(instrument_id, self.now()))

    def cancel(self, client_order_id: str) -> bool:
        """Take an order back; whether it was open."""
        records = self._rules.cancel(client_order_id, self.now())
        self.carry_out(records)
        return bool(records)

    def carry_out(self, records: Iterable[JournalRecord]) -> None:
        """Let records happen, each before the next."""
        is_money = False
        for record in records:
            is_new = self._account.keep(record) is not None
            # A fill that was there already was taken in by a reconciliation, which told it.
            if is_new or isinstance(record, OrderEvent):
                self._tell(record)
            is_money = is_money or isinstance(record, VenueFill | FundingPayment)
        if is_money:
            self._tell_money()

    def _prices(self, instrument_id: InstrumentId) -> MarketPrices:
        return fill_prices(self._cache, instrument_id, self._clock.timestamp_ns())
