import os
from dataclasses import replace

import pytest

from helios_pipeline.adapters.dydx.account_reader import DydxAccountReader
from helios_pipeline.adapters.dydx.addresses import DydxAddresses
from helios_pipeline.adapters.dydx.key import DydxKey
from live_engine.journal import Journal
from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.dydx.venue import DydxVenue
from simulated_venues.faults import Fault
from simulated_venues.market import SimulatedMarket
from simulated_venues.venue import embedded
from tests.simulated_venues.conftest import make_settings

BLOCK_MS = 100


@pytest.fixture(name="venue", scope="module")
def venue_fixture(tmp_path_factory):
    """A venue with ten blocks a second and a funding interval of a minute."""
    source = SimulatedMarket(replace(make_settings(), raw_interval_ms=1_000))
    settings = DydxSettings(state_folder=tmp_path_factory.mktemp("chain"), block_ms=BLOCK_MS)
    with embedded(DydxVenue(source, settings)) as venue:
        yield venue


@pytest.fixture(name="addresses")
def addresses_fixture(venue):
    venue.faults.stop_all()
    found = venue.addresses
    yield DydxAddresses(
        http=found["url"].rstrip("/"),
        ws=found["ws"],
        grpc=found["grpc"],
        grpc_tls=False,
        chain_id="dydx-mainnet-1",
        subaccount=0,
    )
    venue.faults.stop_all()


@pytest.fixture(name="key")
def key_fixture():
    """A key whose account nobody has used."""
    return DydxKey.parse(os.urandom(32).hex(), source="test")


@pytest.fixture(name="strike")
def strike_fixture(venue):
    """Starts a fault at the venue; its number."""
    return lambda kind, **values: venue.faults.start(Fault(kind=kind, **values))


@pytest.fixture(name="open_journal")
def open_journal_fixture(addresses, key, tmp_path):
    """Opens the account's journal, again and again: each time it is another life of the engine."""
    opened = []

    def open_journal():
        for journal in opened:
            journal.close()
        opened.append(Journal.open(tmp_path / "log", addresses.account(key.address)))
        return opened[-1]

    yield open_journal
    for journal in opened:
        journal.close()


@pytest.fixture(name="journal")
def journal_fixture(open_journal):
    return open_journal()


@pytest.fixture(name="reader")
def reader_fixture(addresses, key):
    return DydxAccountReader(addresses, key.address)
