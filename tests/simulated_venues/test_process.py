"""Venues as processes: started, killed, restarted, and gone when whoever started them is."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from helios_pipeline.core.errors import SettingsError, SimulationError
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.faults import Fault
from simulated_venues.market import SimulatedMarket
from simulated_venues.process import VenueProcess, venue_process, venue_processes
from simulated_venues.process_settings import ProcessSettings, read_settings
from simulated_venues.remote import RemoteVenue
from simulated_venues.replay.files import RecordedInstrument
from simulated_venues.scenario import Entry, Scenario
from simulated_venues.sources import ReplaySettings, open_source
from tests.helios_home import ROOT, await_end
from tests.simulated_venues.conftest import BTC, make_settings
from tests.simulated_venues.recordings import recorded, write_days

MARKET = make_settings(ids=(BTC,))
SCENARIO = Scenario(entries=(Entry(at=0.0, venue="binance", fault=Fault(kind="slow_response", value=1.0)),))


def binance(**changes):
    return ProcessSettings(venue=BinanceSettings(**changes), market=MARKET, scenario=SCENARIO)


def get(process, path):
    return httpx.get(f"{process.url}{path}", trust_env=False, timeout=30).raise_for_status().json()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    dydx = DydxSettings(state_folder=tmp_path_factory.mktemp("chain"), block_ms=100)
    with venue_processes(binance(), ProcessSettings(venue=dydx, market=MARKET)) as processes:
        yield processes


def test_settings_survive_their_way_to_a_process(tmp_path):
    instruments = (RecordedInstrument(instrument_id=BTC, symbol="BTCUSDT", tick=Decimal("0.1"), lot=Decimal("0.001")),)
    replay = ReplaySettings(
        path=tmp_path,
        instruments=instruments,
        starts_at=datetime(2025, 3, 1, 8, tzinfo=UTC),
        days=(date(2025, 1, 1), date(2025, 1, 3)),
    )
    dydx = DydxSettings(state_folder=tmp_path)
    for settings in (binance(), ProcessSettings(venue=dydx, market=MARKET, replay=replay, ahead_ms=5)):
        assert read_settings(settings.to_json(), settings.name) == settings


def test_a_replay_is_served_instead_of_the_market(tmp_path):
    first = datetime(2025, 3, 1, tzinfo=UTC)
    market = SimulatedMarket(MARKET)
    write_days(tmp_path, market, first, 1)
    replay = ReplaySettings(
        path=tmp_path,
        instruments=(recorded(MARKET.instruments[0]),),
        starts_at=first + timedelta(days=365),
        days=(first.date(), first.date() + timedelta(days=1)),
    )

    source = open_source(MARKET, replay)

    hour = timedelta(hours=1)
    played = source.bars(BTC, replay.starts_at, replay.starts_at + hour, raw_bars=1)
    assert source.identity.startswith("recorded bars")
    assert played.close.tolist() == market.bars(BTC, first, first + hour, raw_bars=1).close.tolist()


@pytest.mark.parametrize(
    ("text", "part"),
    [(b"", "expected JSON"), (b"{}", "market"), (b'{"market": 1}', "market")],
)
def test_settings_that_are_none_are_refused(text, part):
    with pytest.raises(SettingsError, match=part):
        read_settings(text, "binance")


def test_settings_of_the_other_venue_are_refused():
    with pytest.raises(SettingsError, match="expected a table dydx, found none"):
        read_settings(binance().to_json(), "dydx")


def test_both_venues_listen_and_say_where(pair):
    names = [RemoteVenue(process.url).state()["venue"] for process in pair]

    assert names == ["binance", "dydx"]
    assert set(pair[0].addresses) >= {"url", "ws"}
    assert set(pair[1].addresses) >= {"url", "ws", "grpc"}


def test_the_scenario_starts_with_the_venue(pair):
    (active,) = RemoteVenue(pair[0].url).faults()

    assert active["kind"] == "slow_response"


def test_two_processes_with_one_seed_agree(pair):
    with venue_process(binance()) as other:
        now = int(time.time() * 1_000)
        span = f"symbol=BTCUSDT&startTime={now - 3_600_000}&endTime={now - 120_000}"
        told = [
            (get(each, f"/fapi/v1/klines?interval=1m&{span}"), get(each, f"/fapi/v1/aggTrades?{span}"))
            for each in (pair[0], other)
        ]

    assert told[0] == told[1]
    assert min(len(part) for part in told[0]) > 50


def test_a_killed_process_comes_back_at_the_same_address(pair):
    process = pair[0]
    first, pid = process.url, process.pid
    process.kill()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{first}/fapi/v1/ping", trust_env=False)

    process.restart()

    assert (process.url, get(process, "/fapi/v1/ping")) == (first, {})
    assert process.pid != pid


def test_a_port_that_is_taken_is_one_clear_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SimulationError) as caught, venue_process(binance(port=port)):
            pass

    assert str(caught.value).startswith(f"simulated venue: expected port {port} of 127.0.0.1 to be free")


def test_a_process_that_dies_by_itself_is_reported():
    with ExitStack() as opened:
        process = opened.enter_context(venue_process(binance()))
        os.kill(process.pid, signal.SIGKILL)
        await_end(process.pid, 10)

        with pytest.raises(SimulationError, match=r"simulated binance: expected its process to run.*code -9"):
            opened.close()


def test_a_process_that_is_still_starting_is_stopped_at_once():
    process = VenueProcess(binance())
    process.launch()
    pid = process.pid

    process.stop()

    assert await_end(pid, 0)


PARENT = """
    import sys, time
    from pathlib import Path
    from simulated_venues.process import venue_process
    from simulated_venues.process_settings import read_settings

    with venue_process(read_settings(Path(sys.argv[1]).read_bytes(), "binance")) as process:
        print(process.pid, flush=True)
        time.sleep(600)
"""


def test_a_process_ends_with_its_parent_however_that_one_dies(tmp_path):
    (tmp_path / "settings.json").write_bytes(binance().to_json())
    command = [sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path / "settings.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()

        assert await_end(pid, 30)


def test_started_by_hand_it_says_where_it_is_and_ends_cleanly_with_a_signal(tmp_path):
    (tmp_path / "settings.json").write_bytes(binance().to_json())
    command = [sys.executable, "-m", "simulated_venues.main", "binance", "--settings", str(tmp_path / "settings.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)

    assert '"venue":"binance"' in line
    assert "http://127.0.0.1:" in line
    assert (process.returncode, errors) == (0, "")
