"""Flattens an account at the venue itself, with nothing but its key: for when no engine runs.

Everything is read again before each step, and closing orders can only reduce, so it may be stopped and repeated at any
moment: nothing is closed twice, and no position is turned.
"""

import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from helios_pipeline.adapters.dydx.account_records import instrument_of, read_fill, read_positions
from helios_pipeline.adapters.dydx.addresses import DydxAddresses
from helios_pipeline.adapters.dydx.indexer import DydxIndexer
from helios_pipeline.adapters.dydx.key import DydxKey
from helios_pipeline.adapters.dydx.market import BUY, SELL, Market, read_market, ticker_of
from helios_pipeline.adapters.dydx.order_ids import OrderFlags
from helios_pipeline.adapters.dydx.order_messages import OrderName, OrderSpec, cancel_message, place_message
from helios_pipeline.adapters.dydx.sender import following_sequence
from helios_pipeline.adapters.dydx.validator import WRONG_SEQUENCE, Answer, Validator, read_answer
from helios_pipeline.adapters.dydx.working_orders import read_shown
from helios_pipeline.core.errors import JournalError, UnreachableError, VenueError
from helios_pipeline.core.trading import Intent, JournalRecord, OrderEvent
from helios_pipeline.core.venues import RecordSink, venue_client_id

type Json = dict[str, Any]

