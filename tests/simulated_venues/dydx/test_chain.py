"""Blocks made by hand: what is told when, and how transactions that wait for the same block judge each other."""

import time

import pytest
from dydx_v4_client.key_pair import KeyPair
from dydx_v4_client.node.builder import Builder
from dydx_v4_client.node.message import batch_cancel, cancel_order, order, order_id, place_order, subaccount
from dydx_v4_client.wallet import Wallet
from v4_proto.dydxprotocol.clob.order_pb2 import Order
from v4_proto.dydxprotocol.clob.tx_pb2 import OrderBatch

from helios_pipeline.core.errors import SimulationError
from simulated_venues.clock import VenueClock
from simulated_venues.dydx.chain import Chain
from simulated_venues.dydx.exchange import Exchange
from simulated_venues.dydx.records import Filled, OrderChanged, SubaccountId, Transferred
from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.dydx.store import Store
from simulated_venues.faults import Fault, Faults
from tests.simulated_venues.dydx.background import BTC, WrittenBackground

IOC, GTT = Order.TIME_IN_FORCE_IOC, Order.TIME_IN_FORCE_UNSPECIFIED


class Audience:
    def __init__(self):
        self.blocks, self.told = [], []

    def commit(self, moment, events, oracles):
        self.blocks.append((moment, events, dict(oracles)))

    def tell(self, change):
        self.told.append(change)

    def changes(self):
        return [event for event in self.blocks[-1][1] if isinstance(event, OrderChanged)]

    def statuses(self):
        return [event.status for event in self.changes()]


class ByHand:
    """A chain whose blocks a test makes, and a signer."""

    def __init__(self, folder, **settings):
        self.faults, self.audience = Faults("dydx"), Audience()
        background = WrittenBackground(bids=[(39_999, 100, 1)], asks=[(40_001, 100, 1)])
        self.settings = DydxSettings(state_folder=folder, **settings)
        store = Store(folder, {"market": "written"})
        try:
            self.chain = Chain(
                settings=self.settings,
                clock=VenueClock(self.faults),
                faults=self.faults,
                background=background,
                exchange=Exchange((BTC,), background),
                store=store,
                audience=self.audience,
            )
        except SimulationError:
            store.close()
            raise
        self.wallet = Wallet(KeyPair.from_hex("11" * 32), 0, 0)
        self.wallet.account_number = self.chain.open_account(self.wallet.address).number
        self.chain.make_block()

    def name(self, client_id, flags=0):
        return order_id(self.wallet.address, 0, client_id, 0, flags)

    def place(self, client_id=1, *, flags=0, side=Order.SIDE_BUY, price=39_000, until=20, time_in_force=GTT):
        end = (
            {"good_til_block": self.chain.last_block.height + until}
            if flags == 0
            else {"good_til_block_time": int(time.time()) + 60 * until}
        )
        message = order(self.name(client_id, flags), side, 10_000_000, price * 100_000, time_in_force, False, **end)
        return self.send(place_order(message))

    def cancel(self, client_id=1, *, flags=0, until=25):
        end = (
            {"good_til_block": self.chain.last_block.height + until}
            if flags == 0
            else {"good_til_block_time": int(time.time()) + 60 * until}
        )
        return self.send(cancel_order(self.name(client_id, flags), **end))

    def cancel_batch(self, client_ids):
        until = self.chain.last_block.height + 25
        batch = [OrderBatch(clob_pair_id=0, client_ids=client_ids)]
        return self.send(batch_cancel(subaccount(self.wallet.address, 0), batch, until))

    def send(self, message):
        transaction = Builder(self.settings.chain_id, "USDC").build(self.wallet, message)
        return self.chain.broadcast(transaction.SerializeToString())


@pytest.fixture(name="hand")
def hand_fixture(tmp_path):
    hand = ByHand(tmp_path)
    yield hand
    hand.chain.store.close()


def test_a_short_term_order_is_told_at_once_and_matched_in_the_next_block(hand):
    hand.place(price=40_001, time_in_force=IOC)

    told = [(change.status, change.on_chain) for change in hand.audience.told]
    hand.chain.make_block()

    assert told == [("BEST_EFFORT_OPENED", False)]
    assert hand.audience.statuses() == ["FILLED"]
    assert sum(isinstance(event, Filled) for event in hand.audience.blocks[-1][1]) == 1


def test_an_order_and_its_cancel_in_one_block_keep_their_order(hand):
    hand.place()
    hand.cancel()
    hand.chain.make_block()

    assert [change.status for change in hand.audience.told] == ["BEST_EFFORT_OPENED", "BEST_EFFORT_CANCELED"]
    assert hand.audience.statuses() == ["CANCELED"]
    assert hand.place(until=21).code == 7
    assert hand.place(until=30).code == 0


