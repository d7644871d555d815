"""A trader at the simulated dYdX who uses dYdX's own Python client, unmodified."""

import asyncio
import time
from dataclasses import replace
from decimal import Decimal

import grpc
import httpx
from dydx_v4_client.indexer.rest.indexer_client import IndexerClient
from dydx_v4_client.key_pair import KeyPair
from dydx_v4_client.network import mainnet_node, make_insecure
from dydx_v4_client.node.client import NodeClient
from dydx_v4_client.node.message import order, order_id, subaccount
from dydx_v4_client.wallet import Wallet
from v4_proto.dydxprotocol.clob.order_pb2 import Order
from v4_proto.dydxprotocol.clob.tx_pb2 import OrderBatch

BUY, SELL = Order.SIDE_BUY, Order.SIDE_SELL
GTT, IOC = Order.TIME_IN_FORCE_UNSPECIFIED, Order.TIME_IN_FORCE_IOC
POST_ONLY = Order.TIME_IN_FORCE_POST_ONLY
SHORT, CONDITIONAL, LONG = 0, 32, 64
FIRST_WORDS = (
    "mirror actor skill push coach wait confirm orchard lunch mobile athlete gossip awake miracle matter bus reopen "
    "team ladder lazy list timber render wait"
)
WAIT_SECONDS = 20.0


class Trader:
    """One subaccount at the market BTC-USD; sizes in BTC, prices in USDC."""

    def __init__(self, addresses, words=FIRST_WORDS, *, chain_id="dydx-mainnet-1"):
        network = make_insecure(
            mainnet_node,
            rest_indexer=addresses["url"],
            websocket_indexer=addresses["ws"],
            node_url=addresses["grpc"],
        )
        network = replace(network, node=replace(network.node, chain_id=chain_id))
        self.network, self.url = network, addresses["url"]
        self.node = asyncio.run(NodeClient.connect(network.node))
        self.key = KeyPair.from_mnemonic(words)
        self.address = Wallet(self.key, 0, 0).address
        self.wallet = self.call(lambda: Wallet.from_mnemonic(self.node, words, self.address))
        self.indexer = IndexerClient(network.rest_indexer)
        self.client_id = 100
        self.wait(lambda: self.get(f"/v4/addresses/{self.address}", missing={}).get("subaccounts"))

    @staticmethod
    def call(make):
        async def run():
            return await make()

        return asyncio.run(run())

    def height(self):
        return self.call(self.node.latest_block_height)

    def get(self, path, *, missing=None):
        answer = httpx.get(self.url + path)
        if answer.status_code == 404 and missing is not None:
            return missing
        answer.raise_for_status()
        return answer.json()

    def of_subaccount(self, path):
        return self.get(f"/v4/{path}?address={self.address}&subaccountNumber=0")

    def account(self):
        return self.get(f"/v4/addresses/{self.address}/subaccountNumber/0")["subaccount"]

    def usdc(self):
        return Decimal(self.account()["assetPositions"]["USDC"]["size"])

    def orders(self):
        return {int(each["clientId"]): each for each in self.of_subaccount("orders")}

    def status(self, client_id):
        return self.orders().get(client_id, {}).get("status")

    def fills(self):
        return self.of_subaccount("fills")["fills"]

    def best(self):
        book = self.get("/v4/orderbooks/perpetualMarket/BTC-USD")
        return Decimal(book["bids"][0]["price"]), Decimal(book["asks"][0]["price"])

    def oracle(self):
        return Decimal(self.get("/v4/perpetualMarkets")["markets"]["BTC-USD"]["oraclePrice"])

    def order(self, side, size, price, **changes):
        """The client's order message, a fresh client id each time."""
        self.client_id += 1
        flags = changes.pop("flags", SHORT)
        end = (
            {"good_til_block": changes.pop("until", None) or self.height() + 20}
            if flags == SHORT
            else {"good_til_block_time": changes.pop("until", None) or int(time.time()) + 3_600}
        )
        trigger = changes.pop("trigger", None)
        if trigger is not None:
            changes["conditional_order_trigger_subticks"] = subticks(trigger)
        return order(
            order_id(self.address, 0, changes.pop("client_id", self.client_id), 0, flags),
            side,
            int(Decimal(str(size)) * 10**10),
            subticks(price),
            changes.pop("time_in_force", GTT),
            changes.pop("reduce_only", False),
            **end,
            **changes,
        )

    def send(self, message):
        """Place; the answer of CheckTx."""
        return self.call(lambda: self.node.place_order(self.wallet, message)).tx_response

    def place(self, *arguments, **changes):
        """Place, expect to be accepted; the client id."""
        message = self.order(*arguments, **changes)
        response = self.send(message)
        assert response.code == 0, response.raw_log
        return message.order_id.client_id

    def cancel(self, client_id, *, flags=SHORT):
        end = (
            {"good_til_block": self.height() + 25}
            if flags == SHORT
            else {"good_til_block_time": int(time.time()) + 7_200}
        )
        name = order_id(self.address, 0, client_id, 0, flags)
        return self.call(lambda: self.node.cancel_order(self.wallet, name, **end)).tx_response

    def cancel_batch(self, client_ids):
        batch = [OrderBatch(clob_pair_id=0, client_ids=client_ids)]
        until = self.height() + 25
        return self.call(
            lambda: self.node.batch_cancel_orders(self.wallet, subaccount(self.address, 0), batch, good_til_block=until)
        ).tx_response

    def wait(self, condition, seconds=WAIT_SECONDS):
        """Poll until a condition holds, and return what it gave."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"nothing within {seconds} s: {condition}")

    def wait_for(self, client_id, *statuses):
        return self.wait(lambda: (found := self.status(client_id)) in statuses and found)

    def wait_blocks(self, count=2):
        until = self.height() + count
        self.wait(lambda: int(self.get("/v4/height")["height"]) >= until)

    def flatten(self):
        """Cancel all and close the position, so that tests of one venue begin alike."""
        for client_id, each in self.orders().items():
            if each["status"] in ("OPEN", "UNTRIGGERED", "BEST_EFFORT_OPENED"):
                self.cancel(client_id, flags=int(each["orderFlags"]))
                self.wait_for(client_id, "CANCELED", "FILLED")
        for _ in range(10):
            position = self.account()["openPerpetualPositions"].get("BTC-USD")
            if position is None:
                return
            size, (bid, ask) = Decimal(position["size"]), self.best()
            side, price = (SELL, bid * Decimal("0.98")) if size > 0 else (BUY, ask * Decimal("1.02"))
            done = self.place(side, abs(size), int(price), time_in_force=IOC, reduce_only=True)
            self.wait_for(done, "FILLED", "CANCELED")
        raise AssertionError("the position does not close")


def subticks(price):
    return int(Decimal(str(price))) * 100_000


def code_of_rpc(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code()
    return None
