import time
from decimal import Decimal

import httpx
import pytest

from simulated_venues.dydx.listing import Listing
from simulated_venues.dydx.markets import markets_of
from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.dydx.venue import DydxVenue
from simulated_venues.market import SimulatedMarket
from simulated_venues.venue import embedded
from tests.simulated_venues.conftest import BTC, make_settings
from tests.simulated_venues.dydx.trader import BUY, CONDITIONAL, IOC, LONG, SELL, Trader

HOURS_AWAY = 3
AWAY_MS = HOURS_AWAY * 3_600_000


def venue_of(folder, **changes):
    settings = DydxSettings(state_folder=folder, block_ms=50, **changes.pop("settings", {}))
    return DydxVenue(SimulatedMarket(make_settings(ids=(BTC,))), settings, **changes)


@pytest.fixture(name="came_back", scope="module")
def came_back_fixture(tmp_path_factory):
    """An account before its venue went away for hours, and after."""
    folder, before = tmp_path_factory.mktemp("chain"), {}
    with embedded(venue_of(folder)) as venue:
        trader = Trader(venue.addresses)
        bid, ask = (int(price) for price in trader.best())
        trader.wait_for(trader.place(BUY, "0.02", ask + 1_000, time_in_force=IOC), "FILLED")
        day, hour = int(time.time()) + 80_000, int(time.time()) + 3_600
        before["side"], near = coming_trade(venue, bid, ask)
        for name, side, price, until in (
            ("near", before["side"], near, day),
            ("far", BUY, bid // 2, day),
            ("ending", BUY, bid // 2, hour),
        ):
            before[name] = trader.place(side, "0.001", price, flags=LONG, until=until)
            trader.wait_for(before[name], "OPEN", "FILLED")
        before["stop"] = trader.place(
            SELL, "0.001", bid // 2, flags=CONDITIONAL, until=day, trigger=bid * 2 // 3, condition_type=1
        )
        trader.wait_for(before["stop"], "UNTRIGGERED")
        before["height"], before["usdc"], before["fills"] = trader.height(), trader.usdc(), trader.fills()
    with embedded(venue_of(folder, ahead_ms=AWAY_MS)) as venue:
        trader = Trader(venue.addresses)
        trader.wait_blocks(2)
        yield before, trader, venue


def coming_trade(venue, bid, ask):
    """Side and price of an order that rests now and fills while the venue is away: the market's future is known."""
    listing = Listing(venue.source, markets_of(venue.source))
    market, now = listing.markets[0], int(time.time() * 1_000)
    prices = [int(market.price(trade.subticks)) for trade in listing.trades(market, now + 60_000, now + AWAY_MS)]
    rise, fall = max(prices) - ask, bid - min(prices)
    return (SELL, ask + rise // 2) if rise > fall else (BUY, bid - fall // 2)


def test_the_height_goes_on_where_it_was(came_back):
    before, trader, venue = came_back

    heights = [venue.chain.store.block(before["height"] + k) for k in range(1, 3)]

    assert all(heights)
    assert trader.height() < before["height"] + 1_000


def test_funding_that_was_missed_is_paid_hour_by_hour(came_back):
    _, trader, _ = came_back

    payments = trader.of_subaccount("fundingPayments")["fundingPayments"]

    # One more if an hour ended while the account was being made.
    assert len(payments) in (HOURS_AWAY, HOURS_AWAY + 1)
    assert all(Decimal(payment["payment"]) != 0 for payment in payments)


def test_orders_fill_end_and_wait_as_if_the_venue_had_been_there(came_back):
    before, trader, _ = came_back

    statuses = {name: trader.status(before[name]) for name in ("near", "far", "ending", "stop")}

    assert statuses == {"near": "FILLED", "far": "OPEN", "ending": "CANCELED", "stop": "UNTRIGGERED"}
    assert {fill["id"] for fill in before["fills"]} <= {fill["id"] for fill in trader.fills()}


def test_what_the_account_has_is_what_it_had_and_what_happened_since(came_back):
    before, trader, _ = came_back

    new = [fill for fill in trader.fills() if fill["id"] not in {old["id"] for old in before["fills"]}]
    sign = {SELL: 1, BUY: -1}[before["side"]]
    got = sum(sign * Decimal(fill["size"]) * Decimal(fill["price"]) - Decimal(fill["fee"]) for fill in new)
    paid = sum(Decimal(each["payment"]) for each in trader.of_subaccount("fundingPayments")["fundingPayments"])

    assert sum(Decimal(fill["size"]) for fill in new) == Decimal("0.001")
    assert trader.usdc() == before["usdc"] + got + paid


def test_deposits_of_the_settings_are_made_once(tmp_path):
    owner = "dydx19rl4cm2hmr8afy4kldpxz3fka4jguq0a4erelz"
    settings = {"deposits": ((owner, 250),), "default_deposit_usdc": 0}

    for _ in range(2):
        with embedded(venue_of(tmp_path, settings=settings)) as venue:
            subaccounts = first_answer(f"{venue.url}/v4/addresses/{owner}")["subaccounts"]

    assert [Decimal(each["equity"]) for each in subaccounts] == [250]


def first_answer(url):
    """What an address answers once it is known."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        answer = httpx.get(url)
        if answer.status_code == 200:
            return answer.json()
        time.sleep(0.02)
    raise AssertionError(f"no answer of {url}")
