"""Every order passes the gate and is on disk before it leaves, whoever sends it."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.reports import FillReport, PositionStatusReport
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.enums import LiquiditySide, OrderSide, PositionSide, TriggerType
from nautilus_trader.model.identifiers import AccountId, ClientOrderId, TradeId
from nautilus_trader.model.objects import Money, Price, Quantity

from helios_pipeline.core.trading import InferredFill, Intent, OrderEvent
from live_engine.hooks import install_hooks
from live_engine.segments import read_records
from tests.live_engine.local_venue import ACCOUNT, HALVES, IID, run_in_node

ENTRY = {"tags": ["purpose=entry", "reason=signal"]}


def buy(local, number=1, **options):
    return local.trader.market(number, OrderSide.BUY, "0.1000", **(ENTRY | options))


async def by_submit_order(local):
    local.trader.submit_order(buy(local))


async def by_order_list(local):
    local.trader.submit_order_list(
        local.trader.order_factory.bracket(
            IID,
            OrderSide.BUY,
            Quantity.from_str("0.1000"),
            sl_trigger_price=Price(58_000, 0),
            tp_price=Price(62_000, 0),
        )
    )


async def by_emulator(local):
    order = local.trader.order_factory.stop_market(
        IID,
        OrderSide.BUY,
        Quantity.from_str("0.1000"),
        trigger_price=Price(60_010, 0),
        emulation_trigger=TriggerType.BID_ASK,
        client_order_id=ClientOrderId("1"),
        **ENTRY,
    )
    local.trader.submit_order(order)
    await local.until(lambda: any("OrderEmulated" in each for each in local.trader.events))
    local.quote(60_011, 60_012)


async def by_algorithm(local):
    local.trader.submit_order(buy(local, exec_algorithm_id=HALVES))


async def by_message_bus(local):
    local.send(buy(local))


ROUTES = [by_submit_order, by_order_list, by_emulator, by_algorithm, by_message_bus]
ORDERS = {by_order_list: 3, by_algorithm: 2}


@pytest.mark.parametrize("route", ROUTES)
def test_an_order_is_on_disk_before_the_venue_is_asked_by_whatever_route(tmp_path, route):
    async def scenario(local):
        await route(local)
        await local.until(lambda: len(local.place.submitted) == ORDERS.get(route, 1) and local.place.fills)

    local = run_in_node(tmp_path, scenario)

    assert set(local.place.on_disk.values()) == {True}
    assert {line.client_order_id for line in local.journal.books.orders.values()} == set(local.place.submitted)
    assert local.trader.denied == {}


@pytest.mark.parametrize("route", ROUTES)
def test_an_entry_is_refused_by_whatever_route(tmp_path, route):
    async def scenario(local):
        local.agreed.differences = ("position of BTC-USD-PERP.DYDX: journal 0, venue 0.1",)
        await route(local)
        await local.until(lambda: len(local.trader.denied) == (ORDERS.get(route, 1)))

    local = run_in_node(tmp_path, scenario)

    assert local.place.submitted == []
    assert "reconciliation: position of BTC-USD-PERP.DYDX" in "".join(local.trader.denied.values())
    assert local.journal.books.intents == ()
    assert {line.state for line in local.journal.books.orders.values()} == {"denied"}


def test_an_intent_says_what_the_order_is_for(tmp_path):
    async def scenario(local):
        tags = ["purpose=entry", "reason=signal", "boundary=1764150300000000000", "atr=41.25"]
        local.trader.submit_order(buy(local, number=77, tags=tags))
        await local.until(lambda: local.place.fills)

    (intent,) = run_in_node(tmp_path, scenario).journal.books.intents

    assert (intent.client_order_id, intent.venue_client_id, intent.side) == ("77", 77, 1)
    assert (intent.kind, intent.quantity, intent.reduce_only) == ("market", Decimal("0.1"), False)
    assert (intent.purpose, intent.reason, intent.atr, intent.good_til_block) == ("entry", "signal", 41.25, 1_234)
    assert intent.boundary.isoformat() == "2025-11-26T09:45:00+00:00"


def test_what_became_of_an_order_is_journalled_once_and_in_order(tmp_path):
    async def scenario(local):
        await local.enter()

    local = run_in_node(tmp_path, scenario)

    told = [each.state for _, each in read_records(local.journal.folder) if isinstance(each, OrderEvent)]
    assert told == ["submitted", "accepted", "filled"]
    assert local.journal.books.quantity(IID.value) == Decimal("0.1")


@pytest.mark.parametrize("mode", ["REDUCING", "HALTED"])
def test_market_exit_closes_in_every_mode(tmp_path, mode):
    async def scenario(local):
        await local.enter()
        local.set_mode(mode)
        local.trader.submit_order(buy(local, 2))
        local.trader.submit_order(local.trader.market(3, OrderSide.SELL, "0.1000", reduce_only=True, tags=EXIT))
        await local.until(lambda: "2" in local.trader.denied)
        local.trader.market_exit()
        await local.until(lambda: not local.node.kernel.cache.positions_open())

    local = run_in_node(tmp_path, scenario)

    assert local.journal.books.quantity(IID.value) == 0
    assert ("3" in local.trader.denied) == (mode == "HALTED")
    assert all(local.place.on_disk.values())
    purposes = {intent.purpose for intent in local.journal.books.intents}
    assert purposes >= ({"entry", "exit"} if mode == "REDUCING" else {"entry", "flatten"})
    assert ("exit" in purposes) == (mode == "REDUCING")


EXIT = ["purpose=exit", "reason=signal"]


def test_an_exit_passes_while_an_entry_is_refused(tmp_path):
    async def scenario(local):
        await local.enter()
        local.agreed.differences = ("something is wrong",)
        local.trader.submit_order(buy(local, 2))
        local.trader.submit_order(local.trader.market(3, OrderSide.SELL, "0.1000", reduce_only=True, tags=EXIT))
        await local.until(lambda: not local.node.kernel.cache.positions_open())

    local = run_in_node(tmp_path, scenario)

    assert local.trader.denied.keys() == {"2"}
    assert local.place.submitted == ["1", "3"]


def test_a_list_of_which_one_is_refused_sends_the_rest_and_nothing_that_hangs_on_the_refused(tmp_path):
    async def scenario(local):
        await local.enter()
        local.set_mode("REDUCING")
        factory = local.trader.order_factory
        leave = local.trader.market(3, OrderSide.SELL, "0.1000", reduce_only=True, tags=EXIT)
        local.trader.submit_order_list(factory.create_list([buy(local, 2), leave]))
        await local.until(lambda: not local.node.kernel.cache.positions_open())

    local = run_in_node(tmp_path, scenario)

    assert local.trader.denied.keys() == {"2"}
    assert local.place.submitted == ["1", "3"]


def test_cancels_pass_and_changes_are_refused(tmp_path):
    async def scenario(local):
        stop = local.trader.order_factory.stop_market(
            IID,
            OrderSide.SELL,
            Quantity.from_str("0.1000"),
            trigger_price=Price(58_000, 0),
            reduce_only=True,
            client_order_id=ClientOrderId("5"),
            tags=["purpose=stop"],
        )
        local.set_mode("HALTED")
        local.trader.submit_order(stop)
        await local.until(lambda: stop.is_open)
        local.trader.modify_order(stop, trigger_price=Price(59_000, 0))
        await local.until(lambda: any("ModifyRejected" in each for each in local.trader.events))
        local.trader.cancel_order(stop)
        await local.until(lambda: stop.is_closed)

    local = run_in_node(tmp_path, scenario)

    assert local.place.commands == ["cancel"]
    assert local.journal.books.orders["5"].state == "canceled"


def test_no_order_is_sent_while_the_journal_cannot_be_written_and_a_person_is_paged_once(tmp_path):
    async def scenario(local):
        await local.enter()
        local.journal.close()
        for number in (2, 3):
            local.trader.submit_order(
                local.trader.market(number, OrderSide.SELL, "0.1000", reduce_only=True, tags=EXIT)
            )
        await local.until(lambda: len(local.trader.denied) == 2)

    local = run_in_node(tmp_path, scenario)

    assert local.place.submitted == ["1"]
    assert all(why.startswith("journal: ") for why in local.trader.denied.values())
    assert len(local.pages) == 1


def test_an_order_that_was_sent_is_not_sent_again(tmp_path):
    async def scenario(local):
        local.place.silent = True
        order = buy(local)
        local.trader.submit_order(order)
        await local.until(lambda: local.place.submitted)
        local.agreed.differences = ()
        local.send(order)
        await local.until(lambda: local.pages)

    local = run_in_node(tmp_path, scenario)

    assert local.place.submitted == ["1"]
    assert "was not sent again" in local.pages[0]


def test_orders_of_several_threads_are_judged_one_at_a_time(tmp_path):
    async def scenario(local):
        orders = [local.trader.market(number, OrderSide.BUY, "0.5000", **ENTRY) for number in range(1, 13)]
        await asyncio.gather(*(asyncio.to_thread(local.send, order) for order in orders))
        await local.until(lambda: len(local.trader.denied) + local.place.fills == len(orders))

    local = run_in_node(tmp_path, scenario)

    # 80,000 of notional a market: two of 30,000 fit.
    assert len(local.place.submitted) == len(local.journal.books.intents) == 2
    assert {why.partition(":")[0] for why in local.trader.denied.values()} == {"market_notional"}


def test_an_order_of_a_kind_that_no_venue_takes_is_refused(tmp_path):
    async def scenario(local):
        order = local.trader.order_factory.market_if_touched(
            IID, OrderSide.SELL, Quantity.from_str("0.1000"), trigger_price=Price(61_000, 0), reduce_only=True
        )
        local.trader.submit_order(order)
        await local.until(lambda: local.trader.denied)

    local = run_in_node(tmp_path, scenario)

    assert "expected one of market, limit, stop_market" in next(iter(local.trader.denied.values()))


def resting_sell(local, number=5):
    return local.trader.order_factory.limit(
        IID,
        OrderSide.SELL,
        Quantity.from_str("0.1000"),
        Price(60_100, 0),
        client_order_id=ClientOrderId(str(number)),
        tags=["purpose=entry"],
    )


def fill_report(local, order, seconds=0):
    return FillReport(
        account_id=AccountId(ACCOUNT),
        instrument_id=IID,
        venue_order_id=order.venue_order_id,
        trade_id=TradeId("told-late"),
        order_side=order.side,
        last_qty=Quantity.from_str("0.0400"),
        last_px=Price(60_100, 0),
        commission=Money(2, USD),
        liquidity_side=LiquiditySide.MAKER,
        report_id=UUID4(),
        ts_event=local.node.kernel.clock.timestamp_ns() + seconds * 10**9,
        ts_init=0,
        client_order_id=order.client_order_id,
    )


def test_a_fill_that_a_report_tells_is_journalled_before_it_counts(tmp_path):
    async def scenario(local):
        order = resting_sell(local)
        local.trader.submit_order(order)
        await local.until(lambda: order.is_open)
        for _ in range(2):
            local.node.kernel.msgbus.send("ExecEngine.reconcile_execution_report", fill_report(local, order))
        assert local.journal.books.quantity(IID.value) == Decimal("-0.04")
        assert order.filled_qty.as_decimal() == Decimal("0.04")

    local = run_in_node(tmp_path, scenario)

    (fill,) = local.journal.books.fills
    assert (fill.venue_fill_id, fill.client_order_id, fill.liquidity) == ("told-late", "5", "maker")
    assert local.journal.books.orders["5"].state == "partially_filled"


def test_a_fill_from_before_the_journal_began_is_none_of_its(tmp_path):
    async def scenario(local):
        order = resting_sell(local)
        local.trader.submit_order(order)
        await local.until(lambda: order.is_open)
        report = fill_report(local, order, seconds=-(10**9))
        local.node.kernel.msgbus.send("ExecEngine.reconcile_execution_report", report)

    assert run_in_node(tmp_path, scenario).journal.books.fills == ()


def test_a_fill_that_nautilus_infers_is_recorded_as_such_and_never_summed(tmp_path):
    async def scenario(local):
        report = PositionStatusReport(
            account_id=AccountId(ACCOUNT),
            instrument_id=IID,
            position_side=PositionSide.LONG,
            quantity=Quantity.from_str("0.3000"),
            report_id=UUID4(),
            ts_last=0,
            ts_init=0,
            avg_px_open=Decimal(60_000),
        )
        local.node.kernel.msgbus.send("ExecEngine.reconcile_execution_report", report)
        await local.until(lambda: local.node.kernel.cache.positions_open())

    local = run_in_node(tmp_path, scenario)

    (inferred,) = [each for _, each in read_records(local.journal.folder) if isinstance(each, InferredFill)]
    assert (inferred.side, inferred.quantity, inferred.price) == (1, Decimal("0.3"), Decimal(60_000))
    assert local.journal.books.quantity(IID.value) == 0


def test_an_order_at_which_the_gate_breaks_is_refused_paged_and_the_next_one_leaves(tmp_path):
    async def scenario(local):
        sound = local.hooks._parts
        local.hooks._parts = replace(sound, plan=lambda order: {}["height"])
        local.trader.submit_order(buy(local, 1))
        await local.until(lambda: "1" in local.trader.denied)
        local.hooks._parts = sound
        local.trader.submit_order(buy(local, 2))
        await local.until(lambda: local.place.fills)

    local = run_in_node(tmp_path, scenario)

    assert local.place.submitted == ["2"]
    (page,) = local.pages
    assert page == local.trader.denied["1"] == "order 1 can't be judged, and was refused: KeyError: 'height'"


class OnlyIntents:
    """A sink with a defect: of all but intents it makes an error that nobody foresaw."""

    def __init__(self, journal):
        self.journal = journal

    def append(self, record):
        if isinstance(record, Intent):
            return self.journal.append(record)
        raise TypeError(f"{type(record).__name__} is odd")


def test_what_cannot_be_journalled_for_a_defect_is_paged_and_forwarded_all_the_same(tmp_path):
    async def scenario(local):
        local.hooks._parts = replace(local.hooks._parts, sink=OnlyIntents(local.journal))
        order = resting_sell(local)
        local.trader.submit_order(order)
        await local.until(lambda: order.is_open)
        local.node.kernel.msgbus.send("ExecEngine.reconcile_execution_report", fill_report(local, order))
        assert order.filled_qty.as_decimal() == Decimal("0.04")

    local = run_in_node(tmp_path, scenario)

    what = "what was told of an order can't be journalled: TypeError"
    kinds = ["OrderEvent", "OrderEvent", "VenueFill", "InferredFill"]
    assert local.pages == [f"{what}: {kind} is odd" for kind in kinds]


def test_a_node_is_hooked_once(tmp_path):
    async def scenario(local):
        with pytest.raises(ValueError, match="handler"):
            install_hooks(local.node, local.hooks._parts)

    run_in_node(tmp_path, scenario)
