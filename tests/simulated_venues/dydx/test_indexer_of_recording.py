"""The indexer over recorded prices, which begin and end: everything is there from the first moment on."""

from datetime import UTC, date, datetime

import pytest

from simulated_venues.market import SimulatedMarket
from simulated_venues.sources import ReplaySettings, open_source
from tests.simulated_venues.dydx.indexer_venue import BLOCK_MS, IndexerVenue
from tests.simulated_venues.recordings import recorded, write_days

DAY = datetime(2024, 2, 27, tzinfo=UTC)
FIRST_MS = round(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1_000)


@pytest.fixture(name="venue", scope="module")
def venue_fixture(make_settings, tmp_path_factory):
    root = tmp_path_factory.mktemp("recorded")
    market = SimulatedMarket(make_settings())
    write_days(root, market, DAY, 2)
    replay = ReplaySettings(
        path=root,
        instruments=tuple(recorded(each) for each in market.instruments),
        starts_at=datetime(2026, 1, 1, tzinfo=UTC),
        days=(DAY.date(), date(2024, 2, 28)),
    )
    venue = IndexerVenue(open_source(market.settings, replay))
    venue.make_block(FIRST_MS + BLOCK_MS)
    return venue


def test_a_market_is_described_at_its_first_moment(venue):
    document = venue.indexer.markets.market_documents()["BTC-USD"]
    book = venue.books.document(venue.listing.markets[0])

    assert float(document["oraclePrice"]) == pytest.approx(float(book["bids"][0]["price"]), rel=0.01)
    assert document["priceChange24H"] == "0"


def test_history_begins_where_the_recording_begins(venue):
    market = venue.listing.markets[0]
    for _ in range(500):
        venue.make_block(venue.moment.at_ms + 15_000)
    candles = venue.indexer.markets.read_candles(market, "1HOUR", (0, 2**52), 1_000)
    rates = venue.indexer.markets.funding_rates(market, 1_000, 2**52)
    trades = venue.indexer.markets.latest_trades(market, 5_000, 2**52)

    assert [candle["startedAt"][11:16] for candle in candles] == ["02:00", "01:00", "00:00"]
    assert [rate["effectiveAt"][11:16] for rate in rates] == ["02:00", "01:00"]
    assert trades[-1]["createdAt"].startswith("2026-01-01T00:00")
    assert sum(candle["trades"] for candle in candles) == len(trades)
