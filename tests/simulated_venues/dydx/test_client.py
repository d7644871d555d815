import asyncio
import contextlib
import threading
import time
from decimal import Decimal

import grpc
import pytest
from dydx_v4_client.indexer.socket.websocket import IndexerSocket
from dydx_v4_client.node.builder import Builder
from dydx_v4_client.node.message import place_order, subaccount
from dydx_v4_client.wallet import Wallet
from v4_proto.cosmos.tx.v1beta1.service_pb2 import BroadcastMode, GetTxRequest
from v4_proto.cosmos.tx.v1beta1.service_pb2_grpc import ServiceStub
from v4_proto.dydxprotocol.clob.order_pb2 import Order
from v4_proto.dydxprotocol.subaccounts.subaccount_pb2 import SubaccountId

from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.dydx.venue import DydxVenue
from simulated_venues.market import SimulatedMarket
from simulated_venues.venue import embedded
from tests.simulated_venues.conftest import BTC, make_settings
from tests.simulated_venues.dydx.trader import BUY, CONDITIONAL, IOC, LONG, POST_ONLY, SELL, Trader, code_of_rpc


@pytest.fixture(name="venue", scope="module")
def venue_fixture(tmp_path_factory):
    settings = DydxSettings(state_folder=tmp_path_factory.mktemp("chain"), block_ms=80)
    with embedded(DydxVenue(SimulatedMarket(make_settings(ids=(BTC,))), settings)) as venue:
        yield venue


@pytest.fixture(name="trader", scope="module")
def trader_fixture(venue):
    return Trader(venue.addresses)


def test_an_account_comes_into_being_when_it_is_first_asked_for(trader):
    account = trader.call(lambda: trader.node.get_account(trader.address))
    positions = trader.call(lambda: trader.node.get_subaccount(trader.address, 0)).asset_positions

    assert (account.address, account.sequence) == (trader.address, trader.wallet.sequence)
    assert positions[0].quantums == b"\x02" + (100_000 * 10**6).to_bytes(5)
    assert trader.usdc() == 100_000


def test_blocks_follow_each_other_and_can_be_asked_for(trader):
    first = trader.call(trader.node.latest_block).block.header
    trader.wait_blocks(3)
    later = trader.call(trader.node.latest_block)

    assert later.block.header.height >= first.height + 3
    assert later.sdk_block.header.chain_id == "dydx-mainnet-1"
    assert later.block.header.time.ToMilliseconds() > first.time.ToMilliseconds()
    assert trader.call(trader.node.get_node_info).default_node_info.network == "dydx-mainnet-1"


def test_the_chain_answers_the_clients_queries(trader):
    node, ask = trader.node, trader.call
    pair, price = ask(lambda: node.get_clob_pair(0)), ask(lambda: node.get_price(0))
    tiers = ask(node.get_equity_tier_limit_config).stateful_order_equity_tiers

    assert (pair.step_base_quantums, pair.subticks_per_tick) == (1_000_000, 100_000)
    assert len(ask(node.get_clob_pairs).clob_pair) == len(ask(node.get_perpetuals).perpetual) == 1
    assert Decimal(price.price).scaleb(price.exponent) > 1
    assert [tier.limit for tier in tiers] == [0, 10, 20, 40, 100, 200]
    assert ask(lambda: node.get_user_fee_tier(trader.address)).tier.taker_fee_ppm == 500
    assert ask(node.get_fee_tiers).params.tiers[0].maker_fee_ppm == 100
    assert not ask(lambda: node.get_account_balances(trader.address)).balances
    assert trader.address in {each.id.owner for each in ask(node.get_subaccounts).subaccount}


def test_what_is_not_there_answers_as_grpc_does(trader):
    node = trader.node

    assert code_of_rpc(lambda: trader.call(lambda: node.get_perpetual(77))) is grpc.StatusCode.NOT_FOUND
    assert code_of_rpc(lambda: trader.call(node.get_all_validators)) is grpc.StatusCode.UNIMPLEMENTED
    assert code_of_rpc(lambda: trader.call(lambda: node.get_account("dydx1x"))) is grpc.StatusCode.INVALID_ARGUMENT
    assert code_of_rpc(lambda: ServiceStub(node.channel).GetTx(GetTxRequest(hash="00"))) is grpc.StatusCode.NOT_FOUND


def test_an_immediate_order_fills_and_shows_everywhere(trader):
    trader.flatten()
    before, (_, ask) = trader.usdc(), trader.best()

    client_id = trader.place(BUY, "0.01", int(ask) + 500, time_in_force=IOC)
    trader.wait_for(client_id, "FILLED")

    fills = [fill for fill in trader.fills() if fill["orderId"] == trader.orders()[client_id]["id"]]
    paid = sum(Decimal(fill["price"]) * Decimal(fill["size"]) + Decimal(fill["fee"]) for fill in fills)
    position = trader.call(lambda: trader.node.get_subaccount(trader.address, 0)).perpetual_positions[0]
    assert sum(Decimal(fill["size"]) for fill in fills) == Decimal("0.01")
    assert trader.usdc() == before - paid
    assert int.from_bytes(position.quantums[1:]) == 10**8
    assert trader.call(lambda: trader.node.get_user_stats(trader.address)).stats.taker_notional > 0
    assert Decimal(trader.account()["openPerpetualPositions"]["BTC-USD"]["size"]) == Decimal("0.01")


