from decimal import Decimal

import grpc
import httpx
import pytest

from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.dydx.venue import DydxVenue
from simulated_venues.faults import Fault
from simulated_venues.market import SimulatedMarket
from simulated_venues.venue import embedded
from tests.simulated_venues.conftest import BTC, make_settings
from tests.simulated_venues.dydx.trader import BUY, CONDITIONAL, IOC, LONG, SELL, Trader


@pytest.fixture(name="venue", scope="module")
def venue_fixture(tmp_path_factory):
    settings = DydxSettings(state_folder=tmp_path_factory.mktemp("chain"), block_ms=80)
    with embedded(DydxVenue(SimulatedMarket(make_settings(ids=(BTC,))), settings)) as venue:
        yield venue


@pytest.fixture(name="known", scope="module")
def known_fixture(venue):
    return Trader(venue.addresses)


@pytest.fixture(name="trader")
def trader_fixture(venue, known):
    yield known
    venue.faults.stop_all()
    known.flatten()


def sequence(trader):
    return trader.call(lambda: trader.node.get_account(trader.address)).sequence


def test_a_swallowed_transaction_is_accepted_and_never_included(venue, trader):
    before, bid = sequence(trader), int(trader.best()[0])
    venue.faults.start(Fault(kind="swallow_transaction", count=2))

    swallowed = [trader.place(BUY, "0.01", bid - 5_000, flags=flags) for flags in (0, LONG)]
    trader.wait_blocks(3)

    assert sequence(trader) == before
    assert not set(swallowed) & set(trader.orders())
    trader.wait_for(trader.place(BUY, "0.01", bid - 5_000, flags=LONG), "OPEN")


def test_a_bumped_sequence_refuses_the_signer_who_knew_the_old_one(venue, trader):
    before, bid = sequence(trader), int(trader.best()[0])
    venue.faults.start(Fault(kind="bump_sequence", value=2, count=1))

    refused = trader.send(trader.order(BUY, "0.01", bid - 5_000, flags=LONG))

    assert refused.code == 32
    assert refused.raw_log.startswith(f"account sequence mismatch, expected {before + 2}, got {before}")
    assert trader.place(BUY, "0.01", bid - 5_000, flags=LONG)
    trader.wait(lambda: sequence(trader) == before + 3)


def test_rejected_orders_get_the_code_of_the_fault(venue, trader):
    venue.faults.start(Fault(kind="reject_orders", value=1_000, where="BTC-*", count=1))

    refused = trader.send(trader.order(BUY, "0.01", 1_000))

    assert (refused.codespace, refused.code) == ("clob", 1_000)
    assert trader.send(trader.order(BUY, "0.01", 1_000)).code == 0


def test_a_halted_chain_makes_no_block_and_transactions_wait(venue, trader):
    number = venue.faults.start(Fault(kind="halt_chain"))
    height, ask = trader.height(), int(trader.best()[1])
    client_id = trader.place(BUY, "0.01", ask + 500, time_in_force=IOC)

    opened = trader.wait_for(client_id, "BEST_EFFORT_OPENED")
    halted = trader.height()
    venue.faults.stop(number)
    trader.wait_for(client_id, "FILLED")

    assert opened == "BEST_EFFORT_OPENED"
    assert halted <= height + 1
    assert trader.height() > halted


@pytest.mark.parametrize("flags", [0, LONG])
def test_a_canceled_order_fills_late(venue, trader, flags):
    bid = int(trader.best()[0])
    client_id = trader.place(BUY, "0.01", bid - 5_000, flags=flags)
    trader.wait_for(client_id, "OPEN", "BEST_EFFORT_OPENED")
    trader.wait_blocks(2)
    venue.faults.start(Fault(kind="late_fill_after_cancel", where="BTC-USD", count=1))

    accepted = trader.cancel(client_id, flags=flags)

    assert accepted.code == 0
    trader.wait_for(client_id, "FILLED")
    order = trader.orders()[client_id]
    fill = next(fill for fill in trader.fills() if fill["orderId"] == order["id"])
    assert (Decimal(fill["price"]), Decimal(fill["size"])) == (bid - 5_000, Decimal("0.01"))
    assert fill["liquidity"] == "MAKER"


