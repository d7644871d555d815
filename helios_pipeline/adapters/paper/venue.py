"""The paper venue: what becomes of orders at given prices, as records; pure.

Every method returns the records that describe what happens, and changes nothing. Whoever calls makes each one durable,
then applies it to the state: so the account is what the journal says at any instant, also after `kill -9`.

- A market order takes the best prices on the other side, at most `slippage_bps` beyond the best of them. What is not
  filled then is cancelled. While no price is known it waits; after `MARKET_ORDER_LIFETIME` it has expired.
- A limit order takes what crosses when it arrives, then rests, and fills at its own price when the best price on the
  other side reaches it. Nobody stands before it in a queue.
- A stop rests until the mark reaches its trigger, then takes the best prices on the other side without a limit.
- A reduce-only order fills at most what makes the position smaller.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import Literal, NamedTuple

from helios_pipeline.adapters.paper.settlements import Settlement
from helios_pipeline.adapters.paper.state import PaperOrder, PaperState
from helios_pipeline.adapters.paper.terms import EXACT, MARKET_ORDER_LIFETIME, MONEY_QUANTUM, MarketPrices, PaperTerms
from helios_pipeline.core.trading import (
    FundingPayment,
    Intent,
    JournalRecord,
    OrderEvent,
    OrderState,
    Transfer,
    VenueFill,
)

_BPS = Decimal(10_000)


class Take(NamedTuple):
    """A part of an order that fills."""

    price: Decimal
    quantity: Decimal
    liquidity: Literal["maker", "taker"]


class PaperVenue:
    """The rules, over the state of one account.

    Attributes:
        terms: of the account.
        state: that records are applied to by the caller.
    """

    def __init__(self, terms: PaperTerms, state: PaperState) -> None:
        self.terms = terms
        self.state = state

    def open_account(self, now: datetime) -> list[JournalRecord]:
        """The balance that a new account begins with; nothing for one that has been opened."""
        if self.state.transfers:
            return []
        return [
            Transfer(
                account=self.terms.account,
                transfer_id="opening",
                amount=self.terms.opening_balance,
                reason="paper account opened",
                transferred_at=now,
            )
        ]

    def forget_unsent(self, now: datetime) -> list[JournalRecord]:
        """End the intents of an engine that died before their orders arrived: they will not be sent any more."""
        return [
            self._event(order, "rejected", now, "the engine ended before the order reached the paper venue")
            for order in self.state.orders.values()
            if order.is_unsent
        ]

    def receive(self, intent: Intent, now: datetime, *, post_only_at: MarketPrices | None) -> list[JournalRecord]:
        """Take an order in, or refuse it; nothing for one that was taken in or refused before: it is not sent twice.

        Args:
            intent: the order; applied to the state already, since it was durable before it was sent.
            now: UTC.
            post_only_at: prices that it must not cross; None if it may.
        """
        order = self.state.orders[intent.client_order_id]
        if not order.is_unsent:
            return []
        refusal = self._refusal(order, post_only_at)
        if refusal:
            return [self._event(order, "rejected", now, refusal)]
        return [self._event(order, "submitted", now), self._event(order, "accepted", now)]

    def due(self, instrument_id: str, prices: MarketPrices) -> Iterator[PaperOrder]:
        """Open orders that something happens to at these prices, each as it is when its turn comes."""
        for waiting in self.state.open_orders(instrument_id):
            order = self.state.orders[waiting.intent.client_order_id]
            if order.is_open and self.acts(order, prices):
                yield order

    def execute(
        self, order: PaperOrder, prices: MarketPrices, now: datetime, *, arriving: bool, immediate: bool
    ) -> list[JournalRecord]:
        """Fill an open order as far as prices allow.

        Args:
            order: as it is in the state.
            prices: of its market.
            now: UTC.
            arriving: whether it has just come, so that it takes what rests; a limit order that rested is taken itself.
            immediate: whether what does not fill now is cancelled, also of a limit order.
        """
        records = list[JournalRecord]()
        if order.intent.kind == "stop_market" and not order.triggered:
            records.append(self._event(order, "triggered", now))
        allowed = self._reducible(order) if order.intent.reduce_only else order.remaining
        takes = self._takes(order, prices, allowed, arriving=arriving)
        rest = order.remaining
        for number, take in enumerate(takes, start=len(self.state.fills) + 1):
            records.append(self._fill(order, take, number, now))
            rest -= take.quantity
            if rest > 0:
                records.append(self._event(order, "partially_filled", now))
        if rest > 0 and (immediate or order.intent.kind != "limit" or allowed == 0):
            records.append(self._event(order, "canceled", now, self._why_cancelled(order, allowed)))
        return records

    def cancel(self, client_order_id: str, now: datetime) -> list[JournalRecord]:
        """Take an order back; nothing if it is not open."""
        order = self.state.orders.get(client_order_id)
        return [self._event(order, "canceled", now)] if order is not None and order.is_open else []

    def expire(self, instrument_id: str, now: datetime) -> list[JournalRecord]:
        """End the market orders that have found no price in time."""
        return [
            self._event(order, "expired", now, "no price was known while it was good")
            for order in self.state.open_orders(instrument_id)
            if order.intent.kind == "market" and now - order.intent.intended_at > MARKET_ORDER_LIFETIME
        ]

    def settle(self, instrument_id: str, settlement: Settlement) -> list[JournalRecord]:
        """Funding of a settlement, on the position carried into it; nothing if there was none, or it is booked."""
        quantity = self.state.quantity_before(instrument_id, settlement.settled_at)
        if quantity == 0 or (instrument_id, settlement.settled_at) in self.state.funding:
            return []
        with localcontext(EXACT):
            amount = -quantity * settlement.price * settlement.rate
        return [
            FundingPayment(
                account=self.terms.account,
                instrument_id=instrument_id,
                settled_at=settlement.settled_at,
                rate=settlement.rate,
                position_quantity=quantity,
                price=settlement.price,
                amount=amount.quantize(MONEY_QUANTUM, ROUND_FLOOR),
            )
        ]

    def _refusal(self, order: PaperOrder, post_only_at: MarketPrices | None) -> str:
        intent = order.intent
        if intent.instrument_id not in self.terms.fees:
            return f"expected an instrument that this account trades, found {intent.instrument_id}"
        if intent.reduce_only and intent.kind != "stop_market" and self._reducible(order) == 0:
            return "reduce-only, and there is no position that it would reduce"
        if post_only_at is not None and self.acts(order, post_only_at):
            return "post-only, and it would take a resting order"
        return ""

    def acts(self, order: PaperOrder, prices: MarketPrices) -> bool:
        """Whether prices let an order fill, or trigger."""
        side, against = order.intent.side, prices.against(order.intent.side)
        if not against:
            return False
        match order.intent.kind:
            case "market":
                return True
            case "limit":
                limit = order.intent.limit_price
                return limit is not None and side * (limit - against[0].price) >= 0
            case "stop_market":
                trigger, mark = order.intent.trigger_price, prices.mark
                crossed = trigger is not None and mark is not None and side * (mark - trigger) >= 0
                return order.triggered or crossed

    def _takes(self, order: PaperOrder, prices: MarketPrices, allowed: Decimal, *, arriving: bool) -> list[Take]:
        """What fills, best price first."""
        side, levels = order.intent.side, prices.against(order.intent.side)
        if not levels:
            return []
        if order.intent.kind == "limit" and order.intent.limit_price is not None and not arriving:
            return [Take(order.intent.limit_price, allowed, "maker")] if allowed > 0 else []
        limit = self._limit(order, levels[0].price)
        takes, rest = list[Take](), allowed
        for level in levels:
            if rest == 0 or (limit is not None and side * (level.price - limit) > 0):
                break
            quantity = min(rest, level.quantity) if prices.is_whole_book else rest
            takes.append(Take(level.price, quantity, "taker"))
            rest -= quantity
        return takes

    def _limit(self, order: PaperOrder, best: Decimal) -> Decimal | None:
        """Worst price that an order takes; None for any."""
        match order.intent.kind:
            case "market":
                return best * (1 + order.intent.side * self.terms.slippage_bps / _BPS)
            case "limit":
                return order.intent.limit_price
            case "stop_market":
                return None

    def _reducible(self, order: PaperOrder) -> Decimal:
        """How much of an order would make the position smaller."""
        against = -order.intent.side * self.state.quantity(order.intent.instrument_id)
        return max(Decimal(0), min(order.remaining, against))

    def _why_cancelled(self, order: PaperOrder, allowed: Decimal) -> str:
        if allowed < order.remaining:
            return "reduce-only, and the position is smaller than the order"
        return f"nothing more within {self.terms.slippage_bps} bps of the best price, or of its limit"

    def _fill(self, order: PaperOrder, take: Take, number: int, now: datetime) -> VenueFill:
        fees = self.terms.fees[order.intent.instrument_id]
        fraction = fees.maker if take.liquidity == "maker" else fees.taker
        with localcontext(EXACT):
            fee = take.quantity * take.price * fraction
        return VenueFill(
            account=self.terms.account,
            instrument_id=order.intent.instrument_id,
            venue_fill_id=f"paper-fill-{number}",
            venue_order_id=order.venue_order_id,
            client_order_id=order.intent.client_order_id,
            side=order.intent.side,
            quantity=take.quantity,
            price=take.price,
            fee=fee.quantize(MONEY_QUANTUM, ROUND_CEILING),
            liquidity=take.liquidity,
            filled_at=now,
        )

    def _event(self, order: PaperOrder, state: OrderState, now: datetime, reason: str = "") -> OrderEvent:
        return OrderEvent(
            account=self.terms.account,
            client_order_id=order.intent.client_order_id,
            state=state,
            venue_order_id=order.venue_order_id,
            reason=reason,
            occurred_at=now,
        )