def test_a_reduce_only_order_closes_the_position(trader):
    _, ask = trader.best()
    trader.wait_for(trader.place(BUY, "0.01", int(ask) + 500, time_in_force=IOC), "FILLED")

    trader.flatten()

    assert trader.account()["openPerpetualPositions"] == {}


def test_a_long_term_order_is_in_a_block_rests_and_is_canceled(trader):
    bid, _ = trader.best()

    message = trader.order(BUY, "0.01", int(bid) - 5_000, flags=LONG)
    response = trader.send(message)
    client_id = message.order_id.client_id
    trader.wait_for(client_id, "OPEN")
    included = trader.wait(lambda: result_of(trader, response.txhash))
    canceled = trader.cancel(client_id, flags=LONG)
    trader.wait_for(client_id, "CANCELED")

    assert (included.code, included.txhash) == (0, response.txhash)
    assert included.height > 60_000_000
    assert canceled.code == 0


def test_short_term_transactions_are_in_no_block(trader):
    bid, _ = trader.best()
    message = trader.order(BUY, "0.01", int(bid) - 5_000)
    response = trader.send(message)
    trader.wait_for(message.order_id.client_id, "BEST_EFFORT_OPENED", "OPEN")
    trader.wait_blocks(2)

    assert result_of(trader, response.txhash) is None
    assert trader.cancel(message.order_id.client_id).code == 0
    trader.wait_for(message.order_id.client_id, "CANCELED")


def test_a_post_only_order_rests_or_is_refused(trader):
    bid, ask = trader.best()

    crossing = trader.send(trader.order(BUY, "0.01", int(ask) + 2_000, time_in_force=POST_ONLY))
    resting = trader.place(BUY, "0.01", int(bid) - 4_000, time_in_force=POST_ONLY)
    trader.wait_for(resting, "BEST_EFFORT_OPENED", "OPEN")

    assert (crossing.codespace, crossing.code) == ("clob", 2003)
    assert trader.orders()[resting]["postOnly"]
    trader.flatten()


def test_a_conditional_stop_waits_for_its_trigger(trader):
    bid, ask = trader.best()
    trader.wait_for(trader.place(BUY, "0.01", int(ask) + 500, time_in_force=IOC), "FILLED")

    stop = trader.place(
        SELL,
        "0.01",
        int(bid) - 20_000,
        flags=CONDITIONAL,
        time_in_force=IOC,
        reduce_only=True,
        trigger=int(bid) - 10_000,
        condition_type=Order.CONDITION_TYPE_STOP_LOSS,
    )
    trader.wait_for(stop, "UNTRIGGERED")

    assert Decimal(trader.orders()[stop]["triggerPrice"]) == int(bid) - 10_000
    assert trader.cancel(stop, flags=CONDITIONAL).code == 0
    trader.wait_for(stop, "CANCELED")
    trader.flatten()


def test_a_batch_cancels_what_it_names(trader):
    bid, _ = trader.best()
    placed = [trader.place(BUY, "0.001", int(bid) - 5_000 - k) for k in range(3)]

    response = trader.cancel_batch(placed)
    for client_id in placed:
        trader.wait_for(client_id, "CANCELED")

    assert response.code == 0
    assert trader.cancel_batch(placed).code in (0, 46)


def test_money_goes_between_subaccounts_and_the_bank(trader):
    before = trader.usdc()
    own, other = subaccount(trader.address, 0), subaccount(trader.address, 5)
    node, wallet = trader.node, trader.wallet

    sent = trader.call(lambda: node.transfer(wallet, own, other, 0, 250_000_000)).tx_response
    trader.wait(lambda: result_of(trader, sent.txhash))
    out = trader.call(lambda: node.withdraw(wallet, other, trader.address, 0, 100_000_000)).tx_response
    trader.wait(lambda: result_of(trader, out.txhash))
    back = trader.call(lambda: node.deposit(wallet, trader.address, own, 0, 40_000_000)).tx_response
    trader.wait(lambda: result_of(trader, back.txhash))
    too_much = trader.call(lambda: node.deposit(wallet, trader.address, own, 0, 10**12)).tx_response
    refused = trader.wait(lambda: result_of(trader, too_much.txhash))

    balances = trader.call(lambda: node.get_account_balances(trader.address)).balances
    assert trader.usdc() == before - 250 + 40
    assert [balance.amount for balance in balances] == ["60000000"]
    assert (too_much.code, refused.code) == (0, 5)
    assert len(trader.of_subaccount("transfers")["transfers"]) >= 3


def test_a_transaction_for_another_chain_is_unauthorized(venue, trader):
    stranger = Trader(venue.addresses, chain_id="dydx-testnet-4")

    response = stranger.send(stranger.order(BUY, "0.01", 1_000))

    assert (response.codespace, response.code) == ("sdk", 4)
    assert "signature verification failed; please verify account number" in response.raw_log


