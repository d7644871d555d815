"""What is in flight blocks nothing, what the venue alone knows is taken in, what nobody can explain blocks entries."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import ClientOrderId
from nautilus_trader.model.objects import Price, Quantity

from helios_pipeline.core.errors import UnreachableError
from helios_pipeline.core.trading import Intent, OrderEvent, Reconciliation, Transfer, VenueFill
from helios_pipeline.core.venues import VenueAccount, VenueOrder, VenuePosition
from helios_pipeline.execution.reconciliation import ComparisonRules
from live_engine.nautilus_account import NautilusAccount
from live_engine.reconciler import Reconciler, ReconcilerTerms
from live_engine.segments import read_records
from tests.live_engine.local_venue import ACCOUNT, CASH, IID, OPENED, run_in_node

TERMS = ReconcilerTerms(
    rules=ComparisonRules(
        settle=timedelta(seconds=60), unlisted=timedelta(seconds=300), settle_blocks=5, quote_rounding=Decimal(0)
    ),
    every_seconds=60.0,
    confirm_seconds=0.02,
    trusted_seconds=60.0,
)


class Venue:
    """An account that a test moves; `late` are looks at which its newest fill is not listed yet."""

    def __init__(self):
        self.fills = []
        self.orders = []
        self.transfers = []
        self.height = 1_000
        self.away = False
        self.reads = []
        self.before_read = lambda number: None

    def read(self, since):
        self.reads.append(since)
        self.before_read(len(self.reads))
        if self.away:
            raise UnreachableError("indexer: no answer")
        cash, held = CASH, Decimal(0)
        for fill in self.fills:
            cash -= fill.side * fill.quantity * fill.price + fill.fee
            held += fill.side * fill.quantity
        position = {IID.value: VenuePosition(quantity=held, entry_price=Decimal(60_000))} if held else {}
        return VenueAccount(
            account=ACCOUNT,
            read_at=datetime.now(UTC),
            height=self.height,
            quote_balance=cash + sum(each.amount for each in self.transfers),
            positions=position,
            open_orders=tuple(self.orders),
            fills=tuple(each for each in self.fills if since is None or each.filled_at > since),
            funding=(),
            transfers=tuple(self.transfers),
        )

    def fill(self, name="late-1", order="5", quantity="0.1", side=1, fee=1):
        made = VenueFill(
            account=ACCOUNT,
            instrument_id=IID.value,
            venue_fill_id=name,
            venue_order_id=f"V-{order}",
            client_order_id=None,
            side=side,
            quantity=Decimal(quantity),
            price=Decimal(60_000),
            fee=Decimal(fee),
            liquidity="taker",
            filled_at=datetime.now(UTC),
        )
        self.fills.append(made)
        return made


def reconciler_of(local, venue, **changes):
    said = []
    made = Reconciler(
        local.journal, NautilusAccount(local.node, ACCOUNT), venue, replace(TERMS, **changes), said.append
    )
    return made, said


def resting(local, number=5, side=OrderSide.BUY):
    order = local.trader.order_factory.limit(
        IID,
        side,
        Quantity.from_str("0.1000"),
        Price(60_000, 0),
        client_order_id=ClientOrderId(str(number)),
        tags=["purpose=entry"],
    )
    local.trader.submit_order(order)
    return order


def shown(number=5):
    return VenueOrder(
        venue_order_id=f"V-{number}",
        venue_client_id=number,
        instrument_id=IID.value,
        side=1,
        quantity=Decimal("0.1"),
        filled=Decimal(0),
        limit_price=Decimal(60_000),
        trigger_price=None,
        reduce_only=False,
        good_til_block=None,
    )


def test_an_untouched_account_agrees_at_the_first_look(tmp_path):
    venue = Venue()

    async def scenario(local):
        reconciler, said = reconciler_of(local, venue)
        assert reconciler.agreed_at is None
        record = await reconciler.compare()

        assert (record.agreed, record.differences, record.height) == (True, (), 1_000)
        assert reconciler.agreed_at is not None
        assert said == []

    local = run_in_node(tmp_path, scenario)

    assert venue.reads == [OPENED]
    assert isinstance(list(read_records(local.journal.folder))[-1][1], Reconciliation)


def test_a_fill_that_was_lost_is_journalled_and_told_and_then_all_agree(tmp_path):
    venue = Venue()

    async def scenario(local):
        order = resting(local)
        await local.until(lambda: order.is_open)
        venue.fill()
        reconciler, said = reconciler_of(local, venue)
        record = await reconciler.compare()

        assert record.agreed
        assert order.filled_qty.as_decimal() == Decimal("0.1")
        assert said == ["taken in from the venue: fill late-1 of order 5, +0.1 BTC-USD-PERP.DYDX at 60000"]
        (fill,) = local.journal.books.fills
        assert (fill.client_order_id, fill.fee) == ("5", Decimal(1))
        assert local.trader.events[-1] == "5 OrderFilled"

    run_in_node(tmp_path, scenario)


def test_a_fill_that_is_still_under_way_is_no_mismatch_and_is_not_taken_in_twice(tmp_path):
    venue = Venue()

    async def scenario(local):
        await local.enter(number=5)
        venue.fills = [replace(each, client_order_id=None) for each in local.journal.books.fills]
        hidden, venue.fills = venue.fills, []
        reconciler, said = reconciler_of(local, venue)

        def list_late(number):
            venue.fills = hidden if number > 1 else []

        venue.before_read = list_late
        record = await reconciler.compare()

        assert record.agreed
        assert len(venue.reads) == 2
        assert said == []

    local = run_in_node(tmp_path, scenario)

    assert len(local.journal.books.fills) == 1


def test_a_mismatch_that_nobody_can_explain_blocks_entries_until_it_is_gone(tmp_path):
    venue = Venue()

    async def scenario(local):
        reconciler, said = reconciler_of(local, venue)
        venue.transfers = []
        fill = venue.fill(order="99")
        venue.fills = []
        # The venue holds a position, and lists no fill that made it.
        venue.read_account, venue.read = (
            venue.read,
            lambda since: replace(
                venue.read_account(since),
                positions={IID.value: VenuePosition(quantity=fill.quantity, entry_price=fill.price)},
            ),
        )
        record = await reconciler.compare()

        assert not record.agreed
        assert reconciler.differences == (f"position of {IID}: journal 0, NautilusTrader 0, venue 0.1",)
        assert said == [f"reconciliation: {reconciler.differences[0]}"]
        assert reconciler.agreed_at is None

        venue.read = venue.read_account
        assert (await reconciler.compare()).agreed
        assert reconciler.differences == ()

    run_in_node(tmp_path, scenario)


def test_a_strangers_fill_is_taken_in_said_and_nautilus_set_right(tmp_path):
    venue = Venue()

    async def scenario(local):
        venue.fill(order="99", quantity="0.2")
        reconciler, said = reconciler_of(local, venue)
        record = await reconciler.compare()

        assert record.agreed
        assert "of an order that is not known here" in said[0]
        assert "NautilusTrader is told the position" in said[1]
        (position,) = local.node.kernel.cache.positions_open()
        assert position.signed_decimal_qty() == Decimal("0.2")

    local = run_in_node(tmp_path, scenario)

    assert local.journal.books.quantity(IID.value) == Decimal("0.2")
    assert len(local.journal.books.fills) == 1


def unknown_intent(**changes):
    made = Intent(
        account=ACCOUNT,
        instrument_id=IID.value,
        client_order_id="5",
        venue_client_id=5,
        side=1,
        kind="market",
        quantity=Decimal("0.1"),
        limit_price=None,
        trigger_price=None,
        reduce_only=False,
        purpose="entry",
        reason="signal",
        boundary=None,
        atr=None,
        good_til_block=1_000,
        intended_at=datetime.now(UTC) - timedelta(seconds=5),
    )
    return replace(made, **changes)


def test_an_order_of_unknown_outcome_blocks_its_market_until_no_block_can_hold_it(tmp_path):
    venue = Venue()

    async def scenario(local):
        local.journal.append(unknown_intent())
        reconciler, said = reconciler_of(local, venue)

        venue.height = 1_005
        assert (await reconciler.compare()).agreed
        local.trader.submit_order(local.trader.market(6, OrderSide.BUY, "0.1000", tags=["purpose=entry"]))
        await local.until(lambda: "unknown_order" in local.trader.denied.get("6", ""))

        venue.height = 1_006
        assert (await reconciler.compare()).agreed
        assert local.journal.books.orders["5"].state == "canceled"
        assert said == ["order 5 is not at the venue, and nothing can fill it any more"]
        local.trader.submit_order(local.trader.market(7, OrderSide.BUY, "0.1000", tags=["purpose=entry"]))
        await local.until(lambda: "7" in local.place.submitted)

    run_in_node(tmp_path, scenario)


def test_an_order_of_unknown_outcome_that_the_venue_shows_is_accepted(tmp_path):
    venue = Venue()

    async def scenario(local):
        local.place.silent = True
        order = resting(local)
        await local.until(lambda: order.is_inflight)
        venue.orders = [shown()]
        reconciler, _ = reconciler_of(local, venue)
        assert (await reconciler.compare()).agreed

        assert order.is_open
        assert order.venue_order_id.value == "V-5"
        assert local.journal.books.orders["5"].state == "accepted"

    run_in_node(tmp_path, scenario)


def canceled_event():
    return OrderEvent(
        account=ACCOUNT,
        client_order_id="5",
        state="canceled",
        venue_order_id="V-5",
        reason="",
        occurred_at=datetime.now(UTC),
    )


def test_an_order_that_nautilus_alone_believes_in_is_ended(tmp_path):
    venue = Venue()

    async def scenario(local):
        order = resting(local)
        await local.until(lambda: order.is_open)
        local.journal.append(canceled_event())
        patient, _ = reconciler_of(local, venue)
        assert (await patient.compare()).agreed
        assert order.is_open

        reconciler, said = reconciler_of(local, venue, rules=replace(TERMS.rules, settle=timedelta(0)))
        assert (await reconciler.compare()).agreed
        assert order.is_closed
        assert said == ["order 5 is not at the venue, and nothing can fill it any more"]

    run_in_node(tmp_path, scenario)


def test_a_resting_order_ends_only_when_the_venue_has_not_listed_it_for_long(tmp_path):
    venue = Venue()

    async def scenario(local):
        local.hooks._parts = replace(local.hooks._parts, plan=None)  # a venue at which orders rest
        order = resting(local)
        await local.until(lambda: order.is_open)
        rules = replace(TERMS.rules, settle=timedelta(0))
        patient, _ = reconciler_of(local, venue, rules=rules)
        hasty, said = reconciler_of(local, venue, rules=replace(rules, unlisted=timedelta(0)))
        for each in (patient, hasty):
            assert (await each.compare()).agreed  # missing for the first time

        assert not (await patient.compare()).agreed
        assert patient.differences == (f"order 5 of {IID}: rests by the journal, the venue does not list it",)
        assert order.is_open

        assert (await hasty.compare()).agreed
        assert order.is_closed
        assert said == ["order 5 is not at the venue, and nothing can fill it any more"]

    run_in_node(tmp_path, scenario)


def test_an_order_that_was_thought_ended_and_rests_at_the_venue_is_cancelled_there_once(tmp_path):
    venue = Venue()

    async def scenario(local):
        order = resting(local)
        await local.until(lambda: order.is_open)
        local.trader.cancel_order(order)
        await local.until(lambda: order.is_closed)
        venue.orders = [shown()]
        reconciler, said = reconciler_of(local, venue)
        assert not (await reconciler.compare()).agreed
        await local.until(lambda: local.place.commands == ["cancel", "cancel"])
        assert said[0] == "order 5 has ended by the journal and rests at the venue as V-5: it is cancelled there"
        assert "the journal says canceled" in said[1]
        assert len(said) == 2

        venue.orders = []
        assert (await reconciler.compare()).agreed

    run_in_node(tmp_path, scenario)


def test_an_order_that_nobody_sent_blocks_entries_as_long_as_it_rests(tmp_path):
    venue = Venue()

    async def scenario(local):
        venue.orders = [shown(99)]
        reconciler, _ = reconciler_of(local, venue)
        assert not (await reconciler.compare()).agreed
        assert "the journal does not know it" in reconciler.differences[0]

        venue.orders = []
        assert (await reconciler.compare()).agreed

    run_in_node(tmp_path, scenario)


def test_a_venue_that_cannot_be_read_blocks_entries_once_the_last_agreement_is_old(tmp_path):
    venue = Venue()

    async def scenario(local):
        trusting, _ = reconciler_of(local, venue)
        wary, said = reconciler_of(local, venue, trusted_seconds=0.0)
        for each in (trusting, wary):
            await each.compare()
        venue.away = True
        for each in (trusting, wary):
            assert await each.compare() is None

        assert trusting.differences == ()
        assert wary.differences == ("the account can't be compared with its venue: indexer: no answer",)
        assert said == list(wary.differences)

    run_in_node(tmp_path, scenario)


def test_an_answer_that_nobody_can_read_ends_no_loop_and_blocks_in_time(tmp_path):
    venue = Venue()

    async def scenario(local):
        reconciler, said = reconciler_of(local, venue, trusted_seconds=0.0)
        await reconciler.compare()
        assert "was last compared with its venue" in reconciler.differences[0]

        venue.before_read = lambda number: {}["clobPairId"]
        assert await reconciler.compare() is None
        assert reconciler.differences == (said[-1],)
        assert "clobPairId" in said[-1]

    run_in_node(tmp_path, scenario)


def test_money_that_came_is_taken_in(tmp_path):
    venue = Venue()

    async def scenario(local):
        venue.transfers = [
            Transfer(
                account=ACCOUNT,
                transfer_id="t1",
                amount=Decimal(500),
                reason="deposit",
                transferred_at=datetime.now(UTC),
            )
        ]
        reconciler, _ = reconciler_of(local, venue)
        assert (await reconciler.compare()).agreed

    assert run_in_node(tmp_path, scenario).journal.books.quote_balance == CASH + 500


def test_it_compares_again_when_asked_and_sooner_while_something_is_apart(tmp_path, monkeypatch):
    venue = Venue()
    # Without being asked it would compare an hour later, were nothing apart.
    monkeypatch.setattr("live_engine.reconciler.WHILE_APART_SECONDS", 0.01)

    async def scenario(local):
        reconciler, said = reconciler_of(local, venue, every_seconds=3_600)
        running = asyncio.create_task(reconciler.run())
        await local.until(lambda: reconciler.agreed_at is not None)
        first = reconciler.agreed_at
        reconciler.request()
        await local.until(lambda: reconciler.agreed_at > first)
        asked, venue.away = len(venue.reads), True
        reconciler.request()
        await local.until(lambda: len(venue.reads) >= asked + 3)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert reconciler.agreed_at > first
        assert any("can't be compared with its venue" in each for each in said)

    run_in_node(tmp_path, scenario)
