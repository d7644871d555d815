import pytest
from v4_proto.dydxprotocol.clob.order_pb2 import Order, OrderId
from v4_proto.dydxprotocol.clob.tx_pb2 import MsgBatchCancel, MsgCancelOrder, MsgPlaceOrder, OrderBatch
from v4_proto.dydxprotocol.sending.transfer_pb2 import MsgDepositToSubaccount, MsgWithdrawFromSubaccount, Transfer
from v4_proto.dydxprotocol.sending.tx_pb2 import MsgCreateTransfer
from v4_proto.dydxprotocol.subaccounts.subaccount_pb2 import SubaccountId

from simulated_venues.dydx.messages import order_of
from simulated_venues.dydx.records import Moment
from simulated_venues.dydx.refusals import Refused
from simulated_venues.dydx.validation import (
    STATEFUL_WINDOW_SECONDS,
    check_cancel_in_time,
    check_message,
    check_order_in_time,
)
from tests.simulated_venues.dydx.background import BTC as MARKET

OWNER = "dydx19rl4cm2hmr8afy4kldpxz3fka4jguq0a4erelz"
SUBACCOUNT = SubaccountId(owner=OWNER, number=0)
LAST = Moment(height=1_000, at_ms=1_800_000_000_000)
NOW = LAST.at_ms // 1_000


def order_id(flags=0, *, owner=OWNER, number=0, pair=0):
    return OrderId(
        subaccount_id=SubaccountId(owner=owner, number=number), client_id=1, order_flags=flags, clob_pair_id=pair
    )


def order(flags=0, *, owner=OWNER, number=0, pair=0, **changes):
    usual = {
        "order_id": order_id(flags, owner=owner, number=number, pair=pair),
        "side": Order.SIDE_BUY,
        "quantums": 1_000_000,
        "subticks": 100_000,
        "time_in_force": Order.TIME_IN_FORCE_UNSPECIFIED,
    }
    if "good_til_block" not in changes and "good_til_block_time" not in changes:
        usual |= {"good_til_block": LAST.height + 10} if flags == 0 else {"good_til_block_time": NOW + 60}
    if flags == 32:
        usual |= {
            "condition_type": Order.CONDITION_TYPE_STOP_LOSS,
            "conditional_order_trigger_subticks": 200_000,
        }
    return Order(**{**usual, **changes})


def code_of(call, *arguments):
    with pytest.raises(Refused) as caught:
        call(*arguments)
    return caught.value.codespace, caught.value.code


WRONG_ORDERS = {
    "fill or kill": (order(time_in_force=Order.TIME_IN_FORCE_FILL_OR_KILL), ("clob", 48)),
    "no side": (order(side=Order.SIDE_UNSPECIFIED), ("clob", 3)),
    "unknown side": (order(side=7), ("clob", 3)),
    "unknown time in force": (order(time_in_force=9), ("clob", 44)),
    "unknown condition": (order(32, condition_type=9), ("clob", 6000)),
    "no quantums": (order(quantums=0), ("clob", 4)),
    "no price": (order(subticks=0), ("clob", 6)),
    "no last block": (order(good_til_block=0), ("clob", 5)),
    "short-term with a time": (order(good_til_block_time=NOW + 5), ("clob", 5)),
    "long-term with a block": (order(64, good_til_block=1_010), ("clob", 3001)),
    "unknown flags": (order(1), ("clob", 3000)),
    "long-term IOC": (order(64, time_in_force=Order.TIME_IN_FORCE_IOC), ("clob", 3002)),
    "resting reduce-only": (order(reduce_only=True), ("clob", 9003)),
    "conditional reduce-only that may rest": (order(32, reduce_only=True), ("clob", 9003)),
    "conditional without condition": (order(32, condition_type=0), ("clob", 6000)),
    "conditional without trigger": (order(32, conditional_order_trigger_subticks=0), ("clob", 6001)),
    "condition on another order": (order(condition_type=Order.CONDITION_TYPE_STOP_LOSS), ("clob", 6000)),
    "trigger on another order": (order(64, conditional_order_trigger_subticks=100_000), ("clob", 6001)),
    "no owner": (order(owner=""), ("subaccounts", 201)),
    "another chain's owner": (order(owner="cosmos1vlthgax23ca9syk7xgaz347xmf4nunefw3cnv8"), ("subaccounts", 201)),
    "subaccount beyond the last": (order(number=128_001), ("subaccounts", 200)),
}
GOOD_ORDERS = {
    "short-term": order(),
    "post-only": order(time_in_force=Order.TIME_IN_FORCE_POST_ONLY),
    "reduce-only IOC": order(time_in_force=Order.TIME_IN_FORCE_IOC, reduce_only=True),
    "long-term": order(64),
    "conditional": order(32),
    "conditional reduce-only IOC": order(32, time_in_force=Order.TIME_IN_FORCE_IOC, reduce_only=True),
    "last subaccount": order(number=128_000),
}
WRONG_IN_TIME = {
    "unknown market": (order(pair=9), 8),
    "off tick": (order(subticks=100_001), 12),
    "off step": (order(quantums=1_000_001), 12),
    "trigger off tick": (order(32, conditional_order_trigger_subticks=150_000), 12),
    "last block past": (order(good_til_block=LAST.height), 10),
    "last block far": (order(good_til_block=LAST.height + 42), 11),
    "time past": (order(64, good_til_block_time=NOW), 3003),
    "time far": (order(64, good_til_block_time=NOW + STATEFUL_WINDOW_SECONDS + 1), 3004),
}