def test_short_term_ids_that_wait_are_not_used_again_unless_they_live_longer(hand):
    assert hand.place(until=10).code == 0
    assert hand.place(until=10, price=38_000).code == 20
    assert hand.place(until=11, price=38_000).code == 0
    hand.chain.make_block()

    assert [each.order.subticks // 100_000 for each in hand.chain.exchange.orders()] == [38_000]
    assert hand.cancel(until=12).code == 0
    assert hand.cancel(until=12, client_id=1).code == 19
    assert hand.cancel(until=11).code == 9


def test_stateful_orders_and_cancels_that_wait_judge_each_other(hand):
    placed = hand.place(flags=64)
    hand.wallet.sequence = 1
    again = hand.place(flags=64, price=38_000)
    canceled = hand.cancel(flags=64)
    hand.wallet.sequence = 2
    canceled_again, placed_again = hand.cancel(flags=64), hand.place(flags=64, price=37_000)
    hand.chain.make_block()

    answers = (placed, again, canceled, canceled_again, placed_again)
    assert [(each.codespace, each.code) for each in answers] == [
        ("", 0),
        ("clob", 3005),
        ("", 0),
        ("clob", 32),
        ("clob", 3008),
    ]
    assert hand.audience.statuses() == ["OPEN", "CANCELED"]
    assert hand.chain.signers.by_address[hand.wallet.address].sequence == 2


def test_a_batch_is_refused_only_if_all_of_it_is(hand):
    for client_id in (1, 2):
        hand.place(client_id)
    hand.chain.make_block()

    first, second, third = hand.cancel_batch([1, 2]), hand.cancel_batch([2, 3]), hand.cancel_batch([3, 1])
    hand.chain.make_block()

    assert [first.code, second.code, third.code] == [0, 0, 46]
    assert hand.audience.statuses() == ["CANCELED", "CANCELED"]


def test_a_swallowed_sequence_is_free_again_after_the_next_block(hand):
    hand.faults.start(Fault(kind="swallow_transaction", count=1))

    assert hand.place(flags=64).code == 0
    assert hand.place(2, flags=64).code == 32
    hand.chain.make_block()
    assert hand.place(2, flags=64).code == 0
    hand.chain.make_block()

    assert [each.order.order_id.client_id for each in hand.chain.exchange.orders()] == [2]


def test_a_sequence_that_is_bumped_while_a_transaction_waits_stays_bumped(hand):
    assert hand.place(flags=64).code == 0
    hand.faults.start(Fault(kind="bump_sequence", value=5, count=1))
    assert hand.place(2, flags=64).code == 32
    hand.chain.make_block()

    assert hand.chain.signers.by_address[hand.wallet.address].sequence == 5


def test_a_replacement_of_an_order_that_fills_in_the_same_block_leaves_it_filled(hand):
    assert hand.place(price=40_001, time_in_force=IOC).code == 0
    assert hand.place(price=40_001, time_in_force=IOC, until=21).code == 0
    hand.chain.make_block()

    assert hand.audience.statuses() == ["FILLED"]


def test_a_replacement_of_an_order_that_fills_in_part_is_gone_with_what_was_filled(hand):
    hand.chain.background.asks = [(40_001, 4, 1)]
    assert hand.place(price=40_001, time_in_force=IOC).code == 0
    assert hand.place(price=40_001, time_in_force=IOC, until=21).code == 0
    hand.chain.make_block()

    assert {each.filled_quantums for each in hand.audience.changes()} == {4_000_000}
    assert hand.audience.statuses()[-1] == "CANCELED"


def test_an_order_whose_replacement_can_not_come_is_told_as_it_stays(hand):
    hand.place()
    hand.chain.make_block()
    assert hand.place(price=40_000, until=21, time_in_force=Order.TIME_IN_FORCE_POST_ONLY).code == 0
    hand.chain.background.asks = [(40_000, 100, 2)]
    hand.chain.make_block()

    last = hand.audience.changes()[-1]
    assert (last.status, last.order.subticks) == ("BEST_EFFORT_OPENED", 39_000 * 100_000)
    assert [each.order.subticks for each in hand.chain.exchange.orders()] == [39_000 * 100_000]


def test_what_is_told_before_a_block_says_what_an_order_has_filled(hand):
    hand.chain.background.asks = [(40_001, 4, 1)]
    hand.place(price=40_001)
    hand.chain.make_block()
    hand.place(price=40_001, until=21)
    hand.cancel()

    assert [(change.status, change.filled_quantums) for change in hand.audience.told[1:]] == [
        ("BEST_EFFORT_OPENED", 4_000_000),
        ("BEST_EFFORT_CANCELED", 4_000_000),
    ]


def test_a_post_only_order_that_comes_to_cross_before_its_block_is_told_as_gone(hand):
    assert hand.place(price=40_000, time_in_force=Order.TIME_IN_FORCE_POST_ONLY).code == 0
    hand.chain.background.asks = [(40_000, 100, 2)]
    hand.chain.make_block()

    last = hand.audience.changes()[-1]
    assert (last.status, last.removal_reason) == ("CANCELED", "POST_ONLY_WOULD_CROSS_MAKER_ORDER")
    assert hand.chain.exchange.orders() == []


def test_nothing_is_told_of_a_block_that_could_not_be_written(hand):
    hand.place(price=40_001, time_in_force=IOC)
    blocks, last = len(hand.audience.blocks), hand.chain.last_block
    hand.chain.store.close()

    with pytest.raises(Exception, match="closed"):
        hand.chain.make_block()

    assert (len(hand.audience.blocks), hand.chain.last_block) == (blocks, last)


def test_a_late_fill_is_not_counted_for_an_order_that_waits_for_its_trigger(hand):
    stop = order(
        hand.name(1, 32),
        Order.SIDE_BUY,
        10_000_000,
        45_000 * 100_000,
        GTT,
        False,
        good_til_block_time=int(time.time()) + 600,
        condition_type=Order.CONDITION_TYPE_STOP_LOSS,
        conditional_order_trigger_subticks=44_000 * 100_000,
    )
    assert hand.send(place_order(stop)).code == 0
    hand.chain.make_block()
    hand.faults.start(Fault(kind="late_fill_after_cancel", count=1))
    hand.wallet.sequence = 1
    assert hand.cancel(flags=32).code == 0
    hand.chain.make_block()

    assert hand.audience.statuses() == ["CANCELED"]
    assert [fault["struck"] for fault in hand.faults.describe()] == [0]


@pytest.mark.parametrize("share", [0.999, 1])
def test_a_fault_of_fills_is_counted_in_blocks_with_matches_alone(hand, share):
    hand.faults.start(Fault(kind="partial_fills", value=0.4, share=share, count=5))
    for _ in range(3):
        hand.chain.make_block()
    hand.place(price=40_001, time_in_force=IOC)
    hand.chain.make_block()

    assert hand.audience.changes()[-1].filled_quantums == 4_000_000
    assert [fault["struck"] for fault in hand.faults.describe()] == [1]


def test_an_oracle_jump_is_part_of_the_block(hand):
    hand.faults.start(Fault(kind="oracle_jump", value=-0.2))
    hand.chain.make_block()

    assert hand.audience.blocks[-1][2] == {"BTC-USD": 32_000 * 10**8}
    assert hand.chain.oracle_e8(BTC) == 32_000 * 10**8


def test_what_was_promised_to_an_account_is_paid_after_a_crash(tmp_path):
    before = ByHand(tmp_path, default_deposit_usdc=70)
    other = "dydx19rl4cm2hmr8afy4kldpxz3fka4jguq0a4erelz"
    number = before.chain.open_account(other).number
    before.chain.store.close()

    after = ByHand(tmp_path, default_deposit_usdc=70)
    paid = [event for _, events, _ in after.audience.blocks for event in events if isinstance(event, Transferred)]

    assert after.chain.open_account(other).number == number == 1
    assert [(each.recipient.owner, each.quote_quantums) for each in paid] == [(other, 70_000_000)]
    assert after.chain.last_block.height == before.chain.last_block.height + 1
    after.chain.store.close()


def test_what_the_faucet_was_asked_for_is_paid_after_a_crash(tmp_path):
    before = ByHand(tmp_path)
    for number, usdc in ((0, 5), (3, 6), (3, 7)):
        before.chain.deposit(SubaccountId(owner=before.wallet.address, number=number), usdc)
    before.chain.store.close()

    after = ByHand(tmp_path)
    after.chain.make_block()
    paid = [event for _, events, _ in after.audience.blocks for event in events if isinstance(event, Transferred)]

    assert [(each.recipient.number, each.quote_quantums) for each in paid] == [(0, 5_000_000), (3, 13_000_000)]
    after.chain.store.close()


def test_deposits_that_can_not_be_made_are_refused(tmp_path):
    for wrong in ({"block_ms": 0}, {"deposits": (("dydx1x", -1),)}, {"default_deposit_usdc": -1}):
        with pytest.raises(SimulationError, match="simulated dYdX: expected"):
            DydxSettings(state_folder=tmp_path, **wrong)
    with pytest.raises(SimulationError, match="expected dydx addresses in deposits, found 'dydx1x'"):
        ByHand(tmp_path, deposits=(("dydx1x", 5),))
