"""Sends orders and cancels, each once, and says what is known of them when the answer comes.

Code 0 means that a transaction waits for a block, any other code that nothing is left of it. Without an answer nobody
knows: then nothing is said here, and the follower asks until the venue shows the order or its last block is past.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import LiveClock
from nautilus_trader.model.enums import OrderType
from nautilus_trader.model.orders import Order

from helios_pipeline.adapters.dydx.account_ledger import AccountLedger
from helios_pipeline.adapters.dydx.follower import AccountFollower
from helios_pipeline.adapters.dydx.market import Market, ticker_of
from helios_pipeline.adapters.dydx.order_ids import OrderFlags
from helios_pipeline.adapters.dydx.order_messages import OrderName, cancel_message, place_message
from helios_pipeline.adapters.dydx.order_terms import Prices, flags_of, market_limit, order_spec, side_of
from helios_pipeline.adapters.dydx.sender import TransactionSender
from helios_pipeline.adapters.dydx.teller import EventTeller
from helios_pipeline.adapters.dydx.trading import Trading
from helios_pipeline.adapters.dydx.validator import Answer
from helios_pipeline.adapters.dydx.working_orders import WorkingOrder
from helios_pipeline.core.errors import UnreachableError, VenueError
from helios_pipeline.core.venues import venue_client_id


@dataclass(slots=True, kw_only=True)
class OrderDesk:
    """See the module; used in one event loop.

    Attributes:
        trading: address, slippage and blocks.
        ledger, follower, teller, sender: the parts of one execution client.
        cache, clock: NautilusTrader's.
        planned: client order id → last block that may include it, told before it is sent.
    """

    trading: Trading
    ledger: AccountLedger
    follower: AccountFollower
    teller: EventTeller
    sender: TransactionSender
    cache: Cache
    clock: LiveClock
    planned: dict[str, int]

    def plan(self, order: Order) -> int | None:
        """The last block that may include an order, kept to when it is sent; None for an order that rests."""
        if flags_of(order) is not OrderFlags.SHORT_TERM:
            return None
        return self.planned.setdefault(order.client_order_id.value, self.last_block())

    def last_block(self) -> int:
        """The last block that may include what is sent now."""
        return self.follower.height + self.trading.good_til_blocks

    async def submit(self, order: Order) -> None:
        """Send an order."""
        last_block = self.planned.pop(order.client_order_id.value, 0) or self.last_block()
        try:
            working, market = self._working(order, last_block)
            limit = self._market_limit(order, market) if order.order_type == OrderType.MARKET else None
            if limit is None and order.order_type == OrderType.MARKET:
                limit = await self._asked_limit(order, market)
            spec = order_spec(order, limit)
            message = place_message(
                self._name(working), spec, market, last_block=last_block, now_seconds=int(time.time())
            )
        except (VenueError, UnreachableError) as error:
            self.teller.denied(order, str(error))
            return
        self.ledger.own(working.venue_order_id, order.client_order_id.value)
        answer = await self._send(message, working.flags, last_block, lambda: self._submitted(order, working))
        if answer is not None and answer.code:
            self.follower.fates.working.pop(working.venue_order_id, None)
            self.teller.rejected(order, answer)
        elif answer is not None and working.flags is OrderFlags.SHORT_TERM and not working.accepted:
            # It takes what it can in its block: there is no time in which the venue shows it as resting.
            self.teller.accepted(working)

    async def cancel(self, order: Order) -> None:
        """Send a cancel; that the order is gone is told when the venue says so."""
        working = self._find(order)
        if working is None:
            self.teller.cancel_rejected(order, "it does not work any more")
            return
        last_block = max(self.last_block(), working.last_block if working.flags is OrderFlags.SHORT_TERM else 0)
        message = cancel_message(self._name(working), last_block=last_block, now_seconds=int(time.time()))
        working.cancel_until = last_block
        answer = await self._send(message, working.flags, last_block, lambda: None)
        if answer is not None and answer.code:
            working.cancel_until = None
            self.teller.cancel_rejected(order, f"code {answer.code}: {answer.log}")
        self.follower.wake()

    async def _send(
        self, message: object, flags: OrderFlags, last_block: int, started: Callable[[], None]
    ) -> Answer | None:
        if flags is not OrderFlags.SHORT_TERM:
            return await self.sender.send(message, last_block, started)
        answered = self.sender.start(message)
        started()
        return await answered

    def _submitted(self, order: Order, working: WorkingOrder) -> None:
        self.follower.follow(working)
        self.teller.submitted(order)

    def _working(self, order: Order, last_block: int) -> tuple[WorkingOrder, Market]:
        """An order before it is sent, and its market.

        Raises:
            VenueError: there is no such market.
        """
        ticker = ticker_of(order.instrument_id.value)
        market = self.follower.markets.get(ticker)
        if market is None:
            raise VenueError(f"dYdX order: expected a market that is listed, found {ticker}.")
        working = WorkingOrder(
            client_order_id=order.client_order_id.value,
            venue_order_id="",
            instrument_id=order.instrument_id.value,
            flags=flags_of(order),
            client_id=venue_client_id(order.client_order_id.value),
            quantity=order.quantity.as_decimal(),
            last_block=last_block,
        )
        working.venue_order_id = self._name(working).venue_order_id
        return working, market

    def _name(self, working: WorkingOrder) -> OrderName:
        return OrderName(
            address=self.trading.key.address,
            subaccount=self.trading.addresses.subaccount,
            client_id=working.client_id,
            clob_pair_id=self.follower.markets[ticker_of(working.instrument_id)].clob_pair_id,
            flags=working.flags,
        )

    def _find(self, order: Order) -> WorkingOrder | None:
        """The working order of NautilusTrader's; of another's order by the venue's id."""
        if order.venue_order_id is not None and order.venue_order_id.value in self.follower.fates.working:
            return self.follower.fates.working[order.venue_order_id.value]
        own = order.client_order_id.value
        return next((each for each in self.follower.fates.working.values() if each.client_order_id == own), None)

    def _market_limit(self, order: Order, market: Market) -> Decimal | None:
        """Limit of a market order by what is known now."""
        quote = self.cache.quote_tick(order.instrument_id)
        quote_age = 0.0 if quote is None else (self.clock.timestamp_ns() - quote.ts_init) / 1e9
        prices = Prices(
            quote=quote,
            quote_age_seconds=quote_age,
            oracle=self.follower.oracle.price(market.ticker),
            oracle_age_seconds=self.follower.oracle.age_seconds(market.ticker),
        )
        return market_limit(side_of(order), prices, self.trading.slippage_bps)

    async def _asked_limit(self, order: Order, market: Market) -> Decimal:
        """Limit of a market order when nothing fresh was heard: the indexer is asked.

        Raises:
            UnreachableError: it does not answer: nobody knows what the order may cost.
        """
        await self.follower.ask_oracle()
        limit = self._market_limit(order, market)
        if limit is None:
            raise UnreachableError(f"dYdX order: expected a fresh price of {market.ticker}, found none.")
        return limit
