"""A real account is flattened at its venue by the command alone, when no engine runs."""

import os
import subprocess
from dataclasses import replace
from decimal import Decimal

import pytest

from helios_pipeline.adapters.dydx.account_reader import DydxAccountReader
from helios_pipeline.adapters.dydx.addresses import DydxAddresses
from helios_pipeline.adapters.dydx.key import DydxKey
from live_engine.journal import Journal
from live_engine.kill_switch import KillSwitch
from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.dydx.venue import DydxVenue
from simulated_venues.market import SimulatedMarket
from simulated_venues.venue import embedded
from tests.adapters.dydx.node import BUY, SELL, run, trading
from tests.helios_home import SMALL, write_settings
from tests.simulated_venues.conftest import make_settings

SECRET = os.urandom(32).hex()


@pytest.fixture
def addresses(tmp_path):
    source = SimulatedMarket(replace(make_settings(), raw_interval_ms=1_000))
    with embedded(DydxVenue(source, DydxSettings(state_folder=tmp_path / "chain", block_ms=100))) as venue:
        found = venue.addresses
        yield DydxAddresses(
            http=found["url"].rstrip("/"),
            ws=found["ws"],
            grpc=found["grpc"],
            grpc_tls=False,
            chain_id="dydx-mainnet-1",
            subaccount=0,
        )


@pytest.fixture
def key():
    return DydxKey.parse(SECRET, source="test")


def held_position(addresses, key, home):
    """Folder of an account that holds a position with its stop."""
    folder = home / "live" / addresses.account(key.address)
    journal = Journal.open(folder / "log", folder.name)

    async def hold_a_position_with_its_stop():
        async with trading(addresses, key, journal) as session:
            await session.done(session.trader.market(BUY, "0.02"))
            await session.accepted(session.trader.protect(SELL, "0.02", await session.oracle() * Decimal("0.9")))

    run(hold_a_position_with_its_stop)
    journal.close()
    return folder


def flatten(run_here, addresses, folder):
    write_settings(folder / "helios.toml", SMALL | {"live.network": "testnet", "live_venues.dydx_grpc_tls": False})
    return run_here(
        "flatten",
        "--why",
        "leaving",
        "--yes",
        folder=folder,
        HELIOS_DYDX_KEY=SECRET,
        HELIOS_DYDX_URL=addresses.http,
        HELIOS_DYDX_WS_URL=addresses.ws,
        HELIOS_DYDX_GRPC=addresses.grpc,
    )


def test_an_account_is_flattened_at_its_venue_when_no_engine_runs(run_here, addresses, key, tmp_path):
    folder = held_position(addresses, key, tmp_path / "home")

    outcome = flatten(run_here, addresses, tmp_path)

    assert (outcome.code, outcome.err) == (0, "")
    assert "flat: no position, no order" in outcome.out
    assert SECRET not in outcome.out
    account = DydxAccountReader(addresses, key.address).read(None)
    assert (account.positions, account.open_orders) == ({}, ())
    switch = KillSwitch(folder, folder.name, None)
    assert (switch.mode, switch.flatten_request) == ("HALTED", None)
    again = Journal.open(folder / "log", folder.name)
    assert again.books.positions == {}
    again.close()


def test_an_account_is_flattened_though_nothing_can_be_written(run_here, addresses, key, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", home], capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount a small file system here")
    try:
        held_position(addresses, key, home)
        with pytest.raises(OSError, match="No space left"):
            (home / "rest").write_bytes(bytes(1 << 21))

        outcome = flatten(run_here, addresses, tmp_path)

        assert outcome.code == 0, outcome.err
        assert "It is flattened all the same." in outcome.err
        account = DydxAccountReader(addresses, key.address).read(None)
        assert (account.positions, account.open_orders) == ({}, ())
    finally:
        subprocess.run(["umount", "-l", home], check=True)
