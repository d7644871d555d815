from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import httpx
import pytest

from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.venue import BinanceVenue
from simulated_venues.market import SimulatedMarket
from simulated_venues.source import MarketSource
from simulated_venues.venue import embedded
from tests.simulated_venues.conftest import make_settings

UNLIMITED = BinanceSettings(weight_per_minute=1_000_000)


class Listening:
    """A venue in a thread, and a client that reads its JSON."""

    def __init__(self, venue: BinanceVenue, client: httpx.Client) -> None:
        self.venue, self.source, self.url, self.client = venue, venue.source, venue.url, client

    def get(self, path: str, **query: object):
        response = self.client.get(path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def refused(self, path: str, **query: object) -> tuple[int, int, str]:
        """Status, code and message of a refusal."""
        response = self.client.get(path, params=query)
        return response.status_code, response.json()["code"], response.json()["msg"]


@contextmanager
def listening(source: MarketSource, settings: BinanceSettings = UNLIMITED, *, ahead_ms: int = 0) -> Iterator[Listening]:
    with (
        embedded(BinanceVenue(source, settings, ahead_ms=ahead_ms)) as venue,
        httpx.Client(base_url=venue.url, timeout=60) as client,
    ):
        yield Listening(venue, client)


@pytest.fixture(scope="session")
def market() -> SimulatedMarket:
    """At natural speed."""
    return SimulatedMarket(make_settings(edge=0.4))


@pytest.fixture(scope="session")
def binance(market) -> Iterator[Listening]:
    """A venue at natural speed."""
    with listening(market) as found:
        yield found


@pytest.fixture(scope="session")
def fast_market() -> SimulatedMarket:
    """Sixty times as fast, many trades a second."""
    return SimulatedMarket(replace(make_settings(edge=0.4), raw_interval_ms=1_000))


@pytest.fixture(scope="session")
def fast_binance(fast_market) -> Iterator[Listening]:
    """A venue of the fast market."""
    with listening(fast_market) as found:
        yield found


@pytest.fixture
def listen() -> Callable[..., AbstractContextManager[Listening]]:
    return listening
