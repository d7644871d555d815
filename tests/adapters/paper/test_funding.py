"""Funding of a paper account, read from the simulated venues over HTTP, as published."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_pipeline.adapters.paper.account import PaperAccount
from helios_pipeline.adapters.paper.funding import FundingDesk, is_owed
from helios_pipeline.adapters.paper.settlements import BinanceSettlements, DydxSettlements, floor_instant
from helios_pipeline.core.errors import UnreachableError
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.venue import BinanceVenue
from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.dydx.venue import DydxVenue
from simulated_venues.faults import Fault
from simulated_venues.market import SimulatedMarket
from simulated_venues.venue import embedded
from tests.adapters.paper.books import history_of
from tests.adapters.paper.scene import TERMS, Scene, prices
from tests.simulated_venues.conftest import make_settings


class Served:
    """A venue, its settlements by our reader, and the same by a few lines of the test's own."""

    def __init__(self, venue, source, instrument_id, interval):
        self.venue, self.source, self.instrument_id, self.interval = venue, source, instrument_id, interval

    def published(self):
        """Settled at → rate and price, of the last hour of the wall clock."""
        if isinstance(self.source, DydxSettlements):
            rows = httpx.get(f"{self.venue.url}/v4/historicalFunding/BTC-USD?limit=60").json()["historicalFunding"]
            found = {datetime.fromisoformat(row["effectiveAt"]): (row["rate"], row["price"]) for row in rows}
        else:
            url = f"{self.venue.url}/fapi/v1/fundingRate?symbol=BTCUSDT&limit=8"
            rows = httpx.get(url).json()
            stamps = [datetime.fromtimestamp(row["fundingTime"] / 1_000, UTC) for row in rows]
            found = {s: (row["fundingRate"], row["markPrice"]) for s, row in zip(stamps, rows, strict=True)}
        return {floor_instant(s, self.interval): (Decimal(r), Decimal(p)) for s, (r, p) in found.items()}


@pytest.fixture(name="served", scope="module", params=["binance", "dydx"])
def served_fixture(request, tmp_path_factory):
    market = SimulatedMarket(replace(make_settings(), raw_interval_ms=1_000))
    if request.param == "binance":
        with embedded(BinanceVenue(market, BinanceSettings())) as venue:
            yield Served(venue, BinanceSettlements(venue.url), "BTCUSDT-PERP.BINANCE", timedelta(seconds=480))
    else:
        settings = DydxSettings(state_folder=tmp_path_factory.mktemp("chain"), block_ms=250)
        with embedded(DydxVenue(market, settings)) as venue:
            yield Served(venue, DydxSettlements(venue.url), "BTC-USD-PERP.DYDX", timedelta(seconds=60))


class Kept:
    """A sink that keeps records in memory, with a journal's rule for natural keys."""

    def __init__(self):
        self.records = []

    def append(self, record):
        self.records.append(record)
        return len(self.records)


def long_since(served, hours):
    """An account that bought before the wall clock's last so many settlements, and its desk."""
    terms = replace(
        TERMS,
        funding_interval_seconds=int(served.interval.total_seconds()),
        fees={served.instrument_id: next(iter(TERMS.fees.values()))},
    )
    scene = Scene(terms)
    scene.now = floor_instant(datetime.now(UTC), served.interval) - hours * served.interval + timedelta(seconds=1)
    scene.send(+1, 2, at=prices(), instrument_id=served.instrument_id)
    return account_of(scene.records, terms, served)


def account_of(records, terms, served):
    sink, warned = Kept(), []
    account = PaperAccount(terms, sink, history_of(records, terms.account))

    def keep(found):
        for record in found:
            account.keep(record)

    return account, FundingDesk(account, served.source, keep, warned.append), sink


def test_settlements_are_those_published_after_an_instant_oldest_first(served):
    newest = max(served.published())
    since = newest - 4 * served.interval
    found = served.source.read(served.instrument_id, since, served.interval)

    published = served.published()
    assert [each.settled_at for each in found[:4]] == [since + n * served.interval for n in (1, 2, 3, 4)]
    assert all((each.rate, each.price) == published[each.settled_at] for each in found)


def test_an_account_that_was_switched_off_is_paid_every_settlement_once(served):
    now = datetime.now(UTC)
    account, desk, sink = long_since(served, 5)
    asyncio.run(desk.book(now))
    asyncio.run(desk.book(now))
    again, second_desk, second_sink = account_of([*history_records(account), *sink.records], account.terms, served)
    asyncio.run(second_desk.book(now))

    published = served.published()
    amounts = [-2 * published[p.settled_at][1] * published[p.settled_at][0] for p in sink.records]
    assert [p.amount for p in sink.records] == [a.quantize(Decimal("0.000001"), ROUND_FLOOR) for a in amounts]
    assert len({p.settled_at for p in sink.records}) == len(sink.records) >= 4
    assert second_sink.records == []
    assert again.state.quote_balance == account.state.quote_balance


def history_records(account):
    state = account.state
    return [*state.transfers.values(), *(order.intent for order in state.orders.values()), *state.fills]


def test_a_venue_that_is_away_is_asked_again_until_it_has_answered(served):
    account, desk, sink = long_since(served, 3)
    served.venue.faults.start(Fault(kind="http_status", value=503, count=1))
    asyncio.run(desk.book(datetime.now(UTC)))
    missed = list(sink.records)
    asyncio.run(desk.book(datetime.now(UTC)))

    assert missed == []
    assert len(sink.records) >= 2
    assert account.state.funding


def test_no_answer_is_an_error_that_names_the_address(served):
    served.venue.faults.start(Fault(kind="http_status", value=503, count=1))

    with pytest.raises(UnreachableError, match="funding at http"):
        served.source.read(served.instrument_id, datetime.now(UTC) - served.interval, served.interval)


def test_funding_is_owed_only_for_positions_that_were_carried_into_a_settlement():
    scene = Scene()
    hour = timedelta(hours=1)
    noon = floor_instant(scene.now, hour)
    scene.send(+1, 1, at=prices())
    scene.send(-1, 1, at=prices())
    between = is_owed(scene.state, "BTC-USD-PERP.DYDX", (noon, noon + 3 * hour), hour)
    scene.now = noon + 3 * hour - timedelta(seconds=2)
    scene.send(+1, 1, at=prices())

    assert not between
    assert is_owed(scene.state, "BTC-USD-PERP.DYDX", (noon, noon + 3 * hour), hour)
    assert not is_owed(scene.state, "BTC-USD-PERP.DYDX", (noon, noon + 2 * hour), hour)


@given(
    st.lists(st.tuples(st.sampled_from((-1, +1)), st.integers(0, 5_000)), max_size=6),
    st.integers(0, 6),
    st.integers(0, 6),
)
def test_what_is_owed_is_what_each_settlement_would_say(trades, first, hours):
    hour, scene = timedelta(hours=1), Scene()
    noon = floor_instant(scene.now, hour)
    for side, seconds in trades:
        scene.now += timedelta(seconds=seconds)
        scene.send(side, 1, at=prices())
    instants = [noon + (first + n) * hour for n in range(1, hours + 1)]
    owed = any(scene.state.quantity_before("BTC-USD-PERP.DYDX", each) for each in instants)

    span = (noon + first * hour, noon + (first + hours) * hour)
    assert is_owed(scene.state, "BTC-USD-PERP.DYDX", span, hour) == owed
