"""NautilusTrader's own order submitter (Rust) signs and sends; the chain takes what it sends."""

import asyncio
import time

import httpx
import pytest
from dydx_v4_client.key_pair import KeyPair
from dydx_v4_client.wallet import Wallet
from nautilus_trader.core import nautilus_pyo3

from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.dydx.venue import DydxVenue
from simulated_venues.market import SimulatedMarket
from simulated_venues.venue import embedded
from tests.simulated_venues.conftest import BTC, make_settings

KEY = "22" * 32
BUY, GTC = 1, 1
INSTRUMENT = "BTC-USD-PERP.DYDX"


@pytest.fixture(name="venue", scope="module")
def venue_fixture(tmp_path_factory):
    settings = DydxSettings(state_folder=tmp_path_factory.mktemp("chain"), block_ms=100)
    with embedded(DydxVenue(SimulatedMarket(make_settings(ids=(BTC,))), settings)) as venue:
        yield venue


async def submitter_of(venue):
    http = nautilus_pyo3.DydxHttpClient(base_url=venue.url)
    await http.fetch_and_cache_instruments()
    node = await nautilus_pyo3.DydxGrpcClient.connect_with_fallback([f"http://{venue.grpc_target}"])
    address = nautilus_pyo3.DydxWallet.from_private_key(KEY).address()
    submitter = nautilus_pyo3.DydxOrderSubmitter(
        grpc_client=node,
        http_client=http,
        private_key=KEY,
        wallet_address=address,
        subaccount_number=0,
        chain_id="dydx-mainnet-1",
    )
    await submitter.resolve_authenticators()
    submitter.set_block_height(await node.latest_block_height())
    return submitter, address


def orders_of(venue, address):
    answer = httpx.get(f"{venue.url}/v4/orders", params={"address": address, "subaccountNumber": 0})
    return {int(order["clientId"]): order["status"] for order in answer.json()} if answer.status_code == 200 else {}


async def status_of(venue, address, client_id, *expected):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = await asyncio.to_thread(orders_of, venue, address)
        if found.get(client_id) in expected:
            return found[client_id]
        await asyncio.sleep(0.02)
    raise AssertionError(f"order {client_id}: expected {expected}, found {found}")


def test_its_address_is_the_one_of_dydxs_own_client():
    own = Wallet(KeyPair.from_hex(KEY), 0, 0).address

    assert nautilus_pyo3.DydxWallet.from_private_key(KEY).address() == own


def test_its_orders_are_taken_filled_and_canceled(venue):
    async def trade():
        submitter, address = await submitter_of(venue)
        await submitter.submit_market_order(INSTRUMENT, 7, BUY, "0.01", 5)
        filled = await status_of(venue, address, 7, "FILLED", "CANCELED")
        await submitter.submit_limit_order(INSTRUMENT, 8, BUY, "100000", "0.01", GTC, False, False, None, 5)
        opened = await status_of(venue, address, 8, "OPEN")
        await submitter.cancel_order(INSTRUMENT, 8, GTC, None)
        return filled, opened, await status_of(venue, address, 8, "CANCELED")

    assert asyncio.run(trade()) == ("FILLED", "OPEN", "CANCELED")