@pytest.mark.parametrize("name", WRONG_ORDERS)
def test_an_order_that_is_wrong_by_itself_is_refused_with_the_modules_code(name):
    message, expected = WRONG_ORDERS[name]

    assert code_of(check_message, MsgPlaceOrder(order=message)) == expected


@pytest.mark.parametrize("name", GOOD_ORDERS)
def test_an_order_within_the_rules_is_taken(name):
    message = GOOD_ORDERS[name]

    check_message(MsgPlaceOrder(order=message))
    check_order_in_time(message, {0: MARKET}, LAST)

    assert order_of(message).quantums == message.quantums


@pytest.mark.parametrize("name", WRONG_IN_TIME)
def test_an_order_that_could_not_be_in_the_next_block_is_refused(name):
    message, expected = WRONG_IN_TIME[name]

    check_message(MsgPlaceOrder(order=message))

    assert code_of(check_order_in_time, message, {0: MARKET}, LAST) == ("clob", expected)


def test_the_window_of_blocks_is_counted_from_the_next_block():
    for good_til_block in (LAST.height + 1, LAST.height + 41):
        check_order_in_time(order(good_til_block=good_til_block), {0: MARKET}, LAST)


def test_cancels_need_a_known_kind_of_order_and_an_end():
    wrong = {
        3000: MsgCancelOrder(order_id=order_id(5), good_til_block=1_010),
        3001: MsgCancelOrder(order_id=order_id(64), good_til_block=1_010),
        5: MsgCancelOrder(order_id=order_id(), good_til_block_time=NOW + 5),
    }

    assert [code_of(check_message, message)[1] for message in wrong.values()] == list(wrong)


def test_a_stateful_cancel_needs_its_order_and_must_not_end_before_it():
    cancel = MsgCancelOrder(order_id=order_id(64), good_til_block_time=NOW + 59)
    late = MsgCancelOrder(order_id=order_id(64), good_til_block_time=NOW + 60)
    placed = order_of(order(64))

    assert code_of(check_cancel_in_time, cancel, None, LAST) == ("clob", 3006)
    assert code_of(check_cancel_in_time, cancel, placed, LAST) == ("clob", 29)
    check_cancel_in_time(late, placed, LAST)


def test_a_batch_cancel_has_no_order_twice_and_at_most_a_hundred():
    def batch(client_ids):
        batches = [OrderBatch(clob_pair_id=0, client_ids=client_ids)]
        return MsgBatchCancel(subaccount_id=SUBACCOUNT, short_term_cancels=batches, good_til_block=1_010)

    assert code_of(check_message, batch([1, 2, 1])) == ("clob", 45)
    assert code_of(check_message, batch(range(101))) == ("clob", 45)
    check_message(batch(range(100)))


def test_transfers_move_some_usdc_between_different_subaccounts():
    other = SubaccountId(owner=OWNER, number=1)
    wrong = {
        ("sending", 1): MsgCreateTransfer(transfer=Transfer(sender=SUBACCOUNT, recipient=SUBACCOUNT, amount=1)),
        ("sending", 2): MsgCreateTransfer(transfer=Transfer(sender=SUBACCOUNT, recipient=other)),
        ("sending", 1101): MsgDepositToSubaccount(sender=OWNER, recipient=SUBACCOUNT, asset_id=3, quantums=1),
        ("sending", 6): MsgWithdrawFromSubaccount(sender=SUBACCOUNT, recipient="dydx1x", quantums=1),
        ("subaccounts", 201): MsgDepositToSubaccount(sender=OWNER, quantums=1),
    }

    assert [code_of(check_message, message) for message in wrong.values()] == list(wrong)
    check_message(MsgCreateTransfer(transfer=Transfer(sender=SUBACCOUNT, recipient=other, amount=1)))