def test_a_wrong_sequence_is_told_with_the_right_one(trader):
    account = trader.call(lambda: trader.node.get_account(trader.address))
    wallet = Wallet(trader.key, account.account_number, account.sequence + 3)
    message = place_order(trader.order(BUY, "0.01", 1_000, flags=LONG))

    response = broadcast(trader, Builder("dydx-mainnet-1", "USDC").build(wallet, message))

    assert (response.codespace, response.code) == ("sdk", 32)
    assert response.raw_log == (
        f"account sequence mismatch, expected {account.sequence}, got {account.sequence + 3}: "
        "incorrect account sequence"
    )


def test_short_term_orders_need_no_sequence_and_stateful_ones_may_use_the_time(trader):
    account = trader.call(lambda: trader.node.get_account(trader.address))
    builder = Builder("dydx-mainnet-1", "USDC")
    short = place_order(trader.order(BUY, "0.01", 1_000))
    stateful = place_order(trader.order(BUY, "0.01", 1_000, flags=LONG))

    for message, sequence in ((short, account.sequence + 99), (stateful, int(time.time() * 1_000))):
        transaction = builder.build(Wallet(trader.key, account.account_number, sequence), message)
        assert broadcast(trader, transaction).code == 0
        assert broadcast(trader, transaction).code == 19
    trader.wait_for(stateful.order.order_id.client_id, "OPEN")
    assert trader.call(lambda: trader.node.get_account(trader.address)).sequence == account.sequence
    trader.flatten()


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        (9003, {"reduce_only": True}),
        (10, {"until": 5}),
        (11, {"until": 70_000_000}),
        (3002, {"flags": LONG, "time_in_force": IOC}),
        (3003, {"flags": LONG, "until": 1_000}),
        (48, {"time_in_force": Order.TIME_IN_FORCE_FILL_OR_KILL}),
        (6000, {"condition_type": Order.CONDITION_TYPE_STOP_LOSS}),
    ],
)
def test_the_node_refuses_with_the_clobs_code(trader, code, changes):
    response = trader.send(trader.order(BUY, "0.01", 1_000, **changes))

    assert (response.codespace, response.code) == ("clob", code)


def test_a_poor_account_may_open_no_stateful_order(trader):
    message = trader.order(BUY, "0.01", 1_000, flags=LONG)
    message.order_id.subaccount_id.CopyFrom(SubaccountId(owner=trader.address, number=99))

    assert trader.send(message).code == 10_001


def test_the_clients_own_rest_client_reads_the_account(trader):
    account, markets = trader.indexer.account, trader.indexer.markets

    answers = trader.call(
        lambda: asyncio.gather(
            account.get_subaccounts(trader.address),
            account.get_subaccount(trader.address, 0),
            account.get_subaccount_perpetual_positions(trader.address, 0),
            account.get_subaccount_orders(trader.address, 0),
            account.get_subaccount_fills(trader.address, 0),
            account.get_subaccount_historical_pnls(trader.address, 0),
            markets.get_perpetual_markets(),
            markets.get_perpetual_market_candles("BTC-USD", "1MIN"),
            trader.indexer.utility.get_height(),
        )
    )

    assert all(answers)


def test_the_clients_own_socket_hears_an_order_from_opening_to_cancel(trader):
    heard, connected = [], threading.Event()

    def on_message(socket, message):
        heard.append(message)
        if message["type"] == "connected":
            socket.subaccounts.subscribe(trader.address, 0)
        if message["type"] == "subscribed":
            connected.set()

    socket = IndexerSocket(trader.network.websocket_indexer, on_message=on_message)
    threading.Thread(target=lambda: asyncio.run(socket.connect()), daemon=True).start()
    assert connected.wait(20)

    bid, _ = trader.best()
    client_id = trader.place(BUY, "0.01", int(bid) - 5_000)
    trader.wait_blocks(2)
    trader.cancel(client_id)
    trader.wait(lambda: statuses(heard, client_id)[-1:] == ["CANCELED"])
    # The client's thread takes up to ten seconds to see that it is closed; it is not waited for.
    socket.close()

    assert statuses(heard, client_id) == ["BEST_EFFORT_OPENED", "BEST_EFFORT_CANCELED", "CANCELED"]


def statuses(heard, client_id):
    return [
        order["status"]
        for message in heard
        if message["type"] in ("channel_data", "channel_batch_data")
        for contents in (message["contents"] if isinstance(message["contents"], list) else [message["contents"]])
        for order in contents.get("orders", [])
        if order["clientId"] == str(client_id)
    ]


def result_of(trader, name):
    """What became of a transaction; None as long as it is in no block."""
    with contextlib.suppress(grpc.RpcError):
        return ServiceStub(trader.node.channel).GetTx(GetTxRequest(hash=name)).tx_response
    return None


def broadcast(trader, transaction):
    return trader.call(lambda: trader.node.broadcast(transaction, BroadcastMode.BROADCAST_MODE_SYNC)).tx_response
