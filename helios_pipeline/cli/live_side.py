"""The live side of `helios demo`: a short look at both simulated venues through clients that know nothing of them.

Binance is heard through a plain WebSocket and asked over REST; on dYdX an order is signed, sent and filled with dYdX's
own client. The market is the demonstration's, 60 times as fast, so that bars close each second.
"""

import asyncio
import logging
import secrets
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp

from helios_pipeline.cli.simulated import simulated_market
from helios_pipeline.cli.terminal import out
from helios_pipeline.core.errors import SimulationError
from helios_pipeline.settings import Settings
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.process import venue_processes
from simulated_venues.process_settings import ProcessSettings

TIME_SCALE = 60
RAW_INTERVAL_MS = 60_000 // TIME_SCALE
INTERVAL = "1s"
LISTEN_SECONDS = 5.0
FILL_SECONDS = 60.0
BLOCK_MS = 500
ORDER_QUOTE = 500
"""Value of the order in USDC, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What Binance said in some seconds.

    Attributes:
        trades: trades that came.
        bars: closed bars that came.
        equal: those of them that REST states with the same open, high, low, close and volume.
    """

    trades: int
    bars: int
    equal: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """What became of an order at dYdX.

    Attributes:
        ticker: of the market.
        height: of the block up to which it was seen to fill.
        size, price, fee: of the fill; base currency, and USDC.
        seconds: from sending it to seeing the fill at the indexer.
    """

    ticker: str
    height: int
    size: Decimal
    price: Decimal
    fee: Decimal
    seconds: float


def show_live_side(settings: Settings, *, seed: int) -> None:
    """Run both venues, look, say what was seen, stop them.

    Raises:
        SimulationError: a venue does not start, or an order does not fill.
    """
    market = simulated_market(settings, RAW_INTERVAL_MS).settings
    symbol = market.instruments[0].symbol
    with tempfile.TemporaryDirectory(prefix="helios-demo-") as folder:
        dydx = DydxSettings(state_folder=Path(folder), block_ms=BLOCK_MS)
        described = [ProcessSettings(venue=venue, market=market) for venue in (BinanceSettings(), dydx)]
        with venue_processes(*described) as (binance, chain):
            out.print(
                f"Live: Binance on {binance.url} and dYdX on {chain.url}, simulated, seed {seed}, {TIME_SCALE} times "
                "as fast as real ones.",
                highlight=False,
            )
            heard, traded = asyncio.run(_look(binance.addresses, chain.addresses, symbol))
    out.print(
        f"  Binance  {heard.trades} trades of {symbol} heard in {LISTEN_SECONDS:g} s; {heard.equal} of {heard.bars} "
        f"closed bars of {INTERVAL} equal to REST's",
        highlight=False,
    )
    out.print(
        f"  dYdX     block {traded.height:,}: bought {traded.size} {traded.ticker} at {traded.price} for a fee of "
        f"{traded.fee} USDC, {traded.seconds:.1f} s after signing",
        highlight=False,
    )


async def _look(binance: Mapping[str, str], dydx: Mapping[str, str], symbol: str) -> tuple[Heard, Traded]:
    async with aiohttp.ClientSession() as session:
        return await hear(session, binance, symbol), await trade(session, dydx, f"{symbol.removesuffix('USDT')}-USD")


