"""The page of a venue in a real browser."""

import pytest

from simulated_venues.venue import embedded
from tests.browser import MISSING, find_browser, open_browser
from tests.simulated_venues.small_venue import SmallVenue

pytestmark = pytest.mark.skipif(find_browser() is None, reason=MISSING)

EVIL = "<img src=x onerror=document.title='caught'>"
NOW_MS = 1_764_547_321_000
INSTRUMENT = {
    "name": "BTC-USD",
    "bids": [[f"{40_000 - k}", f"{k + 1}.500"] for k in range(20)],
    "asks": [[f"{40_001 + k}", f"{k + 1}.250"] for k in range(20)],
    "trades": [
        {"at": NOW_MS - 1_000 * k, "price": f"{40_000 + k}.5", "quantity": "0.25", "side": "SELL"} for k in range(30)
    ],
    "oracle_price": "40000.7",
    "funding_rate": "0.0000125",
    "next_funding_at": NOW_MS + 125_000,
}
STATE = {
    "now_ms": NOW_MS,
    "height": 81_234,
    "instruments": [INSTRUMENT],
    "clients": [{"number": 4, "name": EVIL, "since": 1_764_547_000.0, "streams": ["v4_trades/BTC-USD"], "sent": 1_234}],
    "accounts": [
        {
            "address": "dydx1abc",
            "subaccount": 0,
            "equity": "100012.5",
            "positions": [{"market": "BTC-USD", "size": "-0.5"}],
        }
    ],
    "orders": [{"ticker": "BTC-USD", "side": "BUY", "price": "39000", "remaining": "0.1"}],
    "counters": {"transactions": 17},
}


@pytest.fixture(scope="module")
def page():
    with open_browser() as opened:
        yield opened


@pytest.fixture
def venue(page):
    with embedded(SmallVenue("dydx", **STATE)) as running:
        errors = []
        page.on("pageerror", lambda error: errors.append(error))
        page.goto(running.site.url)
        page.locator("article").wait_for()
        yield running
        assert errors == []


def test_it_shows_what_the_venue_does(page, venue):
    said = page.inner_text("body")

    for part in ("dYdX v4", "no price is real", "81,234", "60 times as fast", "BTC-USD", "simulated seed 7", "2:05"):
        assert part in said
    assert "2025-12-01 00:02:01 UTC" in page.inner_text("#clock")
    assert page.locator(".ask").count() == page.locator(".bid").count() == 10
    assert page.locator(".ask .p").last.inner_text() == "40,001"
    assert page.locator(".bid .p").first.inner_text() == "40,000"
    assert page.locator(".trade").first.inner_text().split() == ["00:02:01", "40,000.5", "0.25"]
    for part in ("dydx1abc", "100,012.5", "market BTC-USD, size -0.5", "39,000", "v4_trades/BTC-USD"):
        assert part in said


def test_what_a_client_calls_itself_is_text(page, venue):
    assert EVIL in page.inner_text("#clients")
    assert page.title() == "dYdX v4, simulated"


def test_a_fault_is_started_and_ended_with_the_mouse(page, venue):
    page.select_option("#kind", "oracle_jump")
    assert "the oracle price is moved" in page.inner_text("#meaning")
    assert "fraction, e.g. -0.2" in page.inner_text("#value-says")
    page.fill("#where", "BTC-USD")
    page.fill("#value", "-0.2")
    page.fill("#seconds", "90")
    page.click("#start")
    row = page.locator("#faults tr")
    row.wait_for()

    (active,) = venue.faults.describe()
    assert (active["kind"], active["where"], active["value"], active["seconds"]) == ("oracle_jump", "BTC-USD", -0.2, 90)
    assert row.inner_text().split()[:5] == ["oracle_jump", "BTC-USD", "-0.2", "1", "0"]
    assert "1:" in row.inner_text()

    row.get_by_role("button", name="End oracle_jump").click()
    row.wait_for(state="detached")

    assert venue.faults.describe() == []
    assert page.locator("#no-faults").is_visible()


def test_all_faults_are_ended_with_one_click(page, venue):
    for kind in ("halt_chain", "hide_fills"):
        page.select_option("#kind", kind)
        page.click("#start")
        page.locator("#faults tr", has_text=kind).wait_for()

    page.click("#clear")
    page.locator("#no-faults").wait_for()

    assert venue.faults.describe() == []


def test_a_refused_fault_says_why(page, venue):
    page.select_option("#kind", "swallow_transaction")
    page.evaluate("document.querySelector('#share').removeAttribute('max')")
    page.fill("#share", "3")
    page.click("#start")
    page.locator("#said", has_text="0 < share").wait_for()

    assert venue.faults.describe() == []


def test_it_says_when_the_venue_no_longer_answers(page, venue):
    assert not page.locator("#lost").is_visible()

    venue.describe = lambda: 1 / 0
    page.locator("#lost", has_text="has not answered since").wait_for(timeout=15_000)

    assert page.locator("#lost").is_visible()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(page, venue, width, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})

    assert page.evaluate("document.documentElement.scrollWidth") == width
