import json
import random
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from decimal import Decimal

import grpc
import httpx
import pytest

from helios_pipeline.core.errors import SimulationError
from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.dydx.store import Store
from simulated_venues.process import VenueProcess, venue_process
from simulated_venues.process_settings import ProcessSettings
from tests.simulated_venues.conftest import BTC, make_settings
from tests.simulated_venues.dydx.trader import BUY, IOC, LONG, SELL, Trader

KILLS = 3
BLOCK_MS = 10
"""So short that a process is inside a block most of the time."""


def settings_of(folder):
    venue = DydxSettings(state_folder=folder, block_ms=BLOCK_MS)
    return ProcessSettings(venue=venue, market=make_settings(ids=(BTC,)))


def trade_until(trader, stopped, seen):
    """Place, fill and cancel orders until the venue is gone; note every fill and sequence that it told of."""
    kinds = random.Random(4)
    while not stopped.is_set():
        try:
            bid, ask = (int(price) for price in trader.best())
            side = kinds.choice((BUY, SELL))
            price = ask + 1_000 if side == BUY else bid - 1_000
            trader.send(trader.order(side, "0.002", price, time_in_force=IOC))
            resting = trader.order(BUY, "0.001", bid - kinds.randrange(1, 4_000), flags=LONG)
            trader.send(resting)
            if kinds.random() < 0.5:
                trader.cancel(resting.order_id.client_id, flags=LONG)
            seen["fills"] |= {fill["id"] for fill in trader.fills()}
            seen["height"] = max(seen["height"], trader.height())
            seen["sequence"] = trader.call(lambda: trader.node.get_account(trader.address)).sequence
        except (httpx.HTTPError, grpc.RpcError):
            return


def rows(folder, statement):
    with closing(sqlite3.connect(f"file:{folder / 'chain.sqlite'}?mode=ro", uri=True)) as database:
        return database.execute(statement).fetchall()


def committed(folder):
    """Everything that the database says of the account, from events alone and from the exchange's rows alone."""
    events = [(kind, json.loads(body)) for kind, body in rows(folder, "select kind, body from events order by number")]
    state = [(place, json.loads(body)) for place, body in rows(folder, "select place, body from rows")]
    fills = [body for kind, body in events if kind == "Filled"]
    signs = {"BUY": 1, "SELL": -1}
    deposits = sum(body["quote_quantums"] for kind, body in events if kind == "Transferred")
    funding = sum(body["quote_quantums"] for kind, body in events if kind == "FundingPaid")
    return {
        "fills": Counter(fill["fill_id"] for fill in fills),
        "usdc": deposits
        + funding
        - sum(signs[fill["side"]] * fill["quote_quantums"] + fill["fee_quote_quantums"] for fill in fills),
        "position": sum(signs[fill["side"]] * fill["quantums"] for fill in fills),
        "balances": [body for place, body in state if place == "balances"],
        "open": {body["order"]["order_id"]["client_id"] for place, body in state if place == "working"},
        "heights": [height for (height,) in rows(folder, "select height from blocks order by height")],
    }


def check_account(trader, folder):
    """The indexer, the node and the database tell the same, and no money came from nowhere."""
    found = committed(folder)
    own = [row["quote_quantums"] for row in found["balances"] if isinstance(row["holder"], dict)]
    position = trader.account()["openPerpetualPositions"].get("BTC-USD", {"size": "0"})

    assert set(found["fills"].values()) <= {1}
    assert found["heights"] == list(range(found["heights"][0], found["heights"][-1] + 1))
    assert sum(row["quote_quantums"] for row in found["balances"]) == 0
    assert own == [found["usdc"]]
    assert trader.usdc() == Decimal(found["usdc"]).scaleb(-6)
    assert Decimal(position["size"]) == Decimal(found["position"]).scaleb(-10)
    shown = {client_id for client_id, order in trader.orders().items() if order["status"] == "OPEN"}
    assert shown == found["open"]
    return found


def test_a_venue_killed_at_any_moment_goes_on_from_the_last_block(tmp_path):
    moments = random.Random(9)
    process = VenueProcess(settings_of(tmp_path))
    process.launch()
    process.await_ready()
    trader = Trader(process.addresses)
    seen = {"fills": set(), "height": 0, "sequence": 0}

    for _ in range(KILLS):
        stopped = threading.Event()
        trading = threading.Thread(target=trade_until, args=(trader, stopped, seen))
        trading.start()
        time.sleep(moments.uniform(0.8, 1.6))
        process.kill()
        stopped.set()
        trading.join()
        at_death = committed(tmp_path)
        process.restart()
        trader.wait(lambda height=at_death["heights"][-1]: answers(trader, height))

        # Resting orders may have filled while the venue was away, so the halt is of trading, not of the market.
        assert seen["fills"] <= set(at_death["fills"])
        assert seen["height"] <= at_death["heights"][-1]
        assert seen["sequence"] <= trader.call(lambda: trader.node.get_account(trader.address)).sequence
        assert set(at_death["fills"]) <= {fill["id"] for fill in trader.get(all_fills(trader))["fills"]}

    for client_id in [client_id for client_id, order in trader.orders().items() if order["status"] == "OPEN"]:
        trader.cancel(client_id, flags=LONG)
        trader.wait_for(client_id, "CANCELED", "FILLED")
    trader.wait_blocks(2)
    found = check_account(trader, tmp_path)
    assert len(found["fills"]) >= KILLS
    process.stop()


def all_fills(trader):
    return f"/v4/fills?address={trader.address}&subaccountNumber=0&limit=1000"


def answers(trader, height):
    try:
        return int(trader.get("/v4/height")["height"]) > height and trader.height() > height
    except (httpx.HTTPError, grpc.RpcError):
        return False


def test_a_state_folder_in_use_ends_the_process_with_one_clear_error(tmp_path):
    store = Store(tmp_path, {"chain id": "dydx-mainnet-1"})

    with (
        pytest.raises(SimulationError, match=r"expected it to be free, found it in use by process \d+"),
        venue_process(settings_of(tmp_path)),
    ):
        pass

    store.close()