async def hear(session: aiohttp.ClientSession, addresses: Mapping[str, str], symbol: str) -> Heard:
    """Listen to a contract's trades and bars for some seconds, then compare the bars with REST."""
    streams = f"{symbol.lower()}@aggTrade/{symbol.lower()}@kline_{INTERVAL}"
    trades, closed, ends_at = 0, {}, time.monotonic() + LISTEN_SECONDS
    async with session.ws_connect(f"{addresses['ws']}/stream?streams={streams}") as socket:
        while (left := ends_at - time.monotonic()) > 0:
            try:
                said = (await socket.receive_json(timeout=left))["data"]
            except TimeoutError:
                break
            if said["e"] == "aggTrade":
                trades += 1
            elif said["k"]["x"]:
                closed[said["k"]["t"]] = [said["k"][key] for key in "ohlcv"]
    query = {"symbol": symbol, "interval": INTERVAL, "startTime": min(closed, default=0), "limit": 1_000}
    async with session.get(f"{addresses['url']}/fapi/v1/klines", params=query) as answer:
        stated = {row[0]: row[1:6] for row in await answer.json()}
    return Heard(trades=trades, bars=len(closed), equal=sum(stated.get(at) == bar for at, bar in closed.items()))


async def trade(session: aiohttp.ClientSession, addresses: Mapping[str, str], ticker: str) -> Traded:
    """Buy a little at the market with a fresh key, and wait until the indexer shows the fill.

    Raises:
        SimulationError: the order was refused, or did not fill.
    """
    # When it is imported, the client warns of addresses of its own that are not used here.
    logging.getLogger("dydx_v4_client").setLevel(logging.ERROR)
    from dydx_v4_client import OrderFlags
    from dydx_v4_client.indexer.rest.constants import OrderType
    from dydx_v4_client.key_pair import KeyPair
    from dydx_v4_client.network import mainnet_node, make_insecure
    from dydx_v4_client.node.client import NodeClient
    from dydx_v4_client.node.market import Market
    from dydx_v4_client.wallet import Wallet
    from v4_proto.dydxprotocol.clob.order_pb2 import Order

    network = make_insecure(
        mainnet_node, rest_indexer=addresses["url"], websocket_indexer=addresses["ws"], node_url=addresses["grpc"]
    )
    node = await NodeClient.connect(network.node)
    key = KeyPair.from_hex(secrets.token_hex(32))
    account = await node.get_account(Wallet(key, 0, 0).address)
    wallet = Wallet(key, account.account_number, account.sequence)
    described = (await _get(session, addresses["url"], f"/v4/perpetualMarkets?ticker={ticker}"))["markets"][ticker]
    market, oracle = Market(described), float(described["oraclePrice"])
    order = market.order(
        market.order_id(wallet.address, 0, secrets.randbelow(2**31), OrderFlags.SHORT_TERM),
        OrderType.MARKET,
        Order.SIDE_BUY,
        size=ORDER_QUOTE / oracle,
        price=oracle * 1.05,
        time_in_force=Order.TIME_IN_FORCE_UNSPECIFIED,
        reduce_only=False,
        good_til_block=await node.latest_block_height() + 20,
    )
    began = time.monotonic()
    response = (await node.place_order(wallet, order)).tx_response
    if response.code:
        raise SimulationError(f"demo order at dYdX: expected it to be accepted, found: {response.raw_log}.")
    fill = await _await_fill(session, addresses["url"], wallet.address)
    return Traded(
        ticker=ticker,
        height=int(fill["createdAtHeight"]),
        size=Decimal(fill["size"]),
        price=Decimal(fill["price"]),
        fee=Decimal(fill["fee"]),
        seconds=time.monotonic() - began,
    )


async def _await_fill(session: aiohttp.ClientSession, url: str, address: str) -> dict[str, Any]:
    deadline = time.monotonic() + FILL_SECONDS
    while time.monotonic() < deadline:
        found = await _get(session, url, f"/v4/fills?address={address}&subaccountNumber=0")
        if found["fills"]:
            fill: dict[str, Any] = found["fills"][0]
            return fill
        await asyncio.sleep(BLOCK_MS / 1_000)
    raise SimulationError(f"demo order at dYdX: expected a fill within {FILL_SECONDS:g} s, found none.")


async def _get(session: aiohttp.ClientSession, url: str, path: str) -> dict[str, Any]:
    async with session.get(f"{url}{path}", raise_for_status=True) as answer:
        said: dict[str, Any] = await answer.json()
        return said
