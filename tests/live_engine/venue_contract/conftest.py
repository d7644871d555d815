"""The cases, each against its simulated venue as a process of its own."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context

import pytest

from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.process import venue_process
from simulated_venues.process_settings import ProcessSettings
from tests.live_engine.venue_contract.case import VenueCase
from tests.live_engine.venue_contract.second_life import SecondLife, second_life
from tests.simulated_venues.conftest import BTC, make_settings

FIRST_LIFE_SECONDS = 100


@contextmanager
def dydx_venue(folder) -> Iterator[dict[str, str | bool]]:
    settings = DydxSettings(state_folder=folder / "chain", block_ms=250)
    with venue_process(ProcessSettings(venue=settings, market=fast_market(150))) as venue:
        yield {
            "dydx_http": venue.url,
            "dydx_ws": venue.addresses["ws"],
            "dydx_grpc": venue.addresses["grpc"],
            "dydx_grpc_tls": False,
        }


@contextmanager
def binance_venue(folder) -> Iterator[dict[str, str | bool]]:
    with venue_process(ProcessSettings(venue=BinanceSettings(), market=fast_market(25))) as venue:
        yield {"binance_http": venue.url, "binance_ws": venue.addresses["ws"]}


def fast_market(raw_interval_ms: int):
    """A market so fast that a settlement comes while a test waits for it."""
    settings = make_settings(ids=(BTC,))
    instruments = tuple(replace(each, trades_per_day=6_000) for each in settings.instruments)
    return replace(settings, raw_interval_ms=raw_interval_ms, instruments=instruments)


@contextmanager
def dydx(folder):
    with dydx_venue(folder) as addresses:
        yield VenueCase(
            network="mainnet",
            venue="DYDX",
            instrument_id="BTC-USD-PERP.DYDX",
            quantity="0.0123",
            taker_fee_fraction="0.0005",
            funding_interval_seconds=9,
            addresses=addresses,
            environment={"HELIOS_DYDX_KEY": secrets.token_hex(32)},
        )


@contextmanager
def paper_dydx(folder):
    with dydx_venue(folder) as addresses:
        yield VenueCase(
            network="paper",
            venue="DYDX",
            instrument_id="BTC-USD-PERP.DYDX",
            quantity="0.0123",
            taker_fee_fraction="0.00043",
            funding_interval_seconds=9,
            addresses=addresses,
        )


@contextmanager
def paper_binance(folder):
    with binance_venue(folder) as addresses:
        yield VenueCase(
            network="paper",
            venue="BINANCE",
            instrument_id=BTC,
            quantity="0.013",
            taker_fee_fraction="0.00037",
            funding_interval_seconds=12,
            addresses=addresses,
        )


CASES = {"dydx": dydx, "paper_dydx": paper_dydx, "paper_binance": paper_binance}


@dataclass
class Lives:
    """A case, what its first engine saw before it was killed, and what the next one saw."""

    case: VenueCase
    ended_by: int
    first: dict
    second: SecondLife


@pytest.fixture(name="lives", scope="module", params=sorted(CASES))
def lives_fixture(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    with CASES[request.param](folder) as case:
        case.write(folder / "case.json")
        first = subprocess.run(
            [sys.executable, "-m", "tests.live_engine.venue_contract.first_life", folder / "case.json", folder / "log"],
            env=dict(os.environ) | case.environment,
            capture_output=True,
            text=True,
            timeout=FIRST_LIFE_SECONDS,
            check=False,
        )
        if first.returncode != -signal.SIGKILL:
            raise AssertionError(
                f"first life ended by {first.returncode}: {first.stdout[-3000:]} {first.stderr[-3000:]}"
            )
        seen = json.loads((folder / "seen.json").read_text())
        # NautilusTrader remembers for a whole process which venues a backtest has simulated, and then reckons their
        # accounts itself: an engine has a process of its own, and so has this one.
        with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
            second = process.submit(second_life, case, folder / "log", seen).result()
        yield Lives(case=case, ended_by=-first.returncode, first=seen, second=second)
