"""Tells NautilusTrader what became of the account, each fill once.

An order that NautilusTrader does not know (of an earlier life, or another's) is told as a report, from which it makes
the order; its end alone is written to the journal instead, because nobody else would.
"""

import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import LiveClock
from nautilus_trader.live.execution_client import LiveExecutionClient
from nautilus_trader.model.enums import LiquiditySide
from nautilus_trader.model.identifiers import ClientOrderId, TradeId, VenueOrderId
from nautilus_trader.model.objects import AccountBalance, Currency, Money
from nautilus_trader.model.orders import Order

from helios_pipeline.adapters.dydx.account_ledger import AccountLedger
from helios_pipeline.adapters.dydx.reports import CURRENCY, fee_of, nanoseconds
from helios_pipeline.adapters.dydx.validator import Answer
from helios_pipeline.adapters.dydx.working_orders import WorkingOrder
from helios_pipeline.core.trading import OrderEvent, VenueFill

type Json = dict[str, Any]

_SETTLING_SECONDS = 2.0
"""After the reports of the start were asked for, until NautilusTrader has made its orders from them."""


class EventTeller:
    """See the module; an `AccountListener`.

    Attributes:
        told: ids of fills that NautilusTrader has, or will have from the reports of the start.
        accepted_orders: venue order ids whose acceptance was told.
    """

    def __init__(self, client: LiveExecutionClient, ledger: AccountLedger, cache: Cache, clock: LiveClock) -> None:
        self._client, self._ledger, self._cache, self._clock = client, ledger, cache, clock
        self._untold: list[VenueFill] = []
        self._settled_at: float | None = None
        self.told: set[str] = set()
        self.accepted_orders: set[str] = set()

    def reported(self, working: list[WorkingOrder]) -> None:
        """The reports of the start have everything that is known now."""
        self.told |= self._ledger.fills.keys()
        self.accepted_orders |= {order.venue_order_id for order in working}
        for order in working:
            order.accepted = True
        self._untold.clear()
        self._settled_at = time.monotonic() + _SETTLING_SECONDS

    def filled(self, fill: VenueFill) -> None:
        """Tell a fill, now or when NautilusTrader knows its order."""
        if fill.venue_fill_id not in self.told and not self._tell(fill):
            self._untold.append(fill)

    def accepted(self, order: WorkingOrder) -> None:
        """Tell that the venue has an order."""
        order.accepted = True
        known = self.order(order.client_order_id, order.venue_order_id)
        if known is not None:
            self._accept(known, order.venue_order_id, self._clock.timestamp_ns())

    def gone(self, order: WorkingOrder) -> None:
        """Tell that the rest of an order is canceled; why is the venue's reason, or that it was in no block.

        It is told as canceled, never as expired: of a canceled order NautilusTrader takes a fill that is told late.
        """
        reason = order.shown.reason if order.shown is not None else "in no block until its last one"
        known = self.order(order.client_order_id, order.venue_order_id)
        if known is not None:
            self.warn(f"order {known.client_order_id}: {order.quantity - order.filled} not filled ({reason})")
            self._client.generate_order_canceled(
                known.strategy_id,
                known.instrument_id,
                known.client_order_id,
                VenueOrderId(order.venue_order_id),
                self._clock.timestamp_ns(),
            )
        elif order.client_order_id is not None:
            self._ledger.sink.append(
                OrderEvent(
                    account=self._ledger.account,
                    client_order_id=order.client_order_id,
                    state="canceled",
                    venue_order_id=order.venue_order_id,
                    reason=reason,
                    occurred_at=datetime.now(UTC),
                )
            )

    def cancel_failed(self, order: WorkingOrder) -> None:
        """Tell that an order still works, though its cancel can be in no block any more."""
        known = self.order(order.client_order_id, order.venue_order_id)
        if known is not None:
            self.cancel_rejected(known, "in no block until its last one")

    def submitted(self, order: Order) -> None:
        """Tell that an order was sent."""
        self._client.generate_order_submitted(
            order.strategy_id, order.instrument_id, order.client_order_id, self._clock.timestamp_ns()
        )

    def denied(self, order: Order, reason: str) -> None:
        """Tell that an order can't be sent."""
        self._client.generate_order_denied(
            order.strategy_id, order.instrument_id, order.client_order_id, reason, self._clock.timestamp_ns()
        )

    def rejected(self, order: Order, answer: Answer) -> None:
        """Tell that the chain refused an order."""
        reason = f"code {answer.code}: {answer.log}"
        self._client.generate_order_rejected(
            order.strategy_id, order.instrument_id, order.client_order_id, reason, self._clock.timestamp_ns()
        )

    def cancel_rejected(self, order: Order, reason: str) -> None:
        """Tell that a cancel does nothing."""
        self._client.generate_order_cancel_rejected(
            order.strategy_id,
            order.instrument_id,
            order.client_order_id,
            order.venue_order_id,
            reason,
            self._clock.timestamp_ns(),
        )

    def money(self, subaccount: Json) -> None:
        """Tell the account's equity and what of it is free."""
        currency = Currency.from_str(CURRENCY)
        equity, free = Decimal(subaccount["equity"]), Decimal(subaccount["freeCollateral"])
        total, free = max(equity, Decimal(0)), min(max(free, Decimal(0)), max(equity, Decimal(0)))
        free_money, total_money = Money(free, currency), Money(total, currency)
        locked = Money(total_money.as_decimal() - free_money.as_decimal(), currency)
        balance = AccountBalance(total_money, locked, free_money)
        self._client.generate_account_state([balance], [], True, self._clock.timestamp_ns())

    def passed(self) -> None:
        """Tell what could not be told before."""
        if not self._untold:
            return
        self._untold = [fill for fill in self._untold if not self._tell(fill)]
        if self._untold and self._settled_at is not None and time.monotonic() >= self._settled_at:
            untold, self._untold = self._untold, []
            self.told |= {fill.venue_fill_id for fill in untold}
            self._client.report_fills(untold)

    def warn(self, text: str) -> None:
        """Log it."""
        self._client.log_warning(text)

    def order(self, client_order_id: str | None, venue_order_id: str) -> Order | None:
        """NautilusTrader's order of ours, or the one it made of another's."""
        found = (
            self._cache.client_order_id(VenueOrderId(venue_order_id))
            if client_order_id is None
            else ClientOrderId(client_order_id)
        )
        return None if found is None else self._cache.order(found)

    def _tell(self, fill: VenueFill) -> bool:
        order = self.order(fill.client_order_id, fill.venue_order_id)
        if order is None:
            return False
        self.told.add(fill.venue_fill_id)
        stamp = nanoseconds(fill.filled_at)
        self._accept(order, fill.venue_order_id, stamp)
        instrument = self._cache.instrument(order.instrument_id)
        self._client.generate_order_filled(
            order.strategy_id,
            order.instrument_id,
            order.client_order_id,
            VenueOrderId(fill.venue_order_id),
            None,
            TradeId(fill.venue_fill_id),
            order.side,
            order.order_type,
            instrument.make_qty(fill.quantity),
            instrument.make_price(fill.price),
            instrument.quote_currency,
            fee_of(fill),
            LiquiditySide.MAKER if fill.liquidity == "maker" else LiquiditySide.TAKER,
            stamp,
        )
        return True

    def _accept(self, order: Order, venue_order_id: str, stamp: int) -> None:
        if venue_order_id not in self.accepted_orders:
            self.accepted_orders.add(venue_order_id)
            self._client.generate_order_accepted(
                order.strategy_id, order.instrument_id, order.client_order_id, VenueOrderId(venue_order_id), stamp
            )