_LONGEST_SECONDS = 120.0
_LOOK_SECONDS = 0.3
_BLOCKS = 10
_SLIPPAGE, _MOST_SLIPPAGE = Decimal("0.01"), Decimal("0.1")
"""Beyond the best price at the first try, more at each further one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenReport:
    """What was done.

    Attributes:
        flat: whether the venue shows neither position nor order, and nothing that was sent can still change that.
        canceled: orders whose cancel was sent.
        closed: instrument id → signed quantity that was closed.
    """

    flat: bool
    canceled: int
    closed: dict[str, Decimal]


@dataclass(slots=True)
class _Closing:
    """A closing order that was sent."""

    intent: Intent
    venue_order_id: str
    last_block: int


@dataclass(slots=True, kw_only=True)
class _Flattening:
    """One run."""

    addresses: DydxAddresses
    key: DydxKey
    say: Callable[[str], None]
    sink: RecordSink | None
    indexer: DydxIndexer
    validator: Validator
    sequence: int | None = None
    first_block: int = 0
    last_block: int = 0
    markets: dict[str, Market] = field(default_factory=dict)
    held: dict[str, Decimal] = field(default_factory=dict)
    first_held: dict[str, Decimal] | None = None
    canceled: dict[str, int] = field(default_factory=dict)
    closing: dict[str, _Closing] = field(default_factory=dict)
    sent: list[_Closing] = field(default_factory=list)
    flat: bool = False

    def run(self) -> None:
        """Until it is flat, or for the longest time."""
        until = time.monotonic() + _LONGEST_SECONDS
        while not self.flat and time.monotonic() < until:
            try:
                self.flat = self._step()
            except (UnreachableError, VenueError) as error:
                self.say(str(error))
                time.sleep(1.0)
            if not self.flat:
                time.sleep(_LOOK_SECONDS)

    def report(self) -> FlattenReport:
        """What was done, and the journal told of it."""
        with suppress(UnreachableError, VenueError):
            self._journal_fills()
        first = self.first_held or {}
        closed = {each: quantity - self.held.get(each, Decimal(0)) for each, quantity in first.items()}
        return FlattenReport(
            flat=self.flat, canceled=len(self.canceled), closed={each: done for each, done in closed.items() if done}
        )

    def _step(self) -> bool:
        """Look, send what is missing; whether all is flat."""
        if not self.markets:
            self.validator.account()
            self.markets = {ticker: read_market(each) for ticker, each in self.indexer.markets().items()}
            self.first_block = self.indexer.block().height
        height = self.indexer.block().height
        orders, subaccount = self.indexer.open_orders(), self.indexer.subaccount()
        held = read_positions(subaccount) if subaccount is not None else {}
        self.held = {instrument_id: position.quantity for instrument_id, position in held.items()}
        self.first_held = self.held if self.first_held is None else self.first_held
        if not orders and not self.held and height > self.last_block:
            return True
        for document in orders:
            if self.canceled.get(str(document["id"]), -1) < height:
                self._cancel(document)
        for instrument_id, quantity in self.held.items():
            if self._may_close(instrument_id, height):
                self._close(instrument_id, quantity)
        return False

    def _cancel(self, document: Json) -> None:
        flags, instrument_id = OrderFlags(int(document["orderFlags"])), instrument_of(document)
        name = self._name(int(document["clientId"]), instrument_id, flags)
        until = max(self.validator.height() + _BLOCKS, int(document.get("goodTilBlock") or 0))
        self.say(f"canceling order {document['clientId']} of {instrument_id}")
        self.canceled[str(document["id"])] = until
        self._send(cancel_message(name, last_block=until, now_seconds=int(time.time())), flags, until)

    def _may_close(self, instrument_id: str, height: int) -> bool:
        """Whether no closing order may still fill."""
        before = self.closing.get(instrument_id)
        if before is None or height > before.last_block:
            return True
        document = self.indexer.order(before.venue_order_id)
        return document is not None and read_shown(document).is_final

    def _close(self, instrument_id: str, quantity: Decimal) -> None:
        market = self.markets[ticker_of(instrument_id)]
        side = SELL if quantity > 0 else BUY
        tries = sum(each.intent.instrument_id == instrument_id for each in self.sent)
        limit = self._price(market, side) * (1 + side * min(_SLIPPAGE * (1 + tries), _MOST_SLIPPAGE))
        last_block = self.validator.height() + _BLOCKS
        intent = Intent(
            account=self.addresses.account(self.key.address),
            instrument_id=instrument_id,
            client_order_id=(own := f"FLATTEN-{time.time_ns()}"),
            venue_client_id=venue_client_id(own),
            side=side,
            kind="market",
            quantity=abs(quantity),
            limit_price=None,
            trigger_price=None,
            reduce_only=True,
            purpose="flatten",
            reason="no engine runs",
            boundary=None,
            atr=None,
            good_til_block=last_block,
            intended_at=datetime.now(UTC),
        )
        name = self._name(intent.venue_client_id, instrument_id, OrderFlags.SHORT_TERM)
        spec = OrderSpec(
            client_id=intent.venue_client_id,
            kind="market",
            side=side,
            quantity=abs(quantity),
            limit_price=limit,
            trigger_price=None,
            reduce_only=True,
            immediate=True,
            post_only=False,
            expires_seconds=None,
        )
        message = place_message(name, spec, market, last_block=last_block, now_seconds=int(time.time()))
        self.say(f"closing {quantity} of {instrument_id}")
        self._write(intent)
        self.closing[instrument_id] = _Closing(intent, name.venue_order_id, last_block)
        self.sent.append(self.closing[instrument_id])
        answer = self._send(message, OrderFlags.SHORT_TERM, last_block)
        if answer is not None and answer.code:
            del self.closing[instrument_id]

    def _price(self, market: Market, side: int) -> Decimal:
        """The best price of the other side; the oracle's where the book has none."""
        best = self.indexer.best_prices(market.ticker)
        if best is not None:
            return Decimal(best[1] if side == BUY else best[0])
        return Decimal(self.indexer.markets()[market.ticker]["oraclePrice"])

    def _send(self, message: object, flags: OrderFlags, last_block: int) -> Answer | None:
        """Send a transaction, again only where it was refused for its sequence."""
        short = flags is OrderFlags.SHORT_TERM
        self.last_block = max(self.last_block, last_block)
        answer: Answer | None = None
        for _ in range(3):
            if self.sequence is None:
                self.sequence = self.validator.account().sequence
            raw = self.validator.sign(message, sequence=self.sequence, last_block=0 if short else last_block)
            answer = read_answer(self.validator.start(raw))
            if not short:
                self.sequence = following_sequence(self.sequence, answer)
            if answer is None or answer.code != WRONG_SEQUENCE:
                break
        if answer is not None and answer.code:
            self.say(f"the chain refused it with code {answer.code}: {answer.log}")
        return answer

    def _name(self, client_id: int, instrument_id: str, flags: OrderFlags) -> OrderName:
        return OrderName(
            address=self.key.address,
            subaccount=self.addresses.subaccount,
            client_id=client_id,
            clob_pair_id=self.markets[ticker_of(instrument_id)].clob_pair_id,
            flags=flags,
        )

    def _journal_fills(self) -> None:
        """Write the fills of closing orders, and that what is left of them is over."""
        if not self.sent:
            return
        names = {each.venue_order_id: each.intent for each in self.sent}
        account = self.addresses.account(self.key.address)
        rows = self.indexer.fills(lambda row: int(row["createdAtHeight"]) >= self.first_block)
        filled: dict[str, Decimal] = {}
        for row in reversed([row for row in rows if row.get("orderId") in names]):
            fill = read_fill(row, account, lambda name: names[name].client_order_id)
            filled[fill.venue_order_id] = filled.get(fill.venue_order_id, Decimal(0)) + fill.quantity
            self._write(fill)
        for each in self.sent if self.flat else ():
            if filled.get(each.venue_order_id, Decimal(0)) < each.intent.quantity:
                self._write(
                    OrderEvent(
                        account=account,
                        client_order_id=each.intent.client_order_id,
                        state="canceled",
                        venue_order_id=each.venue_order_id,
                        reason="what could not be filled at once",
                        occurred_at=datetime.now(UTC),
                    )
                )

    def _write(self, record: JournalRecord) -> None:
        """To be flat is worth more than to record it: the engine takes in what is missing when it starts."""
        if self.sink is None:
            return
        try:
            self.sink.append(record)
        except JournalError as error:
            self.say(f"The journal is left as it is. {error}")
            self.sink = None


def flatten_account(
    addresses: DydxAddresses, key: DydxKey, say: Callable[[str], None], sink: RecordSink | None = None
) -> FlattenReport:
    """Cancel every order of an account, stops too, close every position, and see that it is so.

    Ctrl-C ends it early, with a report of what was done until then.

    Args:
        addresses: of the venue.
        key: that signs.
        say: shows a line to who waits.
        sink: the account's journal, if it can be written.
    """
    indexer = DydxIndexer(addresses.http, key.address, addresses.subaccount)
    with indexer, closing(Validator(addresses, key)) as validator:
        flattening = _Flattening(addresses=addresses, key=key, say=say, sink=sink, indexer=indexer, validator=validator)
        try:
            flattening.run()
        except KeyboardInterrupt:
            say("stopped: what was sent can still be carried out. Run it again to go on.")
        report = flattening.report()
        say("flat: no position, no order" if report.flat else f"not flat: {flattening.held or 'orders are open'}")
        return report