def test_partial_fills_give_an_immediate_order_a_part(venue, trader):
    venue.faults.start(Fault(kind="partial_fills", value=0.4, count=1))
    ask = int(trader.best()[1])

    client_id = trader.place(BUY, "0.01", ask + 500, time_in_force=IOC)
    trader.wait_for(client_id, "CANCELED")

    assert Decimal(trader.orders()[client_id]["totalFilled"]) == Decimal("0.004")
    assert venue.faults.describe() == []


def test_an_oracle_jump_moves_equity_and_wakes_stops(venue, trader):
    bid, ask = (int(price) for price in trader.best())
    trader.wait_for(trader.place(BUY, "0.05", ask + 1_000, time_in_force=IOC), "FILLED")
    stop = trader.place(
        SELL,
        "0.05",
        bid * 9 // 10,
        flags=CONDITIONAL,
        time_in_force=IOC,
        reduce_only=True,
        trigger=bid * 95 // 100,
        condition_type=1,
    )
    trader.wait_for(stop, "UNTRIGGERED")
    oracle, equity = trader.oracle(), Decimal(trader.account()["equity"])

    number = venue.faults.start(Fault(kind="oracle_jump", value=-0.2, where="BTC-USD"))
    trader.wait_for(stop, "FILLED")

    assert trader.wait(lambda: trader.oracle() < oracle * Decimal("0.85"))
    price = trader.call(lambda: trader.node.get_price(0))
    assert Decimal(price.price).scaleb(price.exponent) < oracle * Decimal("0.85")
    # The stop sold at the book, which has not moved: the equity is what it was but for fees and the spread.
    assert abs(Decimal(trader.account()["equity"]) - equity) < 100
    venue.faults.stop(number)
    trader.wait(lambda: trader.oracle() > oracle * Decimal("0.95"))


def test_standing_prices_move_no_book_and_fill_nothing(venue, trader):
    venue.faults.start(Fault(kind="stale_prices", where="BTC-USD"))
    trader.wait_blocks(1)
    first = trader.best()
    trader.wait_blocks(5)

    assert trader.best() == first


def test_the_faucet_gives_usdc_in_the_next_block(venue, trader):
    before = trader.usdc()
    url = f"{venue.url}/control/deposit"

    given = httpx.post(url, json={"address": trader.address, "usdc": 500})
    refused = [
        httpx.post(url, json=body).status_code
        for body in ({"address": "dydx1x", "usdc": 5}, {"address": trader.address, "usdc": 0}, {"usdc": "x"})
    ]

    assert given.status_code == 202
    trader.wait(lambda: trader.usdc() == before + 500)
    assert refused == [400, 400, 400]


def test_a_restart_comes_back_at_the_same_ports_with_the_state(venue, trader):
    bid, addresses = int(trader.best()[0]), venue.addresses
    client_id = trader.place(BUY, "0.01", bid - 5_000, flags=LONG)
    trader.wait_for(client_id, "OPEN")
    usdc, height = trader.usdc(), trader.height()

    venue.faults.start(Fault(kind="restart", value=0.3))
    trader.wait(lambda: not answers(trader))
    trader.wait(lambda: answers(trader))

    assert venue.addresses == addresses
    trader.wait(lambda: trader.height() > height)
    assert trader.usdc() == usdc
    assert trader.status(client_id) == "OPEN"
    assert trader.cancel(client_id, flags=LONG).code == 0
    trader.wait_for(client_id, "CANCELED")


def answers(trader):
    try:
        return trader.get("/v4/height") and trader.height()
    except (httpx.HTTPError, grpc.RpcError):
        return False


def test_what_the_venue_does_is_told_on_its_page(venue, trader):
    bid, _ = trader.best()
    trader.wait_for(trader.place(BUY, "0.01", int(bid) - 5_000, flags=LONG), "OPEN")

    state = httpx.get(f"{venue.url}/control/state").json()

    assert [order["size"] for order in state["orders"]] == ["0.01"]
    assert state["accounts"][0]["address"] == trader.address
    assert Decimal(state["accounts"][0]["free_collateral"]) > 0
    assert [market["name"] for market in state["instruments"]] == ["BTC-USD"]
    assert len(state["instruments"][0]["bids"]) == 10
    assert state["failure"] is None
